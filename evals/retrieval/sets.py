"""What a set for retrieval is: assets as a customer would import them, and queries whose answers are known.

A set is fair when its queries are other words than the indexed ones: they come from another field or another author, and
a query that equals an indexed name or tag is dropped (`fair`), because finding a text by itself shows nothing.
"""

import hashlib
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from shared.contracts.catalog import Asset, Offer
from shared.contracts.profiles import ProfileSummary

Split = Literal["tuning", "held out"]
_ARTICLES = {"a", "an", "the", "some"}
_WORD = re.compile(r"[^\W_]+")


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """One question with its right answers. Exactly one of text, picture, example and person is asked by.

    Attributes:
        relevant: ids of the right answers, at least one.
        example: id of an asset of the set, which is itself no answer.
        person: id of a person of the set.
    """

    id: str
    relevant: frozenset[str]
    text: str = ""
    picture: Path | None = None
    example: str = ""
    person: str = ""


class GallerySet(msgspec.Struct, kw_only=True):
    """A set. `asked`: task -> queries. `protocol`: how index and queries are kept apart, in one sentence.

    Attributes:
        pictures: asset id -> file of its picture, as it was published.
        indexed_pictures: whether the pictures are indexed, too (drawing thousands of SVG takes long).
        people: summaries as profiles makes them, searched by as vectors.
        same_for_all: name -> a ranking that asks nobody, to compare with.
        left_out: queries dropped because they equal an indexed name or tag.
    """

    name: str
    protocol: str
    assets: list[Asset] = []
    offers: list[Offer] = []
    people: list[ProfileSummary] = []
    pictures: dict[str, Path] = {}
    indexed_pictures: bool = False
    asked: dict[str, list[Query]] = {}
    same_for_all: dict[str, list[str]] = {}
    left_out: int = 0

    @property
    def size(self) -> int:
        """How many things can be found."""
        return len(self.assets) + len(self.offers)

    def fingerprint(self) -> str:
        """SHA-256 over everything that decides a figure."""
        digest = hashlib.sha256()
        for row in [*self.assets, *self.offers, *self.people]:
            digest.update(msgspec.json.encode(row, order="sorted"))
        for task in sorted(self.asked):
            for query in self.asked[task]:
                parts = (task, query.id, query.text, query.example, query.person, *sorted(query.relevant))
                digest.update("\0".join(parts).encode())
        return digest.hexdigest()


def without(data: GallerySet, refused: Collection[str]) -> GallerySet:
    """A set without assets that the import refused, and without the questions that ask for them alone or by them."""
    asked = {
        task: [msgspec.structs.replace(query, relevant=left) for query in queries
               if (left := query.relevant.difference(refused)) and query.example not in refused]
        for task, queries in data.asked.items()
    }  # fmt: skip
    assets = [asset for asset in data.assets if asset.asset_id not in refused]
    return msgspec.structs.replace(data, assets=assets, asked=asked)


def folded(text: str) -> str:
    """A text without case, punctuation and articles: "A zebra." and "zebra" are one."""
    return " ".join(word for word in _WORD.findall(text.lower()) if word not in _ARTICLES)


def fair(queries: Iterable[Query], indexed: Sequence[Asset]) -> tuple[list[Query], int]:
    """The queries that are not word for word a name or a tag of the set, each once, and how many were left out."""
    known = {folded(text) for asset in indexed for text in (asset.name, asset.alt_text, *asset.tags)}
    kept: dict[str, Query] = {}
    dropped = 0
    for query in queries:
        key = folded(query.text)
        if not key or key in known:
            dropped += 1
        elif key in kept:
            before = kept[key]
            kept[key] = msgspec.structs.replace(before, relevant=before.relevant | query.relevant)
        else:
            kept[key] = query
    return list(kept.values()), dropped


def share(key: str) -> float:
    """A number in [0, 1) that depends on the key alone: what is chosen by it stays chosen when a set grows."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64


def split(query: Query) -> Split:
    """Half of the queries are for tuning, the other half for reporting."""
    return "tuning" if share(f"split:{query.id}") < 0.5 else "held out"  # noqa: PLR2004


def sampled(queries: Sequence[Query], most: int) -> list[Query]:
    """At most so many queries, chosen by hash, in the order of their ids."""
    chosen = sorted(queries, key=lambda query: share(query.id))[:most]
    return sorted(chosen, key=lambda query: query.id)


def words_of(stem: str) -> str:
    """A file name as words: "00_yen-1" is "yen"."""
    return " ".join(re.findall(r"[^\W\d_]+", stem.lower()))


def tags_of(texts: Iterable[str]) -> list[str]:
    """Texts as tags: trimmed, each once, none empty, none too long for a tag."""
    cleaned = (" ".join(text.split())[:100].strip() for text in texts)
    return list(dict.fromkeys(text for text in cleaned if text))
