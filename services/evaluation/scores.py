"""One metric's word on one sample: a number in [0, 1], or the reason why there is none. Pure."""

import math
from typing import Literal

import msgspec

from shared.contracts.evaluation import Basis

# What lies beyond is rounding: the order of sums, the batch that a vector came from.
_DIGITS = 9
Status = Literal["ok", "abstained", "error"]


class Score(msgspec.Struct, frozen=True):
    """A value, or a reason; never both, never neither. `basis`: what it was compared with, where there is a choice."""

    value: float | None
    status: Status
    reason: str | None = None
    basis: Basis | None = None


def scored(value: object, basis: Basis | None = None) -> Score:
    """The value if it is one: no NaN, no infinity, nothing outside of [0, 1], no truth value; else an abstention."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return abstained("no_number", basis)
    if not math.isfinite(value):
        return abstained("not_a_number", basis)
    if not 0.0 <= value <= 1.0:
        return abstained("out_of_range", basis)
    return Score(round(float(value), _DIGITS), "ok", None, basis)


def similarity(cosine: float, basis: Basis | None = None) -> Score:
    """A cosine as a share: below 0 nothing is alike, and rounding may lift 1 by an ulp."""
    return scored(min(max(cosine, 0.0), 1.0) if math.isfinite(cosine) else cosine, basis)


def share(part: int, whole: int, otherwise: str) -> Score:
    """`part` of `whole`; abstains for the reason `otherwise` where there is no whole."""
    return scored(part / whole) if whole else abstained(otherwise)


def abstained(reason: str, basis: Basis | None = None) -> Score:
    """No value, and it is nobody's fault of ours."""
    return Score(None, "abstained", reason, basis)


def failed(reason: str) -> Score:
    """No value, because a part of ours failed."""
    return Score(None, "error", reason)
