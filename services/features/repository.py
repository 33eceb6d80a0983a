"""Every query of features."""

from typing import Any

import msgspec
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.features.models import run, view_set
from shared.contracts.features import FeatureRun, FeatureView


class StoredViews(msgspec.Struct):
    """A tenant's views as put; `tops`: view -> the most frequent values, None when they were never looked up."""

    views: list[FeatureView]
    tops: dict[str, list[str]] | None = None


class FeatureRepository:
    """The views and runs of one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def views(self, tenant: str) -> StoredViews | None:
        """A tenant's own views; None when it has put none."""
        query = select(view_set.c.views, view_set.c.tops).where(view_set.c.tenant == tenant)
        row = (await self._connection.execute(query)).first()
        return None if row is None else StoredViews(msgspec.convert(row.views, list[FeatureView]), row.tops)

    async def save(self, tenant: str, stored: StoredViews) -> None:
        """Replace a tenant's views."""
        given: dict[str, Any] = {"views": msgspec.to_builtins(stored.views), "tops": stored.tops}
        query = insert(view_set).values(tenant=tenant, **given)
        changed = {**given, "updated_at": func.now()}
        await self._connection.execute(query.on_conflict_do_update(index_elements=["tenant"], set_=changed))

    async def save_run(self, tenant: str, one: FeatureRun) -> None:
        """Create or replace a run."""
        given = msgspec.structs.asdict(one)
        query = insert(run).values(tenant=tenant, **given)
        await self._connection.execute(query.on_conflict_do_update(index_elements=["tenant", "run_id"], set_=given))

    async def run(self, tenant: str, run_id: str) -> FeatureRun | None:
        """A run."""
        columns = [run.c[name] for name in FeatureRun.__struct_fields__]
        query = select(*columns).where(run.c.tenant == tenant, run.c.run_id == run_id)
        row = (await self._connection.execute(query)).mappings().first()
        return None if row is None else FeatureRun(**row)
