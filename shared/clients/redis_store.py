"""Redis on the way of a request: asked once, with a short deadline, and not asked at all while it does not answer.

redis-py tries again three times by itself, with growing pauses: a server that hangs would cost a request seconds, and a
script whose answer was lost would run twice.
"""

import asyncio
from types import TracebackType
from typing import Any, cast

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MaxConnectionsError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.clients.redis_shared import SharedRedis

PATIENT_SECONDS = 5.0  # for what nobody waits for
_CONNECTIONS = 500  # requests at once in one process; redis-py's own 100 would refuse the rest
_LOOK_SECONDS = 0.2


class NotAskedError(RedisConnectionError):
    """Redis did not answer a moment ago, so it is not asked now."""


def connect(url: str, seconds: float = PATIENT_SECONDS) -> redis.Redis:
    """A client that tries once and waits at most so many seconds for an answer."""
    return redis.from_url(url, max_connections=_CONNECTIONS, **_once(seconds))


def connect_shared(url: str, seconds: float) -> SharedRedis:
    """As `connect`, over one connection that all requests of the process share."""
    client = cast(SharedRedis, SharedRedis.from_url(url, **_once(seconds)))
    client.seconds = seconds
    return client


def _once(seconds: float) -> dict[str, Any]:
    return {"socket_timeout": seconds, "socket_connect_timeout": seconds, "retry": Retry(NoBackoff(), 0)}


class Breaker:
    """Around every call: `with breaker: await client.get(...)`. The first call that finds Redis dead or hanging pays the
    deadline; from then on calls fail at once, until a ping in the background is answered.

    Raises (on entering):
        NotAskedError: Redis did not answer a moment ago.
    """

    def __init__(self, client: redis.Redis) -> None:
        self._client = client
        self._looking: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Are calls refused right now?"""
        return self._looking is not None

    def __enter__(self) -> None:
        """Refuse, or let the call be made."""
        if self._looking is not None:
            raise NotAskedError("Redis does not answer; it is looked at in the background.")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Look at what became of the call."""
        down = isinstance(error, RedisConnectionError | RedisTimeoutError | OSError)
        if down and not isinstance(error, MaxConnectionsError) and self._looking is None:
            self._looking = asyncio.create_task(self._look())

    async def _look(self) -> None:
        # Idle connections of a dead server would each cost a call its answer when the next server is up.
        await self._client.connection_pool.disconnect(inuse_connections=False)
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await cast(Any, self._client.ping())
            except (RedisError, OSError):
                continue
            self._looking = None
            return

    def close(self) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
