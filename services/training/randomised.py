"""Was a campaign really randomised? Balance of covariates between the arms, and the chance of treatment. Pure.

Standardised mean differences are compared with what chance gives: under randomisation the largest of d differences is
below `sqrt(2 ln(20 d) / n_effective)` with probability of about 95 %. A known chance must fit the share treated (z < 4).
"""

import math

import msgspec
import numpy as np
import numpy.typing as npt

from services.training.errors import BadDataError
from services.training.frames import Frame
from shared.contracts.base import FieldError

FloatArray = npt.NDArray[np.float64]
_LEAST_ARM, _Z, _LARGE = 50, 4.0, 0.25


class Balance(msgspec.Struct):
    """Largest standardised mean difference, of which column, the bound that chance gives; notes on it."""

    worst: float
    column: str
    bound: float
    notes: list[str]


def check(frame: Frame) -> Balance:
    """Look at both arms.

    Raises:
        BadDataError: no treatment column, an arm that is too small, a known chance that the share treated contradicts.
    """
    if frame.treatment is None:
        raise BadDataError(
            "treatment: uplift needs to know who was treated",
            errors=[FieldError(field="treatment", message="is missing")],
        )
    treated = frame.treatment > 0
    small = int(min(treated.sum(), (~treated).sum()))
    if small < _LEAST_ARM:
        raise BadDataError(f"treatment: the smaller arm has {small} rows; {_LEAST_ARM} are needed")
    notes: list[str] = []
    if frame.chance is not None:
        spread = math.sqrt(float((frame.chance * (1 - frame.chance)).sum()))
        z = (float(frame.treatment.sum()) - float(frame.chance.sum())) / max(spread, 1e-9)
        if abs(z) > _Z:
            message = (f"propensity: {treated.mean():.4f} were treated where {frame.chance.mean():.4f} was expected (z {z:.1f}): "
                       "the stated chance is not how people were chosen")  # fmt: skip
            raise BadDataError(
                message, errors=[FieldError(field="propensity", message="contradicts the share treated")]
            )
    differences = differences_of(frame.x, treated)
    worst = int(np.argmax(np.abs(differences)))
    n = treated.sum() * (~treated).sum() / len(treated)
    bound = math.sqrt(2 * math.log(20 * len(frame.columns)) / n)
    found = Balance(float(abs(differences[worst])), frame.columns[worst], bound, notes)
    if found.worst > bound:
        notes.append(f"not balanced: {found.column} differs by {found.worst:.3f} standard deviations between the arms (chance gives up to "
                     f"{bound:.3f}); effects are adjusted for the covariates, not proven by the design")  # fmt: skip
    else:
        notes.append(
            f"balanced as randomisation would have it: largest difference {found.worst:.3f} ({found.column}), bound {bound:.3f}"
        )
    return found


def differences_of(x: FloatArray, treated: npt.NDArray[np.bool_]) -> FloatArray:
    """Standardised mean differences, shape (d,)."""
    filled = np.where(np.isfinite(x), x, np.nanmean(np.where(np.isfinite(x), x, np.nan), axis=0))
    a, b = filled[treated], filled[~treated]
    spread = np.sqrt((a.var(axis=0) + b.var(axis=0)) / 2)
    return np.asarray((a.mean(axis=0) - b.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def chances(frame: Frame, balance: Balance, seed: int) -> FloatArray:
    """The chance of treatment of every row: the known one; else the share treated, where the arms are balanced; else an
    out-of-fold logistic model of the covariates, kept in [0.02, 0.98].
    """
    if frame.chance is not None:
        return frame.chance
    assert frame.treatment is not None  # noqa: S101  (checked before)
    if balance.worst <= balance.bound:
        return np.full(len(frame.y), float(frame.treatment[~frame.test].mean()))
    from services.training import learners, tuning

    aside = Frame(name="treatment", columns=frame.columns, x=frame.x, y=frame.treatment, time=frame.time, entity=frame.entity,
                  test=np.zeros(len(frame.y), dtype=bool))  # fmt: skip
    raw = tuning.out_of_fold(aside, tuning.folds(aside, seed), learners.LINEAR, {"C": 0.1}, seed=seed, threads=1)
    balance.notes.append("the chance of treatment was estimated from the covariates")
    return np.asarray(np.clip(learners.probability(np.nan_to_num(raw)), 0.02, 0.98))
