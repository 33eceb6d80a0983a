"""What a model foretells of persons: a file to import, read by rules at decision time, never kept in the registry, never spoken."""

import csv
import datetime as dt
from pathlib import Path

import httpx
import msgspec
import numpy as np
import pytest

from services.training import predictions
from services.training.errors import BadDataError
from services.training.sources import baskets
from services.training.trained import Order, Trained
from services.training.trainers import recommendation, value
from shared.contracts.profiles import ProfileUpsert
from shared.contracts.training import Columns, Dataset
from tests.decisions.shop import decide, ids, offer, person, policy, put, stock
from tests.training.test_buyers import simulated, told

WEEKS, TASTES = 30, tuple(f"product {n}" for n in range(24))
END = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


def purchases(path: Path, people: int = 90, weeks: int = WEEKS, seed: int = 0) -> Path:
    """Everybody buys what they like every week and the rest seldom; likes change half-way, which frequency alone cannot see."""
    draw = np.random.default_rng(seed)
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["who", "what", "when"])
        for n in range(people):
            for week in range(weeks):
                liked = TASTES[(n + (week >= weeks // 2)) % len(TASTES)]
                for what in TASTES:
                    if draw.random() < (0.9 if what == liked else 0.08):
                        at = END - dt.timedelta(weeks=weeks - 1 - week, hours=float(draw.uniform(0, 160)))
                        rows.writerow([f"p{n}", what, at.isoformat()])
    return path


def order_of(path: Path) -> Trained:
    """A recommendation model of a file of purchases."""
    columns = Columns(outcome="what", entity="who", observed_at="when")
    dataset = Dataset(source="table", path=str(path), columns=columns)
    order = Order(tenant="acme", model_key="next", parameters={"min_data_in_leaf": 20, "rounds": 60})
    return recommendation.plan(dataset, order)(told)


def profiles(trained: Trained) -> dict[str, ProfileUpsert]:
    lines = trained.people[predictions.FILE].splitlines()
    return {one.profile_id: one for one in (msgspec.json.decode(line, type=ProfileUpsert) for line in lines)}


def test_what_somebody_buys_now_comes_first_and_recent_frequency_is_beaten(tmp_path: Path) -> None:
    trained = order_of(purchases(tmp_path / "purchases.csv"))
    found = profiles(trained)
    assert len(found) == 90
    now = [found[f"p{n}"].attributes[recommendation.NEXT].value[0] == TASTES[(n + 1) % len(TASTES)] for n in range(90)]  # type: ignore[index]
    assert np.mean(now) > 0.9
    assert trained.figures[0].value > (trained.figures[0].baseline or 1)
    assert found["p0"].attributes[recommendation.NEXT].source == "model:next"
    assert b"p0" not in b"".join(trained.files.values())  # nothing of persons goes into the registry
    assert order_of(tmp_path / "purchases.csv").people == trained.people


def test_of_a_value_model_everybody_has_what_is_to_come_after_the_last_day() -> None:
    bought = simulated()
    trained = value.train(bought, Order(tenant="acme", model_key="worth"), told)
    found = profiles(trained)
    assert set(found) == set(bought.customer.tolist())
    said = {who: one.attributes[value.VALUE].value for who, one in found.items()}
    assert all(isinstance(v, float) and np.isfinite(v) and v >= 0 for v in said.values())
    gone = bought.customer[bought.day.argmin()]
    latest = {who: bought.day[bought.customer == who].max() for who in (gone, bought.customer[bought.day.argmax()])}
    assert len(latest) == 2
    assert not any(b'"c0"' in body for body in trained.files.values())


@pytest.mark.parametrize(
    ("changed", "message"),
    [({"people": 20}, "50 and 24 are needed"), ({"weeks": 10}, "50 and 24 are needed")],
)
def test_too_few_persons_or_weeks_are_refused(tmp_path: Path, changed: dict[str, int], message: str) -> None:
    with pytest.raises(BadDataError, match=message):
        order_of(purchases(tmp_path / "few.csv", **changed))


def test_a_purchase_without_time_and_too_many_pairs_are_refused() -> None:
    who, what = np.array(["a", "b"]), np.array(["tea", "tea"])
    with pytest.raises(BadDataError, match="1 purchases have no time"):
        baskets.of_table(who, what, np.array([1.0, np.nan]))
    many = np.arange(9_000).astype(str)
    with pytest.raises(BadDataError, match="take categories"):
        baskets.of_table(many, many, np.zeros(len(many)))


def test_weeks_end_with_the_newest_purchase_and_old_ones_are_left_out() -> None:
    day = 86_400.0
    b = baskets.of_table(np.array(["a"] * 4), np.array(["tea"] * 4), np.array([1000 * day, 994 * day, 993 * day, day]))
    assert b.weeks == 2
    assert b.lines[0].tolist() == [0, 1, 2]


async def test_a_rule_reads_what_was_foretold_while_consent_allows_it_and_no_text_says_it(
    suite: httpx.AsyncClient, tmp_path: Path
) -> None:
    found = profiles(order_of(purchases(tmp_path / "purchases.csv")))["p3"]
    likely = str(found.attributes[recommendation.NEXT].value[0])  # type: ignore[index]
    when = {
        "field": f"profile.attributes.{recommendation.NEXT}",
        "op": "contains",
        "value": {"field": "offer.category"},
    }
    await put(suite, "/v1/rules/likely", {"ruleId": "likely", "when": when})
    await stock(
        suite,
        *(offer(key, category=name, ruleIds=["likely"]) for key, name in (("next", likely), ("other", "garden"))),
        offer("plain"),
    )
    await policy(suite, exploration={"kind": "none"}, learn=False, maxPerCategory=None)
    await person(suite, "p3")
    assert ids(await decide(suite, "p3", limit=5)) == ["plain"]
    body = msgspec.to_builtins(found, str_keys=True)
    await put(suite, "/v1/profiles/p3", body)
    assert set(ids(await decide(suite, "p3", limit=5))) == {"next", "plain"}
    await suite.post("/v1/profiles/facts/refresh", json={})
    assert recommendation.NEXT not in (await suite.get("/v1/profiles/p3/facts")).text
    withdrawn = {"personalize": {"content": {"val": "n"}}, "marketing": {"any": {"val": "y"}}}
    await put(suite, "/v1/profiles/p3/consents", withdrawn)
    assert ids(await decide(suite, "p3", limit=5)) == ["plain"]
