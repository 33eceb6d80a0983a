"""The queries of roll-outs: plans, what is in motion, approvals, steps, what decisions have to be told."""

import datetime as dt
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, RowMapping, Table, func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.training.models import delivery, rollout, rollout_approval, rollout_plan, rollout_step
from services.training.rollout.plan import person
from shared.contracts.policies import Rollout
from shared.contracts.rollouts import Approval, Measured, Phase, RolloutPlan, RolloutStep

MOTION: tuple[Phase, ...] = ("shadow", "canary")
_STEP = tuple(name for name in RolloutStep.__struct_fields__ if name != "figures")


class Running(msgspec.Struct, kw_only=True):
    """A roll-out as it is stored."""

    model_key: str
    number: int
    version: int
    phase: Phase
    step: int
    share: float
    since: dt.datetime
    judged_at: dt.datetime | None
    passed: bool
    waiting: str
    before: int | None
    plan: RolloutPlan


class RolloutRepository:
    """Roll-outs of one tenant within one transaction."""

    def __init__(self, connection: AsyncConnection, tenant: str) -> None:
        self._connection = connection
        self._tenant = tenant

    def _of(self, table: Table, model_key: str) -> ColumnElement[bool]:
        return (table.c.tenant == self._tenant) & (table.c.model_key == model_key)

    async def plan(self, model_key: str) -> RolloutPlan | None:
        """The stored plan."""
        query = select(rollout_plan.c.body).where(self._of(rollout_plan, model_key))
        found = (await self._connection.execute(query)).scalar_one_or_none()
        return msgspec.convert(found, RolloutPlan) if found else None

    async def put_plan(self, plan: RolloutPlan) -> None:
        """Store a plan; roll-outs in motion keep theirs."""
        values = {"tenant": self._tenant, "model_key": plan.model_key, "body": msgspec.to_builtins(plan)}
        made = upsert(rollout_plan).values(values)
        await self._connection.execute(
            made.on_conflict_do_update(index_elements=["tenant", "model_key"], set_={"body": made.excluded.body})
        )

    async def begin(self, model_key: str, version: int, plan: RolloutPlan, now: dt.datetime) -> Running | None:
        """A new roll-out, in shadow; None when one of this model is in motion."""
        last = select(func.coalesce(func.max(rollout.c.number), 0)).where(self._of(rollout, model_key))
        number = int((await self._connection.execute(last)).scalar_one()) + 1
        made = Running(model_key=model_key, number=number, version=version, phase="shadow", step=0, share=0.0, since=now,
                       judged_at=None, passed=False, waiting="", before=None, plan=plan)  # fmt: skip
        values = {"tenant": self._tenant, **msgspec.structs.asdict(made), "plan": msgspec.to_builtins(plan)}
        query = upsert(rollout).values(values).on_conflict_do_nothing().returning(rollout.c.number)
        return made if (await self._connection.execute(query)).scalar_one_or_none() is not None else None

    async def newest(self, model_key: str, *, lock: bool = False) -> Running | None:
        """The newest roll-out of a model; locked, nobody else changes it until the transaction ends."""
        query = select(rollout).where(self._of(rollout, model_key)).order_by(rollout.c.number.desc()).limit(1)
        row = (await self._connection.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
        return _running(row) if row else None

    async def change(self, one: Running, **values: Any) -> Running:
        """Set fields of a roll-out."""
        query = update(rollout).where(self._of(rollout, one.model_key), rollout.c.number == one.number)
        await self._connection.execute(query.values(**values))
        return msgspec.structs.replace(one, **values)

    async def add_step(self, one: Running, step: RolloutStep) -> RolloutStep:
        """Add a step with the next number."""
        last = select(func.coalesce(func.max(rollout_step.c.number), 0)).where(
            self._of(rollout_step, one.model_key), rollout_step.c.rollout == one.number
        )
        number = int((await self._connection.execute(last)).scalar_one()) + 1
        made = msgspec.structs.replace(step, number=number)
        values = {"tenant": self._tenant, "model_key": one.model_key, "rollout": one.number, **msgspec.structs.asdict(made),
                  "figures": msgspec.to_builtins(step.figures)}  # fmt: skip
        await self._connection.execute(insert(rollout_step).values(values))
        return made

    async def steps(self, one: Running) -> list[RolloutStep]:
        """All steps in their order."""
        query = select(rollout_step).where(self._of(rollout_step, one.model_key), rollout_step.c.rollout == one.number)
        rows = (await self._connection.execute(query.order_by(rollout_step.c.number))).mappings()
        return [
            RolloutStep(**{name: row[name] for name in _STEP}, figures=msgspec.convert(row["figures"], list[Measured]))
            for row in rows
        ]

    async def approve(self, one: Running, approval: Approval) -> bool:
        """Add an approval; False when this person has agreed before."""
        values = {"tenant": self._tenant, "model_key": one.model_key, "number": one.number, "person": person(approval.actor),
                  **msgspec.structs.asdict(approval)}  # fmt: skip
        query = upsert(rollout_approval).values(values).on_conflict_do_nothing().returning(rollout_approval.c.person)
        return (await self._connection.execute(query)).scalar_one_or_none() is not None

    async def approvals(self, one: Running) -> list[Approval]:
        """All approvals of a roll-out, oldest first."""
        columns = [rollout_approval.c[name] for name in Approval.__struct_fields__]
        query = select(*columns).where(
            self._of(rollout_approval, one.model_key), rollout_approval.c.number == one.number
        )
        rows = await self._connection.execute(query.order_by(rollout_approval.c.time))
        return [Approval(**row) for row in rows.mappings()]

    async def delivery(self, model_key: str) -> tuple[Rollout, int, bool] | None:
        """(what decisions should know, its revision, whether they know it)."""
        query = select(delivery).where(self._of(delivery, model_key))
        row = (await self._connection.execute(query)).mappings().one_or_none()
        if row is None:
            return None
        return msgspec.convert(row["body"], Rollout), row["revision"], row["told"] >= row["revision"]

    async def deliver(self, body: Rollout) -> None:
        """Have decisions told."""
        values = {"tenant": self._tenant, "model_key": body.model_key, "body": msgspec.to_builtins(body), "revision": 1,
                  "told": 0}  # fmt: skip
        made = upsert(delivery).values(values)
        changed = {"body": made.excluded.body, "revision": delivery.c.revision + 1}
        await self._connection.execute(made.on_conflict_do_update(index_elements=["tenant", "model_key"], set_=changed))

    async def told(self, model_key: str, revision: int) -> None:
        """Decisions know this revision."""
        query = update(delivery).where(self._of(delivery, model_key), delivery.c.told < revision)
        await self._connection.execute(query.values(told=revision))

    async def moving(self, phases: Sequence[Phase]) -> list[str]:
        """Models of which something is in one of the phases or untold."""
        running = select(rollout.c.model_key).where(rollout.c.tenant == self._tenant, rollout.c.phase.in_(phases))
        untold = select(delivery.c.model_key).where(
            delivery.c.tenant == self._tenant, delivery.c.told < delivery.c.revision
        )
        return sorted((await self._connection.execute(running.union(untold))).scalars())


async def moving_tenants(connection: AsyncConnection, phases: Sequence[Phase]) -> list[str]:
    """Every tenant of whom something is in one of the phases or untold."""
    running = select(rollout.c.tenant).where(rollout.c.phase.in_(phases))
    untold = select(delivery.c.tenant).where(delivery.c.told < delivery.c.revision)
    return sorted((await connection.execute(running.union(untold))).scalars())


def _running(row: RowMapping) -> Running:
    values = {name: row[name] for name in Running.__struct_fields__ if name != "plan"}
    return Running(**values, plan=msgspec.convert(row["plan"], RolloutPlan))
