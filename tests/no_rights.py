"""A folder that cannot be read, for tests that root may run, as in a container."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NOBODY = 65534


@contextmanager
def unreadable(folder: Path) -> Iterator[None]:
    """Take all rights to a folder away; root, who needs none, is somebody else meanwhile.

    What the test writes beside the folder must be open to others.
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
