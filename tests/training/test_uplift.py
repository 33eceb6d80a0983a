"""Uplift: on a campaign with known effects the model beats ranking by propensity and leaves the sleeping dogs alone."""

import functools
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.decisions.scorers import bind, read
from services.training import checks, metrics, randomised
from services.training.errors import BadDataError
from services.training.sources import synthetic_uplift, table
from services.training.trained import Order, Trained
from services.training.trainers import uplift
from shared.contracts.training import Columns, Dataset


def told(step: str, done: int, total: int) -> None:
    del step, done, total


@functools.cache
def trained(learner: str, seed: int = 0) -> Trained:
    frame, truth = synthetic_uplift.make(seed, rows=12_000)
    order = Order(tenant="acme", model_key="m", trials=0, seed=seed, parameters={"learner": learner})
    return uplift.train(checks.examine(frame, now=time.time()), order, told, truth=truth)


@pytest.mark.parametrize("learner", ["t", "x", "dr"])
def test_every_learner_beats_propensity_and_knows_the_truth(learner: str) -> None:
    found = trained(learner)
    figures = {figure.name: figure for figure in found.figures}
    for name in ("qini", "policy_value"):
        figure = figures[name]
        assert figure.low is not None
        assert figure.baseline is not None
        assert figure.low > figure.baseline, f"{name} does not surely beat propensity"
    assert figures["true_gain"].value > 0.02
    assert figures["true_gain"].baseline is not None
    assert figures["true_gain"].baseline < 0
    assert figures["sleeping_dogs_treated"].value < 0.3
    assert figures["correlation_with_truth"].value > 0.65  # of 10,000 rows; 0.72, 0.75 and more


def test_what_serves_is_a_pair_of_models_whose_difference_is_the_effect() -> None:
    found = trained("dr")
    assert found.scorer is not None
    read(found.scorer)
    names = found.inputs
    scorer = bind("unversioned", {"unversioned": (found.scorer, "0" * 16)}, 0.02, names, ["offer"], {}.__getitem__)
    dog, fan = np.zeros(len(names)), np.zeros(len(names))
    dog[1], fan[1], fan[5] = 2.5, -0.3, 1.5
    annoyed, persuaded = scorer.score(dog).uplift, scorer.score(fan).uplift
    assert annoyed is not None
    assert persuaded is not None
    assert annoyed[0] < 0 < persuaded[0]


def test_qini_of_a_perfect_order_is_positive_of_its_reverse_negative_and_of_chance_near_zero() -> None:
    frame, truth = synthetic_uplift.make(1, rows=20_000)
    assert frame.treatment is not None
    assert frame.chance is not None
    args = (frame.y, frame.treatment, frame.chance)
    assert metrics.qini(*args, truth) > 0.02
    assert metrics.qini(*args, -truth) < -0.02
    assert abs(metrics.qini(*args, np.random.default_rng(0).random(20_000))) < 0.006
    assert metrics.qini(*args, np.zeros(20_000)) == pytest.approx(0)


def write(path: Path, **changes: Any) -> Path:
    frame, _ = synthetic_uplift.make(2, rows=3000)
    assert frame.treatment is not None
    columns: dict[str, Any] = {name.rsplit(".", 1)[1]: frame.x[:, n] for n, name in enumerate(frame.columns)}
    columns |= {"city": ["Oslo" if k % 3 else "Bergen, Norway" for k in range(3000)], "group": ["treated" if w else "control" for w in frame.treatment],
                "bought": frame.y.astype(int)}  # fmt: skip
    columns |= changes
    import pyarrow as pa
    import pyarrow.csv

    pyarrow.csv.write_csv(pa.table(columns), path)
    return path


def read_table(path: Path, **more: Any) -> Any:
    columns = Columns(outcome="bought", treatment="group", **more)
    return table.frame(Dataset(source="table", path=str(path), columns=columns), 0)


def test_any_randomised_table_can_be_fitted(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path / "campaign.csv"))
    assert "city=Oslo" in frame.columns
    assert frame.chance is None
    found = uplift.train(checks.examine(frame, now=time.time()), Order(tenant="acme", model_key="m", trials=0), told)
    assert found.figures[0].name == "qini"
    assert any(note.startswith("balanced") for note in found.notes)


def test_a_chance_that_is_not_how_people_were_chosen_is_refused(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path / "campaign.csv"), propensity=0.8)
    with pytest.raises(BadDataError, match="the stated chance is not how people were chosen"):
        randomised.check(frame)


def test_a_campaign_that_was_not_randomised_is_told_and_its_chance_estimated(tmp_path: Path) -> None:
    frame = read_table(write(tmp_path / "campaign.csv"))
    draw = np.random.default_rng(0)
    frame.treatment = (draw.random(3000) < 1 / (1 + np.exp(-frame.x[:, 1]))).astype(float)
    balance = randomised.check(frame)
    assert balance.column == "spend"
    assert "not balanced" in balance.notes[0]
    chance = randomised.chances(frame, balance, 0)
    assert np.corrcoef(chance, frame.x[:, 1])[0, 1] > 0.8


@pytest.mark.parametrize(
    ("changes", "more", "said"),
    [
        ({"group": ["maybe"] * 3000}, {}, "must say yes or no"),
        ({}, {"entity": "nobody"}, "there is no column 'nobody'"),
        ({"group": ["treated"] * 2990 + ["control"] * 10}, {}, "the smaller arm has 10 rows"),
        ({}, {"propensity": 1.5}, "lies in"),
    ],
)
def test_a_table_that_does_not_fit_is_refused_with_the_column(
    tmp_path: Path, changes: dict[str, Any], more: dict[str, Any], said: str
) -> None:
    path = write(tmp_path / "campaign.csv", **changes)
    with pytest.raises(BadDataError, match=said):
        randomised.check(read_table(path, **more))
