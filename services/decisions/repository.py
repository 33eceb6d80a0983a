"""The queries of the log and of what decides; those of outcomes and rewards are in `reward_repository`."""

import datetime as dt
from collections.abc import AsyncIterator, Sequence
from typing import Any

import psycopg
from sqlalchemy import delete, func, insert, literal, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.dialects.postgresql import insert as upsert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.decisions.models import decision, document, outcome, pinned, reward, set_aside
from services.decisions.records import Entry, decode
from shared.contracts.decisions import LogQuery
from shared.errors import UnavailableError

_COLUMNS = "tenant, id, time, profile_id, channel, time_zone, offers, settled, due, told, arm, entry"
_COPY = f"COPY decisions.decision ({_COLUMNS}) FROM STDIN WITH (FORMAT BINARY)"
_TYPES = [
    "text",
    "text",
    "timestamptz",
    "text",
    "text",
    "text",
    "text[]",
    "bool",
    "timestamptz",
    "bool",
    "text",
    "bytea",
]
_COUNTED = text(
    """
SELECT profile_id, channel, time, time_zone, offers FROM decisions.decision
WHERE tenant = :tenant AND cardinality(offers) > 0 AND time >= :since ORDER BY profile_id
"""
)
_ROWS = 2000
_HASH = 0x7FFFFFFF


class DecisionRepository:
    """The log and its pinned inputs within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def add(self, rows: Sequence[tuple[str, Entry, bytes]], *, told: bool = True) -> None:
        """Log decisions as (tenant, entry, entry's bytes); one that is there already is passed over. `told`: experiments
        know of their exposures.

        Raises:
            UnavailableError: the connection was lost.
        """
        values = [_row(tenant, entry, raw, told) for tenant, entry, raw in rows]
        driver = (await self._connection.get_raw_connection()).driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)  # noqa: S101  (the engine is made with psycopg)
        try:
            async with driver.transaction(), driver.cursor() as cursor, cursor.copy(_COPY) as copy:
                copy.set_types(_TYPES)
                for row in values:
                    await copy.write_row(row)
        except psycopg.errors.UniqueViolation:
            names = _COLUMNS.split(", ")
            known = upsert(decision).values([dict(zip(names, row, strict=True)) for row in values])
            await self._connection.execute(known.on_conflict_do_nothing())
        except psycopg.OperationalError as error:
            # A raw connection's errors do not come wrapped by SQLAlchemy, which is what the web layer knows.
            raise UnavailableError("The decision log does not respond; try again.", retry_after=2) from error

    async def set_aside(self, tenant: str, key: str, error: str, raw: bytes) -> None:
        """Keep an entry that cannot be a decision."""
        values = {"tenant": tenant, "key": key, "error": error.replace("\0", "?")[:1000], "entry": raw}
        await self._connection.execute(upsert(set_aside).values(values).on_conflict_do_nothing())

    async def untold(self, limit: int) -> list[tuple[str, Entry]]:
        """Decisions (with their tenants) whose exposures experiments do not know of yet, oldest first."""
        query = (
            select(decision.c.tenant, decision.c.entry).where(~decision.c.told).order_by(decision.c.time).limit(limit)
        )
        return [(row.tenant, decode(row.entry)) for row in await self._connection.execute(query)]

    async def told(self, rows: Sequence[tuple[str, str]]) -> None:
        """Experiments know of these (tenant, id)."""
        query = update(decision).where(tuple_(decision.c.tenant, decision.c.id).in_(rows), ~decision.c.told)
        await self._connection.execute(query.values(told=True))

    async def entries(self, tenant: str, ids: Sequence[str]) -> dict[str, Entry]:
        """Logged decisions of this tenant by id."""
        query = select(decision.c.id, decision.c.entry).where(decision.c.tenant == tenant, decision.c.id.in_(ids))
        return {row.id: decode(row.entry) for row in await self._connection.execute(query)}

    async def window(self, tenant: str, query: LogQuery, after: tuple[dt.datetime, str] | None) -> list[Entry]:
        """Decisions of the query's time window in its order, after a position; a share of them is drawn by a hash of their ids."""
        rows = select(decision.c.entry).where(
            decision.c.tenant == tenant, decision.c.time >= query.start, decision.c.time < query.end
        )
        place = tuple_(decision.c.time, decision.c.id)
        if after:
            position = tuple_(literal(after[0]), literal(after[1]))
            rows = rows.where(place < position if query.newest_first else place > position)
        if query.share < 1:
            rows = rows.where(func.hashtext(decision.c.id).op("&")(_HASH) < int(query.share * (_HASH + 1)))
        order = (decision.c.time, decision.c.id)
        rows = rows.order_by(*(column.desc() if query.newest_first else column for column in order)).limit(query.limit)
        return [decode(row.entry) for row in await self._connection.execute(rows)]

    async def served(self, tenant: str, since: dt.datetime) -> AsyncIterator[Any]:
        """(profile_id, channel, time, time_zone, offers) of every decision since a time, person by person: what counters
        are made of. Streamed: a log may be larger than the memory.
        """
        values = {"tenant": tenant, "since": since}
        async with self._connection.stream(_COUNTED, values, execution_options={"yield_per": _ROWS}) as rows:
            async for row in rows:
                yield row

    async def unsettled(self, tenant: str, as_of: dt.datetime, limit: int) -> list[Entry]:
        """Decisions whose default rewards are due and were not given yet."""
        query = (
            select(decision.c.entry)
            .where(decision.c.tenant == tenant, decision.c.due < as_of, ~decision.c.settled)
            .order_by(decision.c.due)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return [decode(row.entry) for row in await self._connection.execute(query)]

    async def settle(self, tenant: str, ids: Sequence[str]) -> None:
        """Their default rewards are given."""
        query = update(decision).where(decision.c.tenant == tenant, decision.c.id.in_(ids)).values(settled=True)
        await self._connection.execute(query)

    async def waiting_tenants(self) -> list[str]:
        """Every tenant with decisions whose default rewards were not given yet."""
        query = select(decision.c.tenant).where(~decision.c.settled).distinct()
        return [row.tenant for row in await self._connection.execute(query)]

    async def pin(self, tenant: str, version: str, body: bytes) -> None:
        """Keep what a version names."""
        values = {"tenant": tenant, "version": version, "body": body}
        await self._connection.execute(upsert(pinned).values(values).on_conflict_do_nothing())

    async def pinned(self, tenant: str, version: str) -> bytes | None:
        """What a version names."""
        query = select(pinned.c.body).where(pinned.c.tenant == tenant, pinned.c.version == version)
        found: bytes | None = (await self._connection.execute(query)).scalar_one_or_none()
        return found

    async def erase(self, tenant: str, profile_id: str) -> int:
        """Delete a person's decisions, their outcomes and rewards; what models learnt from them has no name in it."""
        ids = select(decision.c.id).where(decision.c.tenant == tenant, decision.c.profile_id == profile_id)
        for table in (outcome, reward):
            await self._connection.execute(delete(table).where(table.c.tenant == tenant, table.c.decision_id.in_(ids)))
        named = func.position(text("convert_to(:profile, 'UTF8') in entry").bindparams(profile=profile_id))
        await self._connection.execute(delete(set_aside).where(set_aside.c.tenant == tenant, named > 0))
        query = delete(decision).where(decision.c.tenant == tenant, decision.c.profile_id == profile_id)
        return (await self._connection.execute(query)).rowcount


def _row(tenant: str, entry: Entry, raw: bytes, told: bool) -> tuple[Any, ...]:  # noqa: FBT001
    person = entry.inputs.person
    time = dt.datetime.fromtimestamp(entry.at, dt.UTC)
    offers = [item.offer_id for item in entry.items]
    settled = not offers or not entry.space
    due = time + dt.timedelta(seconds=entry.wait_seconds)
    compared = person.known and entry.inputs.explore and not entry.inputs.holdout
    return (tenant, entry.id, time, person.profile_id, entry.inputs.channel, person.time_zone, offers, settled, due,
            told or not entry.experiments, entry.versions.get("rollout") if compared else None, raw)  # fmt: skip


class DocumentRepository:
    """Rules, policies, models and approved copy within one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def put(self, tenant: str, kind: str, key: str, body: Any) -> int:
        """Store a new version (`body` None removes the key); returns its number."""
        await self._connection.execute(
            text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"decisions:{tenant}:{kind}:{key}"}
        )
        query = select(func.coalesce(func.max(document.c.version), 0)).where(
            document.c.tenant == tenant, document.c.kind == kind, document.c.key == key
        )
        version = int((await self._connection.execute(query)).scalar_one()) + 1
        values = {"tenant": tenant, "kind": kind, "key": key, "version": version, "body": body}
        await self._connection.execute(insert(document).values(values))
        return version

    async def live(self, tenant: str) -> dict[str, list[tuple[int, Any]]]:
        """The newest (version, body) of every key by kind, in the order of the keys."""
        query = (
            select(document.c.kind, document.c.version, document.c.body)
            .where(document.c.tenant == tenant)
            .ext(distinct_on(document.c.kind, document.c.key))
            .order_by(document.c.kind, document.c.key, document.c.version.desc())
        )
        found: dict[str, list[tuple[int, Any]]] = {}
        for row in await self._connection.execute(query):
            if row.body is not None:
                found.setdefault(row.kind, []).append((row.version, row.body))
        return found
