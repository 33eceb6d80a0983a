"""What each way to run vLLM gives: one thing changed at a time, 16 offers at once."""

import os
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT
from benchmarks.writing import prepared, rate, vllm
from shared import cpu
from shared.stack import engine

_OFFERS = 48


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
    """Offers a second for each way."""
    best, other = ("bfloat16", "float32") if cpu.has_bf16() else ("float32", "bfloat16")
    effects: dict[str, Any] = {}
    with prepared() as (settings, model, folder):
        with vllm(settings, model, folder / "log") as (url, start):
            rate(url, 16, 32, 100_000)
            shipped = f"as shipped: {best}, {os.cpu_count()} threads, eager, shared prefix first"
            effects[shipped] = rate(url, 16, _OFFERS, 50_000) | {"start_seconds": start}
            effects["customer first in the prompt"] = rate(
                url, 16, _OFFERS, 60_000, _customer_first(folder / "prompts")
            )
        ways: tuple[tuple[str, int | None, dict[str, Any]], ...] = (
            (f"dtype {other}", None, {"dtype": other}), ("1 thread", 1, {}), ("compiled", None, {"eager": False}),
        )  # fmt: skip
        for label, threads, options in ways:
            with vllm(settings, model, folder / "log", threads, **options) as (url, start):
                rate(url, 16, 16, 100_000)
                effects[label] = rate(url, 16, _OFFERS, 50_000) | {"start_seconds": start}
    return {"goal": "each effect shown once", "model": engine.DEFAULT_MODEL, "effects_at_16": effects}
