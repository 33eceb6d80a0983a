"""Checked offers a second on the real vLLM: one by one against many at once; and what each way to run vLLM gives."""

import asyncio
import datetime as dt
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT
from services.generation.llm import ChatModel
from services.generation.prompts import Library
from services.generation.service import CopyWriter
from services.generation.settings import GenerationSettings
from shared import cpu
from shared.contracts.catalog import Brand, Discount, Offer
from shared.contracts.generation import Copy, Material, WriteRequest
from shared.contracts.profiles import Fact, ProfileContext
from shared.settings import Settings
from shared.stack import engine
from shared.stack.child import Child
from shared.stack.valkey import free_port

PRODUCTS = ["yogurt", "soft drinks", "frozen pizza", "ice cream", "paper towels", "cat food", "coffee", "potato chips",
            "laundry detergent", "bread", "eggs", "shampoo", "cheese", "salad mix", "crackers", "bananas"]  # fmt: skip
_AT_ONCE = (1, 16, 64)
_DEADLINE_MS = 120_000
_START_SECONDS = 420


def _request(number: int) -> WriteRequest:
    product = PRODUCTS[number % len(PRODUCTS)]
    offer = Offer(
        offer_id=product.replace(" ", "-"), name=f"{product} coupon", product_name=product, category=product,
        discount=Discount(kind="amount", value=Decimal("1.50"), currency="USD"),
        start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), end_date=dt.datetime(2027, 7, 1, tzinfo=dt.UTC),
    )  # fmt: skip
    fact = Fact(name=f"favourite_category:{product}", kind="category", value=0.3, explanation="", subject=product,
                text=f"Buys {product} about every {3 + number % 20} days")  # fmt: skip
    person = ProfileContext(profile_id=f"p{number}", known=True, personalize=True, contactable=True, reason=None,
                            locale="en-US", time_zone="UTC", facts=[fact])  # fmt: skip
    brand = Brand(brand_id="default", name="Corner Grocer", voice="warm and plain")
    return WriteRequest(
        material=Material(profile=person, offer=offer, brand=brand), seed=number, deadline_ms=_DEADLINE_MS
    )


@contextmanager
def _vllm(
    settings: Settings, model: str, log: Path, threads: int | None = None, **options: Any
) -> Iterator[tuple[str, float]]:
    """A server with these options; yields its URL and the seconds it took to start."""
    port = free_port()
    line = engine.command(settings.engine_python, model, engine.DEFAULT_MODEL, port, **options)
    environment = engine.environment() | ({"VLLM_CPU_OMP_THREADS_BIND": f"0-{threads - 1}"} if threads else {})
    child = Child("vLLM", line, environment, log)
    began = time.perf_counter()
    child.start()
    try:
        url = f"http://127.0.0.1:{port}/v1"
        while not engine.is_ready(url, engine.DEFAULT_MODEL):
            if not child.running or time.perf_counter() - began > _START_SECONDS:
                raise RuntimeError(child.last_lines(20))
            time.sleep(0.5)
        yield url, round(time.perf_counter() - began, 1)
    finally:
        child.stop()


async def _rate(
    url: str, prompts: Path, at_once: int, offers: int, first: int, candidates: int | None = None
) -> dict[str, Any]:
    """Offers a second with `at_once` in flight; `first` makes the people of every measurement new ones."""
    shipped = GenerationSettings().generation_candidates
    own = GenerationSettings(generation_concurrency=at_once, generation_candidates=candidates or shipped)
    model = ChatModel(Settings(llm_base_url=url), own)
    writer = CopyWriter(model, Library(prompts), own)
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> Copy:
        async with gate:
            return await writer.write(_request(number))

    began = time.perf_counter()
    copies = await asyncio.gather(*(one(first + i) for i in range(offers)))
    seconds = time.perf_counter() - began
    await model.close()
    sources = [copy.variants[0].source for copy in copies]
    return {"at_once": at_once, "offers": offers, "seconds": round(seconds, 2), "offers_per_second": round(offers / seconds, 3),
            "by_the_model": sum(source != "template" for source in sources)}  # fmt: skip


def _customer_first(folder: Path) -> Path:
    """The same prompt with the part that differs from person to person in front: nothing can be shared."""
    folder.mkdir()
    text = (ROOT / "prompts" / "offer_copy.md").read_text()
    head, body = text.rsplit("---\n", 1)
    fixed, data = body.split("{% if avoid %}", 1)
    (folder / "offer_copy.md").write_text(
        f"{head}---\n{{% if avoid %}}{data.removesuffix('Answer:')}\n{fixed}\nAnswer:"
    )
    (folder / "templates").symlink_to(ROOT / "prompts" / "templates")
    return folder


def run() -> dict[str, Any]:
    """Rates at 1, 16 and 64 at once beside the naive loop (one offer at a time, one completion each, as a user would write
    it; the same prompt, schema and checks); then one change at a time at 16.
    """
    settings = Settings(engine_python=ROOT / ".venv-engine" / "bin" / "python")
    best, other = ("bfloat16", "float32") if cpu.has_bf16() else ("float32", "bfloat16")
    with tempfile.TemporaryDirectory(prefix="atl-") as name:
        folder = Path(name)
        given = Settings(atelier_data=folder, engine_python=settings.engine_python)
        model, log, prompts = engine.prepare_model(given, folder / "log"), folder / "log", ROOT / "prompts"

        def rate(url: str, at_once: int, offers: int, first: int, used: Path = prompts, **more: int) -> dict[str, Any]:
            return asyncio.run(_rate(url, used, at_once, offers, first, **more))

        effects: dict[str, Any] = {}
        with _vllm(settings, model, log) as (url, start):
            rate(url, 16, 16, 100_000)  # warm: every product's grammar is compiled once
            naive = [rate(url, 1, 16, 70_000 + 16 * i, candidates=1) for i in range(2)]
            rates = [rate(url, at_once, max(12, at_once * 2), 1000 * at_once) for at_once in _AT_ONCE]
            naive.append(rate(url, 1, 16, 70_032, candidates=1))
            base = rate(url, 16, 48, 50_000)
            effects[f"as shipped: {best}, {os.cpu_count()} threads, eager, shared prefix first"] = base | {
                "start_seconds": start
            }
            effects["customer first in the prompt"] = rate(url, 16, 48, 60_000, _customer_first(folder / "prompts"))
        for label, threads, options in (
            (f"dtype {other}", None, {"dtype": other}),
            ("1 thread", 1, {}),
            ("compiled", None, {"eager": False}),
        ):
            with _vllm(settings, model, log, threads, **options) as (url, start):
                rate(url, 16, 16, 100_000)
                effects[label] = rate(url, 16, 48, 50_000) | {"start_seconds": start}
    slow = statistics.fmean(one["offers_per_second"] for one in naive)
    return {
        "goal": ">= 4x the one-by-one loop", "model": engine.DEFAULT_MODEL, "naive_loop": naive, "rates": rates,
        "ratio_16": round(rates[1]["offers_per_second"] / slow, 2), "ratio_64": round(rates[2]["offers_per_second"] / slow, 2),
        "effects_at_16": effects,
    }  # fmt: skip
