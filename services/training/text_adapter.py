"""A low-rank adapter over frozen text embeddings, learnt from pairs that belong together: clicked, bought, captioned. Pure.

A query's vector q becomes normalise(q + q U V'); items stay as they are, so an index needs no rebuilding. Trained by the
contrastive loss over the batch (InfoNCE, van den Oord et al. 2018) with U = 0 at the start: untrained it changes nothing.
"""

from collections.abc import Callable, Mapping

import msgspec
import numpy as np
import numpy.typing as npt

from services.training.errors import BadDataError
from shared.contracts.retrieval import QueryAdapter

Matrix = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
FACTORS, SETTINGS = "adapter.f32", "settings.json"


class Adapter(msgspec.Struct):
    """Factors of shape (dimension, rank)."""

    u: Matrix
    v: Matrix

    def __call__(self, queries: Matrix) -> Matrix:
        """Adapted unit vectors, shape (n, dimension)."""
        moved = queries + queries @ self.u @ self.v.T
        return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9), dtype=np.float32)

    def encode(self) -> bytes:
        """float32, u then v."""
        return self.u.tobytes() + self.v.tobytes()


class Fitted(msgspec.Struct):
    """What is kept beside the factors: for which text model, of which shape."""

    embedding: str
    dimension: int
    rank: int


def served(model_key: str, version: int, files: Mapping[str, bytes]) -> QueryAdapter:
    """A version's files as retrieval takes them.

    Raises:
        BadDataError: the version was trained before its files said for which text model.
    """
    try:
        fitted = msgspec.json.decode(files[SETTINGS], type=Fitted)
    except msgspec.ValidationError as error:
        raise BadDataError(
            f"{model_key} {version}: its files do not say what it was fitted for ({error}); train it again"
        ) from error
    return QueryAdapter(model_key=model_key, version=version, embedding=fitted.embedding, dimension=fitted.dimension, rank=fitted.rank,
                        factors=files[FACTORS])  # fmt: skip


def fit(
    queries: Matrix, items: Matrix, pairs: IntArray, *, rank: int, steps: int, seed: int, temperature: float = 0.05, rate: float = 2e-3,
    decay: float = 1e-2, batch: int = 256, told: Callable[[int], None] | None = None,
) -> Adapter:  # fmt: skip
    """Learn an adapter.

    Args:
        queries: unit vectors (n, d).
        items: unit vectors (m, d).
        pairs: (p, 2) query and item that belong together.
        rank: of the adapter.
        steps: of Adam.
        seed: of start and batches.
        temperature: of the softmax over the batch's items.
        rate: Adam's.
        decay: weight decay (decoupled).
        batch: pairs a step; the other items of the batch are the negatives, equal items masked.
        told: hears every step.
    """
    draw = np.random.default_rng(seed)
    d = queries.shape[1]
    parts = [np.zeros((d, rank)), draw.normal(scale=d**-0.5, size=(d, rank))]
    first = [np.zeros_like(p) for p in parts]
    second = [np.zeros_like(p) for p in parts]
    for step in range(1, steps + 1):
        chosen = pairs[draw.permutation(len(pairs))[:batch]]
        q, k = queries[chosen[:, 0]].astype(np.float64), items[chosen[:, 1]].astype(np.float64)
        gradients = _gradients(q, k, chosen[:, 1], parts, temperature)
        for n, g in enumerate(gradients):
            first[n] = 0.9 * first[n] + 0.1 * g
            second[n] = 0.999 * second[n] + 0.001 * g * g
            parts[n] -= rate * (
                first[n] / (1 - 0.9**step) / (np.sqrt(second[n] / (1 - 0.999**step)) + 1e-8) + decay * parts[n]
            )
        if told:
            told(step)
    return Adapter(parts[0].astype(np.float32), parts[1].astype(np.float32))


def _gradients(q: npt.NDArray[np.float64], k: npt.NDArray[np.float64], ids: IntArray, parts: list[npt.NDArray[np.float64]],
               temperature: float) -> list[npt.NDArray[np.float64]]:  # fmt: skip
    """Of the batch's mean contrastive loss by u and v."""
    u, v = parts
    low = q @ u
    z = q + low @ v.T
    norm = np.linalg.norm(z, axis=1, keepdims=True)
    unit = z / norm
    logits = unit @ k.T / temperature
    same = (ids[:, None] == ids[None, :]) & ~np.eye(len(ids), dtype=bool)
    logits[same] = -np.inf
    logits -= logits.max(axis=1, keepdims=True)
    p = np.exp(logits)
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(ids)), np.arange(len(ids))] -= 1
    by_unit = p @ k / (temperature * len(ids))
    by_z = (by_unit - unit * (by_unit * unit).sum(axis=1, keepdims=True)) / norm
    return [q.T @ (by_z @ v), by_z.T @ low]


def ndcg(queries: Matrix, items: Matrix, pairs: IntArray, k: int = 10) -> npt.NDArray[np.float64]:
    """NDCG at k of every query in `pairs` over all items."""
    asked = np.unique(pairs[:, 0])
    ranked = np.argsort(-(queries[asked] @ items.T), axis=1, kind="stable")[:, :k]
    discount = 1 / np.log2(np.arange(2, k + 2))
    found = []
    for row, query in enumerate(asked):
        right = set(pairs[pairs[:, 0] == query, 1].tolist())
        gain = sum(discount[n] for n, item in enumerate(ranked[row].tolist()) if item in right)
        found.append(gain / discount[: min(len(right), k)].sum())
    return np.array(found)
