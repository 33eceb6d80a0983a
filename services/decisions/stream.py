"""The log's stream in Redis: what was decided and is not in the database yet."""

import time
from collections.abc import Iterable
from typing import Any, cast

import redis.asyncio as redis

from shared.clients.redis_store import connect

STREAM = "atelier:decisions:log"
_GROUP = "journal"
Taken = tuple[bytes, str, bytes]  # (stream id, tenant, entry)


class LogStream:
    """One stream for all tenants, one consumer group, one consumer a process."""

    def __init__(self, url: str) -> None:
        self._redis = connect(url)  # nobody waits for the journal, and it waits for entries on connections of its own

    async def open(self) -> None:
        """Make the consumer group."""
        try:
            await self._redis.xgroup_create(STREAM, _GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def take(self, consumer: str, count: int, block_ms: int | None) -> list[Taken]:
        """The next entries; waits up to `block_ms`, not at all for None."""
        found: Any = await self._redis.xreadgroup(_GROUP, consumer, {STREAM: ">"}, count=count, block=block_ms)
        return _entries(found[0][1]) if found else []

    async def unwritten(self, consumer: str, count: int) -> list[Taken]:
        """The oldest entries that this consumer took and did not write."""
        found: Any = await self._redis.xreadgroup(_GROUP, consumer, {STREAM: "0"}, count=count)
        return _entries(found[0][1]) if found else []

    async def left_behind(self, consumer: str, count: int, idle_ms: int) -> list[Taken]:
        """Entries that a consumer took and did not write for `idle_ms`."""
        _, found, *_ = await self._redis.xautoclaim(STREAM, _GROUP, consumer, idle_ms, "0", count=count)
        return _entries(cast(Any, found))

    async def written(self, ids: Iterable[bytes]) -> None:
        """These entries are in the database."""
        async with self._redis.pipeline(transaction=True) as pipe:
            listed = list(ids)
            pipe.xack(STREAM, _GROUP, *listed)
            pipe.xdel(STREAM, *listed)
            await pipe.execute()

    async def waiting(self) -> tuple[int, float]:
        """How many entries are in the stream, taken ones included, and the age of the oldest in seconds."""
        count = int(await self._redis.xlen(STREAM))
        first: Any = await self._redis.xrange(STREAM, count=1) if count else []
        return count, max(0.0, time.time() - int(first[0][0].split(b"-")[0]) / 1000) if first else 0.0

    async def newest(self) -> bytes:
        """The id of the newest entry that was ever in the stream."""
        found: Any = await self._redis.xinfo_stream(STREAM)
        newest = found["last-generated-id"]
        return newest if isinstance(newest, bytes) else str(newest).encode()

    async def holds_until(self, last: bytes) -> bool:
        """Is there still an entry with this id or an older one?"""
        return bool(await self._redis.xrange(STREAM, max=last.decode(), count=1))

    async def close(self) -> None:
        """Close the pool."""
        await self._redis.aclose()


def _entries(found: list[Any]) -> list[Taken]:
    return [(key, fields[b"t"].decode(), fields[b"e"]) for key, fields in found if fields]
