"""Inputs for ranking what a household buys next: of every type it bought before a week, from purchases before that week. Pure."""

import numpy as np
import numpy.typing as npt

from services.training import closed_form
from services.training.sources.baskets import Baskets

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_HALF_LIVES = (2.0, 4.0, 8.0, 16.0)
_WINDOWS = (1, 2, 4, 8, 12)
_PENALTY = 200.0


def inputs(b: Baskets, week: int) -> tuple[IntArray, list[str], FloatArray]:
    """(pairs that were bought before `week`, names, shape (pairs, d))."""
    before = b.lines[:, 1:week].astype(np.float64)
    pairs = np.flatnonzero(before.sum(axis=1) > 0)
    lines = before[pairs]
    bought = (lines > 0).astype(np.float64)
    who, what = b.who[pairs], b.what[pairs]
    ago = week - 1 - np.arange(week - 1)  # weeks back, 1 is the last one
    n = bought.sum(axis=1)
    last = np.where(bought > 0, ago, 10_000).min(axis=1).astype(np.float64)
    first = np.where(bought > 0, ago, 0).max(axis=1).astype(np.float64)
    gap = np.where(n > 1, (first - last) / np.maximum(n - 1, 1), 60.0)
    found: dict[str, FloatArray] = {"lines": lines.sum(axis=1), "weeks": n, "weeks_since": last, "weeks_known": first, "gap": gap,
                                    "overdue": last / np.maximum(gap, 0.5), "rate": n / np.maximum(first, 1)}  # fmt: skip
    for half in _HALF_LIVES:
        weight = 0.5 ** (ago / half)
        found[f"recent_{half:g}"] = lines @ weight
        found[f"recent_weeks_{half:g}"] = bought @ weight
    for window in _WINDOWS:
        found[f"weeks_in_{window}"] = bought[:, -window:].sum(axis=1)
    found["four_week_share"] = _four_weeks(bought)
    found["with_coupon"] = b.coupons[pairs, 1:week].sum(axis=1).astype(np.float64)
    found |= _context(who, what, lines, bought, len(b.people), len(b.types))
    found["neighbours"] = _neighbours(who, what, np.sqrt(bought @ (0.5 ** (ago / 12.0))), len(b.people), len(b.types))
    return pairs, list(found), np.column_stack(list(found.values()))


def _four_weeks(bought: FloatArray) -> FloatArray:
    """In which share of the last twelve four-week blocks it was bought: what the question asks, of the past."""
    blocks = [
        bought[:, max(0, bought.shape[1] - 4 * (k + 1)) : bought.shape[1] - 4 * k].max(axis=1)
        for k in range(min(12, bought.shape[1] // 4))
    ]
    return np.asarray(np.mean(blocks, axis=0))


def _context(
    who: IntArray, what: IntArray, lines: FloatArray, bought: FloatArray, people: int, types: int
) -> dict[str, FloatArray]:
    """How active the household is, how popular the type, now and compared with before."""
    active, popular = np.zeros((people, bought.shape[1])), np.zeros((types, bought.shape[1]))
    np.maximum.at(active, who, bought)
    np.add.at(popular, what, bought)
    spend = np.bincount(who, weights=lines.sum(axis=1), minlength=people)
    recent = popular[:, -4:].sum(axis=1)
    ratio = (recent + 5) / (popular[:, -16:-4].sum(axis=1) / 3 + 5)
    buyers = np.bincount(what, minlength=types).astype(np.float64)
    back = np.bincount(what, weights=(bought.sum(axis=1) > 1).astype(np.float64), minlength=types) / np.maximum(
        buyers, 1
    )
    return {
        "household_weeks": active.sum(axis=1)[who], "household_weeks_in_8": active[:, -8:].sum(axis=1)[who],
        "household_weeks_since": _since(active)[who], "household_types": np.bincount(who, minlength=people).astype(np.float64)[who],
        "share_of_household": lines.sum(axis=1) / np.maximum(spend[who], 1), "type_recent": recent[what], "type_trend": ratio[what],
        "type_buyers": buyers[what], "type_bought_again": back[what], "type_weeks_a_buyer": (np.bincount(what, weights=bought.sum(axis=1), minlength=types) / np.maximum(buyers, 1))[what],
    }  # fmt: skip


def _since(active: FloatArray) -> FloatArray:
    ago = np.arange(active.shape[1], 0, -1)
    return np.asarray(np.where(active > 0, ago, 60).min(axis=1), dtype=np.float64)


def _neighbours(who: IntArray, what: IntArray, weight: FloatArray, people: int, types: int) -> FloatArray:
    """What households with like baskets say of the pair (EASE on recency-weighted purchases)."""
    x = np.zeros((people, types), dtype=np.float32)
    x[who, what] = weight
    scores = x @ closed_form.ease(x, _PENALTY)
    return np.asarray(scores[who, what], dtype=np.float64)


def wanted(b: Baskets, pairs: IntArray, week: int, weeks: int = 4) -> FloatArray:
    """1 where a pair was bought in the weeks from `week` on."""
    return np.asarray((b.lines[pairs, week : week + weeks].sum(axis=1) > 0).astype(np.float64))


def precision(
    b: Baskets, pairs: IntArray, score: FloatArray, week: int, weeks: int = 4, k: int = 10
) -> tuple[IntArray, FloatArray]:
    """(households, precision at k of each): of who bought anything before and after; missing places count as wrong."""
    y = wanted(b, pairs, week, weeks)
    who = b.who[pairs]
    later = np.unique(b.who[b.lines[:, week : week + weeks].sum(axis=1) > 0])
    order = np.lexsort((pairs, -score, who))
    starts = np.r_[0, np.flatnonzero(np.diff(who[order])) + 1]
    place = np.arange(len(order)) - np.repeat(starts, np.diff(np.r_[starts, len(order)]))
    hits = np.bincount(who[order], weights=y[order] * (place < k), minlength=len(b.people)) / k
    judged = np.intersect1d(np.unique(who), later)
    return judged, hits[judged]
