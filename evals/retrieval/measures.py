"""How good a ranking is. Pure.

R@k is the share of the right answers among the first k (with one right answer: whether it is there). nDCG@k adds that a
right answer counts less the lower it stands, 1 / log2(place + 1), against the best order (Järvelin and Kekäläinen 2002).
"""

import math
from collections.abc import Collection, Sequence

TOP = 10


def recall(ranked: Sequence[str], relevant: Collection[str], k: int) -> float:
    """R@k in [0, 1], never falling with k.

    Raises:
        ValueError: no right answer is known, so nothing can be said.
    """
    if not relevant:
        raise ValueError("a query without a right answer has no recall")
    return len(set(ranked[:k]) & set(relevant)) / len(relevant)


def ndcg(ranked: Sequence[str], relevant: Collection[str], k: int = TOP) -> float:
    """nDCG@k in [0, 1] with equal gains; raises as `recall`. An id that is ranked twice counts once."""
    if not relevant:
        raise ValueError("a query without a right answer has no nDCG")
    seen: set[str] = set()
    gained = 0.0
    for place, key in enumerate(ranked[:k], start=1):
        if key in relevant and key not in seen:
            gained += 1 / math.log2(place + 1)
        seen.add(key)
    return gained / sum(1 / math.log2(place + 1) for place in range(1, min(k, len(relevant)) + 1))
