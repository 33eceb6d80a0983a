"""Debian's stamps and clip art: file names, folders and keywords are indexed, captions and titles are asked."""

import html
import re
from pathlib import Path
from xml.etree import ElementTree as ET

from evals.retrieval import packages
from evals.retrieval.sets import GallerySet, Query, fair, folded, sampled, tags_of, words_of
from shared.contracts.catalog import Asset
from shared.progress import Report

MOST = 1000
COPIES = 300
_DC = "{http://purl.org/dc/elements/1.1/}"
_ITEM = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
_STAMPS, _CLIPS = "usr/share/tuxpaint/stamps/", "usr/share/openclipart/svg/"
# What a program left in the keywords, and titles that name a collection instead of the picture.
_NO_KEYWORD = re.compile(r"^(hash|none|0x[0-9a-f]+)$", re.IGNORECASE)
_COLLECTION = re.compile(r"part of the flat icon collection|^unsorted$|^untitled", re.IGNORECASE)
_CREDIT = re.compile(r"^clipart by [^-]*-\s*", re.IGNORECASE)
_MOST_NAMESAKES = 5


def tuxpaint(cache_folder: Path, report: Report) -> GallerySet:
    """Stamps by file name and folder, asked for by their English caption, and by a changed copy of the picture."""
    folder = packages.unpacked(packages.TUXPAINT, cache_folder, (_STAMPS,), (".png", ".svg", ".txt"), report)
    assets, pictures, asked = [], {}, []
    for path in sorted((folder / _STAMPS).rglob("*.txt")):
        drawn = next((file for suffix in (".png", ".svg") if (file := path.with_suffix(suffix)).exists()), None)
        caption = path.read_text(encoding="utf-8").partition("\n")[0].strip()
        if drawn is None or not caption:
            continue
        parts = path.relative_to(folder / _STAMPS).parts
        key = "-".join(parts).removesuffix(".txt").replace(" ", "_")
        name = words_of(path.stem) or path.stem
        assets.append(Asset(asset_id=key, name=name, tags=tags_of(words_of(part) for part in parts[:-1])))
        pictures[key] = drawn
        asked.append(Query(id=key, text=caption, relevant=frozenset([key])))
    queries, left_out = fair(asked, assets)
    copies = [Query(id=key, picture=path, relevant=frozenset([key])) for key, path in pictures.items()]
    return GallerySet(
        name="tuxpaint", assets=assets, pictures=pictures, indexed_pictures=True, left_out=left_out,
        asked={"text": sampled(queries, MOST), "copy": sampled(copies, COPIES)},
        protocol="indexed by file name and folders, asked for by the English caption; pictures by a cropped, mirrored, "
                 "recoloured copy of themselves",
    )  # fmt: skip


def openclipart(cache_folder: Path, report: Report) -> GallerySet:
    """Clip art by keywords and folder, asked for by its title."""
    folder = packages.unpacked(packages.OPENCLIPART, cache_folder, (_CLIPS,), (".svg",), report)
    assets, pictures = [], {}
    titles: dict[str, list[tuple[str, str]]] = {}
    for path in sorted((folder / _CLIPS).rglob("*.svg")):
        title, keywords = _described(path)
        parts = path.relative_to(folder / _CLIPS).parts
        key = re.sub(r"[^\w.\-]", "_", "-".join(parts).removesuffix(".svg"))
        folders = [words_of(part) for part in parts[:-1]]
        tags = tags_of([*(word.replace("_", " ") for word in keywords), *folders])
        assets.append(Asset(asset_id=key, name=folders[-1] or "clip art", tags=tags))
        pictures[key] = path
        if title:
            titles.setdefault(folded(title), []).append((key, title))
    asked = [
        Query(id=named[0][0], text=named[0][1], relevant=frozenset(key for key, _ in named))
        for named in titles.values()
        if len(named) <= _MOST_NAMESAKES
    ]
    queries, left_out = fair(asked, assets)
    return GallerySet(
        name="openclipart", assets=assets, pictures=pictures, left_out=left_out, asked={"text": sampled(queries, MOST)},
        protocol="indexed by keywords and folders, never by the file name, which repeats the title; asked for by the title",
    )  # fmt: skip


def _described(path: Path) -> tuple[str, list[str]]:
    """Title and keywords in an SVG's metadata, "" and [] for what it has not."""
    try:
        root = ET.parse(path).getroot()  # noqa: S314  (a package with a pinned checksum)
    except ET.ParseError:
        return "", []
    title = next((found.text for found in root.iter(f"{_DC}title") if found.text), "") or ""
    words = [item.text or "" for subject in root.iter(f"{_DC}subject") for item in subject.iter(_ITEM)]
    keywords = [word for word in words if word.strip() and not _NO_KEYWORD.match(word.strip())]
    plain = _CREDIT.sub("", " ".join(html.unescape(title).split()).replace("_", " "))
    return ("" if _COLLECTION.search(plain) else plain), keywords
