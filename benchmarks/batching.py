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

import httpx
import psutil

from benchmarks.harness import ROOT, ratio
from benchmarks.writing import PRODUCTS
from services.batches.service import BatchService
from services.batches.settings import BatchesSettings
from services.commands.serving import migrate_all
from shared.clients.tasks import TaskSender, create_celery
from shared.db.engine import create_engine
from shared.stack.postgres import Postgres
from shared.stack.run_folder import RunFolder
from shared.stack.valkey import Valkey, free_port
from tests.batches.ready import planned

ITEMS, CHUNK, WORKERS, ROUNDS = 10_000, 500, 2, 3
PEOPLE, OWN_TEXTS, LOOPED = int(os.environ.get("PEOPLE", "10000")), 96, 12
_SECONDS = 1800


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


class Suite:
    """`atelier up` in a folder of its own, with the bundled vLLM; and who talks to it."""

    def __init__(self, folder: Path) -> None:
        kept = {k: v for k, v in os.environ.items() if not k.endswith("_URL")}
        self.environ = kept | {
            "ATELIER_DATA": str(folder),
            "PORT": str(free_port()),
            "GATEWAY_REQUESTS_PER_MINUTE": "1000000",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "services", "up"], cwd=ROOT, env=self.environ, stdout=subprocess.DEVNULL
        )
        running = _until(lambda: RunFolder(folder).running(), self.process)
        key = subprocess.run([sys.executable, "-m", "services", "keys", "create", "acme"], cwd=ROOT, env=self.environ, check=True,
                             capture_output=True, text=True).stdout.strip()  # fmt: skip
        self.http = httpx.Client(base_url=running.url, headers={"authorization": f"Bearer {key}"}, timeout=300)

    def cpu(self) -> tuple[float, float]:
        """Processor seconds of everything but vLLM and the servers of data, and of vLLM."""
        ours = theirs = 0.0
        for process in psutil.Process(self.process.pid).children(recursive=True):
            try:
                times, line = process.cpu_times(), " ".join(process.cmdline())
            except psutil.Error:
                continue
            if "vllm" in line.lower() or "VLLM" in process.name():
                theirs += times.user + times.system
            elif "-m services" in line:
                ours += times.user + times.system
        return ours, theirs

    def stop(self) -> None:
        """Stop all."""
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(60)


def _until(true: Any, process: subprocess.Popen[bytes]) -> Any:
    deadline = time.monotonic() + _SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"the suite ended with {process.returncode}")
        if found := true():
            return found
        time.sleep(0.5)
    raise RuntimeError("it did not come true in time")


def writing() -> dict[str, Any]:
    """Offers a second that the model wrote and the checks passed: a loop over customers, a batch without sharing, one with it."""
    with tempfile.TemporaryDirectory(prefix="atl-") as name:
        suite = Suite(Path(name))
        try:
            _fill(suite)
            _batch(suite, 16, 0, share=False)  # every product's grammar is compiled once
            loops, alone = [], []
            for turn in range(ROUNDS):
                loops.append(_loop(suite, 500 + LOOPED * turn))
                alone.append(_batch(suite, OWN_TEXTS, 1000 + OWN_TEXTS * turn, share=False))
            shared = _batch(suite, PEOPLE, 0, share=True)
        finally:
            suite.stop()
    loop = statistics.geometric_mean(one["written_per_second"] for one in loops)
    return {"loop": loops, "without_sharing": alone, "with_sharing": shared,
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
    done = _until(lambda: (found := suite.http.get(at).json())["state"] in {"done", "failed"} and found, suite.process)
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


def _batch(suite: Suite, people: int, first: int, *, share: bool) -> dict[str, Any]:
    """From the request to the last item. `processor_seconds`: of our services, what they take at rest included, and of vLLM."""
    audience = "profileId\n" + "\n".join(f"p{n}" for n in range(first, first + people))
    began, before = time.perf_counter(), suite.cpu()
    body = {"fromFile": True, "best": 1, "channels": ["email"], "share": share}
    made = suite.http.post("/v1/batches", json=body).raise_for_status().json()
    headers = {"content-type": "text/csv"}
    suite.http.put(f"/v1/batches/{made['batchId']}/audience", content=audience, headers=headers).raise_for_status()
    at = f"/v1/batches/{made['batchId']}"
    done = _until(
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
