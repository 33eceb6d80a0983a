"""Every query of decisions."""

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decisions.models import decision
from shared.contracts.decisions import DecisionRecord


class DecisionRepository:
    """The decision log of one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, tenant: str, record: DecisionRecord) -> None:
        """Log one decision."""
        values = {
            "tenant": tenant,
            "id": record.id,
            "time": record.time,
            "profile_id": record.profile_id,
            "record": msgspec.to_builtins(record),
        }
        await self._connection.execute(insert(decision).values(values))

    async def get(self, tenant: str, decision_id: str) -> DecisionRecord | None:
        """A logged decision of this tenant."""
        query = select(decision.c.record).where(decision.c.tenant == tenant, decision.c.id == decision_id)
        row = (await self._connection.execute(query)).scalar_one_or_none()
        return None if row is None else msgspec.convert(row, DecisionRecord)
