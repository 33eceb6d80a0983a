"""The use case of the worker: carry a run on for a while, so that killing, cancelling and repeating it do no harm.

Every score is stored as it comes, under a lease; whoever goes on with a run leaves out what is there. A run that was
cancelled ends within half a second, calls in flight included. After a slice of time it goes back into the queue.
"""

import asyncio
import datetime as dt
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import structlog
import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from services.evaluation.errors import LeaseLostError
from services.evaluation.repository import EvaluationRepository, Lease
from services.evaluation.settings import EvaluationSettings
from services.evaluation.slices import Slice
from shared.clients.bundle import Clients
from shared.db.engine import transaction
from shared.errors import UnavailableError
from shared.settings import Settings

_LOOK_SECONDS = 0.25
_BEATS = 5
_MOST_ATTEMPTS = 5

log = structlog.get_logger()


class Runner:
    """Works on runs, one slice at a time."""

    def __init__(self, engine: AsyncEngine, clients: Clients, settings: Settings, own: EvaluationSettings) -> None:
        self._engine = engine
        self._clients = clients
        self._settings = settings
        self._own = own

    async def work(self, tenant: str, run_id: str, turn: int) -> int | None:
        """Carry a run on. Returns the turn to be queued next; None when there is nothing left to do, or another does it."""
        lease = Lease(tenant, run_id, str(uuid_utils.uuid7()))
        async with transaction(self._engine) as connection:
            row = await EvaluationRepository(connection).take(lease, turn, self._own.evaluation_stale_seconds)
        if row is None:
            return None
        try:
            made = Slice(self._engine, self._clients, self._settings, self._own, lease, row)
            over = await self._watched(lease, made.work())
            if not over:
                await self._released(lease, made.notes)
        except LeaseLostError:
            return None
        except Exception as error:
            await self._failed(lease, row["attempts"] + 1, error)
            return None
        return None if over else turn + 1

    async def _watched(self, lease: Lease, work: Coroutine[Any, Any, bool]) -> bool:
        """Do the work while the run is this worker's; what is in flight is cancelled with it."""
        task = asyncio.create_task(work)
        beaten = time.monotonic()
        try:
            while not task.done():
                await asyncio.wait({task}, timeout=_LOOK_SECONDS)
                if task.done():
                    break
                async with transaction(self._engine) as connection:
                    repository = EvaluationRepository(connection)
                    if time.monotonic() - beaten > self._own.evaluation_stale_seconds / _BEATS:
                        await repository.change(lease)
                        beaten = time.monotonic()
                    elif not await repository.holds(lease):
                        raise LeaseLostError
            return task.result()
        finally:
            task.cancel()
            with suppress(BaseException):
                await task

    async def _released(self, lease: Lease, notes: list[str]) -> None:
        """Free the run for its next turn; only now, as whoever watches takes a lease that is gone for a lost one."""
        async with transaction(self._engine) as connection:
            await EvaluationRepository(connection).change(lease, lease=None, notes=notes)

    async def _failed(self, lease: Lease, attempts: int, error: Exception) -> None:
        """Leave the run to whoever asks for it again; after several failures in a row it has failed."""
        # Other errors may quote what they were about: customers' words stay out of the run.
        problem = error.detail if isinstance(error, UnavailableError) else type(error).__name__
        if isinstance(error, ImportError):
            problem = f"The worker lacks {error.name}: install the extra 'eval'."
        log.warning("evaluation.slice_failed", run=lease.run_id, attempts=attempts, kind=type(error).__name__)
        ended = {"state": "failed", "finished_at": dt.datetime.now(dt.UTC)} if attempts >= _MOST_ATTEMPTS else {}
        with suppress(LeaseLostError):
            async with transaction(self._engine) as connection:
                await EvaluationRepository(connection).change(
                    lease, lease=None, attempts=attempts, problem=problem[:500], **ended
                )
