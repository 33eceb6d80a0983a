"""MovieLens-100k: seconds of training and nDCG at 10 on the held-out quarter, beside BiVAE of cornac on the same split."""

import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Peer, ratio
from services.training import closed_form, metrics
from services.training.sources import movielens
from services.training.trainers.recommendation import BLEND, TOP
from shared.settings import load_settings

ROUNDS = 3


def run() -> dict[str, Any]:
    """Both sides of the ratio, and how good each is: a split and a seed a round."""
    rows = movielens.ratings(load_settings().atelier_data / "datasets")
    seconds: dict[str, list[float]] = {"ours": [], "peer": []}
    ndcg: dict[str, list[float]] = {"ours": [], "peer": []}
    gained = np.zeros(0)
    with tempfile.TemporaryDirectory(prefix="atl-") as folder, Peer("bivae", "peer_recommending.py") as peer:
        for seed in range(ROUNDS):
            train, shape = movielens.split(rows, seed)
            x, later = movielens.matrix(rows[train], shape), movielens.matrix(rows[~train], shape)
            began = time.perf_counter()
            model = closed_form.Blend(x, BLEND)
            seconds["ours"].append(time.perf_counter() - began)
            np.save(Path(folder, "rows.npy"), rows[train])
            saved = str(Path(folder, "scores.npy"))
            asked = {"rows": str(Path(folder, "rows.npy")), "shape": shape, "seed": seed, "save": saved}
            seconds["peer"].append(float(peer.ask(**asked)["seconds"]))
            mine, theirs = _ndcg(model.scores(x), x, later), _ndcg(np.load(saved), x, later)
            ndcg["ours"].append(round(float(mine.mean()), 4))
            ndcg["peer"].append(round(float(theirs.mean()), 4))
            gained = np.concatenate([gained, mine - theirs])
    low, high = metrics.interval(lambda rows: float(gained[rows].mean()), len(gained), 0)
    return {
        "data": movielens.NAME, "split": "three quarters of each person's ratings to train, a seed a round",
        "settings": {"ours": BLEND, "peer": "cornac's BiVAECF as the recommenders-team benchmarks it"},
        "ours_seconds": [round(value, 3) for value in seconds["ours"]],
        "peer_seconds": [round(value, 3) for value in seconds["peer"]],
        **ratio([theirs / mine for mine, theirs in zip(seconds["ours"], seconds["peer"], strict=True)]),
        "ndcg_at_10": ndcg,
        "ndcg_gain": round(float(gained.mean()), 4), "ndcg_gain_95": [round(low, 4), round(high, 4)],
    }  # fmt: skip


def _ndcg(scores: closed_form.Matrix, x: closed_form.Matrix, later: closed_form.Matrix) -> np.ndarray:
    return closed_form.ndcg(closed_form.top(scores, x, TOP), later)
