"""From scores to probabilities, and the draw. Pure; every function returns what was really drawn from.

SquareCB: Foster and Rakhlin, ICML 2020 (arXiv 2002.04926), with the rate growing with the root of the number of
observations as Vowpal Wabbit has it. Thompson sampling: Agrawal and Goyal, ICML 2013; the probabilities are the shares
of posterior draws in which an item wins, mixed with a floor, and the item is drawn from exactly these.
"""

import math

import numpy as np
import numpy.typing as npt

from shared.contracts.policies import Exploration

FloatArray = npt.NDArray[np.float64]


def greedy(scores: FloatArray) -> FloatArray:
    """All probability on the best; the first of equals."""
    found = np.zeros(len(scores))
    found[int(scores.argmax())] = 1.0
    return found


def with_floor(share: FloatArray, epsilon: float) -> FloatArray:
    """(1 - epsilon) x share + epsilon / n."""
    mixed: FloatArray = (1.0 - epsilon) * share + epsilon / len(share)
    return mixed


def squarecb(scores: FloatArray, gamma: float) -> FloatArray:
    """1 / (n + gamma x gap) for all but the best, which has the rest; gaps are of scores scaled to at most 1."""
    best = int(scores.argmax())
    top = float(scores[best])
    gaps = (top - scores) / top if top > 0 else np.zeros(len(scores))
    found: FloatArray = 1.0 / (len(scores) + gamma * gaps)
    found[best] = 0.0
    found[best] = 1.0 - float(found.sum())
    return found


def wins(draws: FloatArray) -> FloatArray:
    """Shape (m, n) of sampled scores -> shape (n,): the share of draws each item wins."""
    counts = np.bincount(draws.argmax(axis=1), minlength=draws.shape[1])
    found: FloatArray = counts / len(draws)
    return found


def probabilities(how: Exploration, scores: FloatArray, draws: FloatArray | None, seen: int) -> FloatArray:
    """Shape (n,), sums to 1. `draws`: posterior scores of the same items, for Thompson; `seen`: observations so far."""
    if how.kind == "uniform":
        return np.full(len(scores), 1.0 / len(scores))
    if how.kind == "squarecb":
        return squarecb(scores, how.gamma * math.sqrt(1.0 + seen))
    if how.kind == "thompson" and draws is not None:
        return with_floor(wins(draws), how.epsilon)
    return with_floor(greedy(scores), how.epsilon) if how.kind == "epsilon" else greedy(scores)


def draw(probability: FloatArray, uniform: float) -> int:
    """The index that a uniform number in [0, 1) falls on; never one of probability 0."""
    heap = probability.cumsum()
    found = int(heap.searchsorted(uniform * float(heap[-1]), side="right"))
    found = min(found, len(probability) - 1)
    return found if probability[found] > 0 else int(probability.argmax())
