"""Which adapter a tenant's searched words go through: put, removed, and known in every process within seconds."""

import time

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.retrieval.adapter_repository import AdapterRepository
from services.retrieval.errors import BadAdapterError
from services.retrieval.query_adapter import Adapting
from shared.contracts.retrieval import QueryAdapter
from shared.db.engine import transaction

FRESH_SECONDS = 2.0

log = structlog.get_logger()


class AdapterService:
    """The adapters of all tenants; one is decoded once a version."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._known: dict[str, tuple[float, tuple[str, int] | None, Adapting | None]] = {}

    async def put(self, tenant: str, given: QueryAdapter) -> None:
        """Use it from now on; other processes do within `FRESH_SECONDS`.

        Raises:
            BadAdapterError: it cannot be used.
        """
        Adapting(given)
        async with transaction(self._engine) as connection:
            await AdapterRepository(connection).put(tenant, given)
        self._known.pop(tenant, None)

    async def drop(self, tenant: str, model_key: str) -> None:
        """Use no adapter of this model any more."""
        async with transaction(self._engine) as connection:
            await AdapterRepository(connection).drop(tenant, model_key)
        self._known.pop(tenant, None)

    async def of(self, tenant: str) -> Adapting | None:
        """The tenant's adapter; None without one, or when what is stored of it is damaged (which is logged)."""
        seen, name, known = self._known.get(tenant, (-FRESH_SECONDS, None, None))
        now = time.monotonic()
        if now - seen < FRESH_SECONDS:
            return known
        async with transaction(self._engine) as connection:
            repository = AdapterRepository(connection)
            current = await repository.name(tenant)
            given = await repository.get(tenant) if current is not None and current != name else None
        if current is None:
            known = None
        elif given is not None:
            known = _decoded(given)
        self._known[tenant] = now, current, known
        return known


def _decoded(given: QueryAdapter) -> Adapting | None:
    try:
        return Adapting(given)
    except BadAdapterError as error:
        log.error("retrieval.adapter_damaged", adapter=given.name, detail=str(error)[:200])
        return None
