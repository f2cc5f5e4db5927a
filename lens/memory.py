"""Memory that threads share by agreement: who would use more than is left waits."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Memory:
    """``size`` bytes to lend; a larger wish could never be met, so callers refuse it before."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._changed = threading.Condition()

    @contextmanager
    def lend(self, size: int) -> Iterator[None]:
        """Hold ``size`` bytes for the length of a ``with`` block, once so many are free."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()
