"""Keep results as files in memory (tmpfs), which the workers of one machine share."""

import contextlib
import fcntl
import os
import re
import secrets
import shutil
import stat
import subprocess
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from cachelib import FileSystemCache

from app.results import Results, Store, StoreUnavailable
from app.settings import Settings, StartError

_MEMORY_FILE_SYSTEMS = {"tmpfs", "ramfs"}
_RESULTS = "results"
_UNLOCK_SECONDS = 1.0
"""How long a killed worker may still hold its lock."""

SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - provided by the system, and in memory
_RAM_DISK = "on tmpfs (on macOS: sudo mount_tmpfs /a/folder)"

MIN_FREE_BYTES = 4_000_000
"""Space to leave free: several threads write results of 60 to 400 kB at the same time, and cachelib
leaves an incomplete file behind when there is no space left."""


class FileResults(Results):
    """Results as files in a folder of a memory file system."""

    def __init__(self, folder: Path, lifetime: int, max_results: int) -> None:
        # Above a threshold, cachelib would delete entries before they expire; 0 turns that off.
        super().__init__(FileSystemCache(str(folder), threshold=0, mode=0o600), lifetime)
        self._folder = folder
        self._max_results = max_results
        # This process holds the lock as long as it lives; see delete_results().
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_SH)
        self.sweep()
        threading.Thread(target=self._sweep_repeatedly, daemon=True, name="results-sweep").start()

    def sweep(self) -> None:
        """Delete expired files, which cachelib only hides."""
        oldest = time.time() - self.lifetime
        for entry in os.scandir(self._folder):
            try:
                if entry.stat().st_mtime < oldest:
                    os.unlink(entry.path)
            except FileNotFoundError:  # Another worker was first.
                pass

    def _sweep_repeatedly(self) -> None:
        while self._folder.exists():
            time.sleep(min(30.0, self.lifetime / 2))
            # put() and check() report problems with the folder.
            with contextlib.suppress(OSError):
                self.sweep()

    def _make_room(self) -> None:
        try:
            if shutil.disk_usage(self._folder).free < MIN_FREE_BYTES:
                raise StoreUnavailable("the file system of the results is full")
            if self._is_full():
                self.sweep()
                if self._is_full():
                    raise StoreUnavailable(f"{self._max_results} results are stored already")
        except OSError as error:
            raise StoreUnavailable(str(error)) from error

    def _is_full(self) -> bool:
        return len(os.listdir(self._folder)) >= self._max_results


def open_files(settings: Settings) -> Store:
    folder = _folder(settings.results)
    if folder.parent == SHARED_MEMORY and not SHARED_MEMORY.is_dir():
        raise StartError(
            f"MOLELENS_RESULTS: there is no {SHARED_MEMORY} here, and photos are never written to "
            f"disk. Set it to redis://host:port/0, or to file:///a/folder {_RAM_DISK}."
        )
    make_private_folder(folder)
    file_system_type = file_system(folder)
    if file_system_type not in _MEMORY_FILE_SYSTEMS:
        raise StartError(
            f"MOLELENS_RESULTS: {folder} is on {file_system_type}, and photos are never "
            f"written to disk. Set it to redis://host:port/0, or file:///a/folder {_RAM_DISK}."
        )
    make_private_folder(folder / _RESULTS)
    results = FileResults(folder / _RESULTS, settings.results_seconds, settings.results_max)
    key = settings.secret_key or _shared_secret(folder / "secret-key")
    return Store(results, key, "memory://")


def _folder(url: str) -> Path:
    return Path(urlsplit(url).path)


def delete_results(url: str = Settings.results) -> None:
    """Delete all results in the folder given by ``url``, unless a process still uses it."""
    try:
        folder = os.open(_folder(url) / _RESULTS, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # No result was ever stored there.
        return
    try:
        if _is_unused(folder):
            for name in os.listdir(folder):
                os.unlink(name, dir_fd=folder)
    finally:
        os.close(folder)


def _is_unused(folder: int) -> bool:
    """Whether no process uses the folder. If so, it is locked until ``folder`` is closed."""
    end = time.monotonic() + _UNLOCK_SECONDS
    while True:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        else:
            return True


def make_private_folder(folder: Path) -> None:
    """Create ``folder`` (mode 0700); refuse an existing one that another user owns or can read."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.lstat()
    except OSError as error:
        raise StartError(f"MOLELENS_RESULTS: cannot create {folder}: {error.strerror}.") from error
    private = stat.S_ISDIR(state.st_mode) and not state.st_mode & 0o077
    if not private or state.st_uid != os.getuid():
        raise StartError(
            f"MOLELENS_RESULTS: {folder} must be a folder of this user alone (mode 0700)."
        )


def file_system(folder: Path, mounts: Path = Path("/proc/self/mounts")) -> str:
    """Type of the file system that contains ``folder``, such as "tmpfs" or "ext4"."""
    best, kind = "", "an unknown file system"
    target = str(folder.resolve())
    for point, name in _mounted(mounts):
        if (target + "/").startswith(point.rstrip("/") + "/") and len(point) >= len(best):
            best, kind = point, name
    return kind


def _mounted(mounts: Path) -> list[tuple[str, str]]:
    """The mount point and type of each file system."""
    if not mounts.exists():
        return mounted_on_macos(_mount_output())
    lines = [line.split(" ") for line in mounts.read_text().splitlines()]
    return [(point.replace("\\040", " "), kind) for _, point, kind, *_ in lines]


def _mount_output() -> str:
    try:
        return subprocess.run(["/sbin/mount"], capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""


def mounted_on_macos(text: str) -> list[tuple[str, str]]:
    """The same from the output of ``mount`` on macOS."""
    return re.findall(r"^.+? on (/.*) \((\w+)[,)]", text, re.MULTILINE)


def _shared_secret(path: Path) -> str:
    """A random key that all workers of this machine read from one file.

    With different keys, a form from one worker would be invalid in another. Workers start
    independently; the first one to link the file determines the key.
    """
    own_file = path.with_name(f"secret-key.{os.getpid()}.{secrets.token_hex(4)}")
    with open(os.open(own_file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(32))
    try:
        os.link(own_file, path)
    except FileExistsError:
        pass
    finally:
        own_file.unlink()
    return path.read_text()
