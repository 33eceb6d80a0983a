"""The queries of outcomes, rewards, and what is learnt from them."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decisions.bandit import Lesson
from services.decisions.models import checkpoint, decision, ledger, ledger_head, outcome, reward
from services.decisions.rewarding import StoredOutcome

_ROWS = 2000


_OUTCOME = [outcome.c[name] for name in StoredOutcome.__struct_fields__]


class RewardRepository:
    """Outcomes, rewards and the ledger within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add_outcomes(self, tenant: str, rows: Sequence[StoredOutcome]) -> None:
        """Store outcomes that are new; `lock` was called in this transaction."""
        if rows:
            values = [{"tenant": tenant, **msgspec.structs.asdict(row)} for row in rows]
            await self._connection.execute(insert(outcome).values(values))

    async def known(self, tenant: str, keys: Sequence[str]) -> dict[str, StoredOutcome]:
        """Outcomes by their idempotency keys."""
        query = select(*_OUTCOME).where(outcome.c.tenant == tenant, outcome.c.idempotency_key.in_(keys))
        return {row.idempotency_key: StoredOutcome(*row) for row in await self._connection.execute(query)}

    async def orders(self, tenant: str, ids: Sequence[str]) -> dict[tuple[str, int], set[str]]:
        """(decision, slot) -> the orders it was converted by."""
        query = select(outcome.c.decision_id, outcome.c.slot, outcome.c.order_id).where(
            outcome.c.tenant == tenant, outcome.c.decision_id.in_(ids), outcome.c.kind == "convert"
        )
        found: dict[tuple[str, int], set[str]] = {}
        for row in await self._connection.execute(query):
            found.setdefault((row.decision_id, row.slot), set()).add(row.order_id)
        return found

    async def undone(self, limit: int) -> dict[str, list[StoredOutcome]]:
        """Tenant -> outcomes whose rests or observations are not where they belong yet, each tenant's oldest."""
        rank = func.row_number().over(partition_by=outcome.c.tenant, order_by=outcome.c.time).label("rank")
        inner = select(outcome.c.tenant, *_OUTCOME, rank).where(~outcome.c.done).subquery()
        found: dict[str, list[StoredOutcome]] = {}
        for row in await self._connection.execute(select(inner).where(inner.c.rank <= limit)):
            found.setdefault(row.tenant, []).append(StoredOutcome(*row[1:-1]))
        return found

    async def done(self, tenant: str, keys: Sequence[str]) -> None:
        """All that follows from these outcomes has happened."""
        query = update(outcome).where(outcome.c.tenant == tenant, outcome.c.idempotency_key.in_(keys))
        await self._connection.execute(query.values(done=True))

    async def rests(self, tenant: str, since: int) -> AsyncIterator[Any]:
        """(profile_id, rests) of every outcome after which something rests beyond a time (epoch seconds); streamed."""
        query = (
            select(decision.c.profile_id, outcome.c.rests)
            .join(decision, (decision.c.tenant == outcome.c.tenant) & (decision.c.id == outcome.c.decision_id))
            .where(outcome.c.tenant == tenant, outcome.c.rest_until > since)
        )
        async with self._connection.stream(query, execution_options={"yield_per": _ROWS}) as rows:
            async for row in rows:
                yield row

    async def lock(self, tenant: str) -> int:
        """Hold the tenant's ledger until the transaction ends; the last number given out."""
        await self._connection.execute(upsert(ledger_head).values(tenant=tenant, seq=0).on_conflict_do_nothing())
        query = select(ledger_head.c.seq).where(ledger_head.c.tenant == tenant).with_for_update()
        return int((await self._connection.execute(query)).scalar_one())

    async def rewards(self, tenant: str, ids: Sequence[str]) -> dict[tuple[str, int], tuple[float, float]]:
        """(decision, slot) -> (reward, value) as they stand."""
        query = select(reward).where(reward.c.tenant == tenant, reward.c.decision_id.in_(ids))
        return {(row.decision_id, row.slot): (row.reward, row.value) for row in await self._connection.execute(query)}

    async def save_rewards(self, tenant: str, rows: dict[tuple[str, int], tuple[float, float]]) -> None:
        """Set rewards."""
        values = [
            {"tenant": tenant, "decision_id": key, "slot": slot, "reward": earned, "value": value}
            for (key, slot), (earned, value) in rows.items()
        ]
        if values:
            made = upsert(reward).values(values)
            changed = {"reward": made.excluded.reward, "value": made.excluded.value}
            await self._connection.execute(
                made.on_conflict_do_update(index_elements=["tenant", "decision_id", "slot"], set_=changed)
            )

    async def teach(self, tenant: str, space_lessons: Sequence[tuple[str, Lesson]]) -> None:
        """Append lines to the ledger and move its head; `lock` was called in this transaction."""
        if not space_lessons:
            return
        values = [
            {"tenant": tenant, "space": space, **msgspec.structs.asdict(lesson)} for space, lesson in space_lessons
        ]
        await self._connection.execute(insert(ledger).values(values))
        head = update(ledger_head).where(ledger_head.c.tenant == tenant).values(seq=space_lessons[-1][1].seq)
        await self._connection.execute(head)

    async def lessons(
        self, tenant: str, space: str, after: int, until: int | None = None, limit: int = 5000
    ) -> list[Lesson]:
        """Ledger lines of a feature space in order, after a number, up to another."""
        names = Lesson.__struct_fields__
        query = select(*[ledger.c[name] for name in names]).where(
            ledger.c.tenant == tenant, ledger.c.space == space, ledger.c.seq > after
        )
        if until is not None:
            query = query.where(ledger.c.seq <= until)
        rows = await self._connection.execute(query.order_by(ledger.c.seq).limit(limit))
        return [Lesson(*row) for row in rows]

    async def checkpoint(self, tenant: str, space: str, until: int | None = None) -> bytes | None:
        """The newest checkpoint of a feature space, at or before a number."""
        query = select(checkpoint.c.body).where(checkpoint.c.tenant == tenant, checkpoint.c.space == space)
        if until is not None:
            query = query.where(checkpoint.c.seq <= until)
        query = query.order_by(checkpoint.c.seq.desc()).limit(1)
        found: bytes | None = (await self._connection.execute(query)).scalar_one_or_none()
        return found

    async def save_checkpoint(self, tenant: str, space: str, seq: int, body: bytes) -> None:
        """Keep a checkpoint."""
        values = {"tenant": tenant, "space": space, "seq": seq, "body": body}
        await self._connection.execute(upsert(checkpoint).values(values).on_conflict_do_nothing())
