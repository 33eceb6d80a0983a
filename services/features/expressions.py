"""Views as Ibis expressions: one definition for DuckDB, Spark, Trino, BigQuery and whatever else Ibis speaks.

The event table needs the columns of an event; its time is `at`, whole microseconds since 1970, so that no engine's idea of
time zones, precision or leap seconds takes part.
"""

import math
from functools import reduce
from typing import Any

import ibis
import ibis.expr.types as ir
import msgspec

from services.features.kernel import EARLIEST, FOREVER
from services.features.plan import DAY, LABELS, MEASURES, SLACK, EntityPlan, Feature, Filter

EVENT_SCHEMA = {
    "profile_id": "string", "at": "int64", **dict.fromkeys(LABELS, "string"), **dict.fromkeys(MEASURES, "float64"),
}  # fmt: skip


def _passes(events: ir.Table, condition: Filter) -> Any:
    """Does an event pass a filter? A label that is missing passes none."""
    tests = [events[label].isin(values).fill_null(False) for label, values in condition]
    return reduce(lambda one, other: one & other, tests, ibis.literal(True))


def _finite(column: Any) -> Any:
    """A measure, null in the place of NaN and infinities."""
    return ibis.ifelse(column.isnan() | column.isinf(), ibis.null("float64"), column)


def _counts(feature: Feature, plan: EntityPlan, events: ir.Table, as_of: Any) -> Any:
    """Does an event count? It passes the filter and lies in [as_of - window, as_of)."""
    counts = _passes(events, plan.filters[feature.filter]) & (events.at < as_of)
    window = plan.windows[feature.window]
    return counts if window is None else counts & (events.at >= as_of - window)


def _aggregate(feature: Feature, plan: EntityPlan, events: Any, as_of: Any, newest: str) -> Any:
    """One feature over a group of events; `as_of` is a column or a number of microseconds."""
    counts = _counts(feature, plan, events, as_of)
    measure: Any = _finite(events[feature.of]) if feature.of in MEASURES else None
    if measure is not None:
        counts &= measure.notnull()
    elif feature.aggregate == "distinct":
        counts &= events[feature.of].notnull()
    last = events.at.max(where=counts)
    match feature.aggregate:
        case "count":
            found = counts.cast("int64").sum()
        case "distinct":
            found = events[feature.of].nunique(where=counts)
        case "recency":
            found = (ibis.ifelse(counts, as_of - events.at, ibis.null("int64")).min()).cast("float64") / DAY
        case "latest":
            # The newest event's, the largest where several happened at once; its time is a column made before.
            found = measure.max(where=counts & (events.at == events[newest]))
        case name:
            found = getattr(measure, name)(where=counts)
    there = counts.cast("int64").sum() > 0
    if feature.ttl is not None:
        there &= (as_of if isinstance(as_of, int) else events.as_of.max()) - feature.ttl <= last
    return ibis.ifelse(there, found.cast("float64"), ibis.literal(feature.default, "float64")).fill_null(
        ibis.literal(feature.default, "float64")
    )


def _newest(feature: Feature, plan: EntityPlan, events: ir.Table, as_of: Any, by: list[str]) -> Any:
    """The time of the newest event that counts, beside each event of its group."""
    counts = _counts(feature, plan, events, as_of) & _finite(events[feature.of]).notnull()
    return events.at.max(where=counts).over(ibis.window(group_by=by))


def as_of(plan: EntityPlan, events: ir.Table, at: int) -> ir.Table:
    """All features of every entity that has events, as of one moment: columns `entity`, f0, f1, ..."""
    mine = events.filter(events[plan.column].notnull() & (events.at < at)).mutate(entity=events[plan.column])
    return _grouped(plan, mine, at, ["entity"])


def heads(plan: EntityPlan, events: ir.Table, at: int) -> ir.Table:
    """What is kept of every entity that has events: `entity`, f0, f1, ... as of `at`, and `since` and `until`, between
    which they hold. Recencies are NaN where there is no event. See `kernel.valid`.
    """
    features = tuple(
        msgspec.structs.replace(f, default=math.nan) if f.aggregate == "recency" else f for f in plan.features
    )
    frozen = msgspec.structs.replace(plan, features=features)
    mine = events.filter(_needed(plan, events, at)).mutate(entity=events[plan.column])
    values = _grouped(frozen, mine, at, ["entity"])
    past = mine.at < at
    since, until = [mine.at.max(where=past) + 1], [mine.at.min(where=~past) + 1]
    spans = {window for window in plan.windows if window is not None} | {f.ttl for f in plan.features if f.ttl}
    for span in sorted(spans):
        until.append(mine.at.min(where=past & (mine.at >= at - span)) + span + 1)
        since.append(mine.at.max(where=mine.at < at - span) + span + 1)
    never, always = ibis.literal(EARLIEST, "int64"), ibis.literal(FOREVER, "int64")
    spread = mine.group_by("entity").aggregate(
        since=ibis.greatest(*(part.coalesce(never) for part in since)),
        until=ibis.least(*(part.coalesce(always) for part in until)),
    )
    return values.join(spread, "entity")


def _needed(plan: EntityPlan, events: ir.Table, since: int) -> Any:
    """Is the event about such an entity, and may a feature as of `since` or later, or of a few days before, need it?"""
    needed = events[plan.column].notnull()
    return needed if plan.horizon is None else needed & (events.at >= since - plan.horizon - SLACK)


def at_labels(plan: EntityPlan, events: ir.Table, labels: ir.Table) -> ir.Table:
    """All features of every label: labels (row, entity, as_of); columns `row`, f0, f1, ...

    A label of whom no event is known has no row in the answer: its features are the defaults.
    """
    mine = events.filter(events[plan.column].notnull()).mutate(who=events[plan.column])
    reach = [labels.entity == mine.who, mine.at < labels.as_of]
    if plan.horizon is not None:
        reach.append(mine.at >= labels.as_of - plan.horizon)
    joined = labels.join(mine, reach)
    return _grouped(plan, joined, joined.as_of, ["row"])


def _grouped(plan: EntityPlan, events: ir.Table, moment: Any, by: list[str]) -> ir.Table:
    newest = {
        f"newest_{i}": _newest(feature, plan, events, moment, by)
        for i, feature in enumerate(plan.features)
        if feature.aggregate == "latest"
    }
    table = events.mutate(**newest) if newest else events
    moment = moment if isinstance(moment, int) else table.as_of
    found = {
        f"f{i}": _aggregate(feature, plan, table, moment, f"newest_{i}") for i, feature in enumerate(plan.features)
    }
    return table.group_by(by).aggregate(**found)


def records(plan: EntityPlan, events: ir.Table, since: int, before: int | None = None) -> ir.Table:
    """Every event that a feature as of `since` or later needs, as it is kept for the stream: entity, at, mask, measures,
    labels to tell apart; `before`: only older ones.
    """
    mask: Any = ibis.literal(0, "int64")
    for bit, condition in enumerate(plan.filters):
        mask += ibis.ifelse(_passes(events, condition), ibis.literal(1 << bit, "int64"), ibis.literal(0, "int64"))
    needed = _needed(plan, events, since)
    if before is not None:
        needed &= events.at < before
    found = events.filter(needed).select(
        entity=plan.column, at="at", mask=mask, **{n: n for n in plan.measures}, **{f"h_{n}": n for n in plan.told}
    )
    return found.filter(found["mask"] != 0)


def most_frequent(events: ir.Table, where: Filter, label: str, count: int) -> ir.Table:
    """The most frequent values of a label among the events that pass a filter; of equals, the first by name."""
    mine = events.filter(_passes(events, where) & events[label].notnull())
    counted = mine.group_by(value=mine[label]).aggregate(n=mine.count())
    return counted.order_by([ibis.desc("n"), ibis.asc("value")]).limit(count).select("value")
