"""`python -m evals.prompts`: write the planted personas' copy with every prompt of this folder and with the one that serves.

Each is measured on the same people, offers and seeds, with and without the profile, with retrieval. The table is what
docs/prompts.md shows; `--out` keeps it as JSON.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from evals import engine, writing
from evals.suites import personalization
from evals.suites.generation import distinct_pairs
from evals.suites.personalization import Person
from evals.writing import Written
from services.generation.prompts import Library
from shared.settings import Settings

FOLDER = Path(__file__).parent
SERVES = "offer_copy"
_COLUMNS = {
    "recall_with": "attribute recall", "recall_without": "without the profile", "facts_told": "facts told", "forbidden": "forbidden",
    "usable": "usable", "claims": "claims held", "surprise": "surprise", "distinct": "distinct pairs", "prompt_tokens": "tokens in",
    "answer_tokens": "tokens out", "seconds": "s an offer",
}  # fmt: skip
console = Console()


@contextmanager
def library(prompt: Path) -> Iterator[Path]:
    """A folder of prompts in which this file is the one that serves."""
    with tempfile.TemporaryDirectory(prefix="atl-") as name:
        folder = Path(name)
        shutil.copytree(writing.PROMPTS / "templates", folder / "templates")
        shutil.copy(prompt, folder / f"{SERVES}.md")
        yield folder


def measure(settings: Settings, prompt: Path, people: list[Person], seed: int) -> dict[str, Any]:
    """One row of the table."""
    with library(prompt) as folder:
        head = Library(folder).prompts[SERVES]
        began = time.perf_counter()
        written = personalization.arms(settings, people, seed, ("both", "retrieval"), folder)
        seconds = (time.perf_counter() - began) / (2 * len(people))
    return {"prompt": prompt.stem, "version": head.version, "purpose": head.head.purpose} | row(
        people, written, seconds
    )


def row(people: list[Person], written: dict[str, list[Written]], seconds: float) -> dict[str, Any]:
    """The figures of one prompt: means over the people."""
    both, without = written["both"], written["retrieval"]
    usage = [one.variant.usage for one in both if one.variant]
    claims = [claim.status == "supported" for one in both if one.report for claim in one.report.claims]
    surprise = [one.surprise for one in both if one.surprise is not None]
    return {
        "recall_with": _mean(personalization.recalls(people, both).values()),
        "recall_without": _mean(personalization.recalls(people, without).values()),
        "facts_told": _mean(personalization.recalls(people, both, personalization.is_fact).values()),
        "forbidden": sum(bool(personalization.leaks(*pair)) for rows in written.values() for pair in zip(people, rows, strict=True)),
        "usable": _mean(one.usable for one in both),
        "claims": _mean(claims),
        "surprise": _mean(surprise),
        "distinct": round(distinct_pairs([one.own_words() for one in both if one.by_the_model]), 3),
        "prompt_tokens": _mean(one.prompt_tokens for one in usage),
        "answer_tokens": _mean(one.completion_tokens for one in usage),
        "seconds": round(seconds, 2),
    }  # fmt: skip


def _mean(values: Any) -> float | None:
    found = list(values)
    return round(float(np.mean(found)), 3) if found else None


def table(rows: list[dict[str, Any]]) -> str:
    """As Markdown, the highest attribute recall first."""
    lines = [f"| prompt | {' | '.join(_COLUMNS.values())} |", f"| --- {'| --- ' * len(_COLUMNS)}|"]
    for one in sorted(rows, key=lambda r: (-(r["recall_with"] or 0), r["surprise"] or 0)):
        name = f"**{one['prompt']}**" if one["prompt"] == SERVES else one["prompt"]
        lines.append(f"| {name} | {' | '.join(str(one[key]) for key in _COLUMNS)} |")
    return "\n".join(lines)


def main(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which prompts; all without any. `offer_copy` serves.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Which people; prompts were chosen on seed 1.")] = 0,
    size: Annotated[int, typer.Option(min=2, help="How many people.")] = 36,
    out: Annotated[Path | None, typer.Option(help="A JSON file to keep the table in.")] = None,
) -> None:
    """Compare prompts for the served model on planted personas."""
    files = {path.stem: path for path in [writing.PROMPTS / f"{SERVES}.md", *sorted(FOLDER.glob("*.md"))]}
    unknown = [name for name in names or [] if name not in files]
    if unknown:
        console.print(f"no prompt named {unknown[0]!r}; there are {', '.join(files)}", style="red")
        raise typer.Exit(2)
    people = personalization.planted(size, seed)
    with engine.running() as settings:
        rows = []
        for name in names or files:
            with console.status(f"{name} ..."):
                rows.append(measure(settings, files[name], people, seed))
            console.print(f"{name}: {rows[-1]}", style="dim", highlight=False)
    print(table(rows))
    if out:
        out.write_text(
            json.dumps({"model": settings.llm_model, "seed": seed, "size": size, "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    typer.run(main)
