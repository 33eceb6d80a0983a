"""Scores to a ranked pick. Pure and deterministic: ties break by offer id."""

from collections.abc import Mapping, Sequence

import msgspec

from shared.contracts.catalog import Offer
from shared.contracts.decisions import Candidate
from shared.contracts.profiles import Fact

POLICY_VERSION = "retrieval-facts-top-k@2"
# How much a fact about the offer's own category or brand counts beside relevance, by the first part of the fact's name.
_AFFINITY = {"due_category": 0.75, "favourite_category": 0.5, "lapsed_category": 0.6, "favourite_brand": 0.2}
_SHARE_WEIGHT = 0.5
_PRIORITY_SHARE = 0.1
_MAX_PRIORITY = 1000


class Affinity(msgspec.Struct, frozen=True):
    """What the person's own history says about an offer: a weight in [0, 1] and the fact, in words."""

    weight: float
    reason: str


def affinities(offers: Sequence[Offer], facts: Sequence[Fact]) -> dict[str, Affinity]:
    """Offer id -> the strongest fact whose subject is the offer's product, category or brand; without one, no entry.

    A favourite counts the more, the larger its share of baskets.
    """
    known: dict[str, Affinity] = {}
    for fact in facts:
        weight = _AFFINITY.get(fact.name.partition(":")[0])
        if weight is None or not fact.subject:
            continue
        if isinstance(fact.value, float) and fact.name.startswith("favourite_category"):
            weight += _SHARE_WEIGHT * min(max(fact.value, 0.0), 1.0)
        subject = fact.subject.lower()
        if subject not in known or known[subject].weight < weight:
            known[subject] = Affinity(weight, fact.text)
    found = {}
    for offer in offers:
        names = {name.lower() for name in (offer.product_name, offer.category, offer.product_brand) if name}
        best = max((known[name] for name in names & known.keys()), key=lambda a: a.weight, default=None)
        if best:
            found[offer.offer_id] = best
    return found


def scores(
    offers: Sequence[Offer], relevance: Mapping[str, float], affinity: Mapping[str, Affinity]
) -> dict[str, float]:
    """Offer id -> score in [0, 2.1]: relevance scaled to its maximum, the affinity, a tenth of the priority.

    An offer the search did not return has relevance 0. Without any relevance the priority alone ranks.
    """
    top = max(relevance.values(), default=0.0)
    return {
        offer.offer_id: (max(relevance.get(offer.offer_id, 0.0), 0.0) / top if top > 0 else 0.0)
        + (affinity[offer.offer_id].weight if offer.offer_id in affinity else 0.0)
        + _PRIORITY_SHARE * offer.priority / _MAX_PRIORITY
        for offer in offers
    }


def pick(offers: Sequence[Offer], score: Mapping[str, float], limit: int) -> list[Offer]:
    """The best `limit` offers: the best of each category first, then the rest, each group by score, then by id."""
    ranked = sorted(offers, key=lambda offer: (-score[offer.offer_id], offer.offer_id))
    seen: set[str] = set()
    firsts: list[Offer] = []
    rest: list[Offer] = []
    for offer in ranked:
        category = offer.category or offer.offer_id
        (rest if category in seen else firsts).append(offer)
        seen.add(category)
    return (firsts + rest)[:limit]


def candidates(removed: Mapping[str, str], score: Mapping[str, float], picked: Sequence[Offer]) -> list[Candidate]:
    """What the log keeps of every offer; the policy is deterministic, so the picked have probability 1, others 0."""
    chosen = {offer.offer_id for offer in picked}
    kept = [
        Candidate(offer_id=key, score=value, probability=1.0 if key in chosen else 0.0)
        for key, value in sorted(score.items(), key=lambda item: (-item[1], item[0]))
    ]
    return kept + [
        Candidate(offer_id=key, score=0.0, probability=0.0, removed_by=stage) for key, stage in sorted(removed.items())
    ]
