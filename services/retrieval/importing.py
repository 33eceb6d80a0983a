"""The sinks of catalog imports: offers, assets with their pictures, brands."""

import asyncio
from collections.abc import Iterable
from pathlib import Path
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from services.retrieval.catalog import asset_content_hash, offer_content_hash, record_hash
from services.retrieval.errors import BadPictureFileError
from services.retrieval.images import check_bytes, source_hash
from services.retrieval.models import brand as brand_table
from services.retrieval.models import offer as offer_table
from services.retrieval.pictures import Pictures
from services.retrieval.repository import AssetRow, BrandRow, CatalogRepository, ImageFacts, KnownAsset, OfferRow
from services.retrieval.validation import check
from shared.contracts.catalog import Asset, Brand, Offer
from shared.contracts.imports import ImportKind
from shared.db.engine import transaction
from shared.errors import AtelierError
from shared.ingest.importer import Sink, Written
from shared.settings import Settings

RecordT = TypeVar("RecordT", Offer, Asset, Brand)
RowT = TypeVar("RowT", OfferRow, BrandRow)
_WRITE = 500
_FILES = 8  # picture files held in memory at the same time; the batch itself may have thousands
Checked = tuple[int, RecordT, dict[str, object]]
Refused = list[tuple[int, str, str]]


def _check_all(rows: list[RecordT]) -> tuple[list[Checked[RecordT]], Refused]:
    good: list[Checked[RecordT]] = []
    refused: Refused = []
    for index, row in enumerate(rows):
        document, errors = check(row)
        if errors:
            refused.append((index, errors[0].field, f"{errors[0].message} (given {errors[0].given})"))
        else:
            good.append((index, row, document))
    return good, refused


def _news(known: dict[str, str], keyed: Iterable[tuple[str, RowT]]) -> tuple[list[RowT], int]:
    """The rows to write, the last one of each key, and how many rows changed something, read in the file's order."""
    seen, latest, stored = dict(known), dict[str, RowT](), 0
    for key, row in keyed:
        if seen.get(key) != row.record_hash:
            seen[key] = row.record_hash
            latest[key] = row
            stored += 1
    return list(latest.values()), stored


class OfferSink:
    """Stores offers; one that is there already, unchanged, is a duplicate."""

    contract = Offer

    def __init__(self, engine: AsyncEngine, tenant: str) -> None:
        self._engine = engine
        self._tenant = tenant

    async def write(self, rows: list[Offer]) -> Written:
        """One batch, one transaction."""
        good, refused = _check_all(rows)
        keyed = [(row.offer_id, OfferRow(row, doc, record_hash(row), offer_content_hash(row))) for _, row, doc in good]
        async with transaction(self._engine) as connection:
            repository = CatalogRepository(connection)
            known = await repository.record_hashes(offer_table, self._tenant, [key for key, _ in keyed])
            new, stored = _news(known, keyed)
            for start in range(0, len(new), _WRITE):
                await repository.put_offers(self._tenant, new[start : start + _WRITE])
        return Written(stored=stored, duplicates=len(good) - stored, rejected=refused)


class BrandSink:
    """Stores brands."""

    contract = Brand

    def __init__(self, engine: AsyncEngine, tenant: str) -> None:
        self._engine = engine
        self._tenant = tenant

    async def write(self, rows: list[Brand]) -> Written:
        """One batch, one transaction."""
        good, refused = _check_all(rows)
        keyed = [(row.brand_id, BrandRow(row, doc, record_hash(row))) for _, row, doc in good]
        async with transaction(self._engine) as connection:
            repository = CatalogRepository(connection)
            known = await repository.record_hashes(brand_table, self._tenant, [key for key, _ in keyed])
            new, stored = _news(known, keyed)
            await repository.put_brands(self._tenant, new)
        return Written(stored=stored, duplicates=len(good) - stored, rejected=refused)


class AssetSink:
    """Stores assets and takes in the pictures that lie in the image folder under their `uri`.

    An asset whose picture is missing is stored without one; a picture that is refused refuses its row. Of rows with
    the same id in one batch the last one counts, the others are duplicates.
    """

    contract = Asset

    def __init__(self, engine: AsyncEngine, tenant: str, pictures: Pictures, images: Path | None) -> None:
        self._engine = engine
        self._tenant = tenant
        self._pictures = pictures
        self._images = images.resolve() if images else None
        self._slots = asyncio.Semaphore(_FILES)

    async def write(self, rows: list[Asset]) -> Written:
        """One batch; pictures are decoded before its transaction, a few at a time."""
        good, refused = _check_all(rows)
        latest = {row.asset_id: (index, row, doc) for index, row, doc in good}
        async with transaction(self._engine) as connection:
            known = await CatalogRepository(connection).known_assets(self._tenant, list(latest))
        made = await asyncio.gather(*(self._row(entry, known.get(key)) for key, entry in latest.items()))
        refused += [row for row in made if isinstance(row, tuple)]
        fit = [row for row in made if isinstance(row, AssetRow)]
        changed = [r for r in fit if not _same(known.get(r.record.asset_id), r)]
        async with transaction(self._engine) as connection:
            repository = CatalogRepository(connection)
            await repository.share_pictures(self._tenant)
            await self._ensure_pictures(changed)
            for start in range(0, len(changed), _WRITE):
                await repository.put_assets(self._tenant, changed[start : start + _WRITE])
        await self._pictures.drop_unused(self._tenant, _replaced(known, changed))
        stored = len(changed)
        return Written(stored=stored, duplicates=len(rows) - stored - len(refused), rejected=refused)

    async def _ensure_pictures(self, rows: list[AssetRow]) -> None:
        """Put those pictures back that were removed as unused between taking them in and the transaction's lock."""
        for row in rows:
            if row.image and not self._pictures.store.has(self._tenant, row.image.image_hash):
                row.image = await self._image(row.record, None)
                row.content_hash = asset_content_hash(row.record, row.image.image_hash if row.image else None)

    async def _row(self, entry: Checked[Asset], known: KnownAsset | None) -> AssetRow | tuple[int, str, str]:
        index, row, document = entry
        try:
            async with self._slots:
                image = await self._image(row, known)
        except AtelierError as error:
            return index, "uri", error.detail
        content = asset_content_hash(row, image.image_hash if image else None)
        return AssetRow(row, document, record_hash(row), content, image)

    async def _image(self, row: Asset, known: KnownAsset | None) -> ImageFacts | None:
        """The asset's picture: unchanged, taken in anew, or none. A file that is gone takes no picture away.

        Raises:
            AtelierError: the path leaves the folder, the file cannot be read, or the picture is refused.
        """
        kept = known.image if known and known.uri == row.uri else None
        if not row.uri or self._images is None:
            return known.image if known else None
        source = await asyncio.to_thread(self._read, self._images, row.uri)
        if source is None:
            return kept
        image = known.image if known else None
        known_source = image is not None and image.source_hash == source_hash(source)
        if image and known_source and await asyncio.to_thread(self._pictures.store.has, self._tenant, image.image_hash):
            return image
        facts, _ = await self._pictures.take_in(self._tenant, source)
        return facts

    def _read(self, folder: Path, uri: str) -> bytes | None:
        """A picture file's bytes, None when there is no such file.

        Raises:
            BadPictureFileError: the path leaves the folder, by dots or by a link, or cannot be read.
            ImageTooLargeError: more bytes than are read; told before they are.
        """
        try:
            path = (folder / uri).resolve()
            if not path.is_relative_to(folder):
                message = f"{uri[:200]!r} leads out of the image folder"
                raise BadPictureFileError(message)
            if not path.exists():
                return None
            if not path.is_file():
                message = f"{uri[:200]!r} is not a file"
                raise BadPictureFileError(message)
            check_bytes(path.stat().st_size, self._pictures.normaliser.limits)
            return path.read_bytes()
        except (OSError, RuntimeError) as error:  # RuntimeError: links that lead in a circle
            reason = error.strerror if isinstance(error, OSError) and error.strerror else "links in a circle"
            message = f"{uri[:200]!r} cannot be read: {reason}"
            raise BadPictureFileError(message) from error


def _replaced(known: dict[str, KnownAsset], rows: list[AssetRow]) -> set[str]:
    """The pictures that these assets showed before and show no more."""
    before = {r.record.asset_id: known[r.record.asset_id].image for r in rows if r.record.asset_id in known}
    return {image.image_hash for r in rows if (image := before.get(r.record.asset_id)) and image != r.image}


def _same(known: KnownAsset | None, row: AssetRow) -> bool:
    return known is not None and known.record_hash == row.record_hash and known.image == row.image


def create_sink(
    kind: ImportKind, engine: AsyncEngine, settings: Settings, tenant: str, images: Path | None = None
) -> Sink[Offer] | Sink[Asset] | Sink[Brand]:
    """The sink for offers, assets or brands.

    Raises:
        ValueError: another kind, a programming error.
    """
    if kind == "offers":
        return OfferSink(engine, tenant)
    if kind == "brands":
        return BrandSink(engine, tenant)
    if kind != "assets":
        message = f"retrieval does not import {kind}"
        raise ValueError(message)
    return AssetSink(engine, tenant, Pictures.open(engine, settings), images)
