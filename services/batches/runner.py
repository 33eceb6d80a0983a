"""Working off chunks: take the slot that was asked for, lease a chunk, write it, tick it off, again; stop when told.

A heartbeat keeps slot and chunk; when it fails, or the batch is paused or cancelled, the work is dropped at once. What a lost
worker was at is given to another one when its slot runs out. Texts are stored in the transaction that ticks the chunk off, and
only by who holds its lease, so a text is stored once whatever happens.
"""

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable

import structlog
import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from services.batches.errors import ModelDownError
from services.batches.leases import Chunk, LeaseRepository, Outcome
from services.batches.repository import BatchRepository
from services.batches.settings import BatchesSettings
from services.batches.writing import Written
from shared.contracts.generation import Usage
from shared.db.engine import transaction
from shared.errors import UnavailableError

_BEATS = 6  # heartbeats a lease
_TURN_SECONDS = 5.0  # then other tasks of this worker have a turn
_GIVE_UP = 8
_MODEL_SECONDS, _SERVICE_SECONDS = 5.0, 2.0

Write = Callable[[Chunk], Awaitable[Written]]

log = structlog.get_logger()


class Runner:
    """Works for one slot; after `turn` seconds it leaves it, so that others have their turn."""

    def __init__(self, engine: AsyncEngine, own: BatchesSettings, write: Write, turn: float = _TURN_SECONDS) -> None:
        self._engine = engine
        self._own = own
        self._write = write
        self._turn = turn

    async def run(self, tenant: str, slot: int, asked: str) -> int:
        """Work off the tenant's chunks, one at least; how many were done. Nothing is done for a slot that is not ours."""
        owner, began, done = str(uuid_utils.uuid7()), time.monotonic(), 0
        until = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=self._own.batches_lease_seconds)
        async with transaction(self._engine) as connection:
            if not await LeaseRepository(connection).take_slot(slot, tenant, asked, owner, until):
                return 0
        try:
            while not done or time.monotonic() - began < self._turn:
                async with transaction(self._engine) as connection:
                    chunk = await LeaseRepository(connection).lease(tenant, owner)
                if chunk is None:
                    break
                if not await self._work(tenant, slot, owner, chunk):
                    break
                done += 1
        finally:
            async with transaction(self._engine) as connection:
                await LeaseRepository(connection).leave(slot, owner)
        return done

    async def _work(self, tenant: str, slot: int, owner: str, chunk: Chunk) -> bool:
        """One chunk; False when it was put back or taken away."""
        work = asyncio.create_task(self._written(chunk))
        beat = asyncio.create_task(self._beat(tenant, slot, owner, chunk))
        try:
            await asyncio.wait({work, beat}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                log.info("batches.dropped", batch_id=chunk.batch_id, chunk=chunk.number)
                await self._back(tenant, chunk, owner, 0.0, "")
                return False
            return await self._tick_off(tenant, owner, chunk, work.result())
        except* ModelDownError as errors:
            await self._back(tenant, chunk, owner, _MODEL_SECONDS, f"waits for the model: {_first(errors)}")
        except* UnavailableError as errors:
            await self._back(tenant, chunk, owner, _SERVICE_SECONDS, f"waits: {_first(errors)}")
        finally:
            for task in (work, beat):
                task.cancel()
            await asyncio.gather(work, beat, return_exceptions=True)
        return False

    async def _written(self, chunk: Chunk) -> Written:
        if chunk.attempts > _GIVE_UP:
            reason = f"given up after {_GIVE_UP} attempts"
            return Written([Outcome(work.text_key, "failed", reason, None, None) for work in chunk.works], Usage())
        return await self._write(chunk)

    async def _tick_off(self, tenant: str, owner: str, chunk: Chunk, written: Written) -> bool:
        people = {work.text_key: work.people for work in chunk.works}
        counts: dict[str, object] = {"calls": written.usage.calls, "prompt_tokens": written.usage.prompt_tokens,
                                     "completion_tokens": written.usage.completion_tokens}  # fmt: skip
        failed: dict[str, int] = {}
        for status in ("written", "template"):
            counts[status] = sum(people[one.text_key] for one in written.outcomes if one.status == status)
        for one in written.outcomes:
            if one.status == "failed":
                failed[one.reason or ""] = failed.get(one.reason or "", 0) + people[one.text_key]
        counts["failed"] = failed
        async with transaction(self._engine) as connection:
            if not await LeaseRepository(connection).finish(tenant, chunk, owner, written.outcomes, counts):
                log.warning("batches.lease_lost", batch_id=chunk.batch_id, chunk=chunk.number)
                return False
        return True

    async def _beat(self, tenant: str, slot: int, owner: str, chunk: Chunk) -> None:
        """Returns when the work is to be dropped."""
        seconds = self._own.batches_lease_seconds
        while True:
            await asyncio.sleep(seconds / _BEATS)
            async with transaction(self._engine) as connection:
                leases = LeaseRepository(connection)
                kept = await leases.renew(slot, owner, seconds)
                if not kept or await leases.state(tenant, chunk.batch_id) != "running":
                    return

    async def _back(self, tenant: str, chunk: Chunk, owner: str, seconds: float, note: str) -> None:
        async with transaction(self._engine) as connection:
            await LeaseRepository(connection).put_back(tenant, chunk, owner, seconds)
            await BatchRepository(connection).change(tenant, chunk.batch_id, note=note[:300])


def _first(errors: BaseException) -> str:
    while isinstance(errors, BaseExceptionGroup):
        errors = errors.exceptions[0]
    return errors.detail if isinstance(errors, UnavailableError) else str(errors)
