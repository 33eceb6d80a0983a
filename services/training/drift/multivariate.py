"""Did a cloud of vectors move? A classifier that guesses the window a row is from, or maximum mean discrepancy. Pure, seeded.

Both are permutation tests: the labels "reference" and "current" are shuffled, and everything that uses no label (folds,
scales, kernel, factorised matrices) is computed once, so that many permutations are one matrix product. The p-value holds
whatever the vectors' distribution. Where nothing drifted it is known to be large after few permutations, and they stop
(Besag and Clifford 1991). Cross-fitted folds train on each other's rows and move together, which a DeLong or
normal interval over them does not see; hence permutations.
"""

from collections.abc import Callable

import numpy as np
from scipy import linalg

from services.training.drift.types import FloatArray, IntArray, Tested

ROWS = 2000  # of each window; more are sampled
PERMUTATIONS = 999
FOLDS = 5
_FIRST, _BLOCK = 60, 250  # permutations at once
_ENOUGH = 20  # permutations that look as drifted as the truth: no more are needed


def classifier(
    reference: FloatArray,
    current: FloatArray,
    *,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
    rows: int = ROWS,
    standardise: bool = True,
) -> Tested:
    """Cross-fitted area under the curve of a linear classifier between the windows (n, d), (m, d), all finite.

    The classifier is ridge regression on the label, which is regularised linear discriminant analysis and, other than logistic
    regression, has one factorised matrix for all permutations. Statistic: the area, 0.5 when it can only guess (below when
    unlucky); effect: how far the area lies above 0.5, up to 0.5. (Lopez-Paz and Oquab 2017.)
    """
    draw = np.random.default_rng(seed)
    x, labels = _shuffled(reference, current, rows, draw)
    if standardise:
        x = _standardised(x)
    fold = draw.permutation(len(x)) % FOLDS  # without regard to labels, as the permutations require
    parts = [(fold != k, fold == k, *_solved(x[fold != k], x[fold == k])) for k in range(FOLDS)]

    def area(y: FloatArray) -> FloatArray:
        found = [_areas(inputs @ (weights @ y[train]), y[test]) for train, test, weights, inputs in parts]
        return np.asarray(np.mean(found, axis=0))

    value, p = _compared(area, labels, permutations, draw)
    return Tested(value, p, max(0.0, value - 0.5))


def mmd(
    reference: FloatArray,
    current: FloatArray,
    *,
    seed: int = 0,
    permutations: int = PERMUTATIONS,
    rows: int = ROWS // 2,
) -> Tested:
    """Unbiased squared maximum mean discrepancy of (n, d), (m, d), all finite, under an RBF kernel (Gretton et al. 2012).

    The kernel's width is the median distance of the rows of both windows. It sees any change, not only one a line can part, and for
    a shift of means it needs more rows than the classifier. Effect: the root of the statistic, 0 to about 1.4.
    """
    draw = np.random.default_rng(seed)
    x, labels = _shuffled(reference, current, rows, draw)
    kernel = _kernel(_standardised(x))
    whole, by_row = kernel.sum(), kernel.sum(axis=1)
    n = labels.sum()
    m = len(labels) - n

    def discrepancy(y: FloatArray) -> FloatArray:
        within = np.einsum("ib,ib->b", y, kernel @ y)
        across = by_row @ y - within
        other = whole - within - 2 * across
        found: FloatArray = other / (m * (m - 1)) + within / (n * (n - 1)) - 2 * across / (n * m)
        return found

    value, p = _compared(discrepancy, labels, permutations, draw)
    return Tested(value, p, float(np.sqrt(max(0.0, value))))


def _shuffled(
    reference: FloatArray, current: FloatArray, rows: int, draw: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """At most `rows` of each window and whether a row is current (1.0), in an order that tells nothing: ties keep the order."""
    parts = [
        part if len(part) <= rows else part[draw.choice(len(part), rows, replace=False)]
        for part in (reference, current)
    ]
    x = np.concatenate(parts)
    labels = np.concatenate([np.zeros(len(parts[0])), np.ones(len(parts[1]))])
    order = draw.permutation(len(x))
    return x[order], labels[order]


def _standardised(x: FloatArray) -> FloatArray:
    """Every column with mean 0 and variance 1 over both windows; constant columns are left out unless all are."""
    x = x / np.maximum(np.abs(x).max(axis=0), np.finfo(np.float64).tiny)  # so that squares of huge numbers stay finite
    spread = x.std(axis=0)
    varies = spread > 1e-12  # noqa: PLR2004  (of a column whose largest value is 1)
    if not varies.any():
        return np.zeros((len(x), 1))
    scaled: FloatArray = (x[:, varies] - x[:, varies].mean(axis=0)) / spread[varies]
    return scaled


def _solved(train: FloatArray, test: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The matrix that maps labels of the training rows to weights, and the centred test rows that they are for.

    The penalty is the mean eigenvalue of the scatter: half of an average direction's weight.
    """
    middle = train.mean(axis=0)
    train = train - middle
    scatter = train.T @ train
    penalty = max(float(np.trace(scatter)) / len(scatter), 1e-12)
    scatter[np.diag_indices_from(scatter)] += penalty
    return linalg.cho_solve(linalg.cho_factor(scatter), train.T), test - middle


def _compared(
    statistic: Callable[[FloatArray], FloatArray], labels: FloatArray, permutations: int, draw: np.random.Generator
) -> tuple[float, float]:
    """The statistic of the true labels, and the share of arrangements, the true one among them, that reach it.

    `statistic` maps blocks of labels (n, b) to (b,).
    """
    value = float(statistic(labels[:, None])[0])
    done, reached = 0, 0
    while done < permutations:
        size = min(_BLOCK if done else _FIRST, permutations - done)
        shuffled = draw.permuted(np.repeat(labels[:, None], size, axis=1), axis=0)
        upto = reached + np.cumsum(statistic(shuffled) >= value - 1e-12)
        if upto[-1] >= _ENOUGH:
            return value, _ENOUGH / (done + int(np.searchsorted(upto, _ENOUGH)) + 1)
        done, reached = done + size, int(upto[-1])
    return value, (reached + 1) / (done + 1)


def _areas(scores: FloatArray, labels: FloatArray) -> FloatArray:
    """Area under the curve of each column of (n, b)."""
    order: IntArray = np.argsort(scores, axis=0, kind="stable")
    ordered = np.take_along_axis(labels, order, axis=0)
    n = labels.sum(axis=0)
    ranks = (np.arange(1, len(labels) + 1)[:, None] * ordered).sum(axis=0)
    found: FloatArray = (ranks - n * (n + 1) / 2) / np.maximum(n * (len(labels) - n), 1)
    return found


def _kernel(x: FloatArray) -> FloatArray:
    """exp(-distance squared / (2 median squared)) without the diagonal."""
    squares = (x * x).sum(axis=1)
    distance = np.maximum(squares[:, None] + squares[None, :] - 2 * (x @ x.T), 0.0)
    off = distance[np.triu_indices(min(len(x), 1000), 1)]
    width = float(np.median(off)) or float(off.mean()) or 1.0
    found: FloatArray = np.exp(-distance / (2 * width))
    np.fill_diagonal(found, 0.0)
    return found
