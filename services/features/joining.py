"""Point-in-time joins as arrays: the features of many labels at once, each as of strictly before its own time. Pure.

Events are sorted once by (entity, time) as one integer key; then every window of every label is a range of them, found by
binary search: counts are differences of positions, sums and extremes are reductions over the ranges, and what lies at or
after a label's time is outside of every range. Labels are taken in the order of their keys, which keeps the searches in
the cache. Entities are worked through in groups, so that a key fits into 63 bits and memory stays bounded.
"""

import itertools
from collections.abc import Iterator
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from services.features.plan import DAY, EntityPlan, Feature

Ints = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
_KEY_BITS = 62
_GROUP = 200_000  # entities at once
_PAIRS = 4_000_000  # (label, event) pairs that are looked at together where values are told apart


class Events(msgspec.Struct):
    """Events of known entities, in any order: entity codes (n,), `at` (n,), `mask` (n,), and columns by name (n,)."""

    code: Ints
    at: Ints
    mask: npt.NDArray[np.uint64]
    columns: dict[str, npt.NDArray[Any]]

    def chosen(self, which: Any) -> "Events":
        """The same of some of the events."""
        return Events(
            self.code[which], self.at[which], self.mask[which], {k: v[which] for k, v in self.columns.items()}
        )


class _Ranges:
    """The events that one feature is made of, sorted, and the range of each label in each window.

    `keys`: entity and time of each event as one number, (code - first) * span + (at - start); `values`: what is measured
    or told apart.
    """

    def __init__(self, keys: Ints, values: npt.NDArray[Any] | None, upper: Ints) -> None:
        self.keys = keys
        self.values = values
        self._high = np.searchsorted(keys, upper)
        self._low: dict[int, Ints] = {}

    def of(self, window: int, lower: Ints) -> tuple[Ints, Ints]:
        """First position, and last + 1, of every label's events in a window."""
        if window not in self._low:
            self._low[window] = np.searchsorted(self.keys, lower)
        return self._low[window], self._high


def frame(plan: EntityPlan, events: Events, code: Ints, at: Ints) -> FloatArray:
    """Every feature of every label, shape (labels, features), always finite.

    Args:
        plan: what to compute.
        events: the events; codes of entities without labels may be there, they cost a little.
        code: each label's entity, shape (labels,); -1 for one that has no event.
        at: each label's time in microseconds since 1970.
    """
    out = np.tile(np.array(plan.defaults), (len(code), 1))
    if not len(events.code) or not len(code) or not plan.features:
        return out
    for mine, rows in _groups(events, code, at):
        _group(plan, events if mine is None else events.chosen(mine), code, at, rows, out)
    return out


def _groups(events: Events, code: Ints, at: Ints) -> Iterator[tuple[Any, Any]]:
    """(which events, which labels) of each group of entities; None for all events."""
    span = max(int(events.at.max()), int(at.max())) - int(events.at.min()) + 3
    entities = int(max(events.code.max(), code.max())) + 1
    size = max(1, min(_GROUP, (1 << _KEY_BITS) // span))
    if entities <= size:
        yield None, np.flatnonzero(code >= 0)
        return
    by_event, by_label = np.argsort(events.code, kind="stable"), np.argsort(code, kind="stable")
    edges = np.arange(0, entities + size, size)
    event_edges = np.searchsorted(events.code[by_event], edges)
    label_edges = np.searchsorted(code[by_label], edges)
    for (e0, e1), (l0, l1) in zip(itertools.pairwise(event_edges), itertools.pairwise(label_edges), strict=True):
        if e1 > e0 and l1 > l0:
            yield by_event[e0:e1], by_label[l0:l1]


def _group(plan: EntityPlan, events: Events, code: Ints, at: Ints, rows: Ints, out: FloatArray) -> None:
    first = min(int(events.code.min()), int(code[rows].min()))
    start, end = int(events.at.min()), int(events.at.max()) + 1
    span = end - start + 2  # one place more than there are times: a label after all events is after the last

    def keys(codes: Ints, times: Ints) -> Ints:
        return (codes - first) * span + (np.clip(times, start, end) - start)

    event_keys = keys(events.code, events.at)
    order = np.argsort(event_keys)
    upper = keys(code[rows], at[rows])
    label_order = np.argsort(upper)
    upper, rows = upper[label_order], rows[label_order]
    times = at[rows]
    lower = [
        keys(code[rows], np.full(len(rows), start, dtype=np.int64) if window is None else times - window)
        for window in plan.windows
    ]
    ranges: dict[Any, _Ranges] = {}
    for position, feature in enumerate(plan.features):
        place = feature.filter, _column(feature)
        if place not in ranges:
            ranges[place] = _chosen(feature, events, event_keys, order, upper)
        low, high = ranges[place].of(feature.window, lower[feature.window])
        _fill(feature, ranges[place], (low, high), (span, start), (times, rows), out[:, position])


def _column(feature: Feature) -> str | None:
    return f"h_{feature.of}" if feature.aggregate == "distinct" else feature.of


def _chosen(feature: Feature, events: Events, keys: Ints, order: Ints, upper: Ints) -> _Ranges:
    """The events that pass a feature's filter and have what it measures."""
    column = _column(feature)
    passing = (events.mask >> np.uint64(feature.filter)) & np.uint64(1) == 1
    values = None if column is None else events.columns[column]
    if values is not None:
        passing &= values != 0 if column.startswith("h_") else np.isfinite(values)  # type: ignore[union-attr]
    if not passing.all():
        order = order[passing[order]]
    return _Ranges(keys[order], None if values is None else values[order], upper)


def _fill(
    feature: Feature, ranges: _Ranges, between: tuple[Ints, Ints], scale: tuple[int, int], labels: tuple[Ints, Ints],
    out: FloatArray,
) -> None:  # fmt: skip
    (low, high), (span, start), (times, rows) = between, scale, labels
    there = high > low
    if feature.ttl is not None and there.any():
        there &= ranges.keys[np.maximum(high - 1, 0)] % span + start >= times - feature.ttl
    low, high, times, rows = low[there], high[there], times[there], rows[there]
    if not len(rows):
        return
    values: Any = ranges.values
    match feature.aggregate:
        case "count":
            out[rows] = high - low
        case "recency":
            out[rows] = (times - (ranges.keys[high - 1] % span + start)) / DAY
        case "latest":
            out[rows] = _newest(ranges.keys, values)[high - 1]
        case "distinct":
            out[rows] = _told_apart(ranges.keys // span, values, low, high)
        case name:
            out[rows] = _reduced(name, values, low, high)


def _reduced(name: str, values: FloatArray, low: Ints, high: Ints) -> FloatArray:
    """Sum, mean, min or max of values[low:high] of each label; none is empty."""
    reduce: Any = {"min": np.minimum, "max": np.maximum}.get(name, np.add)
    edges = np.empty(2 * len(low), dtype=np.int64)
    edges[::2], edges[1::2] = low, high
    padded = np.append(values, 0.0)  # a range may end behind the last value
    found: FloatArray = reduce.reduceat(padded, edges)[::2]
    return found / (high - low) if name == "mean" else found


def _newest(keys: Ints, values: FloatArray) -> FloatArray:
    """Each event's value, or the largest of those of its entity at its instant."""
    same = np.diff(keys) == 0
    if not same.any():
        return values
    begins = np.flatnonzero(np.concatenate(([True], ~same)))
    return np.repeat(np.maximum.reduceat(values, begins), np.diff(np.append(begins, len(values))))


def _told_apart(code: Ints, told: npt.NDArray[np.uint64], low: Ints, high: Ints) -> FloatArray:
    """How many different values each range holds: those that were not in it before, by where each was seen last."""
    order = np.lexsort((np.arange(len(told)), told, code))
    again = (np.diff(told[order].view(np.int64)) == 0) & (np.diff(code[order]) == 0)
    before = np.full(len(told), -1, dtype=np.int64)
    before[order[1:][again]] = order[:-1][again]
    sizes = high - low
    found = np.empty(len(low))
    ends = np.cumsum(sizes)
    cuts = np.searchsorted(ends, np.arange(_PAIRS, int(ends[-1]) + _PAIRS, _PAIRS), side="left") + 1
    for first, last in itertools.pairwise(np.unique(np.concatenate(([0], np.minimum(cuts, len(low)))))):
        part = sizes[first:last]
        begins = np.concatenate(([0], np.cumsum(part)[:-1]))
        places = np.arange(int(part.sum())) + np.repeat(low[first:last] - begins, part)
        new = before[places] < np.repeat(low[first:last], part)
        found[first:last] = np.add.reduceat(new.astype(np.int64), begins)
    return found
