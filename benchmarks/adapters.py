"""What it costs that vLLM may take adapters: answers a second of a server that takes none, of one that takes one and nobody uses it,
and of one whose answers all use it. One server after the other; the second is measured with and without in turn.
"""

import asyncio
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.writing import PROMPTS, prepared, request, vllm
from services.generation import assembly, rendering
from services.generation.llm import ChatModel
from services.generation.prompts import Library
from services.generation.settings import GenerationSettings
from shared.settings import Settings
from shared.stack.engine import load_adapter
from tests.generation.test_hot_adapter import adapter

AT_ONCE, ROUNDS, RANK, PRODUCTS, NAME = 32, 3, 8, 4, "random"


def run() -> dict[str, Any]:
    """Answers a second, round by round, and the ratios of their means."""
    with prepared() as (settings, model, folder):
        with vllm(settings, model, folder / "log") as (url, _):
            none = asyncio.run(_rounds(url, [""]))[""]
        with vllm(settings, model, folder / "log", adapters=1) as (url, _):
            load_adapter(url, NAME, adapter(Path(model), folder / "adapter", RANK))
            found = asyncio.run(_rounds(url, ["", NAME]))
    mean = statistics.fmean(none)
    return {"goal": "shown", "at_once": AT_ONCE, "rank": RANK, "without": none, "unused": found[""], "used": found[NAME],
            "ratio_unused": round(statistics.fmean(found[""]) / mean, 2), "ratio_used": round(statistics.fmean(found[NAME]) / mean, 2)}  # fmt: skip


async def _rounds(url: str, names: list[str]) -> dict[str, list[float]]:
    model = ChatModel(Settings(llm_base_url=url), GenerationSettings())
    prompt = Library(PROMPTS).prompts["offer_copy"]

    async def one(number: int, name: str) -> None:
        material = request(number % PRODUCTS).material
        schema = prompt.schema(assembly.product_of(material.offer))
        asked = rendering.render(prompt, material, [], "")
        await model.complete(asked, schema, seed=number, candidates=1, seconds=120, adapter=name)

    async def rate(name: str, first: int) -> float:
        began = time.perf_counter()
        await asyncio.gather(*(one(first + n, name) for n in range(AT_ONCE)))
        return round(AT_ONCE / (time.perf_counter() - began), 2)

    found: dict[str, list[float]] = {name: [] for name in names}
    try:
        for name in names:
            await rate(name, 100_000)  # every grammar is compiled once
        for turn in range(ROUNDS):
            for name in names:
                found[name].append(await rate(name, 1000 * turn))
    finally:
        await model.close()
    return found
