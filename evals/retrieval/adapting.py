"""Do words find pictures through an adapter? Trained on the captions and names of three quarters of a set's pictures, asked for the rest.

    python -m evals.retrieval.adapting [SET ...]

Without a CLIP checkpoint words know nothing of pictures. The trainer of `atelier train adapter --space image` fits an adapter on
what the service has of a set's pictures, the service's own search takes it, and words ask for pictures of which it never saw one: by the
picture alone, and beside names and tags with several weights of the picture. Once as the set is, and once when the assets that are asked
for have no words: files that nobody named among others that somebody did.
"""

import asyncio
import os
import time
from collections.abc import Collection, Mapping
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
from evals.retrieval.systems import BARE, IMAGE, System, request
from services.retrieval.catalog import asset_text
from services.training import text_adapter
from services.training.sources import pairs
from services.training.trained import Order, Trained
from services.training.trainers import adapter
from shared.contracts.catalog import Asset
from shared.progress import Report, console_progress, silent
from shared.stack.postgres import Postgres

MODEL = "words"
WEIGHTS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
SYSTEMS = (BARE, IMAGE, *(System(name=f"picture's weight {weight:g}", weights={"image": weight}) for weight in WEIGHTS))
console = Console()
Gains = Mapping[str, list[float]]


class Measured(msgspec.Struct):
    """What was trained in so many seconds on so many pairs, and nDCG@10 of each held query by system, assets named and not."""

    name: str
    trained: Trained
    seconds: float
    pairs: int
    named: Gains
    nameless: Gains


async def measure(cache: Path, server: Postgres, data: GallerySet, seed: int, report: Report) -> Measured:
    """Stock a set's room, train on its pictures, search with the adapter; the room is left without it."""
    mark = f"{data.name}_{data.fingerprint()[:12]}"
    async with open_room(cache / "rooms" / mark, server.create_database(f"retrieval_{mark}")) as room:
        data = without(data, await room.stock(data, cache / "packages", report))
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
        unseen, _ = text_adapter.apart(found.index, len(found.queries), len(found.items), seed, adapter.TEST_SHARE)
        tested = {words for words, is_held in zip(found.queries, unseen, strict=True) if is_held}
        asked = [query for query in data.asked["text"] if query.text in tested]
        await room.adapters.put(TENANT, text_adapter.served(MODEL, 1, trained.files))
        try:
            named = {system.name: await searched(room, system, asked) for system in SYSTEMS}
            bare = nameless(data, frozenset(key for query in asked for key in query.relevant))
            await room.stock(bare, cache / "packages", report)
            unnamed = {system.name: await searched(room, system, asked) for system in SYSTEMS}
        finally:
            await room.adapters.drop(TENANT, MODEL)
            await room.stock(data, cache / "packages", report)
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


async def run(names: list[str], seed: int, report: Report) -> list[Table]:
    """The table of every set."""
    from evals.suites.retrieval import SETS, folder

    server = await asyncio.to_thread(Postgres, folder() / "postgres")
    try:
        sets = [SETS[name](folder() / "packages", report) for name in names]
        return [shown(await measure(folder(), server, data, seed, report), seed) for data in sets]
    finally:
        await asyncio.to_thread(server.stop)


def main(names: Annotated[list[str] | None, typer.Argument(metavar="SET")] = None, seed: int = 0) -> None:
    """Train on a set's pictures and search for those it never saw."""
    from evals.suites.retrieval import folder

    os.environ.setdefault("COLUMNS", "200")
    with held(folder()), console_progress(console) as report:
        tables = asyncio.run(run(names or ["noto", "tuxpaint"], seed, report))
    for table in tables:
        console.print(table)


if __name__ == "__main__":
    typer.run(main)
