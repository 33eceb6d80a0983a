"""Merging ranked lists. Pure; ties break by id so that equal input gives equal output."""

from collections.abc import Mapping, Sequence

# The published constant is 60, made for lists of a thousand; here the first few places of short lists decide.
RRF_K = 5


def reciprocal_rank(lists: Mapping[str, Sequence[tuple[str, float]]], weights: Mapping[str, float]) -> dict[str, float]:
    """Weighted reciprocal rank fusion: sum of weight / (5 + rank), ranks from 1 (Cormack, Clarke, Buettcher 2009).

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


def weighted_sum(
    lists: Mapping[str, Sequence[tuple[str, float]]],
    weights: Mapping[str, float],
    full: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Weighted mean of scores scaled to [0, 1] (Bruch, Gai and Ingber 2023); an id missing in a list has 0 there.

    Args:
        lists: vector name -> (id, score), best first.
        weights: vector name -> weight >= 0; a missing one is 1, 0 leaves the list out.
        full: vector name -> the score of a perfect match, where one is known: that list is scaled from 0 to it. Every
            other list is scaled from its lowest to its highest score; if all are equal, each is 1.
    """
    used = {name: ranked for name, ranked in lists.items() if weights.get(name, 1.0) > 0 and ranked}
    total = sum(weights.get(name, 1.0) for name in used)
    fused: dict[str, float] = {}
    for name, ranked in used.items():
        scores = [score for _, score in ranked]
        low, high = (0.0, full[name]) if full and full.get(name, 0.0) > 0 else (min(scores), max(scores))
        share = weights.get(name, 1.0) / total
        for key, score in ranked:
            scaled = min(max((score - low) / (high - low), 0.0), 1.0) if high > low else 1.0
            fused[key] = fused.get(key, 0.0) + share * scaled
    return fused


def either(each: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The highest score an id has in any of them: what fits one of a person's interests fits the person."""
    highest: dict[str, float] = {}
    for fused in each:
        for key, score in fused.items():
            highest[key] = max(highest.get(key, score), score)
    return highest


def best(fused: Mapping[str, float], limit: int) -> list[tuple[str, float]]:
    """The `limit` highest, best first."""
    return sorted(fused.items(), key=lambda item: (-item[1], item[0]))[:limit]
