"""Every query of events."""

import csv
import datetime as dt
import io
import operator
from collections.abc import Mapping, Sequence
from typing import IO, Any

import msgspec
import psycopg
import psycopg.sql
from sqlalchemy import delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.events.models import COLUMNS, clock, event, outbox
from shared.contracts.events import Event
from shared.errors import UnavailableError

_PLAIN = tuple(name for name in COLUMNS if name not in {"tenant", "properties"})
_FIELDS = (*_PLAIN, "properties")
_ORDER = ", ".join(("tenant", *_FIELDS))
_event_id = operator.attrgetter("event_id")
_values = operator.attrgetter(*_PLAIN)
_json = msgspec.json.Encoder()

_COPY = f"COPY {{}} ({_ORDER}) FROM STDIN (FORMAT csv)"
_STAGE = "CREATE TEMP TABLE IF NOT EXISTS stage_event (LIKE events.event INCLUDING DEFAULTS) ON COMMIT DELETE ROWS"
_INSERT_NEW = f"""
INSERT INTO events.event ({_ORDER}) SELECT {_ORDER} FROM stage_event ON CONFLICT DO NOTHING RETURNING event_id
"""
_TICK = """
INSERT INTO events.clock (tenant, newest) VALUES (%s, %s)
ON CONFLICT (tenant) DO UPDATE SET newest = greatest(events.clock.newest, excluded.newest)
"""
_ACTIVITY_HEAD = """
WITH lines AS (
    SELECT profile_id, type, time, (time AT TIME ZONE 'UTC')::date AS day, session_id, event_id, product_name, category,
           department, brand, quantity, coalesce(value, 0) AS value, coalesce(discount, 0) AS discount, currency
    FROM events.event
    WHERE tenant = :tenant AND profile_id = ANY(:profiles) AND time <= :as_of
      AND type IN ('commerce.purchases', 'commerce.couponRedemptions')
), bought AS (SELECT *, coalesce(session_id, event_id) AS basket FROM lines WHERE type = 'commerce.purchases')
"""
_TOTALS = text(
    _ACTIVITY_HEAD
    + """
SELECT l.profile_id,
       count(*) FILTER (WHERE type = 'commerce.purchases') AS lines,
       count(DISTINCT coalesce(session_id, event_id)) FILTER (WHERE type = 'commerce.purchases') AS baskets,
       coalesce(sum(value) FILTER (WHERE type = 'commerce.purchases'), 0) AS spend,
       coalesce(sum(discount) FILTER (WHERE type = 'commerce.purchases'), 0) AS discount,
       count(*) FILTER (WHERE type = 'commerce.purchases' AND discount > 0) AS discounted_lines,
       count(*) FILTER (WHERE type = 'commerce.couponRedemptions') AS redemptions,
       mode() WITHIN GROUP (ORDER BY currency) AS currency,
       array_agg(DISTINCT day) FILTER (WHERE type = 'commerce.purchases') AS basket_days
FROM lines l GROUP BY l.profile_id ORDER BY l.profile_id
"""
)
_CATEGORIES = text(
    _ACTIVITY_HEAD
    + """
SELECT profile_id, category, mode() WITHIN GROUP (ORDER BY department) AS department, count(DISTINCT basket) AS baskets,
       coalesce(sum(quantity), 0) AS units, sum(value) AS spend, min(time) AS first_time, max(time) AS last_time
FROM bought WHERE category IS NOT NULL GROUP BY profile_id, category ORDER BY profile_id, baskets DESC, category
"""
)
_BRANDS = text(
    _ACTIVITY_HEAD
    + """
SELECT profile_id, brand, count(DISTINCT basket) AS baskets, sum(value) AS spend
FROM bought WHERE brand IS NOT NULL GROUP BY profile_id, brand ORDER BY profile_id, baskets DESC, brand
"""
)
_PRODUCTS = text(
    _ACTIVITY_HEAD
    + """
SELECT profile_id, product_name FROM (
    SELECT profile_id, product_name,
           row_number() OVER (PARTITION BY profile_id ORDER BY count(DISTINCT basket) DESC, product_name) AS rank
    FROM bought WHERE product_name IS NOT NULL GROUP BY profile_id, product_name) ranked
WHERE rank <= :products ORDER BY profile_id, rank
"""
)

_LOOK = """
SELECT transaction, tenant, extract(epoch FROM created_at)::double precision AS stored_at,
       extract(epoch FROM now() - created_at)::double precision AS age
FROM events.outbox
WHERE created_at < now() - make_interval(secs => :older) AND created_at >= now() - make_interval(secs => :oldest)
ORDER BY transaction LIMIT :most
FOR UPDATE SKIP LOCKED
"""
_GIVE_UP = "DELETE FROM events.outbox WHERE created_at < now() - make_interval(secs => :older) RETURNING tenant"
_EXPORTED = ("profile_id", "type", "category", "department", "brand", "product_id", "offer_id", "session_id", "currency",
             "value", "quantity", "discount")  # fmt: skip
_EXPORT = f"""
COPY (SELECT (extract(epoch FROM time) * 1000000)::bigint AS at, {", ".join(_EXPORTED)} FROM events.event
      WHERE tenant = {{}}) TO STDOUT (FORMAT csv, HEADER)
"""


class Unpublished(msgspec.Struct):
    """A transaction that is not known to be in the stream. `stored_at`: epoch seconds; `age`: seconds."""

    transaction: int
    tenant: str
    stored_at: float
    age: float


def copy_rows(tenant: str, rows: Sequence[Event]) -> bytes:
    """Events as lines for COPY in CSV: column order is `_ORDER`, null is an empty cell (no text of an event is empty).

    The csv module is a quarter faster than cells joined in Python.
    """
    out = io.StringIO(newline="")
    encode = _json.encode
    csv.writer(out, lineterminator="\n").writerows(
        (tenant, *_values(row), encode(row.properties).decode() if row.properties else None) for row in rows
    )
    return out.getvalue().encode()


def _event(row: Mapping[Any, Any]) -> Event:
    return Event(**{k: v for k, v in row.items() if k != "properties"}, properties=row["properties"] or {})


class EventRepository:
    """The events of one transaction."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def _raw(self) -> psycopg.AsyncConnection:
        driver = (await self._connection.get_raw_connection()).driver_connection
        assert isinstance(driver, psycopg.AsyncConnection)  # noqa: S101  (the engine is made with psycopg)
        if driver.info.transaction_status == psycopg.pq.TransactionStatus.IDLE:
            # Else the block around COPY would begin the transaction, and commit it at its end.
            await driver.execute("SELECT 1")
        return driver

    async def copy(self, tenant: str, rows: Sequence[Event]) -> list[Event]:
        """Store events; returns those that were new.

        A batch without known ids, the common case, is one COPY into the table. When an id is known (or twice in the
        batch) the same lines go through a staging table and the known ones are passed over.
        """
        if not rows:
            return []
        raw = await self._raw()
        # In the order of the ids: two batches with the same events wait for each other instead of deadlocking.
        ordered = sorted(rows, key=_event_id)
        lines = copy_rows(tenant, ordered)
        async with raw.cursor() as cursor:
            try:
                async with raw.transaction(), cursor.copy(_COPY.format("events.event")) as copy:
                    await copy.write(lines)
                stored = ordered
            except psycopg.errors.UniqueViolation:
                new = await self._copy_new(cursor, lines)
                # Of one id that is there twice, the first was stored; `pop` finds each once.
                stored = [row for row in ordered if new.pop(row.event_id, None)]
            except psycopg.OperationalError as error:
                # A raw connection's errors do not come wrapped by SQLAlchemy, which is what the web layer knows.
                raise UnavailableError("The event store does not respond; try again.", retry_after=2) from error
            await cursor.execute(_TICK, (tenant, max(row.time for row in rows)))
        return stored

    @staticmethod
    async def _copy_new(cursor: psycopg.AsyncCursor[Any], lines: bytes) -> dict[str, bool]:
        await cursor.execute(_STAGE)
        async with cursor.copy(_COPY.format("stage_event")) as copy:
            await copy.write(lines)
        await cursor.execute(_INSERT_NEW)
        stored = {row[0]: True for row in await cursor.fetchall()}
        await cursor.execute("TRUNCATE stage_event")
        return stored

    async def announce(self, tenant: str) -> tuple[int, int]:
        """Note that this transaction's events are to be published: its number, and its start in epoch milliseconds."""
        query = insert(outbox).values(tenant=tenant).returning(outbox.c.transaction, outbox.c.created_at)
        row = (await self._connection.execute(query)).one()
        return row.transaction, int(row.created_at.timestamp() * 1000)

    async def unpublished(self, older: float, oldest: float, most: int) -> list[Unpublished]:
        """Transactions that wait for between `older` and `oldest` seconds, the first ones; nobody else gets them meanwhile."""
        rows = await self._connection.execute(text(_LOOK), {"older": older, "oldest": oldest, "most": most})
        return [Unpublished(**row) for row in rows.mappings()]

    async def given_up(self, older: float) -> list[str]:
        """Remove what waits longer than so many seconds; the tenants it was of."""
        rows = await self._connection.execute(text(_GIVE_UP), {"older": older})
        return sorted({row.tenant for row in rows})

    async def published(self, transactions: Sequence[int]) -> None:
        """These need not be published any more."""
        await self._connection.execute(delete(outbox).where(outbox.c.transaction.in_(transactions)))

    async def stored_by(self, tenant: str, transaction: int, stored_at: float) -> list[Event]:
        """The events that a transaction stored, in the order in which they were published.

        `stored_at` guards against the numbers of a restored database, which may begin anew.
        """
        query = (
            select(*[event.c[name] for name in _FIELDS])
            .where(event.c.tenant == tenant, event.c.transaction == transaction)
            .where(event.c.received_at >= dt.datetime.fromtimestamp(stored_at - 1, dt.UTC))
            .order_by(event.c.event_id.collate("C"))
        )
        return [_event(row) for row in (await self._connection.execute(query)).mappings()]

    async def export(self, tenant: str, file: IO[bytes]) -> str:
        """Write what the stream and the features need of all events as CSV; returns the snapshot that was read."""
        await self._connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        snapshot = str((await self._connection.execute(text("SELECT pg_current_snapshot()::text"))).scalar_one())
        raw = await self._raw()
        query = psycopg.sql.SQL(_EXPORT).format(psycopg.sql.Literal(tenant))
        async with raw.cursor() as cursor, cursor.copy(query) as copy:
            async for chunk in copy:
                file.write(chunk)
        return snapshot

    async def history(
        self, tenant: str, profile_id: str, before: tuple[dt.datetime, str] | None, limit: int
    ) -> list[Event]:
        """Events of a profile, newest first, before a position."""
        query = (
            select(*[event.c[name] for name in _FIELDS])
            .where(event.c.tenant == tenant, event.c.profile_id == profile_id)
            .order_by(event.c.time.desc(), event.c.event_id.desc())
            .limit(limit)
        )
        if before is not None:
            position = func.row(event.c.time, event.c.event_id)
            query = query.where(position < func.row(*before))
        rows = (await self._connection.execute(query)).mappings()
        return [_event(row) for row in rows]

    async def activity(
        self, tenant: str, profile_ids: Sequence[str], as_of: dt.datetime, products: int
    ) -> dict[str, list[dict[str, Any]]]:
        """The rows of the four activity queries, by the name of what they hold."""
        values = {"tenant": tenant, "profiles": list(profile_ids), "as_of": as_of}
        queries = {"totals": _TOTALS, "categories": _CATEGORIES, "brands": _BRANDS}
        found = {
            name: [dict(row) for row in (await self._connection.execute(query, values)).mappings()]
            for name, query in queries.items()
        }
        rows = await self._connection.execute(_PRODUCTS, values | {"products": products})
        return found | {"products": [dict(row) for row in rows.mappings()]}

    async def newest(self, tenant: str) -> dt.datetime | None:
        """The time of the tenant's newest event."""
        query = select(clock.c.newest).where(clock.c.tenant == tenant)
        found: dt.datetime | None = (await self._connection.execute(query)).scalar_one_or_none()
        return found

    async def erase(self, tenant: str, profile_id: str) -> int:
        """Delete all events of a profile; returns how many there were."""
        query = delete(event).where(event.c.tenant == tenant, event.c.profile_id == profile_id)
        return (await self._connection.execute(query)).rowcount
