"""The features of one entity out of its records, as arrays. Pure. The same definitions as the Ibis expressions.

With n records, F filters and W windows two 0/1 matrices, in the window (W, n) and passing the filter (F, n), make all
counts and sums at once as products; nothing is subtracted, so a sum has no rounding of what left the window.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from services.features.plan import DAY, EntityPlan, Feature

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
Records = npt.NDArray[Any]
FOREVER = np.iinfo(np.int64).max
EARLIEST = np.iinfo(np.int64).min


def starts(plan: EntityPlan, at: int) -> npt.NDArray[np.int64]:
    """The first microsecond of every window as of `at`, shape (W,)."""
    return np.array([EARLIEST if window is None else at - window for window in plan.windows], dtype=np.int64)


def vector(plan: EntityPlan, records: Records, at: int, *, kept: bool = False) -> FloatArray:
    """Every feature as of `at` (microseconds since 1970), shape (features,), always finite.

    Args:
        plan: what to compute.
        records: of the plan's record type, in any order.
        at: the moment; records at it or after it do not count.
        kept: to be kept and read later (`packing.Layout`): recencies are the time of the newest event, NaN without one.
    """
    out = np.array(plan.defaults, dtype=np.float64)
    if kept:
        out[recencies(plan)] = np.nan
    if not len(records) or not len(out):
        return out
    times = records["at"]
    inside = (times[None, :] >= starts(plan, at)[:, None]) & (times < at)[None, :]
    passing = (records["mask"][None, :] >> np.arange(len(plan.filters), dtype=np.uint64)[:, None]) & np.uint64(1) == 1
    weights = inside.astype(np.float64)
    seen = weights @ passing.T.astype(np.float64)
    sums: dict[str, tuple[FloatArray, FloatArray]] = {}
    for name in plan.measures:
        there = np.isfinite(records[name])
        amounts = np.where(there, records[name], 0.0)
        sums[name] = weights @ (passing * amounts).T, weights @ (passing & there).T.astype(np.float64)
    for position, feature in enumerate(plan.features):
        place = feature.window, feature.filter
        amount, measured = sums.get(feature.of or "", (seen, seen))
        if not measured[place]:
            continue
        if feature.aggregate in {"count", "sum", "mean"} and feature.ttl is None:
            found = amount[place] / measured[place] if feature.aggregate == "mean" else amount[place]
        else:
            chosen = records[inside[feature.window] & passing[feature.filter]]
            found = _slow(feature, chosen, at)
        if found is not None:
            out[position] = round(at - found * DAY) if kept and feature.aggregate == "recency" else found
    return out


def _slow(feature: Feature, chosen: Records, at: int) -> float | None:
    """An aggregate that is no product of matrices, of the records that count; None for a missing value."""
    if feature.of in (chosen.dtype.names or ()):
        chosen = chosen[np.isfinite(chosen[feature.of])]
    elif feature.aggregate == "distinct":
        chosen = chosen[chosen[f"h_{feature.of}"] != 0]
    if not len(chosen) or (feature.ttl is not None and chosen["at"].max() < at - feature.ttl):
        return None
    match feature.aggregate:
        case "count":
            return float(len(chosen))
        case "recency":
            return float(at - chosen["at"].max()) / DAY
        case "distinct":
            return float(len(np.unique(chosen[f"h_{feature.of}"])))
        case "latest":
            return float(chosen[feature.of][chosen["at"] == chosen["at"].max()].max())
        case name:
            return float(getattr(np, name)(chosen[feature.of]))


def valid(plan: EntityPlan, records: Records, at: int) -> tuple[int, int]:
    """From when, and until before when, every feature but recencies stays what it is as of `at`.

    Nothing changes until a record of the future comes to count, or one leaves a window or outlives a feature's ttl.
    """
    times = records["at"]
    past, future = times[times < at], times[times >= at]
    since = int(past.max()) + 1 if len(past) else EARLIEST
    until = int(future.min()) + 1 if len(future) else FOREVER
    spans = {window for window in plan.windows if window is not None} | {f.ttl for f in plan.features if f.ttl}
    for span in spans:
        leaving = past[past >= at - span]
        if len(leaving):
            until = min(until, int(leaving.min()) + span + 1)
        gone = past[past < at - span]
        if len(gone):
            since = max(since, int(gone.max()) + span + 1)
    return since, until


def recencies(plan: EntityPlan) -> npt.NDArray[np.intp]:
    """The positions of features that grow with time."""
    return np.array([i for i, f in enumerate(plan.features) if f.aggregate == "recency"], dtype=np.intp)
