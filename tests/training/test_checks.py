"""Data that would make a wrong model are refused with the column or the rows named; what is useless is left out and noted."""

import time
from typing import Any

import numpy as np
import pytest

from services.training import checks, rewards
from services.training.errors import BadDataError, LeakageError
from services.training.frames import Frame

NOW = time.time()


def made(n: int = 400, **changes: Any) -> Frame:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(n, 3))
    y = (draw.random(n) < 1 / (1 + np.exp(-x[:, 0]))).astype(float)
    values: dict[str, Any] = {
        "name": "t", "columns": ["age", "spend", "noise"], "x": x, "y": y, "time": np.full(n, NOW - 86_400.0),
        "entity": np.array([f"p{k}" for k in range(n)]), "test": np.arange(n) % 4 == 0,
    }  # fmt: skip
    return Frame(**{**values, **changes})


def test_good_data_pass_unchanged() -> None:
    frame = made()
    found = checks.examine(frame, now=NOW)
    assert (found.columns, found.notes, found.hash) == (frame.columns, [], frame.hash)


def test_a_column_that_equals_the_outcome_is_refused_by_name() -> None:
    frame = made()
    frame.x[:, 1] = frame.y * 3 + np.random.default_rng(1).normal(scale=0.01, size=400)
    with pytest.raises(LeakageError, match="spend: separates the outcomes") as caught:
        checks.examine(frame, now=NOW)
    assert caught.value.errors[0].field == "spend"
    assert checks.examine(frame, now=NOW, allow=["spend"]).columns == frame.columns


def test_a_column_that_is_only_filled_after_a_success_is_refused() -> None:
    frame = made()
    frame.x[frame.y == 0, 2] = np.nan
    with pytest.raises(LeakageError, match="noise"):
        checks.examine(frame, now=NOW)


def test_a_strong_but_honest_column_stays() -> None:
    frame = made()
    frame.x[:, 1] = frame.y + np.random.default_rng(1).normal(scale=0.6, size=400)
    assert "spend" in checks.examine(frame, now=NOW).columns


def test_a_value_dated_after_the_moment_it_is_about_is_refused() -> None:
    late = np.full(400, NOW - 90_000.0)
    late[7] = NOW - 10
    with pytest.raises(LeakageError, match="age: 1 values use records dated after"):
        checks.examine(made(dated={"age": late}), now=NOW)


def test_constant_and_missing_columns_are_left_out_and_none_left_is_refused() -> None:
    frame = made()
    frame.x[:, 1], frame.x[:, 2] = 5.0, np.nan
    found = checks.examine(frame, now=NOW)
    assert found.columns == ["age"]
    assert found.notes == ["columns left out, all missing: noise", "columns left out, constant: spend"]
    frame.x[:, 0] = 1.0
    with pytest.raises(BadDataError, match="nothing to learn from"):
        checks.examine(frame, now=NOW)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"y": np.ones(400)}, "0 negative training rows"),
        ({"y": np.full(400, np.nan)}, "no finite outcome"),
        ({"y": np.full(400, 2.0)}, "must be 0 or 1"),
        ({"n": 10}, "10 are too few"),
    ],
    ids=["one class", "no outcome", "an amount", "ten rows"],
)
def test_data_of_which_nothing_can_be_learnt_are_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(BadDataError, match=said):
        checks.examine(made(**changes), now=NOW)


def test_the_same_row_twice_counts_once_and_contradicting_rows_are_refused() -> None:
    frame = made()
    frame.entity[1], frame.time[1], frame.y[1] = frame.entity[0], frame.time[0], frame.y[0]
    found = checks.examine(frame, now=NOW)
    assert (len(found.y), found.notes) == (399, ["1 duplicated rows counted once"])
    frame.y[1] = 1 - frame.y[0]
    with pytest.raises(BadDataError, match="entity: 1 rows contradict"):
        checks.examine(frame, now=NOW)


def test_a_few_skewed_clocks_are_left_out_and_many_are_a_wrong_clock() -> None:
    frame = made()
    frame.time[:2] = NOW + 86_400
    assert checks.examine(frame, now=NOW).notes == ["2 rows with skewed clocks left out"]
    frame.time[:50] = NOW + 86_400
    with pytest.raises(BadDataError, match="a clock is wrong"):
        checks.examine(frame, now=NOW)
    early = made(outcome_time=np.full(400, NOW - 200_000.0))
    with pytest.raises(BadDataError, match="a clock is wrong"):
        checks.examine(early, now=NOW)


def test_outliers_are_cut_and_honest_amounts_are_not() -> None:
    draw = np.random.default_rng(2)
    value = np.where(draw.random(1000) < 0.3, draw.gamma(2.0, 20.0, 1000), 0.0)
    assert np.array_equal(rewards.clean(value, None).value, value)
    poisoned = value.copy()
    poisoned[3] = 1e6
    found = rewards.clean(poisoned, None)
    assert found.value[3] < 2000
    assert "1 rewards above" in found.notes[0]


def test_a_burst_from_one_source_is_left_out_and_busy_honest_ones_stay() -> None:
    draw = np.random.default_rng(3)
    source = np.array([f"device {k}" for k in draw.integers(0, 200, 4000)] + ["bot"] * 300 + ["busy shop"] * 300)
    y = np.concatenate([draw.random(4000) < 0.05, draw.random(300) < 0.9, draw.random(300) < 0.05]).astype(float)
    found = rewards.clean(y, source)
    assert not found.keep[source == "bot"].any()
    assert found.keep[source != "bot"].all()
    assert "bot" in found.notes[-1]
