"""Ranking: the person's own history decides where it speaks of the offer, else relevance, else priority."""

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.decisions import ranking
from services.decisions.eligibility import Situation, removed_by
from services.decisions.people import anonymous
from shared.contracts.catalog import Offer
from shared.contracts.decisions import DecisionRequest
from shared.contracts.profiles import Fact, ProfileContext

NOW = dt.datetime(2026, 6, 1, tzinfo=dt.UTC)


def offer(key: str, category: str = "", **more: Any) -> Offer:
    return Offer(offer_id=key, name=key, category=category or key, start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
                 end_date=dt.datetime(2027, 1, 1, tzinfo=dt.UTC), **more)  # fmt: skip


def fact(name: str, value: Any = 0.5) -> Fact:
    subject = name.partition(":")[2]
    return Fact(name=name, kind="category", value=value, text=f"about {subject}", explanation="", subject=subject)


OFFERS = [offer("yogurt"), offer("soup"), offer("tea", priority=900)]


def ranked(relevance: dict[str, float], facts: list[Fact]) -> list[str]:
    affinity = ranking.affinities(OFFERS, facts)
    return [o.offer_id for o in ranking.pick(OFFERS, ranking.scores(OFFERS, relevance, affinity), 3)]


def test_a_favourite_beats_what_merely_looks_alike() -> None:
    assert ranked({"soup": 0.9, "yogurt": 0.4, "tea": 0.1}, [fact("favourite_category:yogurt", 0.7)])[0] == "yogurt"


def test_without_facts_relevance_decides_and_without_relevance_priority() -> None:
    assert ranked({"soup": 0.9, "yogurt": 0.4}, [])[0] == "soup"
    assert ranked({}, [])[0] == "tea"


def test_the_larger_share_of_baskets_wins_among_favourites() -> None:
    both = [fact("favourite_category:soup", 0.1), fact("favourite_category:yogurt", 0.9)]
    assert ranked({}, both)[0] == "yogurt"


def test_the_reason_is_the_fact_that_decided() -> None:
    found = ranking.affinities(
        OFFERS, [fact("lapsed_category:soup", 12), fact("due_category:soup", 9), fact("recency:soup")]
    )
    assert found == {"soup": ranking.Affinity(0.75, "about soup")}


@given(st.dictionaries(st.sampled_from(["yogurt", "soup", "tea", "gone"]), st.floats(-1, 1)),
       st.lists(st.sampled_from(["favourite_category:tea", "due_category:soup", "lapsed_category:yogurt"])))  # fmt: skip
def test_scores_stay_in_their_range_and_the_log_adds_up(relevance: dict[str, float], names: list[str]) -> None:
    score = ranking.scores(OFFERS, relevance, ranking.affinities(OFFERS, [fact(name, 0.3) for name in names]))
    assert all(0 <= value <= 2.1 for value in score.values())
    picked = ranking.pick(OFFERS, score, 2)
    log = ranking.candidates({"old": "expired"}, score, picked)
    assert sum(candidate.probability for candidate in log) == len(picked) == 2
    assert {candidate.offer_id for candidate in log} == {"yogurt", "soup", "tea", "old"}


@pytest.mark.parametrize(
    ("profile", "tags", "stage"),
    [
        (anonymous("x", "unknown", "web"), ["alcohol"], "brand_safety"),
        (anonymous("x", "unknown", "web"), [], None),
        (ProfileContext(profile_id="x", known=True, personalize=True, contactable=True, reason=None, locale="en",
                        time_zone="UTC", exclude_tags=["infant"]), ["infant"], "brand_safety"),
        (ProfileContext(profile_id="x", known=True, personalize=True, contactable=True, reason=None, locale="en",
                        time_zone="UTC"), ["alcohol"], None),
    ],
)  # fmt: skip
def test_brand_safety_holds_for_whom_nothing_is_known(
    profile: ProfileContext, tags: list[str], stage: str | None
) -> None:
    now = Situation(request=DecisionRequest(profile_id="x", channel="web"), profile=profile, locale="en-US", at=NOW)
    assert removed_by(offer("o", safety_tags=tags), now) == stage
