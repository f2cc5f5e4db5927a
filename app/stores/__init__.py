"""Stores for results: files in memory (the default), or Redis."""

from app.results import Store
from app.settings import Settings
from app.stores import files, redis


def open_store(settings: Settings) -> Store:
    """Open the store given by ``settings.results``.

    Raises:
        StartError: the folder is not in memory or not private, or Redis does not answer.
    """
    if settings.results.startswith("file://"):
        return files.open_files(settings)
    return redis.open_redis(settings)
