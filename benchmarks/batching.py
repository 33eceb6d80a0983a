"""Batches: chunks against one Celery task an item, on work that costs nothing; and against a loop over customers, on the real vLLM.

The second half talks to a whole running suite (`atelier up`) over HTTP, as a content system would: people with a year of
purchases, an offer for each product, the same people once in a loop of `POST /v1/generate/ranked`, once as a batch in which
everybody has a text of their own, and all 10,000 as a batch that shares texts.
"""

import asyncio
import csv
import io
import json
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, ratio
from benchmarks.suite import SECONDS, Suite, until
from benchmarks.writing import PRODUCTS, PROMPTS, request
from services.batches.service import BatchService
from services.batches.settings import BatchesSettings
from services.commands.serving import migrate_all
from services.generation import assembly, rendering
from services.generation.llm import ChatModel
from services.generation.prompts import Library
from services.generation.settings import GenerationSettings
from shared.clients.tasks import TaskSender, create_celery
from shared.db.engine import create_engine
from shared.settings import Settings
from shared.stack.postgres import Postgres
from shared.stack.valkey import Valkey
from tests.batches.ready import planned

ITEMS, CHUNK, WORKERS, ROUNDS = 10_000, 500, 2, 3
PEOPLE, OWN_TEXTS, LOOPED, DIRECT = int(os.environ.get("PEOPLE", "10000")), 192, 12, 128


def run() -> dict[str, Any]:
    """Both halves."""
    goal = (
        ">= 20x one Celery task an item; >= 8x a loop over customers without sharing, >= 100x with it; <= 3 % over vLLM"
    )
    return {"goal": goal, "no_op": no_op(), "writing": writing()}


def no_op() -> dict[str, Any]:
    """10,000 items through two worker processes, ours and one task an item, in turn. Both keep a result of every item: ours in
    Postgres, Celery in its result backend.
    """
    with tempfile.TemporaryDirectory(prefix="atl-") as name:
        folder = Path(name)
        postgres, valkey = Postgres(folder / "pg"), Valkey(folder / "valkey")
        migrate_all(postgres.url)
        try:
            turns = [
                (_chunked(postgres.url, valkey.url, folder), _one_by_one(valkey.url, folder)) for _ in range(ROUNDS)
            ]
        finally:
            valkey.stop()
            postgres.stop()
    return {"items": ITEMS, "workers": WORKERS, "chunk": CHUNK, "ours_items_per_second": [round(ITEMS / ours) for ours, _ in turns],
            "celery_items_per_second": [round(ITEMS / peer) for _, peer in turns],
            **ratio([peer / ours for ours, peer in turns])}  # fmt: skip


@contextmanager
def _workers(module: list[str], environ: dict[str, str], folder: Path) -> Iterator[None]:
    with (folder / "workers.log").open("ab") as log:
        started = [
            subprocess.Popen([sys.executable, "-m", *module, f"w{n}-{time.monotonic_ns()}"], cwd=ROOT, env={**os.environ, **environ},
                             stdout=log, stderr=log, start_new_session=True)
            for n in range(WORKERS)
        ]  # fmt: skip
        try:
            yield
        finally:
            for process in started:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _chunked(database: str, redis_url: str, folder: Path) -> float:
    return asyncio.run(_chunked_now(database, redis_url, folder))


async def _chunked_now(database: str, redis_url: str, folder: Path) -> float:
    engine, own = create_engine(database), BatchesSettings(batches_in_flight=WORKERS)
    service = BatchService(engine, TaskSender(create_celery(redis_url)), own)
    environ = {"DATABASE_URL": database, "REDIS_URL": redis_url, "INTERNAL_TOKEN": "x"}
    with _workers(["tests.batches.noop_worker", "0"], environ, folder):
        await _finished(service, await planned(engine, "acme", WORKERS * CHUNK, chunk=CHUNK))  # the workers are up
        batch_id = await planned(engine, "acme", ITEMS, chunk=CHUNK)
        began = time.perf_counter()
        await _finished(service, batch_id)
        seconds = time.perf_counter() - began
    await engine.dispose()
    return seconds


async def _finished(service: BatchService, batch_id: str) -> None:
    while (await service.get("acme", batch_id)).state != "done":
        await service.wake()
        await asyncio.sleep(0.05)


def _one_by_one(redis_url: str, folder: Path) -> float:
    app = create_item_app(redis_url)
    with _workers(["benchmarks.item_worker"], {"REDIS_URL": redis_url}, folder):
        _sent(app, WORKERS * 100)
        began = time.perf_counter()
        _sent(app, ITEMS)
        return time.perf_counter() - began


def create_item_app(redis_url: str) -> Any:
    """Celery as its first steps set it up, results in Redis."""
    from celery import Celery

    app = Celery("items", broker=redis_url, backend=redis_url)
    app.conf.task_default_queue = "items"

    @app.task(name="item")
    def item(key: str) -> dict[str, str]:
        return {"key": key}

    return app


def _sent(app: Any, count: int) -> None:
    from celery import group

    group(app.tasks["item"].s(str(n)) for n in range(count)).apply_async().get(timeout=600)


def writing() -> dict[str, Any]:
    """Offers a second that the model wrote and the checks passed: a loop over customers, a batch without sharing, one with it."""
    with tempfile.TemporaryDirectory(prefix="atl-") as name:
        suite = Suite(Path(name))
        try:
            _fill(suite)
            _batch(suite, 16, 0, share=False)  # every product's grammar is compiled once
            loops, direct, alone = [], [], []
            for turn in range(ROUNDS):
                loops.append(_loop(suite, 500 + LOOPED * turn))
                direct.append(asyncio.run(_direct(suite.model_url(), DIRECT * turn)))
                alone.append(_batch(suite, OWN_TEXTS, 1000 + OWN_TEXTS * turn, share=False))
            shared = _batch(suite, PEOPLE, 0, share=True)
        finally:
            suite.stop()
    loop = statistics.geometric_mean(one["written_per_second"] for one in loops)
    calls = [one["calls"] / one["seconds"] for one in alone]
    return {"loop": loops, "without_sharing": alone, "with_sharing": shared,
            "vllm_asked_directly_answers_per_second": [round(rate, 2) for rate in direct],
            "of_vllm": ratio([ours / theirs for ours, theirs in zip(calls, direct, strict=True)]),
            "without": ratio([b["written_per_second"] / a["written_per_second"] for a, b in zip(loops, alone, strict=True)]),
            "with": round(shared["written_per_second"] / loop, 1)}  # fmt: skip


def _fill(suite: Suite) -> None:
    """People who buy two products each, an offer for each product."""
    for product in PRODUCTS:
        key = product.replace(" ", "-")
        offer = {"offerId": key, "name": f"{product} coupon", "productName": product, "category": product, "startDate": "2020-01-01T00:00:00Z",
                 "endDate": "2099-01-01T00:00:00Z", "discount": {"kind": "amount", "value": "1.50", "currency": "USD"}}  # fmt: skip
        suite.http.put(f"/v1/offers/{key}", json=offer).raise_for_status()
    consents = {"personalize": {"content": {"val": "y"}}, "marketing": {"any": {"val": "y"}}}
    profiles = [json.dumps({"profileId": f"p{n}", "consents": consents}) for n in range(PEOPLE)]
    _import(suite, "profiles.jsonl", "\n".join(profiles).encode())
    _import(suite, "events.csv", _purchases())
    suite.http.post("/v1/profiles/facts/refresh", json={}, timeout=900).raise_for_status()


def _purchases() -> bytes:
    out = io.StringIO()
    rows = csv.writer(out)
    rows.writerow(["eventId", "profileId", "type", "time", "category", "value", "currency", "sessionId"])
    for n in range(PEOPLE):
        draw = random.Random(n)
        every = draw.choice((3, 5, 7))
        for product in draw.sample(PRODUCTS, 2):
            for day in range(1, 29, every):
                rows.writerow([f"{n}-{product}-{day}", f"p{n}", "commerce.purchases", f"2026-10-{day:02d}T10:00:00Z", product, "2.00",
                               "USD", f"{n}-{day}"])  # fmt: skip
    return out.getvalue().encode()


def _import(suite: Suite, name: str, content: bytes) -> None:
    job = (
        suite.http.post("/v1/imports", json={"kind": name.split(".", maxsplit=1)[0], "file": name})
        .raise_for_status()
        .json()
    )
    suite.http.put(f"/v1/imports/{job['jobId']}/file", content=content).raise_for_status()
    at = f"/v1/imports/{job['jobId']}"
    done = until(lambda: (found := suite.http.get(at).json())["state"] in {"done", "failed"} and found, suite.process)
    assert done["state"] == "done", done


def _loop(suite: Suite, first: int) -> dict[str, Any]:
    """One customer after the other."""
    began, written = time.perf_counter(), 0
    reasons: Counter[str] = Counter()
    for n in range(first, first + LOOPED):
        body = {"profileId": f"p{n}", "limit": 1, "channel": "email", "seed": n, "deadlineMs": 120_000}
        answer = suite.http.post("/v1/generate/ranked", json=body).raise_for_status().json()
        written += sum(copy["variants"][0]["source"] != "template" for copy in answer["copies"])
        reasons.update(reason for copy in answer["copies"] for reason in copy["degraded"])
    seconds = time.perf_counter() - began
    return {"people": LOOPED, "seconds": round(seconds, 1), "written": written, "written_per_second": round(written / seconds, 4),
            "degraded": dict(reasons)}  # fmt: skip


async def _direct(url: str, first: int) -> float:
    """Answers a second of vLLM without the suite: prompts of the same kind, as many at once as generation asks."""
    model, prompt = ChatModel(Settings(llm_base_url=url), GenerationSettings()), Library(PROMPTS).prompts["offer_copy"]

    async def one(number: int) -> None:
        material = request(number).material
        schema = prompt.schema(assembly.product_of(material.offer))
        words = rendering.render(prompt, material, [], "")
        await model.complete(words, schema, seed=number, candidates=1, seconds=SECONDS)

    began = time.perf_counter()
    await asyncio.gather(*(one(first + n) for n in range(DIRECT)))
    seconds = time.perf_counter() - began
    await model.close()
    return DIRECT / seconds


def _batch(suite: Suite, people: int, first: int, *, share: bool) -> dict[str, Any]:
    """From the request to the last item. `processor_seconds`: of our services, what they take at rest included, and of vLLM."""
    audience = "profileId\n" + "\n".join(f"p{n}" for n in range(first, first + people))
    began, before = time.perf_counter(), suite.cpu()
    body = {"fromFile": True, "best": 1, "channels": ["email"], "share": share}
    made = suite.http.post("/v1/batches", json=body).raise_for_status().json()
    headers = {"content-type": "text/csv"}
    suite.http.put(f"/v1/batches/{made['batchId']}/audience", content=audience, headers=headers).raise_for_status()
    at = f"/v1/batches/{made['batchId']}"
    done = until(
        lambda: (found := suite.http.get(at).json())["state"] in {"done", "failed", "cancelled"} and found,
        suite.process,
    )
    seconds, after = time.perf_counter() - began, suite.cpu()
    ours, theirs = after[0] - before[0], after[1] - before[1]
    counts = done["counts"]
    found = {"people": people, "seconds": round(seconds, 1), "written_per_second": round(counts["written"] / seconds, 3),
             "written": counts["written"], "template": counts["template"], "texts": counts["texts"], "calls": counts["calls"],
             "processor_seconds": {"ours": round(ours, 1), "vllm": round(theirs, 1)}}  # fmt: skip
    print(json.dumps(found), flush=True)
    return found
