"""Merging ranked lists. Pure; ties break by id so that equal input gives equal output."""

from collections.abc import Mapping, Sequence

RRF_K = 60


def reciprocal_rank(lists: Mapping[str, Sequence[tuple[str, float]]], weights: Mapping[str, float]) -> dict[str, float]:
    """Weighted reciprocal rank fusion: sum of weight / (60 + rank), ranks from 1 (Cormack, Clarke, Buettcher 2009).

    Args:
        lists: vector name -> (id, score), best first.
        weights: vector name -> weight >= 0; a missing one is 1, 0 leaves the list out.
    """
    fused: dict[str, float] = {}
    for name, ranked in lists.items():
        weight = weights.get(name, 1.0)
        if weight > 0:
            for rank, (key, _) in enumerate(ranked, start=1):
                fused[key] = fused.get(key, 0.0) + weight / (RRF_K + rank)
    return fused


def weighted_sum(lists: Mapping[str, Sequence[tuple[str, float]]], weights: Mapping[str, float]) -> dict[str, float]:
    """Weighted mean of scores scaled to [0, 1] within each list (min-max); an id missing in a list has 0 there.

    A list whose scores are all equal gives 1 to each of its ids.
    """
    used = {name: ranked for name, ranked in lists.items() if weights.get(name, 1.0) > 0 and ranked}
    total = sum(weights.get(name, 1.0) for name in used)
    fused: dict[str, float] = {}
    for name, ranked in used.items():
        scores = [score for _, score in ranked]
        low, spread = min(scores), max(scores) - min(scores)
        share = weights.get(name, 1.0) / total
        for key, score in ranked:
            scaled = (score - low) / spread if spread > 0 else 1.0
            fused[key] = fused.get(key, 0.0) + share * scaled
    return fused


def best(fused: Mapping[str, float], limit: int) -> list[tuple[str, float]]:
    """The `limit` highest, best first."""
    return sorted(fused.items(), key=lambda item: (-item[1], item[0]))[:limit]
