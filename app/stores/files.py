"""Results as files in a folder that is memory (tmpfs), shared by the workers of one machine."""

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from cachelib import FileSystemCache

from app.results import Results, Store, StoreUnavailable
from app.settings import Settings, StartError

_MEMORY = {"tmpfs", "ramfs"}
_RESULTS = "results"
_DYING_SECONDS = 1.0
"""How long a worker that was killed may still seem to serve."""

SPARE_BYTES = 4_000_000
"""Room to leave in the folder's file system: a result is 60 kB, noise at most 400, and several are
written at once. cachelib leaves half a file behind where the room ends within it."""


class FileResults(Results):
    """Results as files in a folder of a memory file system."""

    def __init__(self, folder: Path, lifetime: int, most: int) -> None:
        # threshold=0: past its threshold cachelib drops the oldest entries, living ones too.
        super().__init__(FileSystemCache(str(folder), threshold=0, mode=0o600), lifetime)
        self._folder = folder
        self._most = most
        # Held as long as this process lives: see forget().
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)
        self.sweep()
        threading.Thread(target=self._sweep_for_ever, daemon=True, name="results-sweep").start()

    def sweep(self) -> None:
        """Remove expired files. cachelib only stops showing them; a photo must be gone."""
        oldest = time.time() - self.lifetime
        for entry in os.scandir(self._folder):
            try:
                if entry.stat().st_mtime < oldest:
                    os.unlink(entry.path)
            except FileNotFoundError:  # Another worker was first.
                pass

    def _sweep_for_ever(self) -> None:
        while self._folder.exists():
            time.sleep(min(30.0, self.lifetime / 2))
            # A folder that is gone or full of trouble is what put() and check() report.
            with contextlib.suppress(OSError):
                self.sweep()

    def _make_room(self) -> None:
        try:
            if shutil.disk_usage(self._folder).free < SPARE_BYTES:
                raise StoreUnavailable("the file system of the results is full")
            if len(os.listdir(self._folder)) < self._most:
                return
            self.sweep()
            if len(os.listdir(self._folder)) < self._most:
                return
        except OSError as error:
            raise StoreUnavailable(str(error)) from error
        raise StoreUnavailable(f"{self._most} results are kept already")


def open_files(settings: Settings) -> Store:
    folder = _folder(settings.results)
    private_folder(folder)
    kind = file_system(folder)
    if kind not in _MEMORY:
        raise StartError(
            f"MOLELENS_RESULTS: {folder} is on {kind}, and photos are never written to disk. "
            "Give a folder on tmpfs (like /dev/shm/molelens) or redis://host:port/0."
        )
    private_folder(folder / _RESULTS)
    results = FileResults(folder / _RESULTS, settings.results_seconds, settings.results_max)
    key = settings.secret_key or _shared_secret(folder / "secret-key")
    return Store(results, key, "memory://")


def _folder(url: str) -> Path:
    return Path(urlsplit(url).path)


def forget(url: str = Settings.results) -> None:
    """Remove all results from the folder that ``url`` names, unless a process serves from it."""
    try:
        folder = os.open(_folder(url) / _RESULTS, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # None was ever kept there.
        return
    try:
        if _is_unused(folder):
            for name in os.listdir(folder):
                os.unlink(name, dir_fd=folder)
    finally:
        os.close(folder)


def _is_unused(folder: int) -> bool:
    """Whether no process serves from the folder; until it is closed, none begins to."""
    end = time.monotonic() + _DYING_SECONDS
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        else:
            return True


def private_folder(folder: Path) -> None:
    """Make ``folder`` (mode 0700), or refuse one that others own or can read."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise StartError(f"MOLELENS_RESULTS: cannot make {folder}: {error.strerror}.") from error
    private = stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077
    if not private or found.st_uid != os.getuid():
        raise StartError(
            f"MOLELENS_RESULTS: {folder} must be a folder of this user alone (mode 0700)."
        )


def file_system(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Type of the file system that holds ``folder``, as Linux names it ("tmpfs", "ext4" ...)."""
    best, kind = "", "an unknown file system"
    target = str(folder.resolve())
    try:
        lines = mounts.read_text().splitlines()
    except OSError:
        return kind
    for line in lines:
        _, point, name, *_ = line.split(" ")
        point = point.replace("\\040", " ")
        if (target + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
            best, kind = point, name
    return kind


def _shared_secret(path: Path) -> str:
    """A random key that every worker of this machine reads from one file in memory.

    Workers start apart from each other (nothing is loaded before the fork), so a key made in
    each would make a form from one worker invalid in the next. The first to link it wins.
    """
    fresh = path.with_name(f"secret-key.{os.getpid()}.{secrets.token_hex(4)}")
    with open(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(32))
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()
    return path.read_text()
