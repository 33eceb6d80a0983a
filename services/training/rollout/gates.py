"""The gate between shadow and canary: figures of the log against the plan. Pure."""

import math
from collections.abc import Sequence

import numpy as np

from services.training.metrics import BINS, calibration_error
from shared.contracts.evaluation import ValueEstimate
from shared.contracts.policies import ScorerTiming
from shared.contracts.rollouts import Measured, ShadowGate

_Z = 1.959964  # two-sided 95 %
_ITEMS = 100


def scoring(gate: ShadowGate, timing: ScorerTiming) -> Measured:
    """Is it fast enough?"""
    return Measured(name="scoring_ms", value=timing.median_ms, high=timing.p95_ms, bound=gate.scoring_ms,
                    passed=timing.median_ms <= gate.scoring_ms, note=f"{timing.offers} offers; high: 95th percentile")  # fmt: skip


def decisions(gate: ShadowGate, count: int) -> Measured:
    """Is there enough log?"""
    return Measured(name="decisions", value=count, bound=gate.least_decisions,
                    passed=True if count >= gate.least_decisions else None)  # fmt: skip


def calibration(bound: float, pairs: Sequence[tuple[float, float]], least: int) -> Measured:
    """Are the propensities of what was shown what was seen? `pairs` of (propensity, reward).

    Bins of a hundred items at least: in smaller ones chance alone looks like an error.
    """
    if len(pairs) < least:
        return Measured(name="calibration_error", value=None, bound=bound, note=f"{len(pairs)} of {least} items")
    said, seen = np.array(pairs, dtype=np.float64).T
    bins = min(BINS, max(1, len(pairs) // _ITEMS))
    found = calibration_error((seen > 0).astype(np.float64), np.clip(said, 0.0, 1.0), bins)
    return Measured(
        name="calibration_error", value=found, bound=bound, passed=found <= bound, note=f"{len(pairs)} items"
    )


def value(gate: ShadowGate, challenger: ValueEstimate | None, live: ValueEstimate | None) -> Measured:
    """Does it earn what the live one earns? The difference of two off-policy values, taken as independent: both come from
    one log and go up and down together, so the interval is rather too wide.
    """
    for name, one in (("challenger", challenger), ("live", live)):
        if one is None or one.value is None or one.standard_error is None:
            return Measured(
                name="value_difference", value=None, note=f"{name}: {one.refused if one else 'not estimated'}"
            )
    assert challenger and live and challenger.value is not None and live.value is not None  # noqa: S101, PT018
    error = math.hypot(challenger.standard_error or 0.0, live.standard_error or 0.0)
    found = challenger.value - live.value
    low, high = found - _Z * error, found + _Z * error
    bound = -gate.value_drop * live.value
    passed = True if low >= bound else False if high < bound else None
    note = f"challenger {challenger.value:.4f} ({challenger.name}), live {live.value:.4f} ({live.name})"
    return Measured(name="value_difference", value=found, low=low, high=high, bound=bound, passed=passed, note=note)


def failed(figures: Sequence[Measured]) -> str:
    """What is wrong, in words; empty when nothing is."""
    return "; ".join(_said(one) for one in figures if one.passed is False)


def unknown(figures: Sequence[Measured]) -> str:
    """What cannot be told yet, in words; empty when everything can."""
    return "; ".join(_said(one) for one in figures if one.passed is None)


def _said(one: Measured) -> str:
    if one.value is None:
        return f"{one.name}: {one.note}"
    interval = "" if one.low is None or one.high is None else f" ({one.low:.4g} to {one.high:.4g})"
    return f"{one.name} is {one.value:.4g}{interval}, its bound {one.bound or 0:.4g}"
