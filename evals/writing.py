"""Copy by the writer that serves, with the real model and the real checks in this process; and what is measured of it."""

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import msgspec
import openai

from evals.runs import BadRunError
from services.generation import assembly
from services.generation.adapters import EVERYBODY
from services.generation.llm import ChatModel
from services.generation.prompts import Library
from services.generation.service import CopyWriter
from services.generation.settings import GenerationSettings
from services.governance.service import CheckService
from shared.clients.governance import GovernanceClient
from shared.contracts.generation import Copy, Material, Sections, Variant, WriteRequest
from shared.contracts.governance import CheckReport, CheckRequest
from shared.settings import Settings, read_env

PROMPTS = Path("prompts")
AT_ONCE = 16
DEADLINE_MS = 120_000
_TRIES = 5


class Written(msgspec.Struct):
    """A request, the material that is true of it, the copy, and the report of the checks against that material.

    `report` and `surprise` (nats a token, see `surprises`) are None where nothing was served.
    """

    request: WriteRequest
    truth: Material
    copy: Copy
    report: CheckReport | None = None
    surprise: float | None = None

    @property
    def variant(self) -> Variant | None:
        """What would be served."""
        return self.copy.variants[0] if self.copy.variants else None

    @property
    def sections(self) -> Sections:
        """Its words; empty where nothing was served."""
        return self.variant.sections if self.variant else Sections()

    @property
    def by_the_model(self) -> bool:
        """Are they the model's, not approved copy?"""
        return self.variant is not None and self.variant.source != "template"

    @property
    def usable(self) -> bool:
        """The model's words, fit for the channel, and right by the whole record, not only by what the writer was given."""
        return self.by_the_model and bool(self.report and self.report.servable)

    def own_words(self) -> str:
        """Headline and body without the sentences that code fills from the record."""
        line = assembly.offer_line(self.request.material.offer, Library(PROMPTS).templates)
        return f"{self.sections.headline}. {self.sections.body.partition(line)[0]}".strip()


def write(
    settings: Settings,
    pairs: Sequence[tuple[WriteRequest, Material]],
    prompts: Path = PROMPTS,
    at_once: int = AT_ONCE,
    adapter: str = "",
) -> list[Written]:
    """Copy for each request, checked once more against the material that is true of it, in their order.

    Raises:
        BadRunError: the model server is too slow to say anything about its words, or does not have the adapter.
    """
    return asyncio.run(_write(settings, pairs, prompts, at_once, adapter))


async def _write(
    settings: Settings, pairs: Sequence[tuple[WriteRequest, Material]], prompts: Path, at_once: int, adapter: str
) -> list[Written]:
    # A slow server is waited for here: what is measured is the words, and a breaker would put approved ones in their place.
    own = msgspec.structs.replace(
        read_env(GenerationSettings), generation_breaker_failures=len(pairs) * _TRIES,
        generation_adapters=f"{EVERYBODY}={adapter}" if adapter else "",
    )  # fmt: skip
    model, checks = ChatModel(settings, own), CheckService()
    # Governance in this process instead of over HTTP: `check` is the only method that the writer calls.
    writer = CopyWriter(model, Library(prompts), own, cast(GovernanceClient, checks))
    gate = asyncio.Semaphore(at_once)

    async def one(request: WriteRequest, truth: Material) -> Written:
        written = Written(request, truth, await _answered(writer, request, gate))
        if written.variant:
            drafts = [written.sections]
            asked = CheckRequest(material=truth, drafts=drafts, channel=request.channel, locale=request.locale)
            written.report = (await checks.check(asked)).reports[0]
        return written

    try:
        return list(await asyncio.gather(*(one(*pair) for pair in pairs)))
    finally:
        await model.close()


async def _answered(writer: CopyWriter, request: WriteRequest, gate: asyncio.Semaphore) -> Copy:
    for _ in range(_TRIES):
        async with gate:
            copy = await writer.write(request)
        if missing := [reason for reason in copy.degraded if reason.startswith("adapter_missing")]:
            raise BadRunError(missing[0])
        if not any(reason.startswith("llm_unavailable") for reason in copy.degraded):
            return copy
    raise BadRunError(f"the model server did not write about {request.material.offer.offer_id}: {copy.degraded[0]}")


def measure_surprise(settings: Settings, written: Sequence[Written]) -> None:
    """Fill in how surprising each piece's own words are to the served model, nats a token (lower reads more fluently).

    A proxy: the model judges without the prompt, and what it finds likely need not be good. Left None where the server
    gives no log-probabilities of a prompt.
    """
    asked = [one for one in written if one.variant]
    for one, value in zip(asked, surprises(settings, [one.own_words() for one in asked]), strict=True):
        one.surprise = value


def surprises(settings: Settings, texts: Sequence[str], batch: int = 16) -> list[float | None]:
    """Mean negative log-probability a token, each text by itself."""
    client = openai.OpenAI(base_url=settings.llm_base_url, api_key=settings.llm_api_key, max_retries=0)
    found: list[float | None] = []
    for start in range(0, len(texts), batch):
        part = list(texts[start : start + batch])
        try:
            answer = client.completions.create(
                model=settings.llm_model, prompt=part, max_tokens=1, temperature=0, extra_body={"prompt_logprobs": 0}
            )
        except openai.OpenAIError:
            found += [None] * len(part)
            continue
        found += [_surprise(choice.model_dump().get("prompt_logprobs")) for choice in answer.choices]
    return found


def _surprise(tokens: list[dict[str, dict[str, float]] | None] | None) -> float | None:
    logs = [next(iter(token.values()))["logprob"] for token in tokens or [] if token]
    value = -sum(logs) / len(logs) if logs else math.nan
    return value if math.isfinite(value) else None
