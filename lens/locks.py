"""Locks between processes, where the file system has them."""

import errno
import fcntl
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""What flock() says on NFS, Lustre and SMB without a lock service."""


@contextmanager
def exclusive(lock: Path) -> Iterator[bool]:
    """Hold the lock file for the length of a ``with`` block, once no other process holds it.

    The lock ends with its process, however that ends; a file that was left behind blocks nobody.

    Yields:
        True; or False, with a warning, where the file system has no locks, and others may come in.
    """
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            locked = True
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
            log.warning("%s is on a file system without locks (%s)", lock.parent, error.strerror)
            locked = False
        yield locked
