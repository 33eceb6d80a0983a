"""What is compared: the vectors alone, and together by each fusion, all through the service's own search."""

import base64
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from evals.retrieval.measures import TOP
from evals.retrieval.room import Room
from evals.retrieval.sets import GallerySet, Query, Split, split
from shared.contracts.retrieval import Kind, SearchFilter, SearchQuery, SearchRequest, VectorName
from shared.progress import Report

HYBRID = "hybrid"
_VECTORS: tuple[VectorName, ...] = ("text", "sparse", "image")


class System(msgspec.Struct, frozen=True, kw_only=True):
    """One way to search. `weights`: other than the service's, 0 leaves a vector out; `part`: one vector alone; `pictured`: says
    something only where words or examples meet pictures.
    """

    name: str
    fusion: Literal["rrf", "weighted"] = "weighted"
    weights: dict[VectorName, float] = {}
    part: bool = False
    pictured: bool = False


def _alone(vector: VectorName, name: str, *, pictured: bool = False) -> System:
    return System(name=name, weights={v: 0.0 for v in _VECTORS if v != vector}, part=True, pictured=pictured)


DENSE, SPARSE, IMAGE = _alone("text", "dense"), _alone("sparse", "sparse"), _alone("image", "image", pictured=True)
BOTH, RANKS = System(name=HYBRID), System(name="hybrid by ranks", fusion="rrf")
BARE = System(name="hybrid without pictures", weights={"image": 0.0}, pictured=True)
# Task -> what it asks, its kind, its systems.
TASKS: dict[str, tuple[str, Kind, tuple[System, ...]]] = {
    "text": ("words find assets", "assets", (DENSE, SPARSE, IMAGE, BOTH, RANKS, BARE)),
    "user": ("people find offers", "offers", (DENSE, SPARSE, BOTH, RANKS)),
    "example": ("an asset finds its like", "assets", (DENSE, SPARSE, IMAGE, BOTH, RANKS, BARE)),
    "image": ("pictures find another style's", "assets", (IMAGE,)),
    "copy": ("changed copies find the original", "assets", (IMAGE,)),
}
FUSED = ("text", "user", "example")


def systems(task: str, *, words_find_pictures: bool) -> Iterator[System]:
    """The systems of a task; pictures take part in searching by words only where the image model knows words."""
    for system in TASKS[task][2]:
        if not (system.pictured and task == "text" and not words_find_pictures):
            yield system


def chosen(task: str, queries: Sequence[Query], half: Split) -> list[Query]:
    """The queries of one half; the tuning half of what has nothing to tune is empty, the other half has them all."""
    if task not in FUSED:
        return list(queries) if half == "held out" else []
    return [query for query in queries if split(query) == half]


def request(query: Query, system: System, pictures: Path, limit: int = TOP) -> SearchRequest:
    """The search of a query. `pictures` has the query's picture, prepared, as ID.webp."""
    if query.text:
        asked = SearchQuery(text=query.text[:2000])
    elif query.example:
        asked = SearchQuery(example_id=query.example)
    elif query.person:
        asked = SearchQuery(profile_id=query.person)
    else:
        asked = SearchQuery(image=base64.b64encode((pictures / f"{query.id}.webp").read_bytes()).decode())
    return SearchRequest(
        query=asked,
        filter=SearchFilter(exclude_ids=[query.example] if query.example else []),
        limit=limit,
        fusion=system.fusion,
        weights=system.weights,
    )


async def ranked(
    room: Room, data: GallerySet, task: str, among: Sequence[System], half: Split, pictures: Path, report: Report
) -> dict[str, dict[str, list[str]]]:
    """System -> query -> ids, best first."""
    title, kind, _ = TASKS[task]
    queries = chosen(task, data.asked[task], half)
    found: dict[str, dict[str, list[str]]] = {system.name: {} for system in among}
    for number, query in enumerate(queries, start=1):
        for system in among:
            answer = await room.search(kind, request(query, system, pictures))
            found[system.name][query.id] = [hit.id for hit in answer.hits]
        report(f"{data.name}: {title}", number, len(queries))
    return found | {name: {query.id: ranking[:TOP] for query in queries} for name, ranking in data.same_for_all.items()}
