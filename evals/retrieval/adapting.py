"""Do words find more through an adapter? Trained on three quarters of a set's questions, asked the rest, in the service's own search.

    python -m evals.retrieval.adapting [SET ...]                   words find pictures: captions and names
    python -m evals.retrieval.adapting --space text [SET ...]      words find texts: the set's questions

Without a CLIP checkpoint words know nothing of pictures. The trainer of `atelier train adapter --space image` fits an adapter on
what the service has of a set's pictures, the service's own search takes it, and words ask for pictures of which it never saw one: by the
picture alone, and beside names and tags with several weights of the picture. Once as the set is, and once when the assets that are asked
for have no words: files that nobody named among others that somebody did.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import fmean
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from evals import statistics
from evals.retrieval.measures import ndcg
from evals.retrieval.room import TENANT, Room, held, open_room
from evals.retrieval.sets import GallerySet, Query, without
from evals.retrieval.systems import BARE, DENSE, IMAGE, System, request
from services.retrieval.catalog import asset_text
from services.training import text_adapter
from services.training.sources import pairs
from services.training.trained import Order, Trained
from services.training.trainers import adapter
from shared.contracts.catalog import Asset
from shared.contracts.retrieval import Space
from shared.progress import Report, console_progress, silent
from shared.stack.postgres import Postgres

MODEL = "words"
# Sets whose pictures the suite indexes; drawing the others takes long.
DEFAULT: Mapping[Space, tuple[str, ...]] = {
    "image": ("noto", "tuxpaint"),
    "text": ("tuxpaint", "openclipart", "openmoji", "noto", "fluent"),
}
WEIGHTS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
SYSTEMS = (BARE, IMAGE, *(System(name=f"picture's weight {weight:g}", weights={"image": weight}) for weight in WEIGHTS))
console = Console()
Gains = Mapping[str, list[float]]


@asynccontextmanager
async def stocked(
    cache: Path, server: Postgres, data: GallerySet, report: Report
) -> AsyncIterator[tuple[Room, GallerySet]]:
    """A set's room and what the import took of the set; the room is left as it was, without an adapter."""
    mark = f"{data.name}_{data.fingerprint()[:12]}"
    async with open_room(cache / "rooms" / mark, server.create_database(f"retrieval_{mark}")) as room:
        data = without(data, await room.stock(data, cache / "packages", report))
        try:
            yield room, data
        finally:
            await room.adapters.drop(TENANT, MODEL)
            await room.stock(data, cache / "packages", report)


def unseen(found: pairs.Pairs, data: GallerySet, seed: int) -> list[Query]:
    """The set's questions that the trainer held for its test."""
    tested, _ = text_adapter.apart(found.index, len(found.queries), len(found.items), seed, adapter.TEST_SHARE)
    words = {one for one, is_held in zip(found.queries, tested, strict=True) if is_held}
    return [query for query in data.asked["text"] if query.text in words]


class Measured(msgspec.Struct):
    """What was trained in so many seconds on so many pairs, and nDCG@10 of each held query by system, assets named and not."""

    name: str
    trained: Trained
    seconds: float
    pairs: int
    named: Gains
    nameless: Gains


async def measure(room: Room, data: GallerySet, cache: Path, seed: int, report: Report) -> Measured:
    """Train on the set's pictures, search with the adapter."""
    rows = [(query.text, key) for query in data.asked["text"] for key in sorted(query.relevant)]
    rows += [(asset_text(asset), asset.asset_id) for asset in data.assets]
    found, vectors = await pairs.with_pictures(
        [words for words, _ in rows], [key for _, key in rows], room.pair_vectors
    )
    started = time.perf_counter()
    trained = adapter.train(
        data.name, found, vectors, Order(tenant=TENANT, model_key=MODEL, seed=seed), silent, "image"
    )
    seconds = time.perf_counter() - started
    asked = unseen(found, data, seed)
    await room.adapters.put(TENANT, text_adapter.served(MODEL, 1, trained.files))
    named = {system.name: await searched(room, system, asked) for system in SYSTEMS}
    bare = nameless(data, frozenset(key for query in asked for key in query.relevant))
    await room.stock(bare, cache / "packages", report)
    unnamed = {system.name: await searched(room, system, asked) for system in SYSTEMS}
    return Measured(data.name, trained, seconds, len(found.index), named, unnamed)


def nameless(data: GallerySet, ids: Collection[str]) -> GallerySet:
    """The set when nobody has named these assets."""
    assets = [Asset(asset_id=one.asset_id, name="file") if one.asset_id in ids else one for one in data.assets]
    return msgspec.structs.replace(data, assets=assets)


async def searched(room: Room, system: System, asked: list[Query]) -> list[float]:
    """nDCG@10 of each query."""
    found = []
    for query in asked:
        answer = await room.search("assets", request(query, system, Path()))
        found.append(ndcg([hit.id for hit in answer.hits], query.relevant))
    return found


def shown(one: Measured, seed: int) -> Table:
    """Every system beside search by names and tags alone, with the paired interval."""
    after, gain = one.trained.figures
    title = (
        f"{one.name}: {one.pairs} pairs, {one.seconds:.1f} s; {one.trained.notes[0]}: nDCG@10 {after.value:.3f}, "
        f"by chance {after.baseline:.4f}, gain {gain.low:.3f} to {gain.high:.3f}"
    )
    table = Table("search", "named", "minus names and tags", "nameless", "minus names and tags", title=title)
    for name in one.named:
        cells = []
        for gains in (one.named, one.nameless):
            value, low, high = statistics.paired_interval(gains[name], gains[BARE.name], seed)
            cells += [
                f"{fmean(gains[name]):.3f}",
                f"{value:+.3f} ({low:+.3f} to {high:+.3f})" if name != BARE.name else "",
            ]
        table.add_row(name, *cells)
    table.caption = f"{len(one.named[BARE.name])} of the queries are the set's own questions; these were searched for"
    return table


async def texts(room: Room, data: GallerySet, seed: int) -> Table:
    """Train on the set's questions and the texts of what they ask for; search as it is, and with the adapter."""
    known = {asset.asset_id: asset_text(asset) for asset in data.assets}
    rows = [(query.text, known[key]) for query in data.asked["text"] for key in sorted(query.relevant)]
    found = pairs.of([words for words, _ in rows], [text for _, text in rows])
    vectors = adapter.embedded(found, silent)
    started = time.perf_counter()
    trained = adapter.train(data.name, found, vectors, Order(tenant=TENANT, model_key=MODEL, seed=seed), silent)
    seconds = time.perf_counter() - started
    asked = unseen(found, data, seed)
    before = [await searched(room, system, asked) for system in (DENSE, BARE)]
    await room.adapters.put(TENANT, text_adapter.served(MODEL, 1, trained.files))
    title = f"{data.name}: {len(found.index)} pairs, {seconds:.1f} s; {len(asked)} questions over {data.size}: nDCG@10"
    table = Table("search", "as it is", "adapted", "difference", title=title)
    for system, old in zip((DENSE, BARE), before, strict=True):
        new = await searched(room, system, asked)
        value, low, high = statistics.paired_interval(new, old, seed)
        table.add_row(
            system.name, f"{fmean(old):.3f}", f"{fmean(new):.3f}", f"{value:+.3f} ({low:+.3f} to {high:+.3f})"
        )
    return table


async def run(names: list[str], space: Space, seed: int, report: Report) -> list[Table]:
    """The table of every set."""
    from evals.suites.retrieval import SETS, folder

    server = await asyncio.to_thread(Postgres, folder() / "postgres")
    tables = []
    try:
        for name in names:
            async with stocked(folder(), server, SETS[name](folder() / "packages", report), report) as (room, data):
                if space == "text":
                    tables.append(await texts(room, data, seed))
                else:
                    tables.append(shown(await measure(room, data, folder(), seed, report), seed))
    finally:
        await asyncio.to_thread(server.stop)
    return tables


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="SET")] = None, space: Space = "image", seed: int = 0
) -> None:
    """Train on a part of a set and search for the rest."""
    from evals.suites.retrieval import folder

    os.environ.setdefault("COLUMNS", "200")
    with held(folder()), console_progress(console) as report:
        tables = asyncio.run(run(names or list(DEFAULT[space]), space, seed, report))
    for table in tables:
        console.print(table)


if __name__ == "__main__":
    typer.run(main)
