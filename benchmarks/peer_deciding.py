"""Run by the peers' Python: a decision service as a user would assemble it. `lints`, `linucb`, `lingreedy` or `vw`, a port, Redis' URL.

FastAPI on uvicorn (uvloop, httptools), redis-py with hiredis, people's features and cap counters in Redis (one pipeline to
read, one to write), rules in Python, the decision appended to a stream. The bandit is one linear model an offer under one
of MABWiser's contextual policies, or Vowpal Wabbit's `--cb_explore_adf --squarecb`.
"""

import json
import random
import sys
import time
import uuid
from typing import Any

import numpy as np
import redis.asyncio as redis
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

KIND, PORT, URL, SETUP = sys.argv[1], int(sys.argv[2]), sys.argv[3], json.loads(sys.argv[4])
OFFERS, FEATURES, RULES = SETUP["offers"], SETUP["features"], SETUP["rules"]
store = redis.from_url(URL)
app = FastAPI()


def lessons() -> tuple[np.ndarray, list[int], list[int]]:
    draw = np.random.default_rng(0)
    x = np.column_stack([np.ones(SETUP["lessons"]), draw.normal(size=(SETUP["lessons"], FEATURES))])
    arms = draw.integers(0, len(OFFERS), SETUP["lessons"])
    rewards = (draw.random(SETUP["lessons"]) < 0.1).astype(int)
    return x, arms.tolist(), rewards.tolist()


class MabWiser:
    def __init__(self) -> None:
        from mabwiser.mab import MAB, LearningPolicy

        learning = {
            "lingreedy": LearningPolicy.LinGreedy(epsilon=0.0, l2_lambda=1.0),
            "linucb": LearningPolicy.LinUCB(alpha=1.0, l2_lambda=1.0),
            "lints": LearningPolicy.LinTS(alpha=0.3, l2_lambda=1.0),
        }
        self.mab = MAB(arms=list(range(len(OFFERS))), learning_policy=learning[KIND])
        x, arms, rewards = lessons()
        self.mab.fit(decisions=arms, rewards=rewards, contexts=x)

    def rank(self, x: list[float], eligible: list[int]) -> list[tuple[int, float]]:
        found = self.mab.predict_expectations([[1.0, *x]])
        return sorted(((n, found[n]) for n in eligible), key=lambda item: -item[1])


class VowpalWabbit:
    def __init__(self) -> None:
        import vowpalwabbit

        self.vw = vowpalwabbit.Workspace("--cb_explore_adf --squarecb --quiet -q UA")

    def rank(self, x: list[float], eligible: list[int]) -> list[tuple[int, float]]:
        shared = "shared |U " + " ".join(f"f{i}:{v}" for i, v in enumerate(x))
        lines = [shared, *(f"|A o{n} c{n % 50}" for n in eligible)]
        chances = self.vw.predict(lines)
        left, found = list(zip(eligible, chances, strict=True)), []
        for _ in range(min(3, len(left))):
            total = sum(p for _, p in left)
            place, heap = random.random() * total, 0.0
            for item in left:
                heap += item[1]
                if place < heap:
                    break
            found.append(item)
            left.remove(item)
        return found


model: Any = VowpalWabbit() if KIND == "vw" else MabWiser()


@app.get("/health")
async def health() -> dict[str, str]:
    return {"status": "ok"}


@app.post("/expectations")
async def expectations(request: Request) -> JSONResponse:
    contexts = (await request.json())["contexts"]
    found = model.mab.predict_expectations([[1.0, *x] for x in contexts])
    return JSONResponse([[row[n] for n in range(len(OFFERS))] for row in found])


@app.post("/decide")
async def decide(request: Request) -> JSONResponse:
    body = await request.json()
    person = body["profileId"]
    day, week = time.strftime("d%Y%m%d"), time.strftime("w%Y%W")
    async with store.pipeline(transaction=False) as pipe:
        pipe.get(f"features:{person}")
        pipe.hgetall(f"caps:{person}")
        raw, counts = await pipe.execute()
    features = json.loads(raw)
    holds = [features[field] > bound for field, bound in RULES]
    x = [features[f"f{i}"] for i in range(FEATURES)]
    eligible = []
    for n, offer in enumerate(OFFERS):
        if not all(holds[r] for r in offer["rules"]):
            continue
        windows = {"day": day, "week": week, "lifetime": "l"}
        if any(int(counts.get(f"{windows[c['window']]}|{n}".encode(), 0)) >= c["limit"] for c in offer["caps"]):
            continue
        eligible.append(n)
    ranked = model.rank(x, eligible)[:3]
    decision = str(uuid.uuid4())
    async with store.pipeline(transaction=True) as pipe:
        for n, _ in ranked:
            for cap in OFFERS[n]["caps"]:
                period = {"day": day, "week": week, "lifetime": "l"}[cap["window"]]
                pipe.hincrby(f"caps:{person}", f"{period}|{n}", 1)
        pipe.xadd(
            "log",
            {"decision": json.dumps({"id": decision, "person": person, "eligible": eligible, "items": ranked})},
            maxlen=100_000,
            approximate=True,
        )
        await pipe.execute()
    return JSONResponse({"id": decision, "items": [{"id": f"o{n:03}", "score": s} for n, s in ranked]})


uvicorn.run(app, host="127.0.0.1", port=PORT, loop="uvloop", http="httptools", log_level="error", access_log=False)
