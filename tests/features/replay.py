"""A real year replayed, and the same features computed from it as one table."""

import datetime as dt
from decimal import Decimal
from typing import Any

import ibis
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet

from services.demo.sources import open_sources
from services.features import expressions, tables
from services.features.online import microseconds
from services.features.plan import Plan
from shared.contracts.events import Event
from shared.contracts.features import Each, FeatureView
from shared.contracts.stream import STREAM
from tests.features.suite import Suite
from tests.rooms import TENANT

BUY = {"type": "commerce.purchases"}
VIEWS = [
    FeatureView(name="buys", where=BUY, windows=["1h", "24h", "7d", "28d", "365d", "lifetime"]),
    FeatureView(name="spend", where=BUY, aggregate="sum", of="value", windows=["24h", "28d", "lifetime"]),
    FeatureView(name="most", where=BUY, aggregate="max", of="value", windows=["28d"]),
    FeatureView(name="newest", where=BUY, aggregate="latest", of="value", windows=["365d"]),
    FeatureView(name="baskets", where=BUY, aggregate="distinct", of="session_id", windows=["28d", "lifetime"]),
    FeatureView(name="since", where=BUY, aggregate="recency", windows=["365d"]),
    FeatureView(name="kind", where=BUY, each=Each(label="category", top=4), windows=["28d", "lifetime"]),
    FeatureView(name="milk", where={"category": "milk"}, entity="category", windows=["28d"]),
]  # fmt: skip
_HOUSEHOLDS = 25
_SQL = """
SELECT 'e' || row_number() OVER (ORDER BY transaction_timestamp, basket_id, product_id) AS id,
       'hh-' || household_id AS who, transaction_timestamp AS moment, category, t.basket_id::VARCHAR AS basket,
       t.quantity::DOUBLE AS quantity, t.sales_value::DECIMAL(12, 2) AS value
FROM transactions t JOIN item i USING (product_id)
WHERE household_id IN (SELECT DISTINCT household_id FROM transactions ORDER BY household_id LIMIT {})
ORDER BY moment
"""


def journey() -> list[Event]:
    """Real purchases of some households over a year, moved so that the last was an hour ago."""
    with open_sources() as source:
        rows = source.execute(_SQL.format(_HOUSEHOLDS)).fetchall()
    moved = dt.datetime.now(dt.UTC) - dt.timedelta(hours=1) - rows[-1][2].replace(tzinfo=dt.UTC)
    return [
        Event(event_id=f"e{n}", profile_id=who, type="commerce.purchases", time=at.replace(tzinfo=dt.UTC) + moved,
              category=category, session_id=basket, quantity=min(quantity, 1e6), value=Decimal(value), currency="USD")
        for n, (_, who, at, category, basket, quantity, value) in enumerate(rows)
    ]  # fmt: skip


def batch(plan: Plan, events: list[Event], at: int) -> dict[str, dict[str, Any]]:
    """The features by the expressions on DuckDB, of all events as one table: entity kind -> entity -> values."""
    names = ("category", "session_id")
    source = pa.table({
        **{name: pa.array([getattr(e, name, None) for e in events], pa.string()) for name in expressions.EVENT_SCHEMA
           if name not in {"at", "value", "quantity", "discount"}},
        "at": [microseconds(e.time) for e in events],
        "value": pa.array([float(e.value) if e.value is not None else None for e in events], pa.float64()),
        "quantity": pa.array([e.quantity for e in events], pa.float64()),
        "discount": pa.array([None] * len(events), pa.float64()),
    })  # fmt: skip
    assert set(names) <= set(source.column_names)
    connection = ibis.duckdb.connect()
    connection.create_table("event", source)
    found = {}
    for kind, part in plan.entities.items():
        answer = expressions.as_of(part, connection.table("event"), at).to_pyarrow()
        found[kind] = dict(zip(answer["entity"].to_pylist(), tables.values(part, answer), strict=True))
    connection.disconnect()
    return found


async def assert_equal(suite: Suite, events: list[Event]) -> None:
    """What is read online is what the table says: counts exactly, sums to 1e-9."""
    at = dt.datetime.now(dt.UTC)
    live = (await suite.store.state(TENANT, again=True)).live
    assert live is not None
    reference = batch(live.plan, events, microseconds(at))
    for kind, people in reference.items():
        plan = live.plan.of(kind)
        _, values = await suite.store.read(TENANT, kind, list(people), at)
        wanted = np.array(list(people.values()))
        whole = [i for i, f in enumerate(plan.features) if f.aggregate in {"count", "distinct", "max", "latest"}]
        np.testing.assert_array_equal(values[:, whole], wanted[:, whole])
        np.testing.assert_allclose(values, wanted, rtol=1e-12, atol=1e-9)


async def drained(suite: Suite) -> bool:
    return not await suite.store.redis.xlen(STREAM)


def wire(events: list[Event]) -> list[dict[str, Any]]:
    return [msgspec.to_builtins(event) for event in events]
