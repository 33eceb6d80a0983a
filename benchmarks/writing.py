"""Checked offers a second on the real vLLM: a naive loop against many at once."""

import asyncio
import datetime as dt
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

from benchmarks.harness import ROOT
from services.generation.llm import ChatModel
from services.generation.prompts import Library
from services.generation.service import CopyWriter
from services.generation.settings import GenerationSettings
from services.governance.service import CheckService
from shared.clients.governance import GovernanceClient
from shared.contracts.catalog import Brand, Discount, Offer
from shared.contracts.generation import Copy, Material, WriteRequest
from shared.contracts.profiles import Fact, ProfileContext
from shared.settings import Settings
from shared.stack import engine
from shared.stack.child import Child
from shared.stack.valkey import free_port

PRODUCTS = ["yogurt", "soft drinks", "frozen pizza", "ice cream", "paper towels", "cat food", "coffee", "potato chips",
            "laundry detergent", "bread", "eggs", "shampoo", "cheese", "salad mix", "crackers", "bananas"]  # fmt: skip
PROMPTS = ROOT / "prompts"
_ROUNDS = 3
_DEADLINE_MS = 120_000
_START_SECONDS = 420


def request(number: int) -> WriteRequest:
    """Copy for a person who buys one of the products regularly."""
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
def vllm(
    settings: Settings, model: str, log: Path, threads: int | None = None, **options: Any
) -> Iterator[tuple[str, float]]:
    """A server with these options; yields its URL and the seconds it took to start."""
    port = free_port()
    line = engine.command(settings.engine_python, model, engine.DEFAULT_MODEL, port, **options)
    environment = engine.environment(options.get("adapters", 0)) | (
        {"OMP_NUM_THREADS": str(threads)} if threads else {}
    )
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
    # Checks in this process, as the peer has none to reach over HTTP.
    writer = CopyWriter(model, Library(prompts), own, cast(GovernanceClient, CheckService()))
    gate = asyncio.Semaphore(at_once)

    async def one(number: int) -> Copy:
        async with gate:
            return await writer.write(request(number))

    began = time.perf_counter()
    copies = await asyncio.gather(*(one(first + i) for i in range(offers)))
    seconds = time.perf_counter() - began
    await model.close()
    sources = [copy.variants[0].source for copy in copies]
    return {"at_once": at_once, "offers": offers, "seconds": round(seconds, 2), "offers_per_second": round(offers / seconds, 3),
            "by_the_model": sum(source != "template" for source in sources)}  # fmt: skip


@contextmanager
def prepared() -> Iterator[tuple[Settings, str, Path]]:
    """Settings with vLLM's Python, the converted model, and a folder to write into."""
    with tempfile.TemporaryDirectory(prefix="atl-") as name:
        settings = Settings(atelier_data=Path(name), engine_python=ROOT / ".venv-engine" / "bin" / "python")
        yield settings, engine.prepare_model(settings, Path(name) / "log"), Path(name)


def rate(url: str, at_once: int, offers: int, first: int, prompts: Path = PROMPTS, **more: int) -> dict[str, Any]:
    """See `_rate`."""
    return asyncio.run(_rate(url, prompts, at_once, offers, first, **more))


def run() -> dict[str, Any]:
    """A naive loop (one offer at a time, one completion each, as a user would write it; the same prompt, schema and checks)
    and ours at 1, 16 and 64 at once, in turn, three times.
    """
    rounds: list[dict[str, dict[str, Any]]] = []
    with prepared() as (settings, model, folder), vllm(settings, model, folder / "log") as (url, start):
        rate(url, 16, 32, 100_000)  # warm: every product's grammar is compiled once
        for turn in range(_ROUNDS):
            first = 1000 * turn
            rounds.append({
                "naive": rate(url, 1, 12, first, candidates=1), "1": rate(url, 1, 12, first),
                "16": rate(url, 16, 48, first), "64": rate(url, 64, 128, first),
            })  # fmt: skip
    mean = {name: statistics.geometric_mean(turn[name]["offers_per_second"] for turn in rounds) for name in rounds[0]}
    return {
        "goal": ">= 4x the naive loop", "model": engine.DEFAULT_MODEL, "start_seconds": start, "rounds": rounds,
        "offers_per_second": {name: round(value, 3) for name, value in mean.items()},
        "ratio_16": round(mean["16"] / mean["naive"], 2), "ratio_64": round(mean["64"] / mean["naive"], 2),
    }  # fmt: skip
