"""Emoji in three drawing styles, each described by one author and asked for in the words of another.

| set | indexed | asked by |
| OpenMoji | Unicode CLDR's name and keywords, OpenMoji's own tags | the short names of chat programs (Slack, GitHub) |
| Noto | the Unicode character's name, its short names, its group | three of OpenMoji's own tags |
| Fluent | the words of the file's name | three of CLDR's keywords |
"""

import json
import random
from functools import cache
from pathlib import Path
from typing import Any

from evals.retrieval import packages
from evals.retrieval.sets import GallerySet, Query, fair, folded, sampled, share, tags_of
from shared.contracts.catalog import Asset
from shared.progress import Report

WORDS = 3
MOST = 1000
CONCEPTS = 300
_NO_CONCEPTS = ("extras-openmoji", "extras-unicode", "component", "flags")


def code(raw: str) -> str:
    """Code points without the variation selector, which only some data spell."""
    return raw.upper().replace("-FE0F", "")


@cache
def _openmoji(folder: Path) -> dict[str, dict[str, Any]]:
    rows = json.loads((folder / "data" / "openmoji.json").read_text())
    return {code(row["hexcode"]): row for row in rows if not row["skintone"]}


@cache
def _noto(folder: Path) -> dict[str, dict[str, Any]]:
    return {code(row["unified"]): row for row in json.loads((folder / "emoji.json").read_text())}


def _listed(row: dict[str, Any], key: str) -> list[str]:
    return tags_of(row[key].split(","))


def _fetch_openmoji(cache_folder: Path, report: Report) -> Path:
    return packages.unpacked(
        packages.OPENMOJI, cache_folder, ("data/openmoji.json", "color/svg/"), (".json", ".svg"), report
    )


def _fetch_noto(cache_folder: Path, report: Report) -> Path:
    return packages.unpacked(packages.NOTO, cache_folder, ("emoji.json", "img/google/64/"), (".json", ".png"), report)


def _fetch_fluent(cache_folder: Path, report: Report) -> Path:
    return packages.unpacked(packages.FLUENT, cache_folder, ("icons/flat/",), (".svg",), report)


def _openmoji_asset(key: str, row: dict[str, Any], prefix: str = "") -> Asset:
    tags = tags_of([*_listed(row, "tags"), *_listed(row, "openmoji_tags")])
    return Asset(asset_id=prefix + key, name=row["annotation"], tags=tags)


def _noto_asset(key: str, row: dict[str, Any], prefix: str = "") -> Asset:
    short = [name.replace("_", " ").replace("-", " ") for name in row["short_names"]]
    return Asset(asset_id=prefix + key, name=row["name"].lower(), tags=tags_of([*short, row["subcategory"]]))


def _fluent_files(fluent: Path, openmoji: Path) -> dict[str, Path]:
    """Emoji -> file. Files are called by CLDR's name; of the skin tones only the default one is kept."""
    by_name = {folded(row["annotation"]): key for key, row in _openmoji(openmoji).items()}
    found = {}
    for path in sorted((fluent / "icons" / "flat").glob("*.svg")):
        key = by_name.get(folded(path.stem.removesuffix("-default").replace("-", " ")))
        if key is not None:
            found[key] = path
    return found


def _fluent_asset(key: str, path: Path, prefix: str = "") -> Asset:
    return Asset(asset_id=prefix + key, name=path.stem.removesuffix("-default").replace("-", " "))


def _some(key: str, words: list[str]) -> str:
    """Three of the words, the same ones every time."""
    return ", ".join(random.Random(f"words:{key}").sample(words, min(WORDS, len(words))))


def _concept(row: dict[str, Any]) -> bool:
    return row["group"] not in _NO_CONCEPTS


def openmoji(cache_folder: Path, report: Report) -> GallerySet:
    """OpenMoji asked for by short names."""
    folder, noto = _fetch_openmoji(cache_folder, report), _fetch_noto(cache_folder, report)
    rows = _openmoji(folder)
    assets = [_openmoji_asset(key, row) for key, row in rows.items()]
    asked = [
        Query(id=f"{key}-{number}", text=name.replace("_", " ").replace("-", " "), relevant=frozenset([key]))
        for key, row in _noto(noto).items() if key in rows and _concept(rows[key])
        for number, name in enumerate(row["short_names"])
    ]  # fmt: skip
    queries, left_out = fair(asked, assets)
    pictures = {key: folder / "color" / "svg" / f"{row['hexcode']}.svg" for key, row in rows.items()}
    return GallerySet(
        name="openmoji", assets=assets, pictures=pictures, left_out=left_out, asked={"text": sampled(queries, MOST)},
        protocol="indexed by CLDR's name and keywords and OpenMoji's tags, asked for by chat programs' short names",
    )  # fmt: skip


def noto(cache_folder: Path, report: Report) -> GallerySet:
    """Noto asked for by OpenMoji's tags; by pictures of OpenMoji."""
    folder, other = _fetch_noto(cache_folder, report), _fetch_openmoji(cache_folder, report)
    rows, tagged = _noto(folder), _openmoji(other)
    assets = [_noto_asset(key, row) for key, row in rows.items()]
    known = {key: {folded(text) for text in (asset.name, *asset.tags)} for key, asset in zip(rows, assets, strict=True)}
    asked = []
    for key, row in tagged.items():
        words = [tag for tag in _listed(row, "openmoji_tags") if key in rows and folded(tag) not in known[key]]
        if _concept(row) and len(words) > 1:
            asked.append(Query(id=key, text=_some(key, words), relevant=frozenset([key])))
    queries, left_out = fair(asked, assets)
    seen = [Query(id=key, picture=other / "color" / "svg" / f"{row['hexcode']}.svg", relevant=frozenset([key]))
            for key, row in tagged.items() if key in rows and _concept(row)]  # fmt: skip
    pictures = {key: folder / "img" / "google" / "64" / row["image"] for key, row in rows.items()}
    return GallerySet(
        name="noto", assets=assets, pictures=pictures, indexed_pictures=True, left_out=left_out,
        asked={"text": sampled(queries, MOST), "image": sampled(seen, CONCEPTS)},
        protocol="indexed by Unicode's name, short names and group, asked for by three of OpenMoji's own tags; pictures "
                 "asked for by OpenMoji's drawing of the same",
    )  # fmt: skip


def fluent(cache_folder: Path, report: Report) -> GallerySet:
    """Fluent, known by file names alone, asked for by CLDR's keywords."""
    folder, other = _fetch_fluent(cache_folder, report), _fetch_openmoji(cache_folder, report)
    files, tagged = _fluent_files(folder, other), _openmoji(other)
    assets = [_fluent_asset(key, path) for key, path in files.items()]
    asked = []
    for key in files:
        words = [tag for tag in _listed(tagged[key], "tags") if folded(tag) != folded(tagged[key]["annotation"])]
        if _concept(tagged[key]) and words:
            asked.append(Query(id=key, text=_some(key, words), relevant=frozenset([key])))
    queries, left_out = fair(asked, assets)
    return GallerySet(
        name="fluent", assets=assets, pictures=dict(files), left_out=left_out, asked={"text": sampled(queries, MOST)},
        protocol="indexed by the words of the file's name, asked for by three of CLDR's keywords",
    )  # fmt: skip


def styles(cache_folder: Path, report: Report) -> GallerySet:
    """Three styles in one library: an emoji's drawing in one style is the example, the other two are the answers."""
    openmoji_folder, noto_folder = _fetch_openmoji(cache_folder, report), _fetch_noto(cache_folder, report)
    files = _fluent_files(_fetch_fluent(cache_folder, report), openmoji_folder)
    rows, noto_rows = _openmoji(openmoji_folder), _noto(noto_folder)
    common = [key for key in files if key in noto_rows and _concept(rows[key])]
    chosen = sorted(sorted(common, key=lambda key: share(f"styles:{key}"))[:CONCEPTS])
    assets, pictures, asked = [], {}, []
    for key in chosen:
        made = {
            "fluent": (_fluent_asset(key, files[key], "fluent-"), files[key]),
            "noto": (_noto_asset(key, noto_rows[key], "noto-"), noto_folder / "img" / "google" / "64" / noto_rows[key]["image"]),
            "openmoji": (_openmoji_asset(key, rows[key], "openmoji-"), openmoji_folder / "color" / "svg" / f"{rows[key]['hexcode']}.svg"),
        }  # fmt: skip
        ids = {style: asset.asset_id for style, (asset, _) in made.items()}
        for style, (asset, path) in made.items():
            assets.append(asset)
            pictures[asset.asset_id] = path
            others = frozenset(other for name, other in ids.items() if name != style)
            asked.append(Query(id=asset.asset_id, example=asset.asset_id, relevant=others))
    return GallerySet(
        name="styles", assets=assets, pictures=pictures, indexed_pictures=True, asked={"example": asked},
        protocol="three styles in one library, each with its own author's words; one drawing is the example, the other "
                 "styles' drawings of the same emoji are the answers",
    )  # fmt: skip
