"""What a policy would have earned, from the log of another one. Pure.

IPS: Horvitz and Thompson 1952; SNIPS: Swaminathan and Joachims, NeurIPS 2015; DR: Dudik, Langford, Li, ICML 2011;
SWITCH-DR: Wang, Agarwal, Dudik, ICML 2017. Intervals are normal ones on the influence values (SNIPS by the delta
method). An estimate whose effective sample size is too small is refused with a reason: never a NaN, never a guess.
"""

from collections.abc import Callable, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from services.evaluation.errors import BadLogError
from services.evaluation.reward_model import FOLDS, cross_fit

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
MIN_ESS, MIN_ESS_SHARE = 50.0, 0.005
DEFAULT = "dr"
_Z = 1.959963984540054
_TOLERANCE = 1e-6
_MATRIX, _ROWS = 2, 1
_QUANTILES = (0.90, 0.95, 0.99, 1.0)


class Log(msgspec.Struct, frozen=True):
    """n decisions over k actions: context (n, d), the action shown (n,), its reward (n,) and logging probability (n,) > 0,
    and the candidate policy's probabilities (n, k), which sum to 1 (or to 0 where it would show nothing).
    """

    context: FloatArray
    action: IntArray
    reward: FloatArray
    propensity: FloatArray
    target: FloatArray


class Estimate(msgspec.Struct, frozen=True):
    """A policy's value a decision, with a 95 % interval; refused estimates have no figures, only the reason."""

    name: str
    value: float | None
    ci_low: float | None
    ci_high: float | None
    standard_error: float | None
    effective_sample_size: float
    max_weight: float
    refused: str | None = None


def check(log: Log) -> None:
    """Refuse what would give a wrong figure.

    Raises:
        BadLogError: empty, not finite, a propensity outside (0, 1], probabilities that do not sum to 1 (or 0).
    """
    n = len(log.reward)
    if n == 0:
        raise BadLogError("The log is empty: nothing was decided in this window.")
    shapes = {len(log.context), len(log.action), len(log.propensity), len(log.target)}
    if shapes != {n} or log.target.ndim != _MATRIX or log.context.ndim != _MATRIX:
        raise BadLogError(f"All parts of the log need {n} rows; context and target are tables.")
    for name in ("context", "reward", "propensity", "target"):
        if not np.isfinite(getattr(log, name)).all():
            raise BadLogError(f"{name} holds a value that is not a finite number.")
    if (log.propensity <= 0).any() or (log.propensity > 1 + _TOLERANCE).any():
        raise BadLogError("A logging propensity lies outside (0, 1]; what was shown cannot have had probability 0.")
    sums = log.target.sum(axis=1)
    if (log.target < -_TOLERANCE).any() or not (np.isclose(sums, 1, atol=_TOLERANCE) | np.isclose(sums, 0)).all():
        raise BadLogError("The candidate policy's probabilities must be >= 0 and sum to 1 in every row.")
    if (log.action < 0).any() or (log.action >= log.target.shape[1]).any():
        raise BadLogError(f"An action lies outside 0..{log.target.shape[1] - 1}.")


def weights(log: Log) -> FloatArray:
    """Candidate over logging probability of what was shown, shape (n,)."""
    found: FloatArray = log.target[np.arange(len(log.action)), log.action] / log.propensity
    return found


def effective_sample_size(weight: FloatArray) -> float:
    """Kish: (sum w)^2 / sum w^2, 0 when all are 0."""
    squares = float((weight**2).sum())
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0


def summary(name: str, values: FloatArray, weight: FloatArray, *, mean: float | None = None) -> Estimate:
    """An estimate from its influence values (whose mean it is, unless another is given), or a refusal."""
    ess = effective_sample_size(weight)
    needed = max(MIN_ESS, MIN_ESS_SHARE * len(weight))
    largest = float(weight.max(initial=0.0))
    if ess < needed:
        reason = (f"effective sample size {ess:.1f} of {len(weight)} is below {needed:.0f}: the log hardly shows what this "
                  "policy would do")  # fmt: skip
        return Estimate(name, None, None, None, None, ess, largest, reason)
    value = float(values.mean()) if mean is None else mean
    error = float(values.std(ddof=1)) / len(values) ** 0.5
    return Estimate(name, value, value - _Z * error, value + _Z * error, error, ess, largest)


def ips(log: Log) -> Estimate:
    """Inverse propensity scoring: unbiased, wide."""
    weight = weights(log)
    return summary("ips", weight * log.reward, weight)


def snips(log: Log) -> Estimate:
    """Self-normalised: inside the range of the rewards, a little biased."""
    weight = weights(log)
    total = float(weight.mean())
    value = float((weight * log.reward).mean()) / total if total > 0 else 0.0
    return summary("snips", weight * (log.reward - value) / (total or 1.0), weight, mean=value)


def _doubly(log: Log, q: FloatArray, used: FloatArray) -> FloatArray:
    shown = q[np.arange(len(log.action)), log.action]
    found: FloatArray = (log.target * q).sum(axis=1) + used * (log.reward - shown)
    return found


def dr(log: Log, q: FloatArray) -> Estimate:
    """Doubly robust: the reward model, corrected by what it got wrong on what was shown."""
    weight = weights(log)
    return summary("dr", _doubly(log, q, weight), weight)


def switch_dr(log: Log, q: FloatArray, threshold: float | None = None) -> Estimate:
    """DR that trusts the model alone where a weight exceeds a threshold.

    Without one, that quantile of the weights is taken which makes variance plus squared bias bound the smallest (Wang et
    al., section 4); the bias bound takes the largest model error seen.
    """
    weight = weights(log)
    if threshold is None:
        threshold = _threshold(log, q, weight)
    return summary("switch-dr", _doubly(log, q, np.where(weight <= threshold, weight, 0.0)), weight)


def _threshold(log: Log, q: FloatArray, weight: FloatArray) -> float:
    spread = float(log.reward.max() - log.reward.min())
    best = (np.inf, float(weight.max()))
    for level in _QUANTILES:
        cut = float(np.quantile(weight, level))
        values = _doubly(log, q, np.where(weight <= cut, weight, 0.0))
        bias = float(np.where(weight > cut, weight, 0.0).mean()) * spread
        risk = float(values.var()) / len(values) + bias**2
        best = min(best, (risk, cut))
    return best[1]


def evaluate(log: Log, *, seed: int = 0, folds: int = FOLDS) -> list[Estimate]:
    """All estimators on one log, the default one first.

    Raises:
        BadLogError: the log cannot be read.
    """
    check(log)
    q = cross_fit(log.context, log.action, log.reward, log.target.shape[1], folds=folds, seed=seed)
    runs: Sequence[Callable[[], Estimate]] = (
        lambda: dr(log, q), lambda: switch_dr(log, q), lambda: snips(log), lambda: ips(log)
    )  # fmt: skip
    return [run() for run in runs]
