"""The code that serving and training share: decoding, the model file, the engine, the verdict."""

import os

# HDF5 locks files by default, which fails on network file systems without locks. Model files need
# none: one process writes a file and renames it when it is complete. HDF5 reads this when imported.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
