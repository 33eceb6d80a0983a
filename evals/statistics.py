"""Bootstrap intervals (Efron and Tibshirani 1993, percentile method), seeded and vectorised. Pure."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
DRAWS = 2000
_LEVELS = (2.5, 97.5)


def _resampled(n: int, seed: int) -> npt.NDArray[np.int64]:
    return np.random.default_rng(seed).integers(0, n, size=(DRAWS, n))


def mean_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """(mean, low, high) at 95 %.

    Raises:
        ValueError: no values, or one that is not finite.
    """
    array = _checked(values)
    means = array[_resampled(len(array), seed)].mean(axis=1)
    low, high = np.percentile(means, _LEVELS)
    return float(array.mean()), float(low), float(high)


def paired_interval(after: Sequence[float], before: Sequence[float], seed: int = 0) -> tuple[float, float, float]:
    """(mean of after - before, low, high): the same cases twice, so that what makes cases hard cancels out.

    Raises:
        ValueError: of different lengths, empty, or not finite.
    """
    if len(after) != len(before):
        raise ValueError(f"{len(after)} values cannot be paired with {len(before)}")
    return mean_interval((_checked(after) - _checked(before)).tolist(), seed)


def statistic_interval(
    rows: FloatArray, statistic: Callable[[FloatArray], float], seed: int = 0, draws: int = 400
) -> tuple[float, float, float]:
    """(statistic, low, high) of a figure that is no mean, by resampling rows; draws in which it is undefined are left out."""
    random = np.random.default_rng(seed)
    drawn = [statistic(rows[random.integers(0, len(rows), len(rows))]) for _ in range(draws)]
    low, high = np.percentile([value for value in drawn if np.isfinite(value)], _LEVELS)
    return statistic(rows), float(low), float(high)


def _checked(values: Sequence[float]) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    if not len(array) or not np.isfinite(array).all():
        raise ValueError("needs values, all of them finite")
    return array
