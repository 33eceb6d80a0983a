"""An adapter of searched words, tuned on pairs that belong together: a query and what was clicked, a caption and its text or picture.

Judged by nDCG at 10 on queries that training never saw. To beat: the embedding as it is; where words and pictures have none in common
(an image model that knows no words), an order by chance, which is all that such words had.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from services.training import metrics, plans, text_adapter
from services.training.errors import BadDataError
from services.training.progress import Told
from services.training.sources import pairs, table
from services.training.trained import Order, Trained
from shared.clients.bundle import Clients
from shared.contracts.retrieval import Space
from shared.contracts.training import Dataset, DataStamp, Figure

WITHIN: dict[str, Any] = {"rank": 16, "steps": 100, "rate": 5e-4, "temperature": 0.05, "decay": 1e-2}
BETWEEN: dict[str, Any] = {**WITHIN, "rank": 256, "rate": 3e-4}
TEST_SHARE = 0.25


async def plan(dataset: Dataset, order: Order, clients: Clients | None) -> Callable[[Told], Trained]:
    """Read pairs from a file: `entity` names the column of queries, `outcome` the one of the texts that they belong to, or, with
    the parameter `space` "image", of the tenant's assets whose pictures they belong to.

    Raises:
        BadDataError: there are no such columns, or too few pairs.
    """
    columns = dataset.columns
    if dataset.path is None or columns is None or columns.entity is None:
        raise BadDataError(
            "dataset: an adapter needs a file with a column of queries (`entity`) and one of their texts or assets (`outcome`)"
        )
    name, rows = Path(dataset.path).name, table.read(Path(dataset.path))
    queries, items = table.texts(rows, columns.entity, "entity"), table.texts(rows, columns.outcome, "outcome")
    if order.parameters.get("space") == "image" and clients is not None:
        found, vectors = await pairs.with_pictures(queries, items, clients.retrieval.pair_vectors)
        plans.pinned(found.hash, dataset)
        return lambda told: train(name, found, vectors, order, told, "image")
    found = pairs.of(queries, items)
    plans.pinned(found.hash, dataset)
    return lambda told: train(name, found, embedded(found, told), order, told)


def embedded(found: pairs.Pairs, told: Told) -> pairs.Vectors:
    """Both sides' vectors by the suite's text model."""
    model, embed = pairs.embedder()
    told("embed", 0, 2)
    left = embed(found.queries)
    told("embed", 1, 2)
    return pairs.Vectors(left, embed(found.items), model, model)


def train(
    name: str, found: pairs.Pairs, vectors: pairs.Vectors, order: Order, told: Told, space: Space = "text"
) -> Trained:
    """Fit on three quarters of the queries, judge on the rest."""
    within = vectors.embedding == vectors.target
    settings = {**(WITHIN if within else BETWEEN), **order.parameters, "space": space}
    held, strict = text_adapter.apart(found.index, len(found.queries), len(found.items), order.seed, TEST_SHARE)
    tested = held[found.index[:, 0]]
    model = text_adapter.fit(
        vectors.queries, vectors.items, found.index[~tested], rank=int(settings["rank"]), steps=int(settings["steps"]), seed=order.seed,
        temperature=float(settings["temperature"]), rate=float(settings["rate"]), decay=float(settings["decay"]), within=within,
        told=lambda step: told("fit", step, int(settings["steps"])),
    )  # fmt: skip
    theirs = found.index[tested]
    after = text_adapter.ndcg(model(vectors.queries), vectors.items, theirs)
    if within:
        before, rule = text_adapter.ndcg(vectors.queries, vectors.items, theirs), f"the {space} model as it is"
    else:
        before, rule = (
            text_adapter.chance(theirs, len(found.items)),
            "an order by chance: the image model knows no words",
        )
    low, high = metrics.interval(lambda r: float((after - before)[r].mean()), len(after), order.seed)
    kept = text_adapter.Fitted(space=space, embedding=vectors.embedding, inputs=vectors.queries.shape[1], target=vectors.target,
                               dimension=vectors.items.shape[1], rank=model.u.shape[1])  # fmt: skip
    alone = (
        "none of their items in training"
        if strict
        else "their items may be in training: nearly all hang together by them"
    )
    return Trained(
        algorithm=f"low-rank adapter of queries, rank {kept.rank}, contrastive",
        data=DataStamp(name=name, hash=found.hash, rows=len(found.index), columns=2, positives=len(found.index)),
        files={text_adapter.FACTORS: model.encode(), text_adapter.SETTINGS: msgspec.json.encode(kept)},
        figures=[
            Figure(name="ndcg_at_10", value=float(after.mean()), baseline=float(before.mean()), note="on queries never seen"),
            Figure(name="gain", value=float((after - before).mean()), low=low, high=high, baseline=0.0),
        ],
        beats_baseline=low > 0, baseline=rule, parameters=settings,
        notes=[f"{len(after)} queries judged over {len(found.items)} items, {alone}", *found.notes],
        limits=["it serves searches by words from the moment at which the version is live; not those for a person's interests"],
    )  # fmt: skip
