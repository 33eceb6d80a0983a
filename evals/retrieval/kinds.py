"""Which sparse vector? Word pieces against Qdrant's English BM25 (stems, stop words), each alone, on the tuning half.

python -m evals.retrieval.kinds
"""

import asyncio
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import fmean

import qdrant_edge as qe
import typer
from rich.console import Console
from rich.table import Table

from evals.retrieval.measures import TOP, ndcg
from evals.retrieval.sets import GallerySet
from evals.retrieval.systems import chosen
from services.demo.errors import DamagedPackageError, PackageUnavailableError
from services.retrieval import sparse
from services.retrieval.catalog import asset_text
from services.retrieval.vectors.edge import EdgeStore
from services.retrieval.vectors.protocol import SPARSE, Point, Sparse, Where, point_id
from shared.progress import console_progress

_ENGLISH = qe.Bm25()
_TENANT = "evals"
Made = Callable[[str], Sparse]
console = Console()


def _english(embed: Callable[[str], qe.SparseVector]) -> Made:
    def made(text: str) -> Sparse:
        vector = embed(text)
        return Sparse(list(vector.indices), list(vector.values))

    return made


# Name -> (of a document, of a query).
KINDS: Mapping[str, tuple[Made, Made]] = {
    "word pieces": (sparse.of_document, sparse.of_query),
    "English words": (_english(_ENGLISH.embed_document), _english(_ENGLISH.embed_query)),
}


async def alone(data: GallerySet, of_document: Made, of_query: Made) -> float:
    """Mean nDCG@10 of one kind over the tuning half of a set's questions in words."""
    with tempfile.TemporaryDirectory() as folder:
        store = EdgeStore(Path(folder))
        await store.create(data.name, {"text": 1})
        await store.upsert(data.name, [
            Point(_TENANT, asset.asset_id, {}, of_document(asset_text(asset)), {"tenant": _TENANT, "id": asset.asset_id})
            for asset in data.assets
        ])  # fmt: skip
        found = []
        for query in chosen("text", data.asked["text"], "tuning"):
            words = of_query(query.text)
            lists = (
                await store.search(data.name, [{SPARSE: words}], Where(tenant=_TENANT), TOP) if words.indices else [{}]
            )
            right = {point_id(_TENANT, key) for key in query.relevant}
            found.append(ndcg([point for point, _ in lists[0].get(SPARSE, [])], right))
        await store.close()
    return fmean(found)


def main() -> None:
    """Compare kinds of sparse vectors."""
    from evals.suites.retrieval import SETS, folder

    table = Table("set", *KINDS, title="sparse alone: nDCG@10 on the tuning half")
    rows = []
    with console_progress(console) as report:
        for name, load in SETS.items():
            try:
                data = load(folder() / "packages", report)
            except (PackageUnavailableError, DamagedPackageError) as error:
                console.print(f"set not available: {name}: {error.detail}", style="yellow")
                continue
            if "text" in data.asked:
                rows.append([asyncio.run(alone(data, *made)) for made in KINDS.values()])
                table.add_row(name, *(f"{value:.4f}" for value in rows[-1]))
    if rows:
        table.add_row("mean of sets", *(f"{fmean(column):.4f}" for column in zip(*rows, strict=True)))
    console.print(table)


if __name__ == "__main__":
    typer.run(main)
