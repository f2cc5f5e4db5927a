"""A verdict for each of many photos, by one process or by many."""
