"""Room in a layer: each running experiment has a range of its buckets to itself. Pure."""

from collections.abc import Sequence

from shared.contracts.assignment import BUCKETS


def free_range(taken: Sequence[tuple[int, int]], percent: float) -> tuple[int, int] | None:
    """The first free range of buckets for a share of a layer; None when there is no room in one piece."""
    wanted = max(1, round(percent / 100 * BUCKETS))
    start = 0
    for low, high in [*sorted(taken), (BUCKETS, BUCKETS)]:
        if low - start >= wanted:
            return start, start + wanted
        start = max(start, high)
    return None
