"""A scorer of trees over 500 offers for one person: LightGBM itself beside the compiled trees, one thread each."""

from collections.abc import Callable
from typing import Any

import lightgbm
import numpy as np

from benchmarks.harness import interleave, timed
from services.decisions.trees import Forest

OFFERS, FEATURES, ROWS, CALLS = 500, 60, 40_000, 50


def trained(count: int) -> str:
    """A model of so many trees with 31 leaves, of a planted interaction."""
    random = np.random.default_rng(0)
    x = random.normal(size=(ROWS, FEATURES))
    y = (random.random(ROWS) < 1 / (1 + np.exp(2 - x[:, 0] * x[:, 1] - x[:, 2]))).astype(float)
    settings = {"objective": "binary", "num_leaves": 31, "verbose": -1, "deterministic": True}
    return str(lightgbm.train(settings, lightgbm.Dataset(x, y), count).model_to_string())


def seconds_a_call(predict: Callable[[Any], Any], rows: Any) -> float:
    """Seconds of one call, as the mean of many."""
    return timed(lambda: [predict(rows) for _ in range(CALLS)]) / CALLS


def run() -> dict[str, Any]:
    """Seconds a decision, in turn."""
    rows = np.random.default_rng(1).normal(size=(OFFERS, FEATURES))
    found: dict[str, Any] = {"workload": f"{OFFERS} offers x {FEATURES} inputs, 31 leaves a tree, one thread"}
    for count in (100, 300):
        forest = Forest(trained(count))
        forest.compile()
        if not forest.is_compiled:
            raise RuntimeError("the trees were not compiled: is gcc installed?")
        found[f"{count}_trees"] = interleave(
            lambda predict=forest.predict: seconds_a_call(predict, rows),
            lambda predict=forest.interpreted: seconds_a_call(predict, rows),
        )
    return found
