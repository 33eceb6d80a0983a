"""Vendure's sample shop: product photos known by name and facets, asked for by the product's description."""

import csv
import io
import re
from pathlib import Path

from evals.retrieval import packages
from evals.retrieval.sets import GallerySet, Query, fair, tags_of
from shared.contracts.catalog import Asset
from shared.progress import Report

_SENTENCES = 2


def vendure(cache_folder: Path, report: Report) -> GallerySet:
    """54 products."""
    folder = packages.unpacked(packages.VENDURE, cache_folder, ("assets/",), (".csv", ".jpg"), report)
    assets, pictures, asked = [], {}, []
    for row in products(folder / "assets" / "products.csv"):
        key, path = row["slug"], folder / "assets" / "images" / row["assets"].partition("|")[0]
        assets.append(Asset(asset_id=key, name=row["name"],
                            tags=tags_of(facet.partition(":")[2] for facet in row["facets"].split("|"))))  # fmt: skip
        if path.is_file():
            pictures[key] = path
        sentences = re.split(r"(?<=[.!?])\s+", row["description"])
        asked.append(Query(id=key, text=" ".join(sentences[:_SENTENCES])[:500], relevant=frozenset([key])))
    queries, left_out = fair(asked, assets)
    copies = [Query(id=key, picture=path, relevant=frozenset([key])) for key, path in pictures.items()]
    return GallerySet(
        name="vendure", assets=assets, pictures=pictures, indexed_pictures=True, left_out=left_out,
        asked={"text": queries, "copy": copies},
        protocol="indexed by name and facets, asked for by the first two sentences of the description; pictures by a "
                 "cropped, mirrored, recoloured copy of themselves",
    )  # fmt: skip


def products(path: Path) -> list[dict[str, str]]:
    """The rows that begin a product. The file pads every column with spaces, quoted values included."""
    unpadded = re.sub(r" +,", ",", path.read_text(encoding="utf-8"))
    rows = [{key.strip(): (value or "").strip() for key, value in row.items()}
            for row in csv.DictReader(io.StringIO(unpadded), skipinitialspace=True)]  # fmt: skip
    return [row for row in rows if row["name"] and row["slug"]]
