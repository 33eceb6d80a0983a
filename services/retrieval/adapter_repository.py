"""Every query of adapters."""

import hashlib
from collections.abc import Collection

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retrieval.index_models import query_adapter
from shared.contracts.retrieval import QueryAdapter, Space

# A space, and what changes with any change of its adapter: (model, version, digest of the factors).
Marks = dict[Space, tuple[str, int, str]]


class AdapterRepository:
    """Adapters within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def put(self, tenant: str, given: QueryAdapter) -> None:
        """The tenant's adapter of a space; it replaces another one."""
        values = msgspec.structs.asdict(given) | {"digest": digest(given.factors)}
        made = upsert(query_adapter).values(tenant=tenant, **values)
        query = made.on_conflict_do_update(
            index_elements=["tenant", "space"], set_={name: made.excluded[name] for name in values}
        )
        await self._connection.execute(query)

    async def drop(self, tenant: str, model_key: str) -> None:
        """Remove what is of this model."""
        mine = (query_adapter.c.tenant == tenant) & (query_adapter.c.model_key == model_key)
        await self._connection.execute(delete(query_adapter).where(mine))

    async def marks(self, tenant: str) -> Marks:
        """Which adapters the tenant has."""
        columns = (query_adapter.c.model_key, query_adapter.c.version, query_adapter.c.digest)
        query = select(query_adapter.c.space, *columns).where(query_adapter.c.tenant == tenant)
        return {row.space: (row.model_key, row.version, row.digest) for row in await self._connection.execute(query)}

    async def get(self, tenant: str, spaces: Collection[Space]) -> list[tuple[QueryAdapter, str]]:
        """The tenant's adapters of these spaces, each with the digest that its factors had when they were stored."""
        columns = [query_adapter.c[name] for name in QueryAdapter.__struct_fields__]
        query = select(*columns, query_adapter.c.digest).where(
            query_adapter.c.tenant == tenant, query_adapter.c.space.in_(spaces)
        )
        rows = [dict(row) for row in (await self._connection.execute(query)).mappings()]
        return [(QueryAdapter(**{k: v for k, v in row.items() if k != "digest"}), row["digest"]) for row in rows]


def digest(factors: bytes) -> str:
    """SHA-256."""
    return hashlib.sha256(factors).hexdigest()
