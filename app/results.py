"""Short-lived results: a photo, its verdict and its heat map, for a few minutes, never on disk.

By default cachelib keeps them as files in a folder that is memory (tmpfs), shared by the workers
of one machine; by one setting in Redis, shared by several machines.
"""

import contextlib
import fcntl
import os
import secrets
import shutil
import stat
import threading
import time
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import redis
from cachelib import FileSystemCache, RedisCache
from cachelib.base import BaseCache

from app.settings import Settings, StartError

_MEMORY = {"tmpfs", "ramfs"}
_RESULTS = "results"
_DYING_SECONDS = 1.0
"""How long a worker that was killed may still seem to serve."""
_REDIS_PREFIX = "molelens:"
_SECRET_KEY = f"{_REDIS_PREFIX}secret-key"

SPARE_BYTES = 4_000_000
"""Room to leave in the folder's file system: a result is 60 kB, noise at most 400, and several are
written at once. cachelib leaves half a file behind where the room ends within it."""


class StoreUnavailable(Exception):
    """The store is full or cannot be reached: nothing was kept."""


LARGE = 200_000
"""Bytes of a large result's pictures: with room for less, a store is as good as full."""


@dataclass(frozen=True)
class Result:
    """What the result page shows. It holds nothing of the file but its 500 x 500 pixels.

    Attributes:
        status: "ok" or "cannot_judge".
        verdict: "benign", "malignant", or None.
        probability: calibrated p(malignant) in [0, 1], or None.
        threshold: probability at and above which the verdict is "malignant".
        reasons: stable codes that say why the photo cannot be judged.
        photo: JPEG made from the decoded pixels, so that no EXIF is in it.
        heat_map: PNG with transparency to lay over the photo, or None.
        created: seconds since the epoch.
        model: name of the model that judged. It stands here, with what follows, since another
            model may be served where the result is shown.
        sha256: of that model's file, in hexadecimal.
        calibrated: whether ``probability`` is a chance; else it is only a score.
        sensitivity: that model's, measured on test photos, in [0, 1]; None if it was not.
        specificity: the same.
    """

    status: str
    verdict: str | None
    probability: float | None
    threshold: float
    reasons: tuple[str, ...]
    photo: bytes
    heat_map: bytes | None
    created: float
    model: str
    sha256: str
    calibrated: bool
    sensitivity: float | None
    specificity: float | None


@dataclass(frozen=True)
class Comparison:
    """Two results of one spot, by their ids, and the days on which their photos were taken.

    Attributes:
        earlier: id of the result of the earlier photo.
        later: the same of the later one.
        earlier_taken: the day of the earlier photo; None if it is not known.
        later_taken: the same of the later one.
        created: seconds since the epoch; that of the older result, with which it is gone.
    """

    earlier: str
    later: str
    earlier_taken: date | None
    later_taken: date | None
    created: float


Kept = TypeVar("Kept", Result, Comparison)


class Results:
    """Results by unguessable id, over any cachelib cache."""

    def __init__(self, cache: BaseCache, lifetime: int) -> None:
        self._cache = cache
        self.lifetime = lifetime

    def put(self, result: Result | Comparison) -> str:
        """Keep ``result`` and return its id (128 random bits).

        Raises:
            StoreUnavailable: it could not be kept.
        """
        key = secrets.token_urlsafe(16)
        self._make_room()
        try:
            kept = self._cache.set(key, asdict(result), timeout=self.lifetime)
        except (redis.RedisError, OSError) as error:
            raise StoreUnavailable(str(error)) from error
        if not kept:
            raise StoreUnavailable("the store of results is full")
        return key

    def get(self, key: str) -> Result | None:
        """The result, or None when it is deleted, expired or never was."""
        return self._get(key, Result)

    def get_comparison(self, key: str) -> Comparison | None:
        """The comparison, or None as above."""
        return self._get(key, Comparison)

    def _get(self, key: str, kind: type[Kept]) -> Kept | None:
        try:
            found = self._cache.get(key)
        except (redis.RedisError, OSError) as error:
            raise StoreUnavailable(str(error)) from error
        try:
            result = kind(**found)
        except TypeError:  # None; or an entry of another version, or damaged: as good as none.
            return None
        return result if self.seconds_left(result) > 0 else None

    def delete(self, key: str) -> None:
        try:
            deleted = self._cache.delete(key)
            if not deleted and self._cache.has(key):
                raise StoreUnavailable("the result could not be deleted")
        except (redis.RedisError, OSError) as error:
            raise StoreUnavailable(str(error)) from error

    def seconds_left(self, result: Result | Comparison) -> float:
        return result.created + self.lifetime - time.time()

    def check(self) -> None:
        """Raise StoreUnavailable unless something can be kept, read and deleted now."""
        probe = Result(
            status="cannot_judge",
            verdict=None,
            probability=None,
            threshold=0.5,
            reasons=(),
            photo=bytes(LARGE),
            heat_map=None,
            created=time.time(),
            model="",
            sha256="",
            calibrated=False,
            sensitivity=None,
            specificity=None,
        )
        key = self.put(probe)
        if self.get(key) != probe:
            raise StoreUnavailable("the store of results does not give back what was put")
        self.delete(key)

    def _make_room(self) -> None:
        pass


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


class RedisResults(Results):
    """Results in Redis, and beside them the key that signs forms, which all workers share."""

    def __init__(self, client: Any, lifetime: int, secret_key: str) -> None:
        super().__init__(RedisCache(host=client, key_prefix=f"{_REDIS_PREFIX}result:"), lifetime)
        self._client = client
        self._shares_key = not secret_key
        self.secret_key = secret_key or self._share(secrets.token_urlsafe(32))

    def check(self) -> None:
        super().check()
        # A Redis that lost its memory would give another key to the next worker that starts, and
        # forms of one would be refused by the other.
        try:
            if self._shares_key:
                self._share(self.secret_key)
        except redis.RedisError as error:
            raise StoreUnavailable(str(error)) from error

    def _share(self, key: str) -> str:
        """Offer a key; the first that was offered holds for all."""
        self._client.set(_SECRET_KEY, key, nx=True)
        return str(self._client.get(_SECRET_KEY).decode())


@dataclass(frozen=True)
class Store:
    """Where results live, and what the workers share beside them."""

    results: Results
    secret_key: str
    rate_limit_url: str


def open_store(settings: Settings) -> Store:
    """The store that ``settings.results`` names.

    Raises:
        StartError: the folder is not in memory or not ours alone, or Redis does not answer.
    """
    if settings.results.startswith("file://"):
        return _open_files(settings)
    return _open_redis(settings)


def _open_files(settings: Settings) -> Store:
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


def _open_redis(settings: Settings) -> Store:
    client: Any = redis.Redis.from_url(
        settings.results, socket_timeout=2.0, socket_connect_timeout=2.0
    )
    try:
        results = RedisResults(client, settings.results_seconds, settings.secret_key)
    except redis.RedisError as error:
        raise StartError(f"MOLELENS_RESULTS: Redis does not answer: {error}.") from error
    # What counts for the rate limit knows a socket by another name.
    socket = settings.results.startswith("unix://")
    counts = f"redis+{settings.results}" if socket else settings.results
    return Store(results, results.secret_key, counts)
