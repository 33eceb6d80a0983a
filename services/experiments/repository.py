"""Every query of experiments."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import case, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.experiments.models import experiment, holdout, observation
from services.experiments.statistics import Sums
from shared.contracts.experiments import Experiment, HoldoutSettings, Observation

_SUMS = text(
    """
WITH units AS (
    -- The arm of the first exposure: people of a stopped arm see the control later and still belong to their arm.
    SELECT DISTINCT ON (unit) unit, arm FROM experiments.observation
    WHERE tenant = :tenant AND experiment_key = :key AND metric = 'exposure' ORDER BY unit, time, idempotency_key
), per_unit AS (
    SELECT u.arm, u.unit,
           coalesce(sum(o.value) FILTER (WHERE o.metric = :metric), 0) AS y,
           coalesce(max(o.value) FILTER (WHERE o.metric = 'covariate'), 0) AS x
    FROM units u JOIN experiments.observation o
      ON o.tenant = :tenant AND o.experiment_key = :key AND o.unit = u.unit
    GROUP BY u.arm, u.unit
)
SELECT arm, count(*) AS n, sum(y) AS y, sum(y * y) AS yy, sum(x) AS x, sum(x * x) AS xx, sum(x * y) AS xy
FROM per_unit GROUP BY arm
"""
)
_EXPOSED = text(
    """
WITH units AS (
    SELECT DISTINCT ON (unit) unit, arm, time FROM experiments.observation
    WHERE tenant = :tenant AND experiment_key = :key AND metric = 'exposure' ORDER BY unit, time, idempotency_key
)
SELECT arm, count(*) AS n FROM units WHERE time >= :since GROUP BY arm
"""
)
# Decisions and this service remember the percentage for seconds.
_KNOWN_AFTER = dt.timedelta(seconds=10)


class Stored(msgspec.Struct, frozen=True):
    """An experiment with its part of its layer, None for one that does not run."""

    experiment: Experiment
    first_bucket: int | None
    end_bucket: int | None


class ExperimentRepository:
    """Experiments within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def lock(self, tenant: str) -> None:
        """Nobody else changes this tenant's experiments until the transaction ends."""
        await self._connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"experiments:{tenant}"}
        )

    async def all(self, tenant: str) -> list[Stored]:
        """All experiments in the order of their keys."""
        query = select(experiment).where(experiment.c.tenant == tenant).order_by(experiment.c.experiment_key)
        rows = (await self._connection.execute(query)).mappings()
        return [Stored(msgspec.convert(r["body"], Experiment), r["first_bucket"], r["end_bucket"]) for r in rows]

    async def running(self) -> list[tuple[str, str]]:
        """(tenant, key) of everything that runs."""
        query = select(experiment.c.tenant, experiment.c.experiment_key).where(experiment.c.status == "running")
        return [(row.tenant, row.experiment_key) for row in await self._connection.execute(query)]

    async def save(self, tenant: str, stored: Stored) -> None:
        """Create or replace an experiment."""
        one = stored.experiment
        values = {"tenant": tenant, "experiment_key": one.experiment_key, "layer": one.layer, "status": one.status,
                  "first_bucket": stored.first_bucket, "end_bucket": stored.end_bucket,
                  "body": msgspec.to_builtins(one)}  # fmt: skip
        made = upsert(experiment).values(values)
        changed = {name: made.excluded[name] for name in ("layer", "status", "first_bucket", "end_bucket", "body")}
        await self._connection.execute(
            made.on_conflict_do_update(index_elements=["tenant", "experiment_key"], set_=changed)
        )

    async def holdout(self, tenant: str) -> HoldoutSettings:
        """The tenant's holdout; nobody is held out unless somebody said so."""
        query = select(holdout.c.body).where(holdout.c.tenant == tenant)
        found = (await self._connection.execute(query)).scalar_one_or_none()
        return msgspec.convert(found, HoldoutSettings) if found else HoldoutSettings()

    async def save_holdout(self, tenant: str, settings: HoldoutSettings) -> None:
        """Change the holdout; with another percentage people are drawn anew from now on, or once everybody knows of it."""
        body = msgspec.to_builtins(settings)
        made = upsert(holdout).values(tenant=tenant, body=body, since=func.clock_timestamp())
        before, after = holdout.c.body["percent"].as_float(), made.excluded.body["percent"].as_float()
        since = case((before == after, holdout.c.since), (before == 0, made.excluded.since),
                     else_=made.excluded.since + _KNOWN_AFTER)  # fmt: skip
        changed = {"body": made.excluded.body, "since": since}
        await self._connection.execute(made.on_conflict_do_update(index_elements=["tenant"], set_=changed))

    async def holdout_since(self, tenant: str) -> dt.datetime | None:
        """Since when the holdout has its percentage; None where nobody ever set one."""
        query = select(holdout.c.since).where(holdout.c.tenant == tenant)
        found: dt.datetime | None = (await self._connection.execute(query)).scalar_one_or_none()
        return found

    async def exposed(self, tenant: str, key: str, since: dt.datetime) -> dict[str, int]:
        """Arm -> units that were exposed for the first time at or after a time."""
        rows = await self._connection.execute(_EXPOSED, {"tenant": tenant, "key": key, "since": since})
        return {row.arm: row.n for row in rows}

    async def observe(self, tenant: str, rows: Sequence[Observation]) -> int:
        """Store observations; how many were new."""
        ordered = sorted(rows, key=lambda row: (row.experiment_key, row.idempotency_key))
        values = [{"tenant": tenant, **msgspec.structs.asdict(row)} for row in ordered]
        made = upsert(observation).values(values).on_conflict_do_nothing().returning(observation.c.idempotency_key)
        return len((await self._connection.execute(made)).all())

    async def sums(self, tenant: str, key: str, metric: str) -> dict[str, Sums]:
        """Arm -> sums of one metric over the exposed units."""
        rows = await self._connection.execute(_SUMS, {"tenant": tenant, "key": key, "metric": metric})
        return {row.arm: Sums(row.n, row.y, row.yy, row.x, row.xx, row.xy) for row in rows}

    async def metrics(self, tenant: str, key: str) -> list[str]:
        """The metrics that were observed."""
        query = select(observation.c.metric).where(observation.c.tenant == tenant, observation.c.experiment_key == key)
        found: list[Any] = list((await self._connection.execute(query.distinct())).scalars())
        return sorted(set(found) - {"exposure", "covariate"})

    async def erase(self, tenant: str, unit: str) -> int:
        """Delete a unit's observations."""
        query = delete(observation).where(observation.c.tenant == tenant, observation.c.unit == unit)
        return (await self._connection.execute(query)).rowcount
