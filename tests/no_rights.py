"""A folder that cannot be read, even if root runs the tests, as in a container."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY_UID = 65534


@contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    """Remove all permissions of a folder; root, who needs none, becomes another user meanwhile.

    Whatever the test uses beside the folder must be accessible to that user.
    """
    is_root = os.geteuid() == 0
    for parent in [path for path in folder.parents if "pytest" in path.as_posix()]:
        parent.chmod(parent.stat().st_mode | 0o755)
    folder.chmod(0)
    if is_root:
        os.seteuid(NOBODY_UID)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
        folder.chmod(0o700)
