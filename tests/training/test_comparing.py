"""Is the new one worse? Told when it is, by the rows that count; and what the log's rows are as columns."""

import datetime as dt

import numpy as np

from services.training.monitoring import columns, comparing, stream
from services.training.monitoring.columns import Goods
from shared.contracts.decisions import LogRow
from shared.contracts.monitoring import MonitoredColumn
from tests.decisions.test_ranking import offer as an_offer

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
SPACE = {"s": ["bias", "channel=email", "channel=web", "age"]}
Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def row(
    n: int, reward: float, p: float, *, logging: float = 0.5, offer: str = "a", x: list[float] | None = None
) -> LogRow:
    estimates = [p, 0.5] if offer == "a" else [0.5, p]
    return LogRow(decision_id=f"d{n}", time=AT + dt.timedelta(minutes=n), space="s", slot=0, offer_id=offer, logging=logging,
                  target=logging, reward=reward, value=0.0, x=x or [1.0, 0.0, 1.0, 0.3], offers=["a", "b"], expected=[0.5, 0.5],
                  estimates=estimates)  # fmt: skip


def rows(rewards: Array, p: Array) -> list[LogRow]:
    return [row(n, float(y), float(q)) for n, (y, q) in enumerate(zip(rewards, p, strict=True))]


def test_a_worse_version_is_told_by_both_losses_and_a_better_one_is_not() -> None:
    draw = np.random.default_rng(1)
    true = draw.uniform(0.05, 0.6, 800)
    y = (draw.random(800) < true).astype(float)
    wrong = 1 - true
    found = comparing.compare(comparing.paired(rows(y, wrong), rows(y, true)))
    assert found.worse == ["log_loss", "brier"]
    figures = {one.name: one for one in found.figures}
    assert figures["log_loss_difference"].low
    assert figures["log_loss"].baseline
    assert figures["log_loss"].value > figures["log_loss"].baseline
    assert figures["calibration_error"].value > 0.2
    assert comparing.compare(comparing.paired(rows(y, true), rows(y, wrong))).worse == []
    assert comparing.compare(comparing.paired(rows(y, true), rows(y, true))).worse == []


def test_versions_that_are_equally_good_are_hardly_ever_told_apart() -> None:
    draw = np.random.default_rng(2)
    refused = 0
    for _ in range(200):
        true = draw.uniform(0.05, 0.6, 300)
        y = (draw.random(300) < true).astype(float)
        one, two = (np.clip(true + draw.normal(scale=0.05, size=300), 0.01, 0.99) for _ in range(2))
        refused += bool(comparing.compare(comparing.paired(rows(y, one), rows(y, two))).worse)
    assert refused <= 13  # 2.5 % of 200 is 5; 14 or more have a chance below 0.001


def test_rows_count_for_all_eligible_offers_not_for_what_was_liked_before() -> None:
    """The live policy shows `a` nine times of ten. The new one is a little better there, and far off on `b`."""
    draw = np.random.default_rng(3)
    offers = np.where(draw.random(2000) < 0.9, "a", "b")
    y = (draw.random(2000) < 0.3).astype(float)
    new = [
        row(n, y[n], 0.3 if o == "a" else 0.55, logging=0.9 if o == "a" else 0.1, offer=str(o))
        for n, o in enumerate(offers)
    ]
    old = [
        row(n, y[n], 0.42 if o == "a" else 0.3, logging=0.9 if o == "a" else 0.1, offer=str(o))
        for n, o in enumerate(offers)
    ]
    pair = comparing.paired(new, old)
    assert pair.weighted
    assert comparing.compare(pair).worse == ["log_loss", "brier"]
    pair.weight = np.ones(len(pair.y))
    assert comparing.compare(pair).worse == [], "by the rows as they are it would pass"


def test_too_few_rows_or_too_few_of_an_outcome_are_no_comparison() -> None:
    y = np.zeros(300)
    assert comparing.paired([], []).objection == "0 rows that neither learnt from; 200 are needed"
    assert comparing.paired(rows(y, y + 0.5), rows(y, y + 0.5)[:150]).objection.startswith("150 rows")
    assert comparing.paired(rows(y, y + 0.5), rows(y, y + 0.5)).objection.startswith("0 successes in 300 rows")


def test_rows_become_columns_by_name_and_what_a_row_lacks_is_missing() -> None:
    given = [row(0, 1.0, 0.7, x=[1.0, 1.0, 0.0, 0.3]), row(1, 0.0, 0.6, offer="b", x=[1.0, 0.0, 0.0, -2.0])]
    goods = Goods({"a": an_offer("a")}, {"a": [1.0, 0.0]}, AT + dt.timedelta(minutes=1))
    names = [
        "channel",
        "age",
        "gone",
        "inputs",
        "offer",
        "offer.category",
        "offer.text",
        "offer.embedding",
        "prediction",
        "reward",
    ]
    found = columns.window(given, SPACE, [MonitoredColumn(name=name, kind="number") for name in names], goods)
    assert found["channel"] == ["email", None]
    assert found["age"].tolist() == [0.3, -2.0]
    assert found["gone"] == [None, None]
    assert found["inputs"] == [[1.0, 0.0, 0.3], [0.0, 0.0, -2.0]]
    assert found["offer"] == ["a", "b"]
    assert found["offer.text"] == ["a", None]
    assert found["offer.embedding"] == [[1.0, 0.0], None]
    assert found["prediction"].tolist() == [0.7, 0.6]
    assert found["reward"].tolist() == [1.0], "the other one's waiting time is not over"


def test_a_stream_goes_on_where_it_stopped_and_changes_of_the_reference_are_no_news() -> None:
    before = [row(n, float(n < 300), 0.5) for n in range(600)]
    one = stream.begin(before, 0.002, AT)
    report = one.take([row(n, 0.0, 0.5) for n in range(600, 900)])
    assert one.until == AT + dt.timedelta(minutes=899, microseconds=1)
    assert (report.rewards, report.seen, report.alarm) == (300, 900, False)
    again = one.take([row(n, float(n % 2), 0.5) for n in range(900, 1300)])
    assert (again.alarm, again.seen) == (True, 1300)
    assert again.changes[0].before < 0.1
