"""The value of slates: several slots a decision, drawn one after the other. Pure.

All work on products of the conditional probabilities that the log keeps for each slot. SIPS weighs the whole slate, IIPS
each slot by itself, RIPS (reward interaction, the cascade) each slot with those before it: McInerney, Brost, Chandar,
Mehrotra, Carterette, KDD 2020. RIPS is right when a slot's reward depends on what stood above it, not below.
"""

import msgspec
import numpy as np
import numpy.typing as npt

from services.evaluation.errors import BadLogError
from services.evaluation.off_policy import Estimate, effective_sample_size, summary

FloatArray = npt.NDArray[np.float64]


class SlateLog(msgspec.Struct, frozen=True):
    """n slates of up to m slots, arrays of shape (n, m): rewards, and the conditional probabilities of what was shown
    under the logging and the candidate policy. A slot that was not filled has logging 1, target 1, reward 0.
    """

    reward: FloatArray
    logging: FloatArray
    target: FloatArray


def check(log: SlateLog) -> None:
    """Refuse what would give a wrong figure.

    Raises:
        BadLogError: empty, of different shapes, not finite, or a logging probability outside (0, 1].
    """
    if log.reward.size == 0:
        raise BadLogError("The log is empty: nothing was decided in this window.")
    if not log.reward.shape == log.logging.shape == log.target.shape:
        raise BadLogError("Rewards and probabilities need the same shape (slates, slots).")
    if not all(np.isfinite(part).all() for part in (log.reward, log.logging, log.target)):
        raise BadLogError("The log holds a value that is not a finite number.")
    if (log.logging <= 0).any() or (log.logging > 1 + 1e-6).any() or (log.target < 0).any():
        raise BadLogError("A logging probability lies outside (0, 1], or a candidate's below 0.")


def _estimate(name: str, log: SlateLog, weight: FloatArray, normalise: bool) -> Estimate:  # noqa: FBT001
    """`weight` of shape (n, m); the effective sample size is the worst slot's."""
    worst = weight[:, int(np.argmin([effective_sample_size(slot) for slot in weight.T]))]
    if not normalise:
        return summary(name, (weight * log.reward).sum(axis=1), worst)
    totals = np.where(weight.mean(axis=0) > 0, weight.mean(axis=0), 1.0)
    by_slot = (weight * log.reward).mean(axis=0) / totals
    influence = (weight * (log.reward - by_slot) / totals).sum(axis=1)
    return summary(f"sn{name}", influence, worst, mean=float(by_slot.sum()))


def evaluate(log: SlateLog) -> list[Estimate]:
    """RIPS, SIPS and IIPS, each plain and self-normalised; the value is the sum of rewards a slate.

    Raises:
        BadLogError: the log cannot be read.
    """
    check(log)
    ratio = log.target / log.logging
    weights = {
        "rips": ratio.cumprod(axis=1),
        "sips": np.repeat(ratio.prod(axis=1)[:, None], ratio.shape[1], axis=1),
        "iips": ratio,
    }
    return [_estimate(name, log, weight, plain) for name, weight in weights.items() for plain in (True, False)]
