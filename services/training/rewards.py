"""Rewards that somebody poisoned: amounts nobody earns, and bursts from one source. Pure.

The rules. An amount above the median of the positive ones plus 20 times their scaled median absolute deviation (or 10 times
the 99th percentile where all are alike) is cut to that bound. A source is left out, with all its rows, when
its successes are at least 20 and more than 10 times the 95th percentile of the sources' successes, or when its success
rate is above 0.5 and its successes could not come from the others' rate even with a chance of 1e-9 (binomial).
"""

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from services.training.frames import BoolArray, FloatArray

_DEVIATIONS, _MAD_TO_SD = 20.0, 1.4826
_FEW, _TIMES, _CHANCE, _RATE = 20, 10.0, 1e-9, 0.5
_QUANTILE = 0.95


class Cleaned(msgspec.Struct):
    """Amounts with the outliers cut, the rows that may be used, and what was done."""

    value: FloatArray
    keep: BoolArray
    notes: list[str]


def clean(value: FloatArray, source: npt.NDArray[np.str_] | None) -> Cleaned:
    """Apply both rules; `value` (n,) rewards >= 0, `source` (n,) where each came from."""
    notes: list[str] = []
    bound = upper_bound(value)
    cut = value > bound
    if cut.any():
        notes.append(f"{int(cut.sum())} rewards above {bound:g} cut to it (median + {_DEVIATIONS:g} deviations)")
    keep = np.ones(len(value), dtype=bool)
    if source is not None:
        bad = bursts(value > 0, source)
        if bad:
            keep = ~np.isin(source, bad)
            notes.append(
                f"{int((~keep).sum())} rows of {len(bad)} sources with bursts of rewards left out: {', '.join(bad[:5])}"
            )
    return Cleaned(np.minimum(value, bound), keep, notes)


def upper_bound(value: FloatArray) -> float:
    """The largest amount that counts as it is."""
    positive = value[value > 0]
    if not len(positive):
        return float("inf")
    middle = float(np.median(positive))
    deviation = _MAD_TO_SD * float(np.median(np.abs(positive - middle)))
    if deviation > 0:
        return middle + _DEVIATIONS * deviation
    return _TIMES * float(np.quantile(positive, 0.99)) if np.quantile(positive, 0.99) > middle else _TIMES * middle


def bursts(success: BoolArray, source: npt.NDArray[np.str_]) -> list[str]:
    """Sources whose successes no crowd of honest ones would show."""
    names, place = np.unique(source, return_inverse=True)
    if len(names) < 3:  # noqa: PLR2004  (among two nobody is the odd one)
        return []
    wins = np.bincount(place, weights=success, minlength=len(names))
    rows = np.bincount(place, minlength=len(names))
    usual = max(float(np.quantile(wins, _QUANTILE)), 1.0)
    found = []
    for n, name in enumerate(names.tolist()):
        others = float((wins.sum() - wins[n] + 1) / (rows.sum() - rows[n] + 2))
        burst = wins[n] >= _FEW and wins[n] > _TIMES * usual
        odd = wins[n] >= _FEW and wins[n] / rows[n] > _RATE and binom.sf(wins[n] - 1, rows[n], others) < _CHANCE
        if burst or odd:
            found.append(name)
    return found
