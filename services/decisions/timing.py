"""How long a scorer takes: it is asked again and again about all offers, with contexts drawn at random."""

import time

import numpy as np

from services.decisions.assortment import Assortment, Pinned
from services.decisions.errors import BadModelError
from shared.contracts.policies import ScorerTiming

_RUNS, _SECONDS = 200, 1.0
_WARM = 3


def timed(pinned: Pinned) -> ScorerTiming:
    """Time the policy's scorer on these offers, for a second at most.

    Raises:
        BadModelError: it cannot be used.
    """
    goods = Assortment(pinned)
    if goods.notes:
        raise BadModelError(goods.notes[0])
    random = np.random.default_rng(0)
    contexts = random.normal(size=(_RUNS, len(goods.features)))
    spent: list[float] = []
    for n, x in enumerate(contexts):
        begin = time.perf_counter()
        goods.scorer.score(x)
        if n >= _WARM:
            spent.append((time.perf_counter() - begin) * 1000)
        if sum(spent) > _SECONDS * 1000:
            break
    return ScorerTiming(offers=len(goods.ids), runs=len(spent), median_ms=float(np.median(spent)),
                        p95_ms=float(np.quantile(spent, 0.95)))  # fmt: skip
