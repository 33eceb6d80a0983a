"""Synthetic worlds whose policies' values are known: what estimators are judged by. Pure."""

import numpy as np
import numpy.typing as npt

from services.evaluation.off_policy import Log
from services.evaluation.slates import SlateLog

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
_POPULATION = 400_000
_CONTEXTS = 40_000
_NOISE = 1.0


def _softmax(z: FloatArray) -> FloatArray:
    heights = np.exp(z - z.max(axis=1, keepdims=True))
    found: FloatArray = heights / heights.sum(axis=1, keepdims=True)
    return found


def make_world(seed: int, *, n: int = 3000, k: int = 10, d: int = 5, binary: bool = False) -> tuple[Log, float]:
    """A log of a soft policy, and the true value of a greedier one: the mean over a large population of contexts.

    Expected rewards bend with the squares of the context, so that no reward model of ours is right. Rewards are amounts
    with noise, or 0/1 with logistic chances.
    """
    draw = np.random.default_rng(seed)
    effect = draw.normal(scale=1.0, size=(d, k))
    base = draw.normal(-1.0, 0.5, size=k)
    bend = draw.normal(scale=0.5, size=(d, k))
    wrong = effect + draw.normal(scale=1.0, size=(d, k))

    def target(x: FloatArray) -> FloatArray:
        return _softmax(x @ effect + base)

    def expected(x: FloatArray) -> FloatArray:
        found: FloatArray = x @ effect + (x**2 - 1) @ bend + base
        return 1 / (1 + np.exp(-found)) if binary else found

    everybody = draw.normal(size=(_CONTEXTS, d))
    truth = float((target(everybody) * expected(everybody)).sum(axis=1).mean())
    x = draw.normal(size=(n, d))
    logging = 0.8 * _softmax(0.3 * (x @ wrong)) + 0.2 / k
    action = (logging.cumsum(axis=1) > draw.random((n, 1))).argmax(axis=1)
    rows = np.arange(n)
    mean = expected(x)[rows, action]
    reward = (draw.random(n) < mean).astype(float) if binary else mean + draw.normal(scale=_NOISE, size=n)
    return Log(x, action, reward, logging[rows, action], target(x)), truth


def make_slate_world(seed: int, *, n: int = 4000, k: int = 6, slots: int = 3) -> tuple[SlateLog, float]:
    """Slates drawn without replacement; a slot is seen when nothing above it was clicked (a cascade). The truth is the
    mean of many slates of the candidate policy.
    """
    draw = np.random.default_rng(seed)
    appeal = draw.uniform(0.05, 0.5, size=k)
    logging, target = draw.dirichlet(np.full(k, 5.0)), draw.dirichlet(np.full(k, 5.0))

    def play(policy: FloatArray, count: int) -> tuple[IntArray, FloatArray]:
        keys = np.log(policy) + draw.gumbel(size=(count, k))  # Gumbel top-k: draws without replacement
        chosen = np.argsort(-keys, axis=1)[:, :slots]
        clicks = draw.random((count, slots)) < appeal[chosen]
        seen: npt.NDArray[np.bool_] = np.cumsum(clicks, axis=1) - clicks == 0
        return chosen.astype(np.int64), (clicks & seen).astype(np.float64)

    def conditional(policy: FloatArray, chosen: IntArray) -> FloatArray:
        taken = policy[chosen]
        left = 1 - np.cumsum(taken, axis=1) + taken
        found: FloatArray = taken / left
        return found

    _, earned = play(target, _POPULATION)
    chosen, reward = play(logging, n)
    return SlateLog(reward, conditional(logging, chosen), conditional(target, chosen)), float(earned.sum(axis=1).mean())
