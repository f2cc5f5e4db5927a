"""Write files that several processes share: atomic replacement and locks."""

import errno
import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

log = logging.getLogger(__name__)

_NO_LOCK_ERRORS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP}
"""Errors of flock() on NFS, Lustre and SMB without a lock service."""


@contextmanager
def replacing(path: Path, suffix: str = "") -> Iterator[Path]:
    """Yield a temporary path beside ``path``, which replaces ``path`` when the block ends.

    If the block raises, ``path`` is not changed.

    Args:
        path: the file to replace; its folder is created.
        suffix: appended to the temporary name, which otherwise ends as the name of ``path`` does.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.{path.name}{suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def exclusive_lock(lock: Path) -> Iterator[bool]:
    """Hold a lock file during a ``with`` block; wait while another process holds it.

    The system releases the lock when the process ends, so a file left behind blocks nobody.

    Yields:
        True; or False, with a warning in the log, if the file system has no locks, so that other
        processes may enter the block at the same time.
    """
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            locked = True
        except OSError as error:
            if error.errno not in _NO_LOCK_ERRORS:
                raise
            log.warning("%s is on a file system without locks (%s)", lock.parent, error.strerror)
            locked = False
        yield locked
