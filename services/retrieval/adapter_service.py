"""Which adapters a tenant's searched words go through: put, removed, and known in every process within seconds."""

import time
from collections.abc import Mapping

import msgspec
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.retrieval.adapter_repository import AdapterRepository, Marks, digest
from services.retrieval.errors import BadAdapterError
from services.retrieval.query_adapter import Adapting, Ends
from shared.contracts.retrieval import QueryAdapter, Space
from shared.db.engine import transaction

FRESH_SECONDS = 2.0

log = structlog.get_logger()


class _Known(msgspec.Struct):
    """What a process knows of a tenant; in `decoded` the reason why one cannot be used stands for it."""

    seen: float = -FRESH_SECONDS
    marks: Marks = {}
    decoded: dict[Space, Adapting | str] = {}


class AdapterService:
    """The adapters of all tenants; one is decoded once a version."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._known: dict[str, _Known] = {}

    async def put(self, tenant: str, given: QueryAdapter) -> None:
        """Use it from now on, in its space; other processes do within `FRESH_SECONDS`. A model is in one space at a time.

        Raises:
            BadAdapterError: it cannot be used.
        """
        Adapting(given)
        async with transaction(self._engine) as connection:
            repository = AdapterRepository(connection)
            await repository.drop(tenant, given.model_key)
            await repository.put(tenant, given)
        self._known.pop(tenant, None)

    async def drop(self, tenant: str, model_key: str) -> None:
        """Use no adapter of this model any more."""
        async with transaction(self._engine) as connection:
            await AdapterRepository(connection).drop(tenant, model_key)
        self._known.pop(tenant, None)

    async def fitting(self, tenant: str, ends: Mapping[Space, Ends]) -> tuple[dict[Space, Adapting], list[str]]:
        """The tenant's adapters between these vectors, and why others are not used: damaged, or fitted for other models."""
        found: dict[Space, Adapting] = {}
        notes = []
        for space, one in (await self._current(tenant)).items():
            if space not in ends:
                continue
            if problem := one if isinstance(one, str) else one.unfit(ends[space]):
                notes.append(problem)
            elif isinstance(one, Adapting):
                found[space] = one
        return found, notes

    async def _current(self, tenant: str) -> dict[Space, Adapting | str]:
        known = self._known.get(tenant) or _Known()
        now = time.monotonic()
        if now - known.seen < FRESH_SECONDS:
            return known.decoded
        async with transaction(self._engine) as connection:
            repository = AdapterRepository(connection)
            marks = await repository.marks(tenant)
            changed = [space for space, mark in marks.items() if known.marks.get(space) != mark]
            given = await repository.get(tenant, changed) if changed else []
        decoded = {space: one for space, one in known.decoded.items() if space in marks}
        decoded |= {one.space: _decoded(one, stored) for one, stored in given}
        self._known[tenant] = _Known(now, marks, decoded)
        return decoded


def _decoded(given: QueryAdapter, stored: str) -> Adapting | str:
    """The adapter, or why it cannot be used: searching goes on without."""
    try:
        if digest(given.factors) != stored:
            raise BadAdapterError("its factors are not what was stored")
        return Adapting(given)
    except BadAdapterError as error:
        log.error("retrieval.adapter_damaged", adapter=given.name, detail=error.detail[:200])
        return f"adapter_damaged: {given.name} is not used: {error.detail[:200]}"
