"""The rules of roll-outs: gates, guardrails that may be looked at as often as one likes, approvals, what is due."""

import datetime as dt

import numpy as np
import pytest

from services.training.rollout import gates, guardrails, plan
from services.training.rollout.sequence import LEAST, Sums, contrast
from shared.contracts.evaluation import ValueEstimate
from shared.contracts.policies import ArmFigures, Arms, ScorerTiming
from shared.contracts.rollouts import Approval, CanaryStep, Guardrails, RolloutPlan, ShadowGate
from shared.errors import InvalidInputError

NOW = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)


def arm(rewards: np.ndarray, dismissed: float = 0.0, **more: int) -> ArmFigures:  # type: ignore[type-arg]
    n = len(rewards)
    return ArmFigures(persons=n, decisions=n, reward=float(rewards.sum()), reward_squares=float((rewards**2).sum()),
                      dismissed=dismissed * n, dismissed_squares=dismissed * n, sampled=n, **more)  # fmt: skip


def broken(canary: ArmFigures, live: ArmFigures, **rails: float) -> list[str]:
    found = guardrails.judge(Guardrails(**rails), Arms(canary=canary, live=live), 1)
    return [one.name for one in found if one.passed is False]


def first_alarm(rates: tuple[float, float], looks: int, draw: np.random.Generator) -> int | None:
    """At which of many looks, 100 persons an arm apart, a canary is ended."""
    canary, live = ((draw.random(100 * looks) < rate).astype(float) for rate in rates)
    for look in range(1, looks + 1):
        if broken(arm(canary[: 100 * look]), arm(live[: 100 * look]), reward_drop=0.0):
            return look
    return None


def test_a_canary_as_good_as_the_live_version_is_seldom_ended_however_often_one_looks() -> None:
    draw = np.random.default_rng(7)
    alarms = sum(first_alarm((0.1, 0.1), 40, draw) is not None for _ in range(300))
    assert alarms <= 0.05 * 300, f"{alarms} of 300"


def test_a_canary_that_earns_half_is_ended_soon() -> None:
    draw = np.random.default_rng(8)
    found = [first_alarm((0.1, 0.2), 40, draw) for _ in range(50)]
    assert all(found)
    assert float(np.median([look for look in found if look])) <= 10, "a thousand persons an arm"


def test_dismissals_and_degraded_decisions_end_a_canary_but_a_store_that_is_down_does_not() -> None:
    same = np.tile([0.0, 1.0], 500)
    assert broken(arm(same), arm(same)) == []
    assert broken(arm(same, dismissed=0.3), arm(same, dismissed=0.05)) == ["dismissed"]
    assert broken(arm(same, degraded=300), arm(same)) == ["degraded"]
    assert broken(arm(same, degraded=1000), arm(same, degraded=1000)) == []
    few = np.zeros(LEAST - 1)
    assert broken(arm(few), arm(same)) == [], "too few persons say nothing"
    assert contrast(Sums(LEAST, 0.0, 0.0), Sums(LEAST, 50.0, 50.0), 1.0, 0.05) is not None


def test_a_canary_that_promises_too_much_is_ended() -> None:
    same = np.tile([0.0, 1.0], 500)
    pairs = [(0.9, float(n % 2)) for n in range(400)]
    canary = arm(same)
    canary.pairs = pairs
    assert broken(canary, arm(same)) == ["calibration_error"]
    canary.pairs = [(0.5, float(n % 2)) for n in range(400)]
    assert broken(canary, arm(same)) == []


def estimate(value: float | None, error: float = 0.01) -> ValueEstimate:
    return ValueEstimate(name="dr", value=value, ci_low=None, ci_high=None, standard_error=None if value is None else error,
                         effective_sample_size=100, max_weight=2, refused=None if value is not None else "no overlap")  # fmt: skip


@pytest.mark.parametrize(
    ("challenger", "live", "passed"),
    [
        (estimate(0.5), estimate(0.4), True),
        (estimate(0.3), estimate(0.4), False),
        (estimate(0.39, 0.1), estimate(0.4), None),
        (estimate(None), estimate(0.4), None),
        (None, estimate(0.4), None),
    ],
)
def test_the_value_gate_passes_fails_or_waits(
    challenger: ValueEstimate | None, live: ValueEstimate, passed: bool | None
) -> None:
    assert gates.value(ShadowGate(value_drop=0.05), challenger, live).passed is passed


def test_the_other_gates_name_what_is_wrong() -> None:
    gate = ShadowGate(scoring_ms=2.0, calibration_error=0.05, least_decisions=10)
    slow = gates.scoring(gate, ScorerTiming(offers=500, runs=9, median_ms=3.0, p95_ms=4.0))
    assert gates.failed([slow]) == "scoring_ms is 3, its bound 2"
    pairs = [(0.9, float(n % 2)) for n in range(200)]
    assert "calibration_error is 0.4, its bound 0.05" in gates.failed([gates.calibration(0.05, pairs, 100)])
    assert gates.unknown([gates.calibration(0.05, pairs[:50], 100)]) == "calibration_error: 50 of 100 items"
    assert gates.unknown([gates.decisions(gate, 9)]) == "decisions is 9, its bound 10"
    assert gates.unknown([gates.decisions(gate, 10)]) == gates.failed([gates.decisions(gate, 10)]) == ""


def approvals(*actors: str) -> list[Approval]:
    return [Approval(gate="live", actor=actor, time=NOW, reason="") for actor in actors]


def test_the_same_person_twice_is_one_approval() -> None:
    two = RolloutPlan(model_key="m", approvals_live=2)
    assert plan.lacking(two, "live", approvals()) == "approvals for live: 0 of 2"
    assert plan.lacking(two, "live", approvals("ida", " IDA ")) == "approvals for live: 1 of 2"
    assert plan.lacking(two, "live", approvals("ida", "bob")) == ""
    assert plan.lacking(two, "canary", []) == ""


def test_a_step_needs_its_time_and_its_decisions() -> None:
    one = RolloutPlan(model_key="m", canary=[CanaryStep(share=0.1, least_seconds=60, least_decisions=10)])
    early = NOW + dt.timedelta(seconds=20)
    assert plan.unripe(one, 0, NOW, early, 5) == "share 0.1: 40 s, 5 of 10 decisions"
    assert plan.unripe(one, 0, NOW, NOW + dt.timedelta(seconds=60), 10) == ""


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (RolloutPlan(model_key="m", canary=[CanaryStep(share=0.5), CanaryStep(share=0.5)]), "canary[1].share"),
        (RolloutPlan(model_key="m", shadow=ShadowGate(least_decisions=500, most_decisions=100)), "shadow.leastDecisions"),
    ],
)  # fmt: skip
def test_a_plan_that_cannot_be_followed_is_refused(bad: RolloutPlan, field: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        plan.check(bad)
    assert refused.value.errors[0].field == field
