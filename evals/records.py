"""The record that copy rests on, found by hybrid search: the text model, BM25 and the fusion that serve, in a store of this run."""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from services.retrieval import fusion, sparse
from services.retrieval.catalog import offer_payload, offer_text
from services.retrieval.search_service import default_weights, fused
from services.retrieval.text_embedding import TextModel, default_model_path
from services.retrieval.vectors.edge import EdgeStore
from services.retrieval.vectors.protocol import Point, Where, point_id
from shared.contracts.catalog import Offer

_TENANT, _KIND, _DEPTH, _FUSION = "evals", "offers", 50, "weighted"


def found(catalog: Sequence[Offer], queries: Sequence[str]) -> list[Offer]:
    """The best match in the catalog for each query."""
    with tempfile.TemporaryDirectory(prefix="atl-") as name:
        return asyncio.run(_found(Path(name), catalog, queries))


async def _found(folder: Path, catalog: Sequence[Offer], queries: Sequence[str]) -> list[Offer]:
    # On torch as it is: converting it for another engine takes longer than these few texts.
    model = TextModel(default_model_path(), folder / "models", "torch")
    store = EdgeStore(folder / "store")
    texts = [offer_text(offer) for offer in catalog]
    vectors = model.embed_now(texts)
    points = [
        Point(_TENANT, offer.offer_id, {"text": vector}, sparse.of_document(text), dict(offer_payload(_TENANT, offer)))
        for offer, text, vector in zip(catalog, texts, vectors, strict=True)
    ]
    await store.create(_KIND, {"text": vectors.shape[1]})
    await store.upsert(_KIND, points)
    by_point = {point_id(_TENANT, offer.offer_id): offer for offer in catalog}
    weights = default_weights(_FUSION, words_find_pictures=False)
    best = []
    for query, vector in zip(queries, model.embed_now(list(queries)), strict=True):
        asked = {"text": vector, "sparse": sparse.of_query(query)}
        (lists,) = await store.search(_KIND, [asked], Where(tenant=_TENANT), _DEPTH)
        best.append(by_point[fusion.best(fused(_FUSION, asked, lists, weights), 1)[0][0]])
    await store.close()
    return best
