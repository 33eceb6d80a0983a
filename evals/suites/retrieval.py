"""Retrieval: do words, pictures, examples and people find what they should, in the service's own search?

Public sets, fetched at run time below `.atelier/datasets`; one that cannot be had is named and left out. Half of the queries
tuned the fusion's weights (`python -m evals.retrieval.tuning`); where there was something to tune, figures are of the other.
"""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path

from evals.retrieval import clipart, emoji, photos
from evals.retrieval.grocer import grocer
from evals.retrieval.judging import Outcome, cases, metrics
from evals.retrieval.pictures import prepare
from evals.retrieval.room import held, open_room
from evals.retrieval.sets import GallerySet, without
from evals.retrieval.systems import TASKS, ranked, systems
from evals.runs import BadRunError, Run, code_version
from services.demo.errors import DamagedPackageError, PackageUnavailableError
from services.retrieval import sparse
from services.retrieval.search_service import WEIGHTS, default_weights
from shared.contracts.retrieval import ImageModel
from shared.progress import Report, silent
from shared.settings import load_settings
from shared.stack.postgres import Postgres

SETS: dict[str, Callable[[Path, Report], GallerySet]] = {
    "tuxpaint": clipart.tuxpaint, "openclipart": clipart.openclipart, "openmoji": emoji.openmoji, "noto": emoji.noto,
    "fluent": emoji.fluent, "vendure": photos.vendure, "styles": emoji.styles,
}  # fmt: skip


def folder() -> Path:
    """Where packages, rooms and prepared pictures are kept."""
    return load_settings().atelier_data / "datasets" / "retrieval"


def run(seed: int, report: Report = silent) -> Run:
    """Every set that can be had."""
    with held(folder()):
        return asyncio.run(evaluate(folder(), seed, report))


async def evaluate(cache: Path, seed: int, report: Report) -> Run:
    """Load the sets, search in a room of each, judge."""
    server = await asyncio.to_thread(Postgres, cache / "postgres")
    try:
        sets, notes = await load(cache, server, report)
        if not sets:
            raise BadRunError("; ".join(notes))
        outcomes: list[Outcome] = []
        for data in sets:
            made, said, model = await outcomes_of(cache, server, data, report)
            outcomes += made
            notes += said
    finally:
        await asyncio.to_thread(server.stop)
    return judged(sets, outcomes, notes, model, seed)


async def load(cache: Path, server: Postgres, report: Report) -> tuple[list[GallerySet], list[str]]:
    """The sets, and a line for each one that is not available here."""
    sets, notes = [], []
    for name in [*SETS, "grocer"]:
        try:
            made = SETS[name](cache / "packages", report) if name in SETS else await grocer(cache, server, report)
        except (PackageUnavailableError, DamagedPackageError) as error:
            notes.append(f"set not available: {name}: {error.detail}")
        else:
            sets.append(made)
    return sets, notes


async def outcomes_of(
    cache: Path, server: Postgres, data: GallerySet, report: Report
) -> tuple[list[Outcome], list[str], ImageModel]:
    """Stock a set's room and ask everything; with what a reader must know and the image model it ran on."""
    mark = f"{data.name}_{data.fingerprint()[:12]}"
    place = cache / "rooms" / mark
    notes, outcomes = [], []
    async with open_room(place, server.create_database(f"retrieval_{mark}")) as room:
        refused = await room.stock(data, cache / "packages", report)
        if refused:
            key, reason = next(iter(sorted(refused.items())))
            notes.append(f"{data.name}: {len(refused)} of {data.size} refused by the import, such as {key} ({reason})")
            data = without(data, refused)
        for task, queries in data.asked.items():
            pictures = place / task
            seen = [query for query in queries if query.picture is not None]
            failed = prepare(seen, pictures, report, changed=task == "copy", step=f"{data.name}: draw what is asked")
            if failed:
                notes.append(f"{data.name}: {len(failed)} pictures to ask with cannot be drawn and are left out")
                data.asked[task] = [query for query in queries if query.id not in failed]
            among = list(systems(task, words_find_pictures=room.image_model.text_queries))
            found = await ranked(room, data, task, among, "held out", pictures, report)
            outcomes.append(
                Outcome(task=task, data=data, ranked=found, pictures=pictures, thumbnails=cache / "thumbnails")
            )
        return outcomes, notes, room.image_model


def described(data: GallerySet) -> str:
    """How a set is made, in a line."""
    equal = f"; {data.left_out} queries equal to an indexed name or tag left out" if data.left_out else ""
    return f"{data.name}: {data.size} to find; {data.protocol}{equal}"


def judged(sets: list[GallerySet], outcomes: list[Outcome], notes: list[str], model: ImageModel, seed: int) -> Run:
    """The run of what was found."""
    digest = hashlib.sha256("".join(data.fingerprint() for data in sets).encode()).hexdigest()[:16]
    if not model.text_queries:
        notes = [*notes, f"words find no pictures: {model.note}"]
    measured, worst, best = [], [], []
    for task in TASKS:
        of_task = [outcome for outcome in outcomes if outcome.task == task]
        if of_task:
            measured += list(metrics(task, of_task, seed))
        for outcome in of_task:
            lowest, highest = cases(outcome)
            worst += lowest
            best += highest
    used = {how: default_weights(how, words_find_pictures=model.text_queries) for how in WEIGHTS}
    weights = ", ".join(f"{how} {' '.join(f'{k} {v:g}' for k, v in each.items())}" for how, each in used.items())
    return Run(suite="retrieval", seed=seed, data=digest, code=code_version(), metrics=measured,
               worst=sorted(worst, key=lambda case: case.value), best=sorted(best, key=lambda case: -case.value),
               made_with={"images": f"{model.name} {model.version}", "sparse": sparse.VERSION, "weights": weights},
               notes=notes, about=[described(data) for data in sets])  # fmt: skip
