"""What of the demo shop has been imported already, so that a second run resumes instead of starting over."""

import datetime as dt
from pathlib import Path

import msgspec

from services.demo.shop import ShopFiles
from shared.files import replace_file

_FACTS_DAYS = 1


class Imported(msgspec.Struct):
    """Kind -> the version of the file that was imported; and when the facts were computed last."""

    versions: dict[str, str] = {}
    refreshed_at: dt.datetime | None = None


class DemoState:
    """`ATELIER_DATA/demo/imported.json`."""

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "demo" / "imported.json"
        try:
            self._known = msgspec.json.decode(self._path.read_bytes(), type=Imported)
        except (OSError, msgspec.MsgspecError):
            self._known = Imported()

    def forget(self) -> None:
        """The stores are empty: everything is to be imported again."""
        self._known = Imported()

    def missing(self, shop: ShopFiles) -> list[str]:
        """The kinds whose file has not been imported in its present version."""
        return [kind for kind, path in files(shop).items() if self._known.versions.get(kind) != _version(path)]

    def imported(self, kind: str, shop: ShopFiles) -> None:
        """Remember that this kind's file is in."""
        self._known.versions[kind] = _version(files(shop)[kind])
        if kind in {"profiles", "events"}:
            self._known.refreshed_at = None
        self._save()

    def facts_are_old(self) -> bool:
        """Facts speak of days since something: they are computed anew each day."""
        at = self._known.refreshed_at
        return at is None or dt.datetime.now(dt.UTC) - at > dt.timedelta(days=_FACTS_DAYS)

    def refreshed(self) -> None:
        """Remember that facts and vectors of people are up to date."""
        self._known.refreshed_at = dt.datetime.now(dt.UTC)
        self._save()

    def _save(self) -> None:
        replace_file(self._path, msgspec.json.encode(self._known))


def files(shop: ShopFiles) -> dict[str, Path]:
    """Kind -> file, in the order to import them."""
    return {"brands": shop.brands, "assets": shop.assets, "offers": shop.offers, "profiles": shop.profiles,
            "events": shop.events}  # fmt: skip


def _version(path: Path) -> str:
    stat = path.stat()
    return f"{stat.st_size}-{stat.st_mtime_ns}"
