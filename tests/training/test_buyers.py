"""Lifetime value: the paper's parameters on the paper's data, known ones found again, better than going on as before."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest

from services.training import buyers
from services.training.errors import BadDataError
from services.training.sources import cdnow, wheels
from services.training.trained import Order
from services.training.trainers import value
from services.training.trainers.value import Purchases


def told(step: str, done: int, total: int) -> None:
    del step, done, total


def simulated(n: int = 3000, seed: int = 0) -> Purchases:
    """BG/NBD customers: rates gamma(0.6, 6), drop-out beta(1, 2.5), over 78 weeks."""
    draw = np.random.default_rng(seed)
    rate, leave = draw.gamma(0.6, 1 / 6.0, n), draw.beta(1.0, 2.5, n)
    who, day, worth = [], [], []
    for k in range(n):
        at, mean = draw.integers(0, 84) / 7, draw.gamma(6, 6)
        while at < 78:
            who.append(f"c{k}")
            day.append(730_000.0 + np.floor(at * 7))
            worth.append(float(draw.gamma(6, mean / 6)))
            if len(who) > 1 and who[-2] == who[-1] and draw.random() < leave[k]:
                break
            at += draw.exponential(1 / max(rate[k], 1e-6))
    return Purchases("simulated", np.array(who), np.array(day), np.array(worth))


def test_going_on_as_before_is_beaten_and_totals_are_about_right() -> None:
    found = value.train(simulated(), Order(tenant="acme", model_key="m"), told)
    figures = {figure.name: figure for figure in found.figures}
    error = figures["mean_absolute_error_purchases"]
    assert error.baseline is not None
    assert error.high is not None
    assert error.high < error.baseline
    assert 0.85 < figures["total_purchases_ratio"].value < 1.15
    assert found.beats_baseline


def test_the_paper_s_parameters_on_the_paper_s_data(tmp_path: Path) -> None:
    try:
        raw = wheels.member(
            tmp_path, *cdnow.PACKAGE, "lifetimes/datasets/cdnow_customers_summary_with_transactions.csv"
        )
    except BadDataError as error:
        pytest.skip(str(error))
    rows = list(csv.DictReader(io.StringIO(raw.decode())))
    s = buyers.Summary(*(np.array([float(row[name]) for row in rows]) for name in ("x", "t_x", "T", "zbar")))
    model, worth = buyers.fit_bg_nbd(s), buyers.fit_gamma_gamma(s)
    assert (round(model.r, 3), round(model.alpha, 3), round(model.a, 3), round(model.b, 3)) == (
        0.243,
        4.414,
        0.793,
        2.426,
    )
    assert (round(worth.p, 2), round(worth.q, 2), round(worth.v, 2)) == (6.25, 3.74, 15.45)
    assert buyers.BgNbd(0.243, 4.414, 0.793, 2.426).expected(
        buyers.Summary(*(np.array([v]) for v in (2, 30.43, 38.86, 0))), 39
    )[0] == (pytest.approx(1.226, abs=2e-3))


def test_purchases_of_one_day_are_one_and_the_first_is_no_repeat() -> None:
    people, s = buyers.summarise(
        np.array(["b", "a", "a", "a", "b"]), np.array([3.0, 0, 7, 7, 99]), np.array([5.0, 1, 2, 3, 9]), 14
    )
    assert people.tolist() == ["a", "b"]
    assert s.frequency.tolist() == [1, 0]
    assert s.value.tolist() == [5, 0]
    assert np.allclose(s.recency, [1, 0])
    assert np.allclose(s.age, [2, 11 / 7])


def test_too_few_who_came_back_are_refused() -> None:
    with pytest.raises(BadDataError, match="bought again before the split"):
        value.train(simulated(60), Order(tenant="acme", model_key="m"), told)
