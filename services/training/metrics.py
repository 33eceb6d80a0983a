"""How good predictions are, with bootstrap intervals. Pure."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_EPSILON = 1e-12
_DRAWS = 500
BINS = 10


def area_under_curve(y: FloatArray, score: FloatArray) -> float:
    """Chance that a positive scores above a negative, ties half (Mann and Whitney); 0.5 when one of them is missing."""
    positive = int((y > 0).sum())
    negative = len(y) - positive
    if not positive or not negative:
        return 0.5
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    upto = np.cumsum(count)
    rank = (upto - (count - 1) / 2)[place]
    return float((rank[y > 0].sum() - positive * (positive + 1) / 2) / (positive * negative))


def log_loss(y: FloatArray, p: FloatArray) -> float:
    """Mean negative log-likelihood, in nats."""
    q = np.clip(p, _EPSILON, 1 - _EPSILON)
    return float(-(y * np.log(q) + (1 - y) * np.log(1 - q)).mean())


def brier(y: FloatArray, p: FloatArray) -> float:
    """Mean squared error of probabilities."""
    return float(((y - p) ** 2).mean())


def reliability(y: FloatArray, p: FloatArray, bins: int = BINS) -> list[tuple[float, float, int]]:
    """(mean prediction, share of successes, rows) of bins with equal numbers of rows, lowest first."""
    order = np.argsort(p, kind="stable")
    parts = [part for part in np.array_split(order, min(bins, len(order))) if len(part)]
    return [(float(p[part].mean()), float(y[part].mean()), len(part)) for part in parts]


def calibration_error(y: FloatArray, p: FloatArray, bins: int = BINS) -> float:
    """Expected calibration error over bins of equal numbers of rows."""
    return sum(abs(said - seen) * n for said, seen, n in reliability(y, p, bins)) / len(y)


def interval(
    statistic: Callable[[IntArray], float], n: int, seed: int, *, units: IntArray | None = None, draws: int = _DRAWS
) -> tuple[float, float]:
    """A 95 % percentile bootstrap interval of `statistic(rows)`; with `units` (n,), whole units are drawn, not rows."""
    draw = np.random.default_rng(seed)
    if units is None:
        found = [statistic(draw.integers(0, n, n)) for _ in range(draws)]
    else:
        order = np.argsort(units, kind="stable")
        _, starts = np.unique(units[order], return_index=True)
        members = np.split(order, starts[1:])
        found = [
            statistic(np.concatenate([members[k] for k in draw.integers(0, len(members), len(members))]))
            for _ in range(draws)
        ]
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def qini(y: FloatArray, treatment: FloatArray, chance: FloatArray, score: FloatArray) -> float:
    """Area between the Qini curve and the random line, an individual, with inverse-propensity weights (Radcliffe 2007).

    The curve at share q: extra successes among the best-scored q when all of them are treated instead of none. Ties are
    taken together. 0 is a random order; larger is better.
    """
    gain = treatment * y / chance - (1 - treatment) * y / (1 - chance)
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    curve = np.cumsum(gain[order]) / len(y)
    last = np.append(np.flatnonzero(np.diff(ordered)), len(y) - 1)
    x = np.concatenate([[0.0], (last + 1) / len(y)])
    heights = np.concatenate([[0.0], curve[last]])
    return float(np.trapezoid(heights, x) - heights[-1] / 2)


def policy_value(y: FloatArray, treatment: FloatArray, chance: FloatArray, treat: npt.NDArray[np.bool_]) -> float:
    """Mean outcome if exactly those in `treat` were treated, self-normalised by arm (Hajek), from randomised data."""

    def arm(rows: npt.NDArray[np.bool_], given: FloatArray, p: FloatArray) -> float:
        weight = given[rows] / p[rows]
        return float((weight * y[rows]).sum() / weight.sum()) if weight.sum() > 0 else 0.0

    share = float(treat.mean())
    return share * arm(treat, treatment, chance) + (1 - share) * arm(~treat, 1 - treatment, 1 - chance)


def precision_at(relevant: FloatArray, k: int) -> float:
    """Share of the first k that are relevant; `relevant` in the order of the ranking."""
    return float(relevant[:k].sum()) / k


def ndcg_at(relevant: FloatArray, k: int, positives: int) -> float:
    """Binary nDCG at k: discounted hits over those of an ideal order with `positives` relevant items."""
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = float(discount[: min(positives, k)].sum())
    return float((relevant[:k] * discount[: len(relevant[:k])]).sum()) / ideal if ideal else 0.0
