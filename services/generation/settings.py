"""Settings of generation."""

from pathlib import Path
from typing import Annotated

import msgspec

from shared.settings import describe


class GenerationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the model is called."""

    prompts_dir: Annotated[Path, describe("Folder of prompts and approved templates")] = Path("prompts")
    generation_candidates: Annotated[int, describe("Answers asked for in one call; the best that passes is used")] = 4
    generation_repairs: Annotated[int, describe("Times a refused answer is asked for again")] = 1
    generation_concurrency: Annotated[int, describe("Model calls in flight at once")] = 32
    generation_max_tokens: Annotated[int, describe("Longest answer of the model, in tokens")] = 96
    generation_temperature: Annotated[float, describe("Sampling temperature")] = 0.4
    generation_breaker_failures: Annotated[int, describe("Failures in a row that open the circuit breaker")] = 3
    generation_breaker_seconds: Annotated[float, describe("Seconds the breaker stays open")] = 10.0
    generation_adapters: Annotated[
        str, describe("Adapters of the chat model, tenant=name,...; * is every other tenant; empty: none")
    ] = ""
    generation_fact_budget: Annotated[int, describe("Most tokens that facts about the person may take")] = 60
