"""Every query of adapters."""

import msgspec
from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.retrieval.index_models import query_adapter
from shared.contracts.retrieval import QueryAdapter


class AdapterRepository:
    """Adapters within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def put(self, tenant: str, given: QueryAdapter) -> None:
        """The tenant's adapter; it replaces another one."""
        values = msgspec.structs.asdict(given)
        made = upsert(query_adapter).values(tenant=tenant, **values)
        query = made.on_conflict_do_update(
            index_elements=["tenant"], set_={name: made.excluded[name] for name in values}
        )
        await self._connection.execute(query)

    async def drop(self, tenant: str, model_key: str) -> None:
        """Remove it if it is of this model."""
        mine = (query_adapter.c.tenant == tenant) & (query_adapter.c.model_key == model_key)
        await self._connection.execute(delete(query_adapter).where(mine))

    async def name(self, tenant: str) -> tuple[str, int] | None:
        """(model, version) of the tenant's adapter."""
        query = select(query_adapter.c.model_key, query_adapter.c.version).where(query_adapter.c.tenant == tenant)
        row = (await self._connection.execute(query)).one_or_none()
        return (row.model_key, row.version) if row else None

    async def get(self, tenant: str) -> QueryAdapter | None:
        """The tenant's adapter."""
        query = select(*[query_adapter.c[name] for name in QueryAdapter.__struct_fields__]).where(
            query_adapter.c.tenant == tenant
        )
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return QueryAdapter(**row) if row else None
