"""How much should each vector count? Weights tried on the tuning half of the queries, through the service's own search.

    python -m evals.retrieval.tuning

Prints nDCG@10 by set for every weight, the weight that is chosen (best over all sets, and worse than dense on none), and what
it would gain on each set had it been chosen on the other sets alone. The chosen ones stand in `services.retrieval.search_service.WEIGHTS`.
"""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Literal

import typer
from rich.console import Console
from rich.table import Table

from evals.retrieval.measures import ndcg
from evals.retrieval.room import held, open_room
from evals.retrieval.sets import GallerySet, without
from evals.retrieval.systems import DENSE, SPARSE, System, ranked
from shared.contracts.retrieval import VectorName
from shared.progress import Report, console_progress
from shared.stack.postgres import Postgres

# Task -> the vector whose weight is tried, the others being as they are, and the weights.
TASKS: dict[str, tuple[VectorName, tuple[float, ...]]] = {
    "text": ("sparse", (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0)),
    "user": ("sparse", (0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0)),
    "example": ("image", (0.0, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0)),
}
HOW: tuple[Literal["rrf", "weighted"], ...] = ("weighted", "rrf")
Gains = dict[str, dict[str, float]]
console = Console()


def candidates(task: str) -> list[System]:
    """The parts, and both fusions with every weight; where words meet pictures, the pictures' weight is not tried."""
    vector, weights = TASKS[task]
    fixed: dict[VectorName, float] = {"image": 0.0} if vector == "sparse" else {}
    made = [System(name=f"{how} {weight:g}", fusion=how, weights={**fixed, vector: weight})
            for how in HOW for weight in weights]  # fmt: skip
    return [DENSE, SPARSE, *made]


async def gains(cache: Path, server: Postgres, data: GallerySet, report: Report) -> Gains:
    """Task -> system -> mean nDCG@10 over the tuning half of a set."""
    mark = f"{data.name}_{data.fingerprint()[:12]}"
    found: Gains = {}
    async with open_room(cache / "rooms" / mark, server.create_database(f"retrieval_{mark}")) as room:
        data = without(data, await room.stock(data, cache / "packages", report))
        for task in TASKS:
            if task in data.asked:
                rankings = await ranked(room, data, task, candidates(task), "tuning", cache, report)
                answers = {query.id: query.relevant for query in data.asked[task]}
                found[task] = {name: fmean(ndcg(ids, answers[key]) for key, ids in by_query.items())
                               for name, by_query in rankings.items() if by_query}  # fmt: skip
    return found


def best(by_set: Mapping[str, Mapping[str, float]], how: str, leaving_out: str = "") -> str:
    """The weight with the highest mean over the sets, each counting once, of those that lose to dense on none of them; if
    all lose on some, of all. Pure.
    """
    used = [figures for name, figures in by_set.items() if name != leaving_out] or list(by_set.values())
    names = [name for name in used[0] if name.startswith(f"{how} ")]
    safe = [name for name in names if all(figures[name] >= figures["dense"] for figures in used)]
    return max(safe or names, key=lambda name: fmean(figures[name] for figures in used))


def shown(task: str, by_set: Mapping[str, Mapping[str, float]]) -> Table:
    """The table of a task: systems by sets, and their mean."""
    table = Table(f"{TASKS[task][0]}'s weight", *by_set, "mean of sets", title=f"{task}: nDCG@10 on the tuning half")
    for system in [one.name for one in candidates(task)]:
        figures = [row[system] for row in by_set.values()]
        table.add_row(system, *(f"{value:.4f}" for value in figures), f"{fmean(figures):.4f}")
    table.add_section()
    for how in HOW:
        left = {name: best(by_set, how, leaving_out=name) for name in by_set}
        changes = [f"{row[left[name]] - row['dense']:+.4f} ({left[name]})" for name, row in by_set.items()]
        table.add_row(f"{how}, chosen on the other sets, minus dense", *changes, f"chosen: {best(by_set, how)}")
    return table


async def tune(cache: Path, report: Report) -> Sequence[Table]:
    """The tables of every task."""
    from evals.suites.retrieval import load

    server = await asyncio.to_thread(Postgres, cache / "postgres")
    try:
        sets, notes = await load(cache, server, report)
        found = {data.name: await gains(cache, server, data, report) for data in sets}
    finally:
        await asyncio.to_thread(server.stop)
    for note in notes:
        console.print(note, style="yellow")
    return [shown(task, {name: by_task[task] for name, by_task in found.items() if task in by_task}) for task in TASKS]


def main() -> None:
    """Try weights on the tuning half of the public sets."""
    from evals.suites.retrieval import folder

    os.environ.setdefault("COLUMNS", "200")
    with held(folder()), console_progress(console) as report:
        tables = asyncio.run(tune(folder(), report))
    for table in tables:
        console.print(table)


if __name__ == "__main__":
    typer.run(main)
