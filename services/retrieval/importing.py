"""The sinks of catalog imports: offers, assets with their pictures, brands."""

import asyncio
from pathlib import Path
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from services.retrieval.catalog import asset_content_hash, offer_content_hash, record_hash
from services.retrieval.images import Limits, Normaliser, source_hash
from services.retrieval.models import brand as brand_table
from services.retrieval.models import offer as offer_table
from services.retrieval.pictures import Pictures
from services.retrieval.repository import AssetRow, BrandRow, CatalogRepository, ImageFacts, KnownAsset, OfferRow
from services.retrieval.settings import RetrievalSettings
from services.retrieval.store import PictureStore
from services.retrieval.validation import check
from shared.contracts.catalog import Asset, Brand, Offer
from shared.contracts.imports import ImportKind
from shared.db.engine import transaction
from shared.errors import AtelierError
from shared.ingest.importer import Sink, Written
from shared.settings import Settings, read_env

RecordT = TypeVar("RecordT", Offer, Asset, Brand)
_WRITE = 500
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


class OfferSink:
    """Stores offers; one that is there already, unchanged, is a duplicate."""

    contract = Offer

    def __init__(self, engine: AsyncEngine, tenant: str) -> None:
        self._engine = engine
        self._tenant = tenant

    async def write(self, rows: list[Offer]) -> Written:
        """One batch, one transaction."""
        good, refused = _check_all(rows)
        latest = {row.offer_id: OfferRow(row, doc, record_hash(row), offer_content_hash(row)) for _, row, doc in good}
        async with transaction(self._engine) as connection:
            repository = CatalogRepository(connection)
            known = await repository.record_hashes(offer_table, self._tenant, list(latest))
            new = [row for key, row in latest.items() if known.get(key) != row.record_hash]
            for start in range(0, len(new), _WRITE):
                await repository.put_offers(self._tenant, new[start : start + _WRITE])
        return Written(stored=len(new), duplicates=len(good) - len(new), rejected=refused)


class BrandSink:
    """Stores brands."""

    contract = Brand

    def __init__(self, engine: AsyncEngine, tenant: str) -> None:
        self._engine = engine
        self._tenant = tenant

    async def write(self, rows: list[Brand]) -> Written:
        """One batch, one transaction."""
        good, refused = _check_all(rows)
        latest = {row.brand_id: BrandRow(row, doc, record_hash(row)) for _, row, doc in good}
        async with transaction(self._engine) as connection:
            repository = CatalogRepository(connection)
            known = await repository.record_hashes(brand_table, self._tenant, list(latest))
            new = [row for key, row in latest.items() if known.get(key) != row.record_hash]
            if new:
                await repository.put_brands(self._tenant, new)
        return Written(stored=len(new), duplicates=len(good) - len(new), rejected=refused)


class AssetSink:
    """Stores assets and takes in the pictures that lie in the image folder under their `uri`.

    An asset whose picture is missing is stored without one; a picture that is refused refuses its row.
    """

    contract = Asset

    def __init__(self, engine: AsyncEngine, tenant: str, pictures: Pictures, images: Path | None) -> None:
        self._engine = engine
        self._tenant = tenant
        self._pictures = pictures
        self._images = images.resolve() if images else None

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
            for start in range(0, len(changed), _WRITE):
                await repository.put_assets(self._tenant, changed[start : start + _WRITE])
        stored = len(changed)
        return Written(stored=stored, duplicates=len(rows) - stored - len(refused), rejected=refused)

    async def _row(self, entry: Checked[Asset], known: KnownAsset | None) -> AssetRow | tuple[int, str, str]:
        index, row, document = entry
        try:
            image = await self._image(row, known)
        except (AtelierError, OSError) as error:
            return index, "uri", str(error)
        content = asset_content_hash(row, image.image_hash if image else None)
        return AssetRow(row, document, record_hash(row), content, image)

    async def _image(self, row: Asset, known: KnownAsset | None) -> ImageFacts | None:
        """The asset's picture: unchanged, taken in anew, or none.

        Raises:
            AtelierError: the path leaves the folder, or the picture is refused.
        """
        if not row.uri or self._images is None:
            return known.image if known else None
        path = (self._images / row.uri).resolve()
        if not path.is_relative_to(self._images):
            raise OutsideFolderError(f"{row.uri[:200]!r} leads out of the image folder")
        if not path.is_file():
            return known.image if known else None
        source = await asyncio.to_thread(path.read_bytes)
        if known and known.image and known.image.source_hash == source_hash(source):
            return known.image
        facts, picture = await self._pictures.take_in(self._tenant, source)
        await asyncio.to_thread(self._pictures.store.write, self._tenant, facts.image_hash, picture.data)
        return facts


class OutsideFolderError(AtelierError):
    """A picture's path that leads out of the image folder."""

    status = 422
    title = "Path outside the image folder"


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
    own = read_env(RetrievalSettings)
    limits = Limits(max_bytes=settings.max_image_bytes, max_pixels=own.retrieval_image_megapixels * 1_000_000)
    pictures = Pictures(engine, PictureStore(settings.atelier_data), Normaliser(limits, own.retrieval_image_workers))
    return AssetSink(engine, tenant, pictures, images)
