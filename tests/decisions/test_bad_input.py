"""Odd input is an answer or a refusal by field, never a 5xx, and never a figure that is none."""

import asyncio
import math
from typing import Any

import httpx
import pytest

from services.decisions import tokens
from services.decisions.errors import BadTokenError
from services.decisions.features import only
from tests.decisions.shop import decide, ids, items, offer, outcome, person, policy, put, stock
from tests.decisions.test_ranking import UNLEARNT, goods, inputs
from tests.decisions.test_ranking import offer as plain


@pytest.mark.parametrize(
    "number", ["5", str(2**70), str(-(2**70)), "1" + "0" * 400], ids=["5", "2^70", "-2^70", "10^400"]
)
async def test_numbers_of_any_size_are_features_and_operands(suite: httpx.AsyncClient, number: str) -> None:
    fields = {"field": "context.page", "op": "starts_with", "value": {"field": "context.attributes.n"}}
    await put(
        suite,
        "/v1/rules/r",
        {"ruleId": "r", "when": {"any": [fields, {"field": "context.attributes.n", "op": ">", "value": 1}]}},
    )
    await stock(suite, offer("a", ruleIds=["r"]), offer("b"))
    await policy(suite, features=[{"field": "context.attributes.n"}, {"field": "profile.attributes.n"}])
    await person(suite, "p", n=2**70)
    body = f'{{"profileId": "p", "channel": "web", "page": "abc", "attributes": {{"n": {number}}}}}'
    answer = await suite.post("/v1/decisions", content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    assert ("a" in ids(answer.json())) == (number in {"5", str(2**70)})
    assert (await suite.post(f"/v1/decisions/{answer.json()['id']}/replay")).json()["identical"]


def test_the_log_keeps_numbers_that_it_can_hold() -> None:
    given: dict[str, Any] = {"a": 2**70, "b": 10**400, "c": [1, 2**64, "x"], "d": 2**64 - 1, "e": True, "f": None}
    assert only(given, given) == {"a": float(2**70), "c": [1, float(2**64), "x"], "d": 2**64 - 1, "e": True}


async def test_three_hundred_slots_have_three_hundred_tokens(suite: httpx.AsyncClient) -> None:
    await asyncio.gather(*(stock(suite, offer(f"o{n:03}")) for n in range(300)))
    await policy(suite, maxPerCategory=None)
    made = await decide(suite, "x", limit=30, scopes=[f"s{n}" for n in range(10)])
    found = [item["characteristics"]["tokens"][0] for item in items(made)]
    assert len(set(found)) == 300
    last = await outcome(suite, found[-1], "interact", "k")
    assert (last["stored"], last["rejected"]) == (1, 0)


def test_a_token_names_its_slot_and_old_tokens_stay_valid() -> None:
    key = tokens.key_of("secret", "acme")
    decision = "01a21097-5837-7060-be2e-74f88c70a58a"
    for slot in (0, 255, 256, 299):
        assert tokens.read(key, tokens.sign(key, decision, slot)) == (decision, slot)
    assert len(tokens.sign(key, decision, 255)) == 39  # as they were given out before
    with pytest.raises(BadTokenError):
        tokens.read(key, tokens.sign(tokens.key_of("secret", "globex"), decision, 256))


@pytest.mark.parametrize(
    ("change", "field"),
    [({"value": {"amount": amount, "currency": "USD"}}, "value.amount") for amount in ("-5", "NaN", "1e300", "Infinity")]
    + [({"boost": 1e-300}, "boost"), ({"boost": 0}, "boost"), ({"boost": 101}, "boost")],
)  # fmt: skip
async def test_an_offer_whose_worth_is_none_is_refused(
    suite: httpx.AsyncClient, change: dict[str, Any], field: str
) -> None:
    answer = await suite.put("/v1/offers/v", json=offer("v", **change))
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


async def test_the_most_extreme_offers_have_chances_and_explanations(suite: httpx.AsyncClient) -> None:
    worth = {"value": {"amount": "1000000000", "currency": "USD"}}
    await stock(suite, offer("w", boost=100, priority=1000, **worth), offer("t", boost=0.001),
                offer("z", value={"amount": "0", "currency": "USD"}))  # fmt: skip
    for kind in ("squarecb", "thompson", "epsilon"):
        weights = {"value": 5, "lever": 5, "context": 5, "propensity": 5}
        await policy(suite, arbitration=weights, exploration={"kind": kind})
        made = await decide(suite, "x")
        assert all(0 < item["probability"] <= 1 and 0 < item["score"] < math.inf for item in items(made))
        for key in ("w", "t", "z"):
            why = (await suite.get(f"/v1/decisions/{made['id']}/why", params={"offer": key})).json()
            assert abs(why["residual"]) < 1e-6
        assert (await suite.post(f"/v1/decisions/{made['id']}/replay")).json()["identical"]


def test_offers_that_were_stored_before_they_were_checked_keep_scores_finite() -> None:
    from decimal import Decimal

    from services.decisions import engine
    from shared.contracts.base import Money
    from shared.contracts.policies import Arbitration, Exploration

    amounts = ("-5", "0", "NaN", "Infinity", "1e400", "1e-400", "1")
    shop = goods(
        *(plain(f"o{n}", value=Money(amount=Decimal(amount), currency="USD"), boost=5e-324) for n, amount in enumerate(amounts)),
        arbitration=Arbitration(value=5, lever=5), exploration=Exploration(kind="squarecb"),
    )  # fmt: skip
    result = engine.decide(inputs(limit=7), shop, UNLEARNT)
    assert all(0 < score < math.inf for score in result.score)
    assert abs(float(result.probability.sum()) - 1) < 1e-6


@pytest.mark.parametrize(
    ("change", "named"),
    [({"scorer": "typo"}, "scorer"), ({"features": [{"field": "profile.shoe"}]}, "features[0].field"),
     ({"exploration": {"kind": "magic"}}, "policy")],
)  # fmt: skip
async def test_a_policy_that_could_not_decide_is_not_evaluated(
    suite: httpx.AsyncClient, change: dict[str, Any], named: str
) -> None:
    window = {"start": "2020-01-01T00:00:00Z", "end": "2099-01-01T00:00:00Z"}
    answer = await suite.post("/v1/off-policy", json={**window, "policy": change})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == named
