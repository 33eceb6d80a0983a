"""Run by the peers' Python: BiVAE of cornac as the recommenders-team benchmarks it. One JSON line in, one out."""

import json
import sys
import time
from typing import Any

import cornac
import numpy as np

# The settings of the recommenders-team's notebook on MovieLens-100k.
SETTINGS: dict[str, Any] = {"k": 50, "encoder_structure": [100], "act_fn": "tanh", "likelihood": "pois", "n_epochs": 500,
                            "batch_size": 128, "learning_rate": 0.001, "use_gpu": False}  # fmt: skip


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Fit on rows (person, item, rating); the scores of all people and items, shape `shape`, are saved."""
    rows = np.load(request["rows"])
    known = cornac.data.Dataset.from_uir([(int(u), int(i), float(r)) for u, i, r in rows], seed=request["seed"])
    model = cornac.models.BiVAECF(seed=request["seed"], **SETTINGS)
    began = time.perf_counter()
    model.fit(known)
    seconds = time.perf_counter() - began
    assert len(known.uid_map) == request["shape"][0]
    items = list(known.iid_map)
    scores = np.full(request["shape"], -np.inf, dtype=np.float32)
    for person, index in known.uid_map.items():
        scores[person, items] = np.asarray(model.score(index), dtype=np.float32)
    np.save(request["save"], scores)
    return {"seconds": seconds}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
