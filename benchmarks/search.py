"""Hybrid filtered search over 10,000 assets: the embedded engine and our fusion against qdrant-client's local mode."""

import asyncio
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Peer, interleave, percentiles
from benchmarks.texts import product_sentences
from services.retrieval import fusion, sparse
from services.retrieval.search_service import WEIGHTS
from services.retrieval.text_embedding import TextModel, default_model_path
from services.retrieval.vectors.edge import EdgeStore
from services.retrieval.vectors.protocol import Point, Sparse, Vector, Where, point_id

ASSETS = 10_000
_DIM = 512
_DEPTH = 50
_ROUND = 10
_LATENCY = 400
_CHECKED = 25


class Corpus:
    """Assets with text, sparse and image vectors, and what they are filtered by."""

    def __init__(self, model: TextModel) -> None:
        self.texts = product_sentences(ASSETS)
        self.vectors = model.embed_now(self.texts)
        draw = np.random.default_rng(7)
        self.projection = draw.normal(size=(self.vectors.shape[1], _DIM)).astype(np.float32)
        self.images = _unit(
            self.vectors @ self.projection + draw.normal(scale=0.3, size=(ASSETS, _DIM)).astype(np.float32)
        )
        self.sparse = [sparse.of_document(text) for text in self.texts]
        self.payloads = [
            {"channels": ["*"] if i % 3 else ["email"], "tags": [self.texts[i].split(", ")[-2], f"t{i % 20}"],
             "start": float(i % 500), "end": 1000.0 - i % 300}
            for i in range(ASSETS)
        ]  # fmt: skip

    def point(self, i: int) -> Point:
        return Point("acme", f"a{i}", {"text": self.vectors[i], "image": self.images[i]}, self.sparse[i],
                     {"id": f"a{i}", "tenant": "acme", **self.payloads[i]})  # fmt: skip

    def save(self, folder: Path) -> None:
        np.save(folder / "text.npy", self.vectors)
        np.save(folder / "image.npy", self.images)
        rows = [{"id": f"a{i}", "payload": self.payloads[i], "indices": self.sparse[i].indices, "values": self.sparse[i].values}
                for i in range(ASSETS)]  # fmt: skip
        (folder / "points.json").write_text(json.dumps(rows))


def _unit(vectors: Vector) -> Vector:
    scaled: Vector = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return scaled


WHERE = Where(tenant="acme", any_of={"channels": ["*", "email"]}, none_of={"tags": ["t3", "t7"]}, at_most={"start": 450.0},
              above={"end": 720.0})  # fmt: skip


def _queries(corpus: Corpus, model: TextModel, count: int) -> list[dict[str, Vector | Sparse]]:
    words = [" ".join(corpus.texts[i * 23 % ASSETS].split(", ")[:2]) for i in range(count)]
    vectors = model.embed_now(words)
    images = _unit(vectors @ corpus.projection)
    return [{"text": vectors[i], "image": images[i], "sparse": sparse.of_query(words[i])} for i in range(count)]


def run() -> dict[str, Any]:
    """Ratio, recall against exact search, and our latency."""
    return asyncio.run(_run())


async def _run() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as name, Peer("search") as peer:
        folder = Path(name)
        model = TextModel(default_model_path(), folder)
        corpus = Corpus(model)
        corpus.save(folder)
        store = EdgeStore(folder / "edge")
        await store.create("assets", {"text": corpus.vectors.shape[1], "image": _DIM})
        began = time.perf_counter()
        await store.upsert("assets", [corpus.point(i) for i in range(ASSETS)])
        indexing = time.perf_counter() - began
        peer.ask(load=name)
        queries = _queries(corpus, model, _LATENCY)

        async def one(query: dict[str, Vector | Sparse]) -> list[tuple[str, float]]:
            (lists,) = await store.search("assets", [query], WHERE, _DEPTH)
            first = fusion.best(fusion.reciprocal_rank(lists, WEIGHTS["rrf"]), 10)
            held = await store.payloads("assets", [point for point, _ in first])
            return [(held[point]["id"], score) for point, score in first]

        loop = asyncio.get_running_loop()
        sent = [_plain(query) for query in queries]
        where = {"any_of": WHERE.any_of, "none_of": WHERE.none_of, "at_most": WHERE.at_most, "above": WHERE.above}

        async def ours() -> float:
            began = time.perf_counter()
            for query in queries[:_ROUND]:
                await one(query)
            return time.perf_counter() - began

        def theirs() -> float:
            return float(sum(peer.ask(queries=sent[:_ROUND], where=where, depth=_DEPTH)["seconds"]))

        result = await asyncio.to_thread(
            interleave, lambda: asyncio.run_coroutine_threadsafe(ours(), loop).result(), theirs, 5
        )
        exact = peer.ask(queries=sent[:_CHECKED], where=where, depth=10, lists=True)["lists"]
        recall = await _recall(store, queries[:_CHECKED], exact)
        latency = []
        for query in queries:
            began = time.perf_counter()
            await one(query)
            latency.append(time.perf_counter() - began)
        await store.close()
    return {
        "goal": "ratio >= 30 at recall 1.0", "assets": ASSETS, "queries_a_round": _ROUND, **result, "recall_at_10": recall,
        "ours_latency": percentiles(latency), "ours_indexing_seconds": round(indexing, 2),
    }  # fmt: skip


def _plain(query: dict[str, Vector | Sparse]) -> dict[str, Any]:
    text, image, words = query["text"], query["image"], query["sparse"]
    assert isinstance(text, np.ndarray)
    assert isinstance(image, np.ndarray)
    assert isinstance(words, Sparse)
    return {"text": text.tolist(), "image": image.tolist(), "indices": words.indices, "values": words.values}


async def _recall(
    store: EdgeStore, queries: list[dict[str, Vector | Sparse]], exact: list[dict[str, Any]]
) -> dict[str, float]:
    """The share of each exact top ten that ours holds; a tie at the tenth place counts by its score."""
    held: dict[str, list[float]] = {}
    for query, lists in zip(queries, exact, strict=True):
        (found,) = await store.search("assets", [query], WHERE, _DEPTH)
        for name, wanted in lists.items():
            mine = dict(found[name])
            worst = min((score for _, score in wanted), default=0.0)
            got = sum(point_id("acme", key) in mine or abs(score - worst) < 1e-5 for key, score in wanted)
            held.setdefault(name, []).append(got / max(len(wanted), 1))
    return {name: round(float(np.mean(values)), 4) for name, values in held.items()}
