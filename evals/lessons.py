"""`python -m evals.lessons FILE`: answers of the model about the demo shop's offers, approved and rejected by the checks that serve.

A file for `atelier train copy FILE`, where no person has approved anything yet. The offers that the generation suite judges by
(same seed) are left out, so that an adapter is judged on others than it learnt from.
"""

import asyncio
from pathlib import Path
from typing import Annotated

import msgspec
import pyarrow as pa
import pyarrow.parquet
import typer
from rich.console import Console

from evals import engine, households, writing
from evals.suites import generation
from services.demo.offers import offers
from services.demo.sources import open_sources
from services.generation import assembly, rendering, scoring
from services.generation.assembly import Draft
from services.generation.llm import ChatModel
from services.generation.prompts import Library
from services.generation.settings import GenerationSettings
from services.generation.spelling import Speller
from services.governance.service import CheckService
from services.profiles import usable
from shared.contracts.catalog import Offer
from shared.contracts.generation import Material
from shared.contracts.governance import CheckRequest
from shared.settings import Settings, read_env

CANDIDATES, AT_ONCE, _SEED_STEP = 4, 8, 7919
_COLUMNS = ("subject", "prompt", "answer", "approved", "reason")
Row = tuple[str, str, str, str, str]
console = Console(highlight=False)


def untried(size: int, seed: int) -> list[Offer]:
    """Offers that the suite of this seed does not judge by, at most `size` of them."""
    judged = {asked.material.offer.offer_id for asked, _ in generation.requests(generation.SIZE, seed)}
    with open_sources() as data:
        catalog = offers(data, households.OFFERS_FROM)
    return [offer for offer in catalog if offer.offer_id not in judged][:size]


class _Teacher:
    """Asks as the writer asks, and looks at every answer as it does."""

    def __init__(self, settings: Settings) -> None:
        self._library = Library(writing.PROMPTS)
        self._prompt = self._library.prompts["offer_copy"]
        self._model = ChatModel(settings, read_env(GenerationSettings))
        self._checks, self._speller = CheckService(), Speller()
        self._gate = asyncio.Semaphore(AT_ONCE)

    async def rows(self, given: list[Offer], seed: int) -> list[Row]:
        try:
            found = await asyncio.gather(*(self._about(offer, seed + n) for n, offer in enumerate(given)))
        finally:
            await self._model.close()
        return list(dict.fromkeys(row for rows in found for row in rows))

    async def _about(self, offer: Offer, seed: int) -> list[Row]:
        nobody = usable.unknown("somebody", "unknown person", "web")
        material = Material(profile=nobody, offer=offer, brand=households.brand())
        prompt = rendering.render(self._prompt, material, [], "")
        schema = self._prompt.schema(assembly.product_of(offer))
        async with self._gate:
            answers = await self._model.complete(
                prompt, schema, seed=seed, candidates=CANDIDATES, seconds=writing.DEADLINE_MS / 1000
            )
        rows: list[Row] = []
        for answer in answers.candidates:
            try:
                draft = msgspec.json.decode(answer.text, type=Draft)
            except msgspec.DecodeError:
                continue  # cut off: what it would have said is not known
            reason = await self._objection(draft, material)
            rows.append((offer.offer_id, prompt, assembly.answered(draft), "no" if reason else "yes", reason))
        return rows

    async def _objection(self, draft: Draft, material: Material) -> str:
        product = assembly.product_of(material.offer)
        if problem := scoring.problem(draft, product, self._prompt.shown()):
            return problem
        if unknown := self._speller.unknown(f"{draft.headline} {draft.hook}", (product, material.brand.name), "en-US"):
            return f"{unknown[0]!r} is not a word"
        piece = assembly.assemble(draft, material, "email", self._library.templates)
        report = (await self._checks.check(CheckRequest(material=material, drafts=[piece]))).reports[0]
        broken = [rule.rule for rule in report.rules if rule.severity == "block" and not rule.passed]
        return "" if report.servable else f"not servable: {', '.join(broken) or 'a claim, or its length'}"


def main(
    file: Annotated[Path, typer.Argument(help="The Parquet file to write.")],
    size: Annotated[int, typer.Option(min=8, help="How many offers, four answers each.")] = 50,
    seed: Annotated[int, typer.Option(min=0, help="Of the answers, and of the suite whose offers are left out.")] = 0,
) -> None:
    """Write the file."""
    given = untried(size, seed)
    with engine.running() as settings, console.status(f"{len(given)} offers ..."):
        rows = asyncio.run(_Teacher(settings).rows(given, seed))
    columns = {name: [row[n] for row in rows] for n, name in enumerate(_COLUMNS)}
    pyarrow.parquet.write_table(pa.table(columns), file)
    approved = sum(row[3] == "yes" for row in rows)
    console.print(f"{file}: {approved} approved and {len(rows) - approved} rejected answers about {len(given)} offers")


if __name__ == "__main__":
    typer.run(main)
