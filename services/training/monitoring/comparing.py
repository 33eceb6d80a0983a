"""Is a new version worse than what decides, on decisions that neither learnt from? Pure.

What was shown was chosen by the policy that was live, so the log knows most of the offers which that policy likes. Each row
is weighted by 1 / (eligible offers x probability of being shown): the mean is then the one over eligible offers, whoever
chose (inverse propensity weighting, self-normalised; Hájek 1971). Where so few rows would carry the mean that it says little
(effective rows below a tenth of all; Kish 1965), rows count alike and the figures say so.

A paired bootstrap draws decisions, not rows. Log loss and Brier score are both looked at, so each interval is 97.5 %: a version
that is no worse is refused with a chance of at most 2.5 %, as far as the bootstrap holds.
"""

from collections.abc import Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from services.training import metrics
from services.training.monitoring.columns import propensity
from shared.contracts.decisions import LogRow
from shared.contracts.training import Figure

FloatArray = npt.NDArray[np.float64]
LEAST_ROWS, LEAST_OF_A_CLASS = 200, 10
_DRAWS = 1000
_LEVEL = 0.975
_EFFECTIVE = 0.1
_EPSILON = 1e-6


class Pair(msgspec.Struct):
    """n rows that both were asked about: outcomes, both propensities, weights with mean 1, the decision of each (n,)."""

    y: FloatArray
    new: FloatArray
    old: FloatArray
    weight: FloatArray
    unit: npt.NDArray[np.int64]
    weighted: bool

    @property
    def objection(self) -> str:
        """Why they do not suffice to compare; empty when they do."""
        successes = int(self.y.sum())
        if len(self.y) < LEAST_ROWS:
            return f"{len(self.y)} rows that neither learnt from; {LEAST_ROWS} are needed"
        if min(successes, len(self.y) - successes) < LEAST_OF_A_CLASS:
            return f"{successes} successes in {len(self.y)} rows; {LEAST_OF_A_CLASS} of each outcome are needed"
        return ""


class Comparison(msgspec.Struct):
    """`worse`: by which figures the new one is surely worse; empty when by none."""

    worse: list[str]
    figures: list[Figure]


def paired(new: Sequence[LogRow], old: Sequence[LogRow]) -> Pair:
    """The rows that both logs have; `old` is as the log was written, or under the version that is live."""
    theirs = {(row.decision_id, row.slot): row for row in new}
    both = [(theirs[key], row) for row in old if (key := (row.decision_id, row.slot)) in theirs]
    values = [
        (float(row.reward > 0), propensity(mine), propensity(row), 1 / (max(len(row.offers), 1) * row.logging), row.decision_id)
        for mine, row in both
        if row.logging > 0 and np.isfinite(propensity(mine)) and np.isfinite(propensity(row))
    ]  # fmt: skip
    y, p, q, weight = (np.array([one[n] for one in values], dtype=np.float64) for n in range(4))
    unit = np.unique([one[4] for one in values], return_inverse=True)[1].astype(np.int64)
    weighted = bool(len(weight)) and weight.sum() ** 2 / (weight**2).sum() >= _EFFECTIVE * len(weight)
    weight = weight / weight.mean() if weighted else np.ones(len(weight))
    return Pair(y, p, q, weight, unit, weighted)


def compare(pair: Pair, seed: int = 0) -> Comparison:
    """Both losses of both, with the interval of their difference; calibration beside them."""
    losses = {
        "log_loss": (_log_losses(pair.y, pair.new), _log_losses(pair.y, pair.old)),
        "brier": ((pair.y - pair.new) ** 2, (pair.y - pair.old) ** 2),
    }
    effective = pair.weight.sum() ** 2 / (pair.weight**2).sum()
    how = (
        f"weighted to all eligible offers, {effective:.0f} effective of {len(pair.y)} rows"
        if pair.weighted
        else f"{len(pair.y)} rows alike: weights would leave too few"
    )
    figures, worse = [], []
    for name, (mine, theirs) in losses.items():
        value = float((pair.weight * (mine - theirs)).mean())
        low, high = _interval(mine - theirs, pair, seed)
        if low > 0:
            worse.append(name)
        figures += [
            Figure(name=name, value=float((pair.weight * mine).mean()), baseline=float((pair.weight * theirs).mean()),
                   higher_is_better=False, note=how),
            Figure(name=f"{name}_difference", value=value, low=low, high=high, higher_is_better=False,
                   note=f"paired bootstrap over decisions, {_LEVEL:.1%}"),
        ]  # fmt: skip
    figures.append(
        Figure(name="calibration_error", value=metrics.calibration_error(pair.y, pair.new),
               baseline=metrics.calibration_error(pair.y, pair.old), higher_is_better=False, note="rows alike")
    )  # fmt: skip
    return Comparison(worse, figures)


def _log_losses(y: FloatArray, p: FloatArray) -> FloatArray:
    q = np.clip(p, _EPSILON, 1 - _EPSILON)
    found: FloatArray = -(y * np.log(q) + (1 - y) * np.log(1 - q))
    return found


def _interval(difference: FloatArray, pair: Pair, seed: int) -> tuple[float, float]:
    """Of the weighted mean, drawing decisions."""
    units = int(pair.unit.max()) + 1
    sums = np.bincount(pair.unit, weights=pair.weight * difference, minlength=units)
    weights = np.bincount(pair.unit, weights=pair.weight, minlength=units)
    draw = np.random.default_rng(seed)
    found = np.empty(_DRAWS)
    for n in range(_DRAWS):
        chosen = draw.integers(0, units, units)
        found[n] = sums[chosen].sum() / weights[chosen].sum()
    low, high = np.quantile(found, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return float(low), float(high)
