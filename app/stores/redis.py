"""Keep results in Redis, so that several machines can share them."""

import secrets
from typing import Any, ClassVar

import redis
from cachelib import RedisCache

from app.results import Results, Store, StoreUnavailable
from app.settings import Settings, StartError

_PREFIX = "molelens:"
_SECRET_KEY = f"{_PREFIX}secret-key"


class RedisResults(Results):
    """Results in Redis. It also holds the key that signs forms, which all workers share."""

    failures: ClassVar = (redis.RedisError, OSError)

    def __init__(self, client: Any, lifetime: int, secret_key: str) -> None:
        super().__init__(RedisCache(host=client, key_prefix=f"{_PREFIX}result:"), lifetime)
        self._client = client
        self._shares_key = not secret_key
        self.secret_key = secret_key or self._share(secrets.token_urlsafe(32))

    def check(self) -> None:
        super().check()
        # If Redis has lost its data, the next worker would create another key and reject forms from
        # this worker. So this one stores its key again.
        try:
            if self._shares_key:
                self._share(self.secret_key)
        except redis.RedisError as error:
            raise StoreUnavailable(str(error)) from error

    def _share(self, key: str) -> str:
        """Store a key unless one is stored, and return the stored key."""
        self._client.set(_SECRET_KEY, key, nx=True)
        return str(self._client.get(_SECRET_KEY).decode())


def open_redis(settings: Settings) -> Store:
    client: Any = redis.Redis.from_url(
        settings.results, socket_timeout=2.0, socket_connect_timeout=2.0
    )
    try:
        results = RedisResults(client, settings.results_seconds, settings.secret_key)
    except redis.RedisError as error:
        raise StartError(f"MOLELENS_RESULTS: Redis does not answer: {error}.") from error
    # The rate limiter expects redis+unix:// for a socket.
    is_socket = settings.results.startswith("unix://")
    rate_limit_url = f"redis+{settings.results}" if is_socket else settings.results
    return Store(results, results.secret_key, rate_limit_url)
