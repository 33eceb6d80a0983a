"""Sums of arms to a readout, and which arms must stop. Pure."""

import math
from collections.abc import Mapping

from services.experiments import statistics
from services.experiments.statistics import ALPHA, MIN_UNITS, RATIO_ALPHA, Interval, Sums
from shared.contracts.experiments import (
    ArmReadout,
    Comparison,
    Experiment,
    Guardrail,
    GuardrailState,
    Readout,
    SampleRatio,
)

EMPTY = Sums(0, 0.0, 0.0)
ArmSums = Mapping[str, Mapping[str, Sums]]  # metric -> arm -> sums


def read(experiment: Experiment, sums: ArmSums, exposed: Mapping[str, int]) -> Readout:
    """Everything an experiment says so far."""
    control = experiment.variants[0].key
    arms = [arm.key for arm in experiment.variants]
    treated = arms[1:]
    alpha = statistics.split(ALPHA, treated)
    comparisons = [_compare(metric, arm, control, by_arm, alpha) for metric, by_arm in sums.items() for arm in treated]
    total = sum(arm.weight for arm in experiment.variants)
    expected = {arm.key: arm.weight / total for arm in experiment.variants}
    # Arms that were stopped send their people to the control: their ratio says nothing any more.
    p_value = 1.0 if experiment.stopped_arms else statistics.ratio_p_value(exposed, expected)
    notes = [f"intervals hold at any number of looks (alpha {alpha:.4g} each, {len(treated)} comparisons a metric)",
             f"an arm is compared from {MIN_UNITS} exposed units on"]  # fmt: skip
    if p_value < RATIO_ALPHA:
        notes.append("the arms are not as large as they should be: do not trust the comparison, find the cause")
    return Readout(
        experiment_key=experiment.experiment_key,
        status=experiment.status,
        stopped_arms=experiment.stopped_arms,
        arms=[
            ArmReadout(metric=metric, arm=arm, units=by_arm.get(arm, EMPTY).n, mean=_mean(by_arm, arm))
            for metric, by_arm in sums.items() for arm in arms
        ],
        comparisons=comparisons,
        srm=SampleRatio(expected=expected, observed=dict(exposed), p_value=p_value, ok=p_value >= RATIO_ALPHA),
        guardrails=[_guard(g, arm, sums[g.metric].get(arm, EMPTY), sums[g.metric].get(control, EMPTY), alpha)
                    for g in experiment.guardrail_metrics if g.metric in sums for arm in treated],
        notes=notes,
    )  # fmt: skip


def _mean(by_arm: Mapping[str, Sums], arm: str) -> float | None:
    own = by_arm.get(arm, EMPTY)
    if own.n == 0:
        return None
    pooled = sum(by_arm.values(), EMPTY)
    return statistics.mean(own, statistics.theta(pooled), pooled.x / pooled.n)


def _compare(metric: str, arm: str, control: str, by_arm: Mapping[str, Sums], alpha: float) -> Comparison:
    one, other = by_arm.get(arm, EMPTY), by_arm.get(control, EMPTY)
    found = statistics.difference(one, other, alpha)
    relative = statistics.lift(one, other, alpha)
    gap, saved = found or (None, 0.0)

    def part(interval: Interval | None, name: str, factor: float = 1.0) -> float | None:
        return None if interval is None else factor * float(getattr(interval, name))

    return Comparison(
        metric=metric, arm=arm,
        difference=part(gap, "value"), ci_low=part(gap, "low"), ci_high=part(gap, "high"),
        lift=part(relative, "value"), lift_low=part(relative, "low"), lift_high=part(relative, "high"),
        incremental_value=part(gap, "value", one.n), incremental_low=part(gap, "low", one.n),
        incremental_high=part(gap, "high", one.n), variance_reduction=saved,
        significant=gap is not None and not gap.low <= 0 <= gap.high,
    )  # fmt: skip


def _guard(rule: Guardrail, arm: str, one: Sums, control: Sums, alpha: float) -> GuardrailState:
    """Broken once harm beyond the tolerated share of the control's mean is proven; means may be zero or negative."""
    base = control.y / control.n if control.n else 0.0
    tolerated = math.copysign(rule.threshold, base) * (1 if rule.direction == "increase" else -1)
    beyond = statistics.contrast(one, control, 1 + tolerated, alpha)
    if beyond is None:
        return GuardrailState(metric=rule.metric, arm=arm, broken=False, reason="not enough data")
    harmful = beyond.low > 0 if rule.direction == "increase" else beyond.high < 0
    reason = (f"{rule.direction} beyond the tolerated {rule.threshold:.1%} of the control's mean {base:.4g}: "
              f"{beyond.value:+.4g} ({beyond.low:+.4g} to {beyond.high:+.4g})")  # fmt: skip
    return GuardrailState(metric=rule.metric, arm=arm, broken=harmful, reason=reason)


def broken_arms(readout: Readout) -> list[str]:
    """Arms that a guardrail stops."""
    return sorted({state.arm for state in readout.guardrails if state.broken} - set(readout.stopped_arms))
