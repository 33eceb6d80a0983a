"""The engine on plain data: what decides, what the log adds up to, what is never broken whatever comes in."""

import datetime as dt
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.decisions import engine, ranking
from services.decisions.assortment import Assortment, Pinned
from services.decisions.engine import CODE
from services.decisions.inputs import Inputs, Models, Person
from shared.contracts.catalog import Offer
from shared.contracts.policies import (
    Arbitration,
    Cap,
    ContactPolicy,
    Exploration,
    FeatureSpec,
    OfferCap,
    Policy,
    QuietHours,
    Rule,
)
from shared.contracts.profiles import Fact

NOW = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)
UNLEARNT = Models(None, None, 0, "none")


def offer(key: str, category: str = "", **more: Any) -> Offer:
    return Offer(offer_id=key, name=key, category=category or key, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
                 end_date=dt.datetime(2027, 1, 1, tzinfo=dt.UTC), **more)  # fmt: skip


def fact(name: str, value: Any = 0.5) -> Fact:
    subject = name.partition(":")[2]
    return Fact(name=name, kind="category", value=value, text=f"about {subject}", explanation="", subject=subject)


def someone(**more: Any) -> Person:
    known = {"profile_id": "p", "known": True, "personalize": True, "contactable": True, "reason": None, "locale": "en-US",
             "time_zone": "UTC", "exclude_tags": [], "values": {}}  # fmt: skip
    return Person(**{**known, **more})


def inputs(seed: int = 1, **more: Any) -> Inputs:
    given_ = {"seed": seed, "at": NOW.timestamp(), "channel": "web", "locale": "en-US", "scopes": ["default"], "limit": 3,
              "person": someone()}  # fmt: skip
    return Inputs(**{**given_, **more})


def goods(*offers: Offer, rules: list[Rule] | None = None, **policy: Any) -> Assortment:
    return Assortment(Pinned(list(offers), rules or [], Policy(**{"exploration": Exploration(kind="none"), **policy})))


def picked(shop: Assortment, **more: Any) -> list[str]:
    return [shop.ids[pick.offer] for pick in engine.decide(inputs(**more), shop, UNLEARNT).picks]


SHOP = goods(offer("yogurt"), offer("soup"), offer("tea", priority=900))


def test_a_favourite_beats_what_merely_looks_alike() -> None:
    weights = {name: a.weight for name, a in ranking.affinities([fact("favourite_category:yogurt", 0.7)]).items()}
    person = someone(affinity=weights)
    assert picked(SHOP, person=person, relevance={"soup": 0.9, "yogurt": 0.4, "tea": 0.1})[0] == "yogurt"


def test_without_facts_relevance_decides_and_without_relevance_priority() -> None:
    assert picked(goods(offer("a"), offer("b")), relevance={"a": 0.4, "b": 0.9})[0] == "b"
    assert picked(SHOP)[0] == "tea"


def test_the_strongest_fact_about_a_subject_counts() -> None:
    found = ranking.affinities([fact("lapsed_category:soup", 12), fact("due_category:soup", 9), fact("recency:soup")])
    assert found == {"soup": ranking.Affinity(0.75, "about soup")}


def test_slots_spread_over_categories_before_they_repeat_one() -> None:
    shop = goods(offer("a1", "a", boost=9), offer("a2", "a", boost=8), offer("b1", "b"))
    assert picked(shop) == ["a1", "b1", "a2"]


def test_a_collections_cap_holds_inside_one_decision() -> None:
    cap = ContactPolicy(caps=[Cap(scope="collection", name="sale", window="week", limit=2)])
    shop = goods(*(offer(f"s{n}", collections=["sale"]) for n in range(4)), offer("other"), contact=cap)
    assert sum(key.startswith("s") for key in picked(shop, limit=5)) == 2
    week = "w202623|c|sale"
    assert (
        picked(shop, limit=5, counts={week: 1}).count("s0") + picked(shop, limit=5, counts={week: 2}).count("s0") == 1
    )


@pytest.mark.parametrize(
    ("change", "stage"),
    [
        ({"person": someone(contactable=False)}, "consent"),
        ({"candidate_ids": ["other"]}, "not_a_candidate"),
        ({"exclude_ids": ["o"]}, "excluded"),
        ({"at": dt.datetime(2025, 1, 1, tzinfo=dt.UTC).timestamp()}, "not_started"),
        ({"at": dt.datetime(2028, 1, 1, tzinfo=dt.UTC).timestamp()}, "expired"),
        ({"channel": "sms"}, "channel"),
        ({"scopes": ["footer"]}, "placement"),
        ({"locale": "de-DE"}, "locale"),
        ({"person": someone(values={"profile.segments": ["new"]})}, "segment"),
        ({"person": someone(values={"profile.segments": ["gold"], "profile.attributes.age": 12})}, "rule"),
        ({"person": someone(values={"profile.segments": ["gold"]})}, "rule"),
        ({"person": someone(exclude_tags=["alcohol"], values={"profile.segments": ["gold"], "profile.attributes.age": 30})},
         "brand_safety"),
        ({"at": dt.datetime(2026, 6, 1, 23, tzinfo=dt.UTC).timestamp()}, "quiet_hours"),
        ({"counts": {"d20260601|o|o": 1}}, "frequency_cap"),
        ({"counts": {"d20260531|o|o": 1}}, "eligible"),
        ({"caps_known": False}, "frequency_cap"),
        ({"counts": {"s|g|drinks": int(NOW.timestamp()) + 5}}, "suppressed"),
        ({"counts": {"s|g|drinks": int(NOW.timestamp()) - 5}}, "eligible"),
        ({"contested": ["o"]}, "contested_cap"),
        ({"holdout": "nothing"}, "holdout"),
        ({}, "eligible"),
    ],
)  # fmt: skip
def test_each_stage_removes_what_it_should(change: dict[str, Any], stage: str) -> None:
    rule = Rule(rule_id="adult", when={"field": "profile.attributes.age", "op": ">=", "value": 18})
    special = offer("o", "drinks", channels=["web"], placements=["default"], locales=["en"], safety_tags=["alcohol"],
                    rule_ids=["adult"], eligibility={"segments": ["gold"]}, capping=[OfferCap(window="day", limit=1)])  # fmt: skip
    import msgspec

    special = msgspec.convert(msgspec.to_builtins(special), Offer)
    shop = goods(
        special,
        rules=[rule],
        contact=ContactPolicy(quiet_hours=[QuietHours(channels=["web"], start="22:00", end="06:00")]),
    )
    usual = {"person": someone(values={"profile.segments": ["gold"], "profile.attributes.age": 30})}
    result = engine.decide(inputs(**{**usual, **change}), shop, UNLEARNT)
    assert engine.STAGES[int(result.stage[0])] == stage


@given(
    st.integers(0, 2**62), st.sampled_from(["none", "epsilon", "squarecb", "thompson", "uniform"]), st.integers(1, 6),
    st.lists(st.floats(0.01, 50), min_size=1, max_size=12), st.integers(0, 10_000),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_probabilities_sum_to_one_and_the_same_inputs_give_the_same_bits(
    seed: int, kind: Any, limit: int, boosts: list[float], seen: int
) -> None:
    shop = goods(
        *(offer(f"o{n:02}", boost=boost) for n, boost in enumerate(boosts)), exploration=Exploration(kind=kind)
    )
    models = Models(np.zeros((len(boosts), len(shop.features))), None, seen, "x@0")
    one, two = (engine.decide(inputs(seed, limit=limit), shop, models) for _ in range(2))
    assert abs(float(one.probability.sum()) - 1) < 1e-6
    assert (one.probability >= 0).all()
    assert all(pick.probability > 0 for pick in one.picks)
    assert len({pick.offer for pick in one.picks}) == len(one.picks) == min(limit, len(boosts))
    assert one.picks == two.picks
    assert one.probability.tobytes() == two.probability.tobytes()


@given(st.dictionaries(st.sampled_from(["profile.attributes.f", "profile.segments", "profile.attributes.g"]),
                       st.one_of(st.none(), st.floats(), st.text(max_size=5), st.booleans(), st.lists(st.text(max_size=3)))))  # fmt: skip
@settings(max_examples=100, deadline=None)
def test_whatever_a_profile_holds_scores_stay_finite(values: dict[str, Any]) -> None:
    shop = goods(offer("a"), offer("b"), features=[FeatureSpec(field="profile.attributes.f"),
                                                   FeatureSpec(field="profile.attributes.g", categories=["x"])])  # fmt: skip
    models = Models(np.ones((2, len(shop.features))), None, 3, "x@3")
    result = engine.decide(inputs(person=someone(values=values)), shop, models)
    assert np.isfinite(result.score).all()
    assert np.isfinite(result.x).all()


def test_sleeping_dogs_are_left_alone_where_the_policy_says_so() -> None:
    from shared.contracts.policies import ScorerModel

    body = {
        "intercept": 0.0,
        "offers": {"wakes": {"intercept": -2.0}, "helps": {"intercept": 1.0}},
        "control": {"intercept": 0.0},
    }
    pinned = Pinned([offer("wakes", boost=50), offer("helps")], [],
                    Policy(scorer="m", exploration=Exploration(kind="none"),
                           arbitration=Arbitration(use_uplift=True, minimum_uplift=0.0)),
                    models=[ScorerModel(model_id="m", kind="linear", body=body)])  # fmt: skip
    shop = Assortment(pinned)
    result = engine.decide(inputs(), shop, UNLEARNT)
    assert [shop.ids[p.offer] for p in result.picks] == ["helps"]
    assert int(result.stage[shop.index["wakes"]]) == CODE["uplift"]


def test_fallback_offers_step_in_and_keep_their_own_caps() -> None:
    never = Rule(rule_id="never", when={"field": "profile.attributes.x", "op": "exists"})
    shop = goods(
        offer("a", rule_ids=["never"]), offer("spare", rule_ids=["never"]), rules=[never], fallback_offer_ids=["spare"]
    )
    result = engine.decide(inputs(), shop, UNLEARNT)
    assert [(shop.ids[p.offer], p.fallback) for p in result.picks] == [("spare", True)]
