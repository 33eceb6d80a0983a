"""Catalogs from files: idempotent, pictures taken in from a folder and from nowhere else, bad rows named."""

import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from services.retrieval.catalog import CatalogKind
from services.retrieval.importing import AssetSink, create_sink
from services.retrieval.repository import CatalogRepository, ImageFacts, KnownAsset
from services.retrieval.store import PictureStore
from shared.contracts.catalog import Asset, Brand, Offer, StoredAsset
from shared.contracts.imports import ImportKind, ImportReport
from shared.db.engine import transaction
from shared.ingest.importer import ImportSource, run_import
from shared.settings import Settings
from tests.retrieval import nasty
from tests.rooms import TENANT


@pytest.fixture
def own(settings: Settings, tmp_path: Path) -> Settings:
    return msgspec.structs.replace(settings, atelier_data=tmp_path / "data", max_image_bytes=300_000)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "shop" / "images"
    folder.mkdir(parents=True)
    (folder / "red.png").write_bytes(nasty.photo(colour="red"))
    (folder / "same.webp").write_bytes(nasty.photo(colour="red"))
    (folder / "blue.png").write_bytes(nasty.photo(colour="blue"))
    (tmp_path / "shop" / "secret.png").write_bytes(nasty.photo(colour="green"))
    return folder


class Importing:
    """Imports rows through a real file and a real sink."""

    def __init__(self, engine: AsyncEngine, own: Settings, folder: Path, images: Path) -> None:
        self._engine, self._own, self._folder, self._images = engine, own, folder, images
        self._files = 0

    async def __call__(self, kind: ImportKind, rows: list[dict[str, Any]], tenant: str = TENANT) -> ImportReport:
        self._files += 1
        path = self._folder / f"{kind}-{self._files}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        sink: Any = create_sink(kind, self._engine, self._own, tenant, self._images)
        report = await run_import(
            sink, kind=kind, source=ImportSource(path=path), data_dir=self._own.atelier_data, tenant=tenant
        )
        assert report.read == report.stored + report.duplicates + report.rejected == len(rows)
        return report

    async def asset(self, asset_id: str) -> StoredAsset:
        async with transaction(self._engine) as connection:
            found = await CatalogRepository(connection).asset(TENANT, asset_id)
        assert found is not None
        return found

    async def offer(self, offer_id: str) -> Offer | None:
        async with transaction(self._engine) as connection:
            return await CatalogRepository(connection).offer(TENANT, offer_id)

    async def count(self, kind: CatalogKind) -> int:
        async with transaction(self._engine) as connection:
            return await CatalogRepository(connection).count(TENANT, kind)


@pytest.fixture
def importing(engine: AsyncEngine, own: Settings, tmp_path: Path, images: Path) -> Importing:
    return Importing(engine, own, tmp_path, images)


def offer(key: str, **fields: Any) -> dict[str, Any]:
    return {"offerId": key, "name": f"Offer {key}", "startDate": "2026-05-01T00:00:00Z",
            "endDate": "2026-06-01T00:00:00Z"} | fields  # fmt: skip


def counts(report: ImportReport) -> tuple[int, int, int]:
    return report.stored, report.duplicates, report.rejected


def pictures_on_disk(own: Settings) -> set[str]:
    return {path.stem for path in (own.atelier_data / "assets").rglob("*.webp")}


async def test_importing_the_same_offers_again_stores_nothing(importing: Importing) -> None:
    rows = [offer(f"o{i}") for i in range(1200)]
    assert counts(await importing("offers", rows)) == (1200, 0, 0)
    assert counts(await importing("offers", rows)) == (0, 1200, 0)
    rows[7]["priority"] = 5
    assert counts(await importing("offers", rows)) == (1, 1199, 0)
    changed = await importing.offer("o7")
    assert changed is not None
    assert changed.priority == 5
    assert await importing.count("offers") == 1200


async def test_the_last_of_several_rows_with_one_id_counts(importing: Importing) -> None:
    rows = [offer("a", priority=1), offer("a", priority=2), offer("a", priority=2)]
    assert counts(await importing("offers", rows)) == (2, 1, 0)
    made = await importing.offer("a")
    assert made is not None
    assert made.priority == 2


async def test_wrong_rows_are_named_and_the_right_ones_stored(importing: Importing) -> None:
    rows = [
        offer("good"),
        offer("dates", endDate="2026-04-01T00:00:00Z"),
        offer("percent", discount={"kind": "percent", "value": "120"}),
        offer("currency", price={"amount": "1", "currency": "ABC"}),
        offer("zone", timeZone="Mars/Olympus"),
        offer("long", name="x" * 10_000),
        offer("id with blanks"),
        offer("escape", name="red \u001b[31m"),
    ]
    report = await importing("offers", rows)
    assert counts(report) == (1, 0, 7)
    named = {error.line: error.field for error in report.first_errors}
    assert named == {2: "endDate", 3: "discount.value", 4: "price.currency", 5: "timeZone", 6: "name", 7: "offerId",
                     8: "name"}  # fmt: skip
    assert await importing.count("offers") == 1


async def test_tenants_import_beside_each_other(importing: Importing) -> None:
    await importing("offers", [offer("a", name="Ours")])
    assert counts(await importing("offers", [offer("a", name="Theirs")], tenant="rival")) == (1, 0, 0)
    ours = await importing.offer("a")
    assert ours is not None
    assert ours.name == "Ours"


async def test_brands_are_imported_once(importing: Importing) -> None:
    rows: list[dict[str, Any]] = [{"brandId": "dale", "name": "Dale's", "wordsToAvoid": ["cheap"]}]
    assert counts(await importing("brands", rows)) == (1, 0, 0)
    assert counts(await importing("brands", [*rows, {"brandId": "x", "name": " "}])) == (0, 1, 1)


async def test_pictures_are_taken_in_with_their_assets_and_kept_once(importing: Importing, own: Settings) -> None:
    rows = [{"assetId": name, "name": name, "uri": f"{name}"} for name in ("red.png", "same.webp", "blue.png")]
    assert counts(await importing("assets", rows)) == (3, 0, 0)
    red, same, blue = [await importing.asset(row["assetId"]) for row in rows]
    assert (red.image_status, red.mime_type, red.width, red.height) == ("ok", "image/webp", 64, 48)
    assert red.content_hash == same.content_hash != blue.content_hash
    assert pictures_on_disk(own) == {red.content_hash, blue.content_hash}
    assert counts(await importing("assets", rows)) == (0, 3, 0)


async def test_an_asset_whose_picture_is_missing_is_stored_without_one(importing: Importing, images: Path) -> None:
    rows = [{"assetId": "a", "name": "a", "uri": "not-yet.png"}, {"assetId": "b", "name": "b"},
            {"assetId": "c", "name": "c", "uri": "https://cdn.test/c.png"}]  # fmt: skip
    assert counts(await importing("assets", rows)) == (3, 0, 0)
    assert {(await importing.asset(key)).image_status for key in "abc"} == {"missing"}
    (images / "not-yet.png").write_bytes(nasty.photo())
    assert counts(await importing("assets", rows)) == (1, 2, 0)
    assert (await importing.asset("a")).image_status == "ok"


async def test_a_changed_picture_replaces_the_old_one_on_disk(
    importing: Importing, own: Settings, images: Path
) -> None:
    rows = [{"assetId": "a", "name": "a", "uri": "red.png"}]
    await importing("assets", rows)
    before = (await importing.asset("a")).content_hash
    (images / "red.png").write_bytes(nasty.photo(colour="yellow"))
    assert counts(await importing("assets", rows)) == (1, 0, 0)
    after = (await importing.asset("a")).content_hash
    assert after != before
    assert pictures_on_disk(own) == {after}


async def test_a_picture_lost_from_disk_is_taken_in_again(importing: Importing, own: Settings) -> None:
    rows = [{"assetId": "a", "name": "a", "uri": "red.png"}]
    await importing("assets", rows)
    image_hash = str((await importing.asset("a")).content_hash)
    PictureStore(own.atelier_data).remove(TENANT, image_hash)
    await importing("assets", rows)
    assert pictures_on_disk(own) == {image_hash}


async def test_a_path_that_leads_to_another_missing_file_does_not_keep_the_old_picture(importing: Importing) -> None:
    await importing("assets", [{"assetId": "a", "name": "a", "uri": "red.png"}])
    await importing("assets", [{"assetId": "a", "name": "a", "uri": "another.png"}])
    assert (await importing.asset("a")).image_status == "missing"


@pytest.mark.parametrize(
    "uri",
    ["../secret.png", "x/../../secret.png", "{shop}/secret.png", "link.png", "linked/secret.png", "/etc/passwd",
     "circle.png", "folder", "pipe", "n" * 1000],
)  # fmt: skip
async def test_a_path_out_of_the_folder_or_to_no_file_refuses_its_row_only(
    importing: Importing, own: Settings, images: Path, uri: str
) -> None:
    (images / "link.png").symlink_to(images.parent / "secret.png")
    (images / "linked").symlink_to(images.parent)
    (images / "circle.png").symlink_to(images / "circle.png")
    (images / "folder").mkdir()
    os.mkfifo(images / "pipe")
    rows = [{"assetId": "bad", "name": "bad", "uri": uri.format(shop=images.parent)},
            {"assetId": "good", "name": "good", "uri": "red.png"}]  # fmt: skip
    report = await importing("assets", rows)
    assert counts(report) == (1, 0, 1)
    assert (report.first_errors[0].line, report.first_errors[0].field) == (1, "uri")
    assert str(images) not in report.first_errors[0].reason.replace(uri, "")
    assert len(pictures_on_disk(own)) == 1


async def test_a_huge_file_is_refused_unread(importing: Importing, images: Path) -> None:
    with (images / "huge.png").open("wb") as file:
        file.truncate(200_000_000_000)  # sparse: no byte on disk, none of it fits into memory
    report = await importing("assets", [{"assetId": "a", "name": "a", "uri": "huge.png"}])
    assert counts(report) == (0, 0, 1)
    assert "200,000,000,000 bytes" in report.first_errors[0].reason


async def test_only_a_few_pictures_of_a_batch_are_in_memory_at_once(
    engine: AsyncEngine, own: Settings, images: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = most = 0
    real = AssetSink._image

    async def counted(sink: AssetSink, row: Asset, known: KnownAsset | None) -> ImageFacts | None:
        nonlocal held, most
        held += 1
        most = max(most, held)
        try:
            return await real(sink, row, known)
        finally:
            held -= 1

    monkeypatch.setattr(AssetSink, "_image", counted)
    sink: Any = create_sink("assets", engine, own, TENANT, images)
    written = await sink.write([Asset(asset_id=f"a{i}", name="a", uri="red.png") for i in range(40)])
    assert (written.stored, held) == (40, 0)
    assert 1 < most <= 8


async def test_a_link_inside_the_folder_is_followed(importing: Importing, images: Path) -> None:
    (images / "alias.png").symlink_to(images / "red.png")
    assert counts(await importing("assets", [{"assetId": "a", "name": "a", "uri": "./alias.png"}])) == (1, 0, 0)


async def test_a_refused_picture_refuses_its_row_with_the_reason(importing: Importing, images: Path) -> None:
    bad = {"text.png": b"no picture", "bomb.png": nasty.png(60_000, 60_000), "cut.png": nasty.photo()[:-30],
           "script.svg": nasty.svg("<script>alert(1)</script>"), "empty.png": b"", "long.png": b"\0" * 300_001}  # fmt: skip
    for name, data in bad.items():
        (images / name).write_bytes(data)
    rows = [{"assetId": name, "name": name, "uri": name} for name in [*bad, "red.png"]]
    report = await importing("assets", rows)
    assert counts(report) == (1, 0, 6)
    reasons = {error.line: error.reason for error in report.first_errors}
    for line, words in enumerate(("not a picture", "pixels", "cut off", "<script>", "empty", "300,001 bytes"), start=1):
        assert words in reasons[line], reasons[line]


async def test_without_an_image_folder_the_pictures_stay_as_they_are(
    importing: Importing, engine: AsyncEngine, own: Settings
) -> None:
    await importing("assets", [{"assetId": "a", "name": "a", "uri": "red.png"}])
    sink: Any = create_sink("assets", engine, own, TENANT)
    written = await sink.write([Asset(asset_id="a", name="renamed", uri="red.png")])
    assert (written.stored, written.duplicates) == (1, 0)
    kept = await importing.asset("a")
    assert (kept.name, kept.image_status) == ("renamed", "ok")


def test_a_kind_of_another_room_is_a_programming_error(engine: AsyncEngine, own: Settings) -> None:
    assert create_sink("brands", engine, own, TENANT).contract is Brand
    with pytest.raises(ValueError, match="does not import events"):
        create_sink("events", engine, own, TENANT)
