"""Text embedding: the suite's model against plain sentence-transformers, same model, same sentences."""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.harness import Peer, interleave, timed
from benchmarks.texts import product_sentences
from services.retrieval.text_embedding import TextModel, default_model_path

COUNT = 2000
_PAIRS = 20_000


def run() -> dict[str, Any]:
    """Throughput ratio, and what the faster arithmetic costs."""
    texts = product_sentences(COUNT)
    with tempfile.TemporaryDirectory() as folder, Peer("embed") as peer:
        (Path(folder) / "texts.json").write_text(json.dumps(texts))
        model = TextModel(default_model_path(), Path(folder))
        one = {"texts": str(Path(folder) / "texts.json")}
        result = interleave(lambda: timed(lambda: model.embed_now(texts)), lambda: float(peer.ask(**one)["seconds"]))
        peer.ask(**one, save=str(Path(folder) / "reference.npy"))
        reference, ours = np.load(Path(folder) / "reference.npy"), model.embed_now(texts)
        single = [timed(lambda text=text: model.embed_now([text])) for text in texts[:200]]  # type: ignore[misc]
    cosines = (reference * ours).sum(1)
    draw = np.random.default_rng(7)
    left, right = draw.integers(0, COUNT, _PAIRS), draw.integers(0, COUNT, _PAIRS)
    loss = 1 - spearmanr((reference[left] * reference[right]).sum(1), (ours[left] * ours[right]).sum(1)).statistic
    best = min(result["ours_seconds"])
    return {
        "goal": "ratio >= 3 at a loss <= 0.5 points", "sentences": COUNT, "engine": model.version, **result,
        "ours_sentences_per_second": round(COUNT / best), "ours_single_query_ms": round(1000 * float(np.median(single)), 2),
        "peer_sentences_per_second": round(COUNT / min(result["peer_seconds"])),
        "cosine_to_32_bits_min": round(float(cosines.min()), 6), "loss_points": round(100 * float(loss), 4),
    }  # fmt: skip
