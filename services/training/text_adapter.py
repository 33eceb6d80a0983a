"""A low-rank adapter over frozen embeddings of words, learnt from pairs that belong together: clicked, bought, captioned. Pure.

Within one model's space a query's vector q becomes normalise(q + q U V'); between two, where words and items have nothing in
common, normalise(q U V'). Items stay as they are, so an index needs no rebuilding. Trained by the contrastive loss over the batch
(InfoNCE, van den Oord et al. 2018). Within a space U = 0 at the start: untrained it changes nothing. Between two it starts from the
ridge regression of items on queries, cut to its rank: from noise, a few hundred pairs lead nowhere.
"""

from collections.abc import Callable, Mapping

import msgspec
import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components

from services.training.errors import BadDataError
from shared.contracts.retrieval import QueryAdapter, Space

Matrix = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
FACTORS, SETTINGS = "adapter.f32", "settings.json"
_RIDGE = 1.0  # times the mean of the Gram matrix's diagonal


class Adapter(msgspec.Struct):
    """Factors of shape (inputs, rank) and (dimension, rank); `within`: one model's space."""

    u: Matrix
    v: Matrix
    within: bool = True

    def __call__(self, queries: Matrix) -> Matrix:
        """Adapted unit vectors: (n, inputs) become (n, dimension)."""
        turned = queries @ self.u @ self.v.T
        moved = queries + turned if self.within else turned
        return np.asarray(moved / np.maximum(np.linalg.norm(moved, axis=1, keepdims=True), 1e-9), dtype=np.float32)

    def encode(self) -> bytes:
        """float32, u then v."""
        return self.u.tobytes() + self.v.tobytes()


class Fitted(msgspec.Struct):
    """What is kept beside the factors: between which models' vectors it stands, of which shape."""

    space: Space
    embedding: str
    inputs: int
    target: str
    dimension: int
    rank: int


def served(model_key: str, version: int, files: Mapping[str, bytes]) -> QueryAdapter:
    """A version's files as retrieval takes them.

    Raises:
        BadDataError: the version was trained before its files said for which models.
    """
    try:
        fitted = msgspec.json.decode(files[SETTINGS], type=Fitted)
    except msgspec.ValidationError as error:
        raise BadDataError(
            f"{model_key} {version}: its files do not say what it was fitted for ({error}); train it again"
        ) from error
    return QueryAdapter(model_key=model_key, version=version, factors=files[FACTORS], **msgspec.structs.asdict(fitted))


def fit(
    queries: Matrix, items: Matrix, pairs: IntArray, *, rank: int, steps: int, seed: int, temperature: float = 0.05, rate: float = 2e-3,
    decay: float = 1e-2, batch: int = 256, within: bool = True, told: Callable[[int], None] | None = None,
) -> Adapter:  # fmt: skip
    """Learn an adapter.

    Args:
        queries: unit vectors (n, inputs).
        items: unit vectors (m, dimension).
        pairs: (p, 2) query and item that belong together.
        rank: of the adapter.
        steps: of Adam.
        seed: of start and batches.
        temperature: of the softmax over the batch's items.
        rate: Adam's.
        decay: weight decay (decoupled).
        batch: pairs a step; the other items of the batch are the negatives, equal items masked.
        within: queries and items are vectors of one model.
        told: hears every step.
    """
    draw = np.random.default_rng(seed)
    d = queries.shape[1]
    parts = [np.zeros((d, rank)), draw.normal(scale=d**-0.5, size=(d, rank))]
    if not within:
        parts = _regressed(queries[pairs[:, 0]].astype(np.float64), items[pairs[:, 1]].astype(np.float64), rank)
    first = [np.zeros_like(p) for p in parts]
    second = [np.zeros_like(p) for p in parts]
    for step in range(1, steps + 1):
        chosen = pairs[draw.permutation(len(pairs))[:batch]]
        q, k = queries[chosen[:, 0]].astype(np.float64), items[chosen[:, 1]].astype(np.float64)
        gradients = _gradients(q, k, chosen[:, 1], parts, temperature, within=within)
        for n, g in enumerate(gradients):
            first[n] = 0.9 * first[n] + 0.1 * g
            second[n] = 0.999 * second[n] + 0.001 * g * g
            parts[n] -= rate * (
                first[n] / (1 - 0.9**step) / (np.sqrt(second[n] / (1 - 0.999**step)) + 1e-8) + decay * parts[n]
            )
        if told:
            told(step)
    return Adapter(parts[0].astype(np.float32), parts[1].astype(np.float32), within)


def _gradients(q: npt.NDArray[np.float64], k: npt.NDArray[np.float64], ids: IntArray, parts: list[npt.NDArray[np.float64]],
               temperature: float, *, within: bool = True) -> list[npt.NDArray[np.float64]]:  # fmt: skip
    """Of the batch's mean contrastive loss by u and v."""
    u, v = parts
    low = q @ u
    z = q + low @ v.T if within else low @ v.T
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


def _regressed(q: npt.NDArray[np.float64], k: npt.NDArray[np.float64], rank: int) -> list[npt.NDArray[np.float64]]:
    """Factors of the ridge regression of what parts items from their mean on queries, cut to a rank."""
    gram = q.T @ q
    weights = np.linalg.solve(
        gram + _RIDGE * np.trace(gram) / len(gram) * np.eye(len(gram)), q.T @ (k - k.mean(axis=0))
    )
    left, sizes, right = np.linalg.svd(weights, full_matrices=False)
    share = np.sqrt(sizes[:rank])
    return [left[:, :rank] * share, right[:rank].T * share]


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


def chance(pairs: IntArray, items: int, k: int = 10) -> npt.NDArray[np.float64]:
    """What `ndcg` would be on average of an order by chance over so many items, of every query in `pairs`."""
    right = np.unique(pairs[:, 0], return_counts=True)[1]
    gained = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    return np.asarray(right / items * gained[min(k, items) - 1] / gained[np.minimum(right, k) - 1])


def apart(pairs: IntArray, queries: int, items: int, seed: int, share: float) -> tuple[npt.NDArray[np.bool_], bool]:
    """Which queries are held for the test, (queries,), and whether none of their items is in training either.

    Groups of queries that share items are held together. Where nearly all hang together (clicks of many on the same few) there is
    no such split: queries are held by themselves.
    """
    graph = csr_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1] + queries)), shape=(queries + items,) * 2)
    _, group = connected_components(graph, directed=False)
    held = np.random.default_rng(seed).random(queries + items) < share
    by_group = held[group[:queries]]
    if share / 2 < by_group.mean() < 2 * share:
        return by_group, True
    return held[:queries], False
