"""Readouts may be looked at any time: false alarms stay below 5 %, CUPED helps, odd sample ratios are seen."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.experiments import layers, readout, statistics
from services.experiments.statistics import Sums
from shared.contracts import assignment
from shared.contracts.experiments import (
    ActiveAnswer,
    Arm,
    Experiment,
    Guardrail,
    HoldoutSettings,
    RunningExperiment,
)

LOOKS, STREAMS, STEP = 1000, 1000, 20


def sums(y: np.ndarray, x: np.ndarray | None = None) -> Sums:
    x = np.zeros_like(y) if x is None else x
    return Sums(len(y), *(float(v) for v in (y.sum(), (y * y).sum(), x.sum(), (x * x).sum(), (x * y).sum())))


def false_alarms(draw: np.random.Generator, kind: str) -> tuple[float, float]:
    """(ours, naive z-test) over null streams with a look every 20 units an arm: the share that ever alarms."""
    alarms = np.zeros(STREAMS, dtype=bool)
    naive = np.zeros(STREAMS, dtype=bool)
    totals = np.zeros((2, 2, STREAMS))  # (arm, sum or sum of squares, stream)
    for look in range(1, LOOKS + 1):
        size = (2, STEP, STREAMS)
        new = (draw.random(size) < 0.05).astype(float) if kind == "clicks" else draw.normal(3.0, 2.0, size)
        totals[:, 0] += new.sum(axis=1)
        totals[:, 1] += (new**2).sum(axis=1)
        n = look * STEP
        mean = totals[:, 0] / n
        squared = ((totals[:, 1] - n * mean**2) / (n - 1) / n).sum(axis=0)
        gap = np.abs(mean[0] - mean[1])
        factor = statistics.half_width(1.0, 2 * n, statistics.ALPHA)
        if n >= statistics.MIN_UNITS:
            alarms |= gap > factor * np.sqrt(squared)
            naive |= gap > 1.96 * np.sqrt(squared)
    return float(alarms.mean()), float(naive.mean())


@pytest.mark.parametrize("kind", ["clicks", "money"])
def test_a_thousand_looks_at_nothing_alarm_in_at_most_5_percent(kind: str) -> None:
    ours, naive = false_alarms(np.random.default_rng(7), kind)
    assert ours <= 0.05, ours
    assert naive >= 0.30, naive  # what peeking at a fixed-horizon test costs


def test_an_effect_is_found_and_its_interval_holds_it() -> None:
    draw = np.random.default_rng(1)
    control, arm = draw.normal(1.0, 1.0, 8000), draw.normal(1.1, 1.0, 8000)
    gap, _ = statistics.difference(sums(arm), sums(control), 0.05) or pytest.fail("no interval")
    assert gap.low > 0
    assert gap.low <= 0.1 <= gap.high
    found = statistics.lift(sums(arm), sums(control), 0.05)
    assert found is not None
    assert found.low <= 0.1 <= found.high


def test_cuped_takes_away_what_was_known_before() -> None:
    draw = np.random.default_rng(2)
    x = draw.normal(size=(2, 5000))
    y = 0.8 * x + 0.6 * draw.normal(size=(2, 5000))
    _, saved = statistics.difference(sums(y[0], x[0]), sums(y[1], x[1]), 0.05) or pytest.fail("no interval")
    assert math.isclose(saved, 0.64, abs_tol=0.04)


def test_a_lopsided_split_is_seen_and_a_fair_one_is_not() -> None:
    expected = {"a": 0.5, "b": 0.5}
    assert statistics.ratio_p_value({"a": 5200, "b": 4800}, expected) < 0.05
    assert statistics.ratio_p_value({"a": 5400, "b": 4600}, expected) < 0.001
    draw = np.random.default_rng(3)
    alarms = 0
    for _ in range(300):
        heads = np.cumsum(draw.random(10_000) < 0.5)[9::10]
        looks = zip(heads.tolist(), range(10, 10_001, 10), strict=True)
        alarms += any(statistics.ratio_p_value({"a": h, "b": n - h}, expected) < 0.001 for h, n in looks)
    assert alarms <= 1


def test_a_guardrail_stops_an_arm_once_harm_is_proven() -> None:
    one = Experiment(experiment_key="e", variants=[Arm(key="c"), Arm(key="t")],
                     guardrail_metrics=[Guardrail(metric="dismiss", direction="increase", threshold=0.1)])  # fmt: skip
    draw = np.random.default_rng(4)
    calm, angry = ((draw.random(20_000) < p).astype(float) for p in (0.10, 0.16))
    found = readout.read(one, {"dismiss": {"c": sums(calm), "t": sums(angry)}}, {"c": 20_000, "t": 20_000})
    assert readout.broken_arms(found) == ["t"]
    same = readout.read(one, {"dismiss": {"c": sums(calm), "t": sums(calm)}}, {"c": 20_000, "t": 20_000})
    assert readout.broken_arms(same) == []


def test_before_there_is_data_there_are_no_figures() -> None:
    one = Experiment(experiment_key="e", variants=[Arm(key="c"), Arm(key="t")])
    found = readout.read(one, {"reward": {}}, {})
    assert (found.comparisons[0].difference, found.comparisons[0].significant, found.srm.ok) == (None, False, True)


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=20))
def test_assignment_is_sticky_and_a_growing_holdout_keeps_its_people(tenant: str, unit: str) -> None:
    assert assignment.bucket(tenant, "x", unit) == assignment.bucket(tenant, "x", unit)
    held = [percent for percent in range(51) if assignment.is_held_out(tenant, percent, unit)]
    assert held == list(range(held[0], 51)) if held else True


def test_shares_are_right_layers_are_independent_and_experiments_of_a_layer_exclude_each_other() -> None:
    def running(key: str, first: int, end: int, layer: str = "default", weight: float = 1.0) -> RunningExperiment:
        return RunningExperiment(experiment_key=key, layer=layer, variants=[Arm(key="c", weight=weight), Arm(key="t")],
                                 first_bucket=first, end_bucket=end)  # fmt: skip

    active = ActiveAnswer(holdout=HoldoutSettings(), experiments=[
        running("one", 0, 5000, weight=3), running("two", 5000, 10_000), running("other", 0, 10_000, "copy"),
    ])  # fmt: skip
    found = [{a.experiment_key: a.arm for a in assignment.assign("acme", active, f"u{n}").assignments}
             for n in range(8000)]  # fmt: skip
    assert all(("one" in arms) != ("two" in arms) for arms in found)
    in_one = [arms for arms in found if "one" in arms]
    assert abs(len(in_one) / 8000 - 0.5) < 0.02
    assert abs(sum(arms["one"] == "c" for arms in in_one) / len(in_one) - 0.75) < 0.025
    both = sum(arms["one"] == "c" and arms["other"] == "c" for arms in in_one) / len(in_one)
    assert abs(both - 0.375) < 0.03


def test_a_layer_gives_out_its_buckets_once() -> None:
    assert layers.free_range([], 40) == (0, 4000)
    assert layers.free_range([(0, 4000), (7000, 10_000)], 30) == (4000, 7000)
    assert layers.free_range([(0, 4000), (7000, 10_000)], 31) is None
