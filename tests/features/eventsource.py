"""Made-up events for the tests of features: few people, close times, every edge on purpose."""

from typing import Any

import numpy as np
import pyarrow as pa

from services.features.plan import Plan, check, compile_plan, resolved
from shared.contracts.features import Each, FeatureView

HOUR = 3_600_000_000
NOW = 1_790_000_000_000_000
TYPES = ("commerce.purchases", "commerce.productViews", "decisioning.propositionDisplay")

BUY = {"type": "commerce.purchases"}
VIEWS = [
    FeatureView(name="all", windows=["1h", "24h", "lifetime"]),
    FeatureView(name="buys", where=BUY, windows=["1h", "24h", "7d"]),
    FeatureView(name="two_kinds", where={"type": [*TYPES[:2]]}, windows=["24h"]),
    FeatureView(name="spend", where=BUY, aggregate="sum", of="value", windows=["1h", "7d", "lifetime"]),
    FeatureView(name="mean_spend", where=BUY, aggregate="mean", of="value", windows=["24h"], default=-1.0),
    FeatureView(name="least", aggregate="min", of="value", windows=["24h"]),
    FeatureView(name="most", aggregate="max", of="quantity", windows=["7d"]),
    FeatureView(name="newest", aggregate="latest", of="value", windows=["24h", "lifetime"]),
    FeatureView(name="baskets", aggregate="distinct", of="session_id", windows=["24h", "lifetime"]),
    FeatureView(name="since_buy", where=BUY, aggregate="recency", windows=["7d", "lifetime"]),
    FeatureView(name="fresh", where=BUY, windows=["7d"], ttl="3h", default=-2.0),
    FeatureView(name="kind", each=Each(label="category", values=["milk", "tea"]), windows=["24h"]),
    FeatureView(name="taken", entity="offer", where=BUY, aggregate="sum", of="value", windows=["24h"]),
]  # fmt: skip


def plan_of(views: list[FeatureView] = VIEWS) -> Plan:
    check(views)
    return compile_plan(resolved(views, {}))


def events(count: int, seed: int, people: int = 7, days: float = 3) -> dict[str, list[Any]]:
    """Columns of random events that end around NOW; a third of the times are whole hours, so that edges are met."""
    draw = np.random.default_rng(seed)
    ago = draw.integers(0, int(days * 24 * HOUR), count)
    ago[::3] = ago[::3] // HOUR * HOUR
    value = np.round(draw.normal(5, 20, count), 4)

    def some(values: tuple[str | None, ...]) -> list[str | None]:
        return [values[i] for i in draw.integers(0, len(values), count)]

    return {
        "profile_id": [f"p{i}" for i in draw.integers(0, people, count)],
        "at": [int(NOW - a) for a in ago],
        "type": [TYPES[i] for i in draw.integers(0, 3, count)],
        "category": some(("milk", "tea", "bread", None)),
        "department": some((None,)),
        "brand": some(("a", None)),
        "product_id": some((None,)),
        "offer_id": some(("o1", "o2", None)),
        "session_id": some(("s1", "s2", "s3", None)),
        "currency": some(("USD",)),
        "value": [None if i % 5 == 0 else float(v) for i, v in enumerate(value)],
        "quantity": [float(v) if v > 0 else None for v in value],
        "discount": [None] * count,
    }


def table(columns: dict[str, list[Any]]) -> pa.Table:
    kinds = {"at": pa.int64(), "value": pa.float64(), "quantity": pa.float64(), "discount": pa.float64()}
    return pa.table({name: pa.array(cells, kinds.get(name, pa.string())) for name, cells in columns.items()})
