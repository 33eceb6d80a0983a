"""Learners: calibrated inside the model, additive, the same bytes from the same data, chosen by cross-validation."""

import datetime as dt

import numpy as np
import pytest

from services.decisions.scorers import bind, read
from services.training import cards, learners, metrics, tuning
from services.training.errors import BadDataError
from services.training.frames import Frame
from services.training.trained import Order, Trained
from services.training.trainers import propensity
from shared.contracts.training import DataStamp, Figure
from tests.training.test_checks import NOW

COLUMNS = ["profile.attributes.age", "profile.attributes.spend", "offer.offerId=a"]


def told(step: str, done: int, total: int) -> None:
    assert 0 <= done <= total, step


def frame(n: int = 3000, *, crooked: bool = False) -> Frame:
    draw = np.random.default_rng(4)
    x = np.column_stack([draw.normal(size=(n, 2)), draw.integers(0, 2, n)])
    z = 2.0 * np.sign(x[:, 0] * x[:, 1]) - 1.5 if crooked else 1.2 * x[:, 0] - 0.8 * x[:, 1] + 0.5 * x[:, 2] - 1.5
    y = (draw.random(n) < 1 / (1 + np.exp(-z))).astype(float)
    return Frame(name="made", columns=COLUMNS, x=x, y=y, time=np.full(n, NOW), entity=np.array([str(k) for k in range(n)]),
                 test=np.arange(n) % 4 == 0)  # fmt: skip


@pytest.mark.parametrize("learner", ["linear", "trees"])
def test_calibration_is_folded_into_the_model_and_contributions_add_up(learner: str) -> None:
    made = frame()
    parameters = {"C": 0.1} if learner == "linear" else {"rounds": 20, "num_leaves": 4}
    model = learners.fit(learner, made.columns, made.x, made.y, parameters, seed=0, threads=1)
    scaled = model.scaled(0.7, -0.4)
    assert np.allclose(scaled.log_odds(made.x), 0.7 * model.log_odds(made.x) - 0.4, atol=1e-9)
    assert learners.residual(scaled, made.x) < 1e-6


def test_platt_mends_overconfidence() -> None:
    draw = np.random.default_rng(0)
    z = draw.normal(size=20_000)
    y = (draw.random(20_000) < learners.probability(z)).astype(float)
    slope, shift = learners.platt(3 * z + 1, y)
    assert slope == pytest.approx(1 / 3, abs=0.02)
    assert shift == pytest.approx(-1 / 3, abs=0.05)


def test_the_same_data_and_seed_make_the_same_bytes_and_other_data_do_not() -> None:
    order = Order(tenant="acme", model_key="m", trials=2, seed=3)
    one, two = (propensity.train(frame(1500), order, told) for _ in range(2))
    assert (one.hash, one.parameters) == (two.hash, two.parameters)
    assert propensity.train(frame(1400), order, told).hash != one.hash


def test_a_figure_that_is_no_number_stays_off_the_card_and_is_told() -> None:
    order = Order(tenant="acme", model_key="m")
    odd = Trained(algorithm="none", data=DataStamp(name="made", hash="0" * 64, rows=1, columns=1), files={}, beats_baseline=False,
                  figures=[Figure(name="area_under_curve", value=float("nan")), Figure(name="brier", value=0.1)], baseline="nothing",
                  parameters={})  # fmt: skip
    card = cards.card_of(odd, order, "propensity", "test", dt.datetime.now(dt.UTC))
    assert [figure.name for figure in card.figures] == ["brier"]
    assert card.notes == ["area_under_curve could not be measured"]


def test_columns_whose_names_cannot_be_kept_are_left_out_and_told_and_refused_when_there_are_no_others() -> None:
    made = frame(200)
    made.columns = ["total spend", *made.columns[1:]]
    found = propensity.nameable(made)
    assert found.columns == made.columns[1:]
    assert "total spend" in found.notes[0]
    made.columns = ["a b", "c d", "e{"]
    with pytest.raises(BadDataError, match="rename them"):
        propensity.nameable(made)


def test_a_line_wins_on_a_line_and_trees_where_the_world_is_crooked() -> None:
    straight = tuning.choose(frame(), trials=4, seed=0, threads=1, told=told)
    bent = tuning.choose(frame(crooked=True), trials=4, seed=0, threads=1, told=told)
    assert (straight.learner, bent.learner) == ("linear", "trees")


def test_the_evaluation_is_of_unseen_rows_with_a_baseline_and_calibrated() -> None:
    found = propensity.train(
        frame(8000), Order(tenant="acme", model_key="m", trials=0, parameters={"learner": "linear"}), told
    )
    area = found.figures[0]
    assert area.low is not None
    assert area.high is not None
    assert area.low < area.value < area.high
    assert found.beats_baseline
    assert found.figures[3].value < 0.03
    assert found.attribution_residual is not None
    assert found.attribution_residual < 1e-6
    assert sum(count for _, _, count in found.reliability) == 2000


@pytest.mark.parametrize("learner", ["linear", "trees"])
def test_decisions_load_what_was_trained_and_score_alike(learner: str) -> None:
    made = frame()
    order = Order(tenant="acme", model_key="m", trials=0, parameters={"learner": learner})
    found = propensity.train(made, order, told, offers={"a": {"offer.offerId=a": 1.0}, "b": {"offer.offerId=a": 0.0}})
    assert found.scorer is not None
    read(found.scorer)
    scorer = bind("unversioned", {"unversioned": (found.scorer, "0" * 16)}, 0.02, COLUMNS[:2], ["a", "b"],
                  {"offer.offerId": ["a", "b"]}.__getitem__)  # fmt: skip
    parsed = learners.TreesModel(found.files["model.txt"].decode()) if learner == "trees" else None
    for row in made.x[:5]:
        served = scorer.score(row[:2]).propensity
        assert served[0] > served[1], "the offer's own column must count"
        if parsed:
            wanted = learners.probability(parsed.log_odds(np.array([[*row[:2], 1.0], [*row[:2], 0.0]])))
            assert np.allclose(served, wanted, atol=1e-9)


def test_metrics_agree_with_scikit_learn() -> None:
    from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

    draw = np.random.default_rng(1)
    p = np.round(draw.random(500), 2)
    y = (draw.random(500) < p).astype(float)
    assert metrics.area_under_curve(y, p) == pytest.approx(roc_auc_score(y, p))
    inside = np.clip(p, 1e-6, 1 - 1e-6)
    assert metrics.log_loss(y, inside) == pytest.approx(log_loss(y, inside))
    assert metrics.brier(y, p) == pytest.approx(brier_score_loss(y, p))
