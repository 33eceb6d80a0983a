"""Did one column's distribution move? Numbers by Kolmogorov-Smirnov or PSI, categories by chi-squared. Pure.

A missing value is a value: below every number, a category of its own. So a column that begins to fail is drift, and
no test is lost because a value is not there.
"""

import math
import warnings

import numpy as np
from scipy import stats

from services.training.drift.errors import UntestableError
from services.training.drift.types import FloatArray, IntArray, Tested

BINS = 10
_EXACT_ROWS = 1000  # above, the limit distribution is as good and twice as fast
_LEAST_EXPECTED = 5.0  # rows a cell of a chi-squared test should expect (Cochran 1954)
_SMOOTHING = 0.5  # rows added to a bin, so that an empty one has a logarithm


def ks(reference: FloatArray, current: FloatArray) -> Tested:
    """Two-sample Kolmogorov-Smirnov of numbers (n,), (m,), NaN for missing; effect: the largest gap of the distribution functions, 0 to 1.

    With ties (whole numbers, missing values) the p-value errs to the side of no alarm.
    """
    method = "exact" if max(len(reference), len(current)) <= _EXACT_ROWS else "asymp"
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore", RuntimeWarning
        )  # nearly all tied: SciPy goes over to the limit distribution itself
        found = stats.ks_2samp(_lowest_if_missing(reference), _lowest_if_missing(current), method=method)
    return Tested(float(found.statistic), float(found.pvalue), float(found.statistic))


def psi(reference: FloatArray, current: FloatArray, bins: int = BINS) -> Tested:
    """Population stability index over bins with equally many rows of the reference, and one for missing values.

    The p-value is that of chi-squared with bins - 1 degrees of freedom, which PSI / (1/n + 1/m) follows when nothing drifts
    (Yurdakul and Naranjo 2020). The effect is PSI less what it would be on average without drift, so that few rows are
    no effect. Read 0.1 as a moderate, 0.25 as a large shift.

    Raises:
        UntestableError: every row of both windows falls into one bin.
    """
    known = reference[~np.isnan(reference)]
    edges = np.unique(np.quantile(known, np.linspace(0, 1, bins + 1)[1:-1])) if len(known) else np.array([0.0])
    before, now = _binned(reference, edges), _binned(current, edges)
    used = (before + now) > 0
    if used.sum() < 2:  # noqa: PLR2004
        raise UntestableError("every value of both windows falls into one bin")
    return index_of(before[used], now[used])


def index_of(before: IntArray, now: IntArray) -> Tested:
    """PSI of rows by bin or category (k,), (k,)."""
    n, m, k = int(before.sum()), int(now.sum()), len(before)
    share = (before + _SMOOTHING) / (n + k * _SMOOTHING)
    share_now = (now + _SMOOTHING) / (m + k * _SMOOTHING)
    value = float(((share_now - share) * np.log(share_now / share)).sum())
    noise = 1 / n + 1 / m
    p = float(stats.chi2.sf(value / noise, k - 1)) if k > 1 else 1.0
    return Tested(value, p, max(0.0, value - (k - 1) * noise))


def chi_squared(before: IntArray, now: IntArray) -> Tested:
    """Pearson's chi-squared of rows by category (k,), (k,), rare categories taken together.

    Effect: Cramér's V, 0 to 1, as it would be with as many rows in either window (so that a long reference does not make
    effects look small), less its bias under no drift (after Bergsma 2013).

    Raises:
        UntestableError: one category only, or all of them too rare.
    """
    before, now = _without_rare(before, now)
    found = stats.chi2_contingency(np.stack([before, now]), correction=False)
    n, m = before.sum(), now.sum()
    share, share_now = before / n, now / m
    squared = ((share - share_now) ** 2 / (2 * (share + share_now))).sum()
    squared -= (len(before) - 1) / 4 * (1 / n + 1 / m)
    return Tested(float(found.statistic), float(found.pvalue), math.sqrt(max(0.0, squared)))


def shift(reference: FloatArray, current: FloatArray) -> float | None:
    """How far the mean of the known values moved, in pooled standard deviations; None where that has no answer."""
    with np.errstate(all="ignore"):
        known, known_now = reference[~np.isnan(reference)], current[~np.isnan(current)]
        if not len(known) or not len(known_now):
            return None
        spread = math.sqrt((known.var() + known_now.var()) / 2)
        moved = float(known_now.mean() - known.mean())
    if not math.isfinite(spread) or not math.isfinite(moved) or spread <= 0:
        return None
    return moved / spread if math.isfinite(moved / spread) else None


def _lowest_if_missing(values: FloatArray) -> FloatArray:
    return np.where(np.isnan(values), -np.inf, values)


def _binned(values: FloatArray, edges: FloatArray) -> IntArray:
    """Rows by bin (len(edges) + 2,), the last one for missing values, which NumPy sorts behind every number."""
    place = np.searchsorted(edges, values, side="left")
    place[np.isnan(values)] = len(edges) + 1
    return np.bincount(place, minlength=len(edges) + 2)


def _without_rare(before: IntArray, now: IntArray) -> tuple[IntArray, IntArray]:
    """Categories that expect enough rows in both windows; the others, chosen by both windows together, as one."""
    both = before + now
    if (both > 0).sum() < 2:  # noqa: PLR2004
        raise UntestableError("the same single value in both windows")
    least = min(before.sum(), now.sum())
    order = np.argsort(-both, kind="stable")
    before, now, both = before[order], now[order], both[order]
    kept = int((both * least / both.sum() >= _LEAST_EXPECTED).sum())
    while 0 < kept < len(both) and both[kept:].sum() * least / both.sum() < _LEAST_EXPECTED:
        kept -= 1
    if kept == 0:
        raise UntestableError("its values are too rare to compare: all but one value, or every value, has few rows")
    if kept == len(both):
        return before, now
    return np.append(before[:kept], before[kept:].sum()), np.append(now[:kept], now[kept:].sum())
