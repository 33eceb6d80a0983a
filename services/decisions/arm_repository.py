"""The queries of roll-outs: what the arms earned, person by person, and their newest decisions."""

import datetime as dt
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decisions.models import decision
from services.decisions.records import Entry, decode

# One row an arm. Sums over persons of their own means, so that somebody who comes often counts once.
_SUMS = text(
    """
SELECT arm, count(*) AS persons, coalesce(sum(n), 0)::bigint AS decisions,
       coalesce(sum(earned / n), 0) AS reward, coalesce(sum((earned / n) ^ 2), 0) AS reward_squares,
       coalesce(sum(bad / n), 0) AS dismissed, coalesce(sum((bad / n) ^ 2), 0) AS dismissed_squares
FROM (
    SELECT d.arm, d.profile_id, count(*)::float8 AS n, coalesce(sum(r.earned), 0) AS earned,
           coalesce(sum(o.bad), 0)::float8 AS bad
    FROM decisions.decision d
    LEFT JOIN LATERAL (
        SELECT sum(reward) AS earned FROM decisions.reward WHERE tenant = d.tenant AND decision_id = d.id) r ON true
    LEFT JOIN LATERAL (
        SELECT count(*) AS bad FROM decisions.outcome
        WHERE tenant = d.tenant AND decision_id = d.id AND kind = 'dismiss') o ON true
    WHERE d.tenant = :tenant AND d.arm = ANY(:arms) AND d.time >= :since
    GROUP BY d.arm, d.profile_id
) AS person GROUP BY arm
"""
)


class ArmRepository:
    """Arms of roll-outs within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def sums(self, tenant: str, arms: list[str], since: dt.datetime) -> dict[str, dict[str, Any]]:
        """Arm -> persons, decisions, and sums over persons; see `ArmFigures`."""
        rows = await self._connection.execute(_SUMS, {"tenant": tenant, "arms": arms, "since": since})
        return {row.pop("arm"): row for row in map(dict, rows.mappings())}

    async def newest(self, tenant: str, arm: str, since: dt.datetime, limit: int) -> list[tuple[dt.datetime, Entry]]:
        """(when its default reward is due, decision) of an arm, newest first."""
        query = (
            select(decision.c.due, decision.c.entry)
            .where(decision.c.tenant == tenant, decision.c.arm == arm, decision.c.time >= since)
            .order_by(decision.c.time.desc())
            .limit(limit)
        )
        return [(row.due, decode(row.entry)) for row in await self._connection.execute(query)]

    async def start(self, tenant: str, count: int, before: dt.datetime) -> tuple[dt.datetime | None, int]:
        """The time of the `count`-th newest decision before a time (the oldest of fewer), and how many there are from then."""
        newest = (
            select(decision.c.time)
            .where(decision.c.tenant == tenant, decision.c.time < before)
            .order_by(decision.c.time.desc())
            .limit(count)
            .subquery()
        )
        row = (await self._connection.execute(select(func.min(newest.c.time), func.count()))).one()
        return row[0], int(row[1])
