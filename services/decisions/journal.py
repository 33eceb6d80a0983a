"""From the log's stream into the database. Nothing stops it for good: what cannot be written is set aside by itself."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Collection

import msgspec
import psycopg
import structlog
from prometheus_client import Counter, Gauge
from redis.exceptions import RedisError
from sqlalchemy.exc import DataError
from sqlalchemy.ext.asyncio import AsyncEngine

from services.decisions.records import Entry, decode
from services.decisions.repository import DecisionRepository
from services.decisions.stream import LogStream, Taken
from shared.db.engine import transaction
from shared.errors import UnavailableError

Tell = Callable[[list[tuple[str, Entry]]], Awaitable[bool]]
_BATCH = 64
_BLOCK_MS = 1000
_IDLE_MS = 10_000
_PACE_SECONDS = 0.05
_IDLE_ROUNDS = 100
_MOST_SECONDS = 30.0
_LOOK_SECONDS = 2.0
_LATE_SECONDS = 30.0
# What is wrong with an entry itself; all else may be right the next time. What goes wrong again and again with one entry
# while others are written is wrong with it too, whatever it is called.
_POISON = (msgspec.MsgspecError, DataError, psycopg.DataError, UnicodeError)
_TRIES = 5
_WAITING = Gauge("atelier_decisions_journal_waiting", "Decisions in the stream that are not in the database yet")
_OLDEST = Gauge("atelier_decisions_journal_oldest_seconds", "Age of the oldest of them")
_ASIDE = Counter("atelier_decisions_set_aside_total", "Log entries that could not be written and were set aside")

log = structlog.get_logger()


class Journal:
    """Writes logged decisions into the database in batches. What was taken and not written is taken up again.

    Args:
        engine: the database.
        stream: the log's stream.
        tell: tells experiments who was exposed; whether they were told.
    """

    def __init__(self, engine: AsyncEngine, stream: LogStream, tell: Tell) -> None:
        self._engine = engine
        self._stream = stream
        self._tell = tell
        self._name = secrets.token_hex(6)
        self._failed: dict[bytes, tuple[int, int]] = {}  # entry -> (how often, entries written when it failed first)
        self._count = 0
        self.writing = asyncio.Lock()

    async def run(self) -> None:
        """Until cancelled; after a failure with growing pauses."""
        failures, owing = 0, False
        while True:
            try:
                await self._stream.open()
                while True:
                    taken = await self._stream.take(self._name, _BATCH, _BLOCK_MS)
                    # After a failure what this process took itself is tried again at once, what others left when it is idle.
                    if owing and not taken:
                        taken = await self._stream.unwritten(self._name, _BATCH)
                        owing = bool(taken)
                    await self._write(taken or await self._stream.left_behind(self._name, _BATCH, _IDLE_MS))
                    failures = 0
                    if len(taken) < _BATCH:
                        await asyncio.sleep(_PACE_SECONDS)  # a batch of one costs nearly what a batch of 64 does
            except Exception as error:  # whatever it is, what comes after it must be written
                pause = min(0.5 * 2**failures, _MOST_SECONDS)
                failures, owing = failures + 1, True
                log.warning(
                    "decisions.journal_waits", kind=type(error).__name__, detail=str(error)[:200], seconds=pause
                )
                await asyncio.sleep(pause)

    async def watch(self) -> None:
        """Until cancelled: how much waits, for the metrics."""
        while True:
            try:
                count, age = await self._stream.waiting()
                _WAITING.set(count)
                _OLDEST.set(age)
            except (RedisError, OSError) as error:
                log.warning("decisions.journal_unseen", kind=type(error).__name__)
            await asyncio.sleep(_LOOK_SECONDS)

    async def check(self) -> str:
        """Health: "ok" while nothing waits for long."""
        count, age = await self._stream.waiting()
        return "ok" if age < _LATE_SECONDS else f"{count} decisions wait to be written, the oldest for {age:.0f} s"

    async def flush(self) -> int:
        """Write what is in the stream now, what others took and did not write included; nothing without Redis."""
        try:
            return await self.drain()
        except (RedisError, OSError):
            return 0

    async def drain(self) -> int:
        """As `flush`; what was in the stream when it was called is in the database when it returns.

        Raises:
            RedisError: Redis does not answer.
        """
        await self._stream.open()
        newest, count, idle = await self._stream.newest(), 0, 0
        while await self._stream.holds_until(newest):
            taken = await self._stream.take(self._name, _BATCH, None)
            taken = taken or await self._stream.left_behind(self._name, _BATCH, 0)
            count += await self._write(taken)
            idle = 0 if taken else idle + 1
            if idle > _IDLE_ROUNDS:
                raise RedisError("entries of the stream can neither be taken nor claimed")
            await asyncio.sleep(_PACE_SECONDS if idle else 0)
        return count

    async def _write(self, taken: list[Taken]) -> int:
        if not taken:
            return 0
        async with self.writing:
            rows: list[tuple[str, Entry, bytes]] = []
            for one in taken:
                try:
                    rows.append((one[1], decode(one[2]), one[2]))
                except _POISON as error:
                    await self._set_aside(one, error)
            await self._add(rows, taken)
            await self._stream.written(key for key, _, _ in taken)
        return len(taken)

    async def _add(self, rows: list[tuple[str, Entry, bytes]], taken: list[Taken]) -> None:
        """Together; where one of them cannot be written, one by one."""
        exposed = [(tenant, entry) for tenant, entry, _ in rows if entry.experiments]
        told = not exposed or await self._tell(exposed)
        try:
            await self._add_all(rows, told=told)
        except Exception as error:
            if isinstance(error, UnavailableError | OSError):
                raise
            for row in rows:
                await self._add_one(row, next(one for one in taken if one[2] is row[2]), told=told)

    async def _add_one(self, row: tuple[str, Entry, bytes], one: Taken, *, told: bool) -> None:
        try:
            await self._add_all([row], told=told)
        except Exception as error:
            tries, since = self._failed.get(one[0], (0, self._count))
            self._failed[one[0]] = tries + 1, since
            if not isinstance(error, _POISON) and (tries + 1 < _TRIES or self._count == since):
                raise
            await self._set_aside(one, error)
        else:
            self._failed.pop(one[0], None)

    async def _add_all(self, rows: list[tuple[str, Entry, bytes]], *, told: bool) -> None:
        if rows:
            async with transaction(self._engine) as connection:
                await DecisionRepository(connection).add(rows, told=told)
            self._count += len(rows)

    async def _set_aside(self, one: Taken, error: Exception) -> None:
        key, tenant, raw = one
        log.error("decisions.entry_set_aside", key=key.decode(), tenant=tenant, kind=type(error).__name__)
        async with transaction(self._engine) as connection:
            await DecisionRepository(connection).set_aside(
                tenant, key.decode(), f"{type(error).__name__}: {error}", raw
            )
        self._failed.pop(key, None)
        _ASIDE.inc()

    async def entries(self, tenant: str, ids: Collection[str]) -> dict[str, Entry]:
        """Logged decisions by id, also those that are still in the stream; what was never logged is left out."""
        found = await self._stored(tenant, ids)
        if len(found) < len(ids):
            await self.flush()
            found = await self._stored(tenant, ids)
        return found

    async def _stored(self, tenant: str, ids: Collection[str]) -> dict[str, Entry]:
        async with transaction(self._engine) as connection:
            return await DecisionRepository(connection).entries(tenant, list(ids))

    async def direct(self, tenant: str, entry: Entry, raw: bytes) -> None:
        """Without Redis: straight into the database."""
        told = not entry.experiments or await self._tell([(tenant, entry)])
        await self._add_all([(tenant, entry, raw)], told=told)
