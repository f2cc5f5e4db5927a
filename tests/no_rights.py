"""Make a folder unreadable, even if the tests are run by root, as in a container."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    """Remove all permissions on a folder; root, which ignores permissions, becomes another user.

    Whatever the test writes elsewhere must be writable for that user.
    """
    is_root = os.geteuid() == 0
    for above in [path for path in folder.parents if "pytest" in path.as_posix()]:
        above.chmod(above.stat().st_mode | 0o755)
    folder.chmod(0)
    if is_root:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)
