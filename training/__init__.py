"""Makes the .h5 that the app serves; imports lens, never app."""

# Before anything that loads HDF5: lens tells it to do without locks.
import lens as lens
