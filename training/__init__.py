"""Makes the .h5 that the app serves; imports lens, never app."""
