"""Recommenders with a closed form: EASE (Steck, WWW 2019) and item nearest neighbours (Sarwar et al., WWW 2001). Pure.

Both give a matrix (items, items); a person's scores are their row of the interaction matrix times it. A blend adds both after
scaling each person's scores to unit spread.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.linalg import inv

Matrix = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]


def ease(x: Matrix, penalty: float) -> Matrix:
    """Item weights with a zero diagonal; x (people, items)."""
    gram = (x.T @ x).astype(np.float64)
    gram[np.diag_indices_from(gram)] += penalty
    precision = inv(gram, overwrite_a=True, check_finite=False)
    found = -precision / np.diag(precision)
    np.fill_diagonal(found, 0.0)
    return np.asarray(found, dtype=np.float32)


def neighbours(x: Matrix, shrinkage: float, power: float) -> Matrix:
    """Shrunk cosine similarity of items: co-occurrences / (norm products + shrinkage), columns damped by popularity^power."""
    counts = (x.T @ x).astype(np.float64)
    norms = np.sqrt(np.maximum(np.diag(counts), 1e-12))
    found = counts / (np.outer(norms, norms) + shrinkage)
    np.fill_diagonal(found, 0.0)
    return np.asarray(found / norms[None, :] ** (2 * power), dtype=np.float32)


def scaled(scores: Matrix) -> Matrix:
    """Every person's scores to mean 0 and spread 1."""
    spread = scores.std(axis=1, keepdims=True)
    return np.asarray((scores - scores.mean(axis=1, keepdims=True)) / np.where(spread > 0, spread, 1), dtype=np.float32)


def weighted(x: Matrix, power: float) -> Matrix:
    """Interactions with people damped: who has many says less about each (rows divided by their count^power)."""
    count = np.maximum(x.sum(axis=1, keepdims=True), 1)
    return np.asarray(x / count**power, dtype=np.float32)


class Blend:
    """EASE and neighbours, fitted together; `scores` are of the people it was fitted on, or of new rows.

    Settings: `penalty`, `shrinkage`, `popularity`, `damping`, and `share`, the weight of EASE in [0, 1].
    """

    def __init__(self, x: Matrix, settings: dict[str, Any]) -> None:
        self._share = float(settings["share"])
        damped = weighted(x, float(settings["damping"]))
        self.ease = ease(damped, float(settings["penalty"]))
        self.near = (
            neighbours(damped, float(settings["shrinkage"]), float(settings["popularity"])) if self._share < 1 else None
        )

    def scores(self, x: Matrix) -> Matrix:
        """Shape (people, items)."""
        mine = scaled(x @ self.ease)
        if self.near is None:
            return mine
        return np.asarray(self._share * mine + (1 - self._share) * scaled(x @ self.near), dtype=np.float32)


def top(scores: Matrix, seen: Matrix, k: int) -> IntArray:
    """The k best items of each person that they have not seen, best first; ties by item number."""
    masked = np.where(seen > 0, -np.inf, scores)
    return np.asarray(np.argsort(-masked, axis=1, kind="stable")[:, :k], dtype=np.int64)


def ndcg(ranked: IntArray, wanted: Matrix, k: int = 10) -> npt.NDArray[np.float64]:
    """Binary nDCG at k of everybody who wants something, in the order of the people."""
    people = np.flatnonzero(wanted.sum(axis=1) > 0)
    hits = np.take_along_axis(wanted[people], ranked[people, :k], axis=1) > 0
    discount = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.cumsum(discount)[np.minimum(wanted[people].sum(axis=1).astype(int), k) - 1]
    return np.asarray((hits * discount).sum(axis=1) / ideal)
