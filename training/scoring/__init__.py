"""Judge many photos, in one or several processes."""
