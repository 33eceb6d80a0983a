"""Scores to a ranked pick. Pure and deterministic: ties break by offer id."""

from collections.abc import Mapping, Sequence

from shared.contracts.catalog import Offer
from shared.contracts.decisions import Candidate

POLICY_VERSION = "retrieval-top-k@1"
_PRIORITY_SHARE = 0.1
_MAX_PRIORITY = 1000


def scores(offers: Sequence[Offer], relevance: Mapping[str, float]) -> dict[str, float]:
    """Offer id -> score in [0, 1.1]: relevance scaled to its maximum, plus a tenth of the priority scaled to [0, 1].

    An offer the search did not return has relevance 0. Without any relevance the priority alone ranks.
    """
    top = max(relevance.values(), default=0.0)
    return {
        offer.offer_id: (max(relevance.get(offer.offer_id, 0.0), 0.0) / top if top > 0 else 0.0)
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
