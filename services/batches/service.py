"""The use cases of batches: make, watch, pause, resume, cancel, fetch; and waking workers for what waits."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import AsyncIterator

import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from services.batches import counting
from services.batches.errors import BadBatchError, BatchExistsError, BatchStateError, UnknownBatchError
from services.batches.exporting import Exporter
from services.batches.leases import LeaseRepository
from services.batches.repository import BatchRepository, StoredBatch
from services.batches.settings import BatchesSettings
from shared.clients.tasks import TaskSender
from shared.context import CallContext, bound
from shared.contracts.base import FieldError
from shared.contracts.batches import (
    Batch,
    BatchAudience,
    BatchMove,
    BatchPage,
    BatchRequest,
    BatchState,
    Manifest,
    ManifestFile,
    ResultFormat,
)
from shared.contracts.tasks import PlanBatch, RunChunks
from shared.db.engine import transaction

_ASK = dt.timedelta(seconds=10)
_ENDED: tuple[BatchState, ...] = ("done", "cancelled", "failed")


class BatchService:
    """Batches of a tenant."""

    def __init__(self, engine: AsyncEngine, tasks: TaskSender, own: BatchesSettings) -> None:
        self._engine = engine
        self._tasks = tasks
        self._own = own
        self._exporter = Exporter(engine)

    async def create(self, tenant: str, request: BatchRequest) -> Batch:
        """A batch: planned by itself at once, or waiting for its file of people.

        Raises:
            BadBatchError: it names no offers and not how many are wanted, or both.
            BatchExistsError: there is one of this id.
        """
        _check(request)
        batch_id = request.batch_id or str(uuid_utils.uuid7())
        async with transaction(self._engine) as connection:
            repository = BatchRepository(connection)
            if not await repository.add(
                tenant, batch_id, request, "waiting" if request.from_file else "planning", _now()
            ):
                error = FieldError(field="batchId", message="is taken", given=batch_id)
                raise BatchExistsError(f"there is a batch {batch_id!r} already", errors=[error])
            await repository.add_members(tenant, batch_id, list(dict.fromkeys(request.audience.profile_ids)))
        return await self.get(tenant, batch_id)

    async def audience(self, tenant: str, batch_id: str, part: BatchAudience) -> Batch:
        """A part of the people of a batch that waits for them; a part that is sent again changes nothing.

        Raises:
            BatchStateError: it waits for none (any more).
            BadBatchError: there is nobody in the file.
        """
        if not part.profile_ids and not part.first:
            raise BadBatchError("the file names nobody: a line or row a person, with the column profileId")
        async with transaction(self._engine) as connection:
            repository = BatchRepository(connection)
            stored = _known(await repository.one(tenant, batch_id, lock=True), batch_id)
            if stored.state != "waiting":
                message = f"batch {batch_id} is {stored.state}; it takes no audience"
                raise BatchStateError(message)
            await repository.add_members(tenant, batch_id, part.profile_ids, part.first)
            if part.last:
                await repository.change(tenant, batch_id, state="planning")
        return await self.get(tenant, batch_id)

    async def get(self, tenant: str, batch_id: str) -> Batch:
        """A batch and how far it is.

        Raises:
            UnknownBatchError: this tenant has none of this id.
        """
        async with transaction(self._engine) as connection:
            repository = BatchRepository(connection)
            stored = _known(await repository.one(tenant, batch_id), batch_id)
            return counting.shown(stored, await repository.chunk_counts(tenant, batch_id), _now())

    async def page(self, tenant: str, cursor: str | None, limit: int) -> BatchPage:
        """Batches, newest first."""
        async with transaction(self._engine) as connection:
            repository = BatchRepository(connection)
            stored = await repository.page(tenant, cursor, limit)
            found = [counting.shown(one, await repository.chunk_counts(tenant, one.batch_id), _now()) for one in stored]
        return BatchPage(batches=found, cursor=stored[-1].batch_id if len(stored) == limit else None)

    async def move(self, tenant: str, batch_id: str, move: BatchMove) -> Batch:
        """Pause, resume, cancel, or change the priority. Workers notice within a second.

        Raises:
            BatchStateError: it has ended, or is not paused.
        """
        async with transaction(self._engine) as connection:
            repository = BatchRepository(connection)
            stored = _known(await repository.one(tenant, batch_id, lock=True), batch_id)
            if move.priority is not None:
                await repository.change(tenant, batch_id, priority=move.priority)
            if move.to:
                to = await self._next(repository, tenant, stored, move.to)
                ended = {"finished_at": _now()} if to == "cancelled" else {}
                await repository.change(tenant, batch_id, state=to, note="", **ended)
        return await self.get(tenant, batch_id)

    @staticmethod
    async def _next(repository: BatchRepository, tenant: str, stored: StoredBatch, to: BatchState) -> BatchState:
        if stored.state in _ENDED or (to == "running") != (stored.state == "paused"):
            message = f"batch {stored.batch_id} is {stored.state} and cannot become {to}"
            raise BatchStateError(message)
        if to != "running":
            return to
        # A batch may be paused before its plan is done; it goes on where it was.
        planned = await repository.chunk_counts(tenant, stored.batch_id)
        return "running" if planned else "planning"

    async def manifest(self, tenant: str, batch_id: str) -> Manifest:
        """What a batch made: counts, versions, where the results are."""
        shown = await self.get(tenant, batch_id)
        models: Counter[str] = Counter()
        prompts: Counter[str] = Counter()
        rows = 0
        async for line in self._exporter.items(tenant, batch_id, shown.request):
            rows += 1
            if line.provenance:
                models[line.provenance.model_version] += 1
                prompts[line.provenance.prompt_version] += 1
        formats: tuple[ResultFormat, ...] = ("jsonl", "parquet")
        files = [
            ManifestFile(format=name, path=f"/v1/batches/{batch_id}/results?format={name}", rows=rows)
            for name in formats
        ]
        return Manifest(batch_id=batch_id, tenant=tenant, state=shown.state, request=shown.request, counts=shown.counts,
                        models=dict(models), prompts=dict(prompts), files=files, created_at=shown.created_at,
                        finished_at=shown.finished_at)  # fmt: skip

    async def results(self, tenant: str, batch_id: str, form: ResultFormat) -> AsyncIterator[bytes]:
        """The items whose text is written, and those that were withheld; of a running batch, those there are."""
        request = (await self.get(tenant, batch_id)).request
        return (
            self._exporter.lines(tenant, batch_id, request)
            if form == "jsonl"
            else self._exporter.parquet(tenant, batch_id, request)
        )

    async def erase(self, tenant: str, profile_id: str) -> int:
        """Delete a person's items in all batches; how many there were."""
        async with transaction(self._engine) as connection:
            return await BatchRepository(connection).erase(tenant, profile_id)

    async def wake(self) -> None:
        """Ask workers for all that waits: plans that nobody makes, and a chunk for every free slot.

        This is how work begins, and how it goes on after workers, the broker or its memory were lost.
        """
        asked = str(uuid_utils.uuid7())
        async with transaction(self._engine) as connection:
            repository, leases = BatchRepository(connection), LeaseRepository(connection)
            plans = await repository.unplanned()
            for tenant, batch_id in plans:
                await repository.ask_plan(tenant, batch_id, _now() + _ASK)
            await leases.abandoned()
            slots = await leases.give_slots(self._own.batches_in_flight, asked, _now() + _ASK)
        for tenant, batch_id in plans:
            await self._send(PlanBatch(tenant=tenant, batch_id=batch_id))
        for number, tenant in slots:
            await self._send(RunChunks(tenant=tenant, slot=number, asked=asked))

    async def _send(self, payload: PlanBatch | RunChunks) -> None:
        with bound(CallContext(tenant=payload.tenant, request_id=str(uuid_utils.uuid7()), service="batches")):
            await asyncio.to_thread(self._tasks.send, payload)


def _known(stored: StoredBatch | None, batch_id: str) -> StoredBatch:
    if stored is None:
        message = f"No batch {batch_id[:200]!r}."
        raise UnknownBatchError(message)
    return stored


def _check(request: BatchRequest) -> None:
    if bool(request.offer_ids) == (request.best is not None):
        message = "name the offers (offerIds), or how many of the best are wanted (best), not both"
        raise BadBatchError(message, errors=[FieldError(field="offerIds", message="or best: one of them")])
    if request.from_file and request.audience.profile_ids:
        error = FieldError(field="audience.profileIds", message="with fromFile the people come as a file")
        raise BadBatchError("audience.profileIds and fromFile: one of them", errors=[error])
    if len(set(request.channels)) < len(request.channels):
        raise BadBatchError(
            "channels: one is named twice", errors=[FieldError(field="channels", message="one is named twice")]
        )
    if len(set(request.offer_ids)) < len(request.offer_ids):
        raise BadBatchError(
            "offerIds: one is named twice", errors=[FieldError(field="offerIds", message="one is named twice")]
        )


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
