"""Every query of batches but those of slots and chunks' leases (`leases.py`)."""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from typing import Any

import msgspec
import psycopg
from sqlalchemy import delete, func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.batches.models import batch, chunk, item, member, written
from services.batches.planning import ItemPlan
from shared.contracts.batches import BatchRequest, BatchState

_ITEM_COLUMNS = (
    "tenant, batch_id, number, profile_id, channel, offer_id, asset_id, decision_id, token, first_name, key_full, key_less, "
    "key_none, reason"
)
_COPY_ITEMS = f"COPY batches.item ({_ITEM_COLUMNS}) FROM STDIN"
_ROWS = 5000
# First the text that says most, where enough people share it; then the one that says less; then the one that says nothing.
_CHOOSE = """
UPDATE batches.item i SET text_key = i.{key}
FROM (SELECT {key} FROM batches.item WHERE tenant = :tenant AND batch_id = :batch AND offer_id IS NOT NULL AND text_key IS NULL
      GROUP BY {key} HAVING count(*) >= :least) g
WHERE i.tenant = :tenant AND i.batch_id = :batch AND i.text_key IS NULL AND i.{key} = g.{key}
"""
_PEOPLE = text(
    """
    UPDATE batches.text t SET people = c.n
    FROM (SELECT text_key, count(*) AS n FROM batches.item WHERE tenant = :tenant AND batch_id = :batch AND text_key IS NOT NULL
          GROUP BY text_key) c
    WHERE t.tenant = :tenant AND t.batch_id = :batch AND t.text_key = c.text_key
    """
)
_ASSIGN = text(
    """
    UPDATE batches.text t SET chunk = a.chunk
    FROM unnest(CAST(:keys AS text[]), CAST(:chunks AS int[])) AS a(text_key, chunk)
    WHERE t.tenant = :tenant AND t.batch_id = :batch AND t.text_key = a.text_key
    """
)
_CHUNKS = text(
    """
    INSERT INTO batches.chunk (tenant, batch_id, number, state, texts, items, tokens, attempts, not_before, counts)
    SELECT tenant, batch_id, chunk, 'ready', count(*), sum(people), sum(tokens), 0, now(), '{}'::jsonb
    FROM batches.text WHERE tenant = :tenant AND batch_id = :batch GROUP BY tenant, batch_id, chunk
    """
)
_RESULTS = text(
    """
    SELECT i.number, i.profile_id, i.channel, i.offer_id, i.asset_id, i.decision_id, i.token, i.first_name, i.reason AS withheld,
           t.text_key, t.status, t.reason, t.sections, t.provenance, t.people
    FROM batches.item i LEFT JOIN batches.text t
      ON t.tenant = i.tenant AND t.batch_id = i.batch_id AND t.text_key = i.text_key
    WHERE i.tenant = :tenant AND i.batch_id = :batch AND i.number > :after ORDER BY i.number LIMIT :limit
    """
)


class Cursor(msgspec.Struct, frozen=True):
    """How far an audience has been read: last profile, or members read; next item's number."""

    profile: str | None = None
    member: int = 0
    item: int = 1
    done: bool = False


class Planned(msgspec.Struct, frozen=True):
    """Counts of a plan so far."""

    people: int = 0
    items: int = 0
    withheld: dict[str, int] = {}


class StoredBatch(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as it is stored."""

    batch_id: str
    state: BatchState
    priority: int
    request: BatchRequest
    planned: Planned
    cursor: Cursor
    erased: int
    note: str
    problem: str | None
    created_at: dt.datetime
    started_at: dt.datetime | None
    finished_at: dt.datetime | None


class BatchRepository:
    """Batches within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, tenant: str, batch_id: str, request: BatchRequest, state: BatchState, at: dt.datetime) -> bool:
        """Store a new batch; False when its id is taken."""
        values = {"tenant": tenant, "batch_id": batch_id, "state": state, "priority": request.priority,
                  "request": msgspec.to_builtins(request), "planned": msgspec.to_builtins(Planned()),
                  "cursor": msgspec.to_builtins(Cursor()), "erased": 0, "note": "", "created_at": at}  # fmt: skip
        query = upsert(batch).values(values).on_conflict_do_nothing().returning(batch.c.batch_id)
        return (await self._connection.execute(query)).scalar_one_or_none() is not None

    async def one(self, tenant: str, batch_id: str, *, lock: bool = False) -> StoredBatch | None:
        """A batch; locked, nobody else changes it until the transaction ends."""
        query = select(batch).where(batch.c.tenant == tenant, batch.c.batch_id == batch_id)
        row = (await self._connection.execute(query.with_for_update() if lock else query)).mappings().one_or_none()
        return _stored(row) if row else None

    async def page(self, tenant: str, before: str | None, limit: int) -> list[StoredBatch]:
        """Batches, newest first, after the one of the id `before`."""
        place = tuple_(batch.c.created_at, batch.c.batch_id)
        query = (
            select(batch).where(batch.c.tenant == tenant).order_by(batch.c.created_at.desc(), batch.c.batch_id.desc())
        )
        if before:
            last = select(batch.c.created_at, batch.c.batch_id).where(
                batch.c.tenant == tenant, batch.c.batch_id == before
            )
            query = query.where(place < last.scalar_subquery())
        query = query.limit(limit)
        return [_stored(row) for row in (await self._connection.execute(query)).mappings()]

    async def change(self, tenant: str, batch_id: str, **values: Any) -> None:
        """Change columns of a batch."""
        query = update(batch).where(batch.c.tenant == tenant, batch.c.batch_id == batch_id).values(values)
        await self._connection.execute(query)

    async def add_members(self, tenant: str, batch_id: str, profile_ids: Sequence[str], first: int = 0) -> None:
        """A part of the audience as a list, in its order; `first` people are before it."""
        rows = [{"tenant": tenant, "batch_id": batch_id, "number": number, "profile_id": key}
                for number, key in enumerate(profile_ids, start=first)]  # fmt: skip
        if rows:
            await self._connection.execute(upsert(member).on_conflict_do_nothing(), rows)

    async def members(self, tenant: str, batch_id: str, first: int, limit: int) -> list[str]:
        """A part of the list."""
        query = select(member.c.profile_id).where(
            member.c.tenant == tenant,
            member.c.batch_id == batch_id,
            member.c.number >= first,
            member.c.number < first + limit,
        )
        return list((await self._connection.execute(query.order_by(member.c.number))).scalars().all())

    async def lease_plan(self, tenant: str, batch_id: str, until: dt.datetime) -> StoredBatch | None:
        """The batch while it is being planned, with the lease renewed; None when there is nothing to plan (any more)."""
        query = (
            update(batch)
            .where(batch.c.tenant == tenant, batch.c.batch_id == batch_id, batch.c.state == "planning")
            .values(plan_until=until, started_at=func.coalesce(batch.c.started_at, func.now()))
            .returning(batch)
        )
        row = (await self._connection.execute(query)).mappings().one_or_none()
        return _stored(row) if row else None

    async def unplanned(self) -> list[tuple[str, str]]:
        """(tenant, batch) of everything that should be planned and that nobody is planning."""
        lapsed = func.coalesce(batch.c.plan_until, batch.c.created_at) < func.now()
        query = select(batch.c.tenant, batch.c.batch_id).where(batch.c.state == "planning", lapsed)
        return [(row.tenant, row.batch_id) for row in await self._connection.execute(query)]

    async def ask_plan(self, tenant: str, batch_id: str, until: dt.datetime) -> None:
        """Somebody was asked to plan; nobody else is until then."""
        await self.change(tenant, batch_id, plan_until=until)

    async def add_page(
        self, tenant: str, read: StoredBatch, items: Sequence[ItemPlan], people: int, after: Cursor
    ) -> bool:
        """Store a page of the plan with where the next one begins; False when somebody else was there before."""
        stored = await self.one(tenant, read.batch_id, lock=True)
        if stored is None or stored.cursor != read.cursor or stored.state != "planning":
            return False
        await self._add_texts(tenant, read.batch_id, items)
        await self._add_items(tenant, read.batch_id, items, read.cursor.item)
        held = dict(stored.planned.withheld)
        for one in items:
            if one.offer_id is None or one.reason:
                held[one.reason or ""] = held.get(one.reason or "", 0) + 1
        planned = Planned(stored.planned.people + people, stored.planned.items + len(items), held)
        cursor = msgspec.structs.replace(after, item=read.cursor.item + len(items))
        await self.change(
            tenant, read.batch_id, planned=msgspec.to_builtins(planned), cursor=msgspec.to_builtins(cursor)
        )
        return True

    async def _add_texts(self, tenant: str, batch_id: str, items: Sequence[ItemPlan]) -> None:
        texts = {one.key: one for plan in items for one in plan.texts}
        rows = [
            {"tenant": tenant, "batch_id": batch_id, "text_key": one.key, "offer_id": one.offer_id, "channel": one.channel,
             "locale": one.locale, "facts": msgspec.to_builtins(one.facts), "profile_id": one.profile_id, "people": 0,
             "tokens": one.tokens, "status": "open"}
            for _, one in sorted(texts.items())
        ]  # fmt: skip
        if rows:
            await self._connection.execute(upsert(written).on_conflict_do_nothing(), rows)

    async def _add_items(self, tenant: str, batch_id: str, items: Sequence[ItemPlan], first: int) -> None:
        driver = (await self._connection.get_raw_connection()).driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)  # noqa: S101  (the engine is made with psycopg)
        async with driver.cursor() as cursor, cursor.copy(_COPY_ITEMS) as copy:
            for number, one in enumerate(items, start=first):
                keys: list[str | None] = [*(text.key for text in one.texts)] or [None, None, None]
                offer_id = None if one.reason else one.offer_id
                await copy.write_row((tenant, batch_id, number, one.profile_id, one.channel, offer_id, one.asset_id,
                                      one.decision_id, one.token, one.first_name, *keys, one.reason))  # fmt: skip

    async def choose_texts(self, tenant: str, batch_id: str, least: int) -> None:
        """Give every item its text: the one that says most and that at least so many people share. What nobody got goes."""
        # Rows just written have no statistics: Postgres would compare each with each (36 s for 10,000 items).
        await self._connection.execute(text("SET LOCAL enable_nestloop = off"))
        for key, enough in (("key_full", least), ("key_less", least), ("key_none", 1)):
            statement = text(_CHOOSE.format(key=key))
            await self._connection.execute(statement, {"tenant": tenant, "batch": batch_id, "least": enough})
        await self._connection.execute(_PEOPLE, {"tenant": tenant, "batch": batch_id})
        unused = delete(written).where(
            written.c.tenant == tenant, written.c.batch_id == batch_id, written.c.people == 0
        )
        await self._connection.execute(unused)

    async def chosen_texts(self, tenant: str, batch_id: str) -> list[tuple[str, int]]:
        """(key, tokens) of every text, those about one offer side by side: they share most of their prompt."""
        query = (
            select(written.c.text_key, written.c.tokens)
            .where(written.c.tenant == tenant, written.c.batch_id == batch_id)
            .order_by(written.c.offer_id, written.c.channel, written.c.text_key)
        )
        return [(row.text_key, row.tokens) for row in await self._connection.execute(query)]

    async def begin(self, tenant: str, batch_id: str, chunks: Sequence[Sequence[str]]) -> None:
        """The plan is done: store its chunks, and run; with nothing to write it is done at once."""
        keys = [key for part in chunks for key in part]
        numbers = [number for number, part in enumerate(chunks, start=1) for _ in part]
        names = {"tenant": tenant, "batch": batch_id}
        await self._connection.execute(_ASSIGN, {**names, "keys": keys, "chunks": numbers})
        await self._connection.execute(_CHUNKS, names)
        done = {"state": "running"} if chunks else {"state": "done", "finished_at": func.now()}
        query = update(batch).where(batch.c.tenant == tenant, batch.c.batch_id == batch_id, batch.c.state == "planning")
        await self._connection.execute(query.values(plan_until=None, **done))

    async def chunk_counts(self, tenant: str, batch_id: str) -> list[Any]:
        """(state, items, texts, attempts, done_at, counts) of every chunk."""
        query = select(
            chunk.c.state, chunk.c["items"], chunk.c.texts, chunk.c.attempts, chunk.c.done_at, chunk.c.counts
        )
        return list(await self._connection.execute(query.where(chunk.c.tenant == tenant, chunk.c.batch_id == batch_id)))

    async def results(self, tenant: str, batch_id: str) -> AsyncIterator[Any]:
        """Every item with its text, in the order of their numbers, a page at a time."""
        after = 0
        while True:
            names = {"tenant": tenant, "batch": batch_id, "after": after, "limit": _ROWS}
            rows = (await self._connection.execute(_RESULTS, names)).all()
            for row in rows:
                yield row
            if len(rows) < _ROWS:
                return
            after = rows[-1].number

    async def erase(self, tenant: str, profile_id: str) -> int:
        """Delete a person's items, and texts written for them alone; their batches count what went."""
        mine = delete(item).where(item.c.tenant == tenant, item.c.profile_id == profile_id).returning(item.c.batch_id)
        gone = list((await self._connection.execute(mine)).scalars().all())
        for batch_id in sorted(set(gone)):
            query = update(batch).where(batch.c.tenant == tenant, batch.c.batch_id == batch_id)
            await self._connection.execute(query.values(erased=batch.c.erased + gone.count(batch_id)))
        own = update(written).where(written.c.tenant == tenant, written.c.profile_id == profile_id)
        await self._connection.execute(own.values(sections=None, facts=[], profile_id=None))
        await self._connection.execute(
            delete(member).where(member.c.tenant == tenant, member.c.profile_id == profile_id)
        )
        return len(gone)


def _stored(row: Any) -> StoredBatch:
    plain = {name: row[name] for name in StoredBatch.__struct_fields__ if name not in {"request", "planned", "cursor"}}
    return StoredBatch(
        **plain,
        request=msgspec.convert(row["request"], BatchRequest),
        planned=msgspec.convert(row["planned"], Planned),
        cursor=msgspec.convert(row["cursor"], Cursor),
    )
