"""The core that serving and training share: decode, the model file, the engine, the verdict."""

import os

# Model files are only read, or written by one process and moved to their place when whole: no lock
# is needed, and NFS, Lustre or SMB may have none. HDF5 looks at this once, when it is loaded.
os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
