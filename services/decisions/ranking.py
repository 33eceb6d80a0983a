"""What a person's own history says about offers. Pure."""

from collections.abc import Sequence

import msgspec

from shared.contracts.profiles import Fact

# How much a fact about the offer's own category or brand counts, by the first part of the fact's name.
_AFFINITY = {"due_category": 0.75, "favourite_category": 0.5, "lapsed_category": 0.6, "favourite_brand": 0.2}
_SHARE_WEIGHT = 0.5


class Affinity(msgspec.Struct, frozen=True):
    """What the person's own history says about a subject: a weight in [0, 1] and the fact, in words."""

    weight: float
    reason: str


def affinities(facts: Sequence[Fact]) -> dict[str, Affinity]:
    """Subject in lower case -> the strongest fact about it. A favourite counts the more, the larger its share of baskets."""
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
    return known
