"""The emoji pictures as creative assets: named, tagged, sorted out for a grocer. The archives are read, never unpacked."""

import json
import re
from collections import defaultdict
from functools import cache
from pathlib import Path

from services.demo.errors import DamagedPackageError
from services.demo.names import categories, statements
from services.demo.packages import PICTURE_NAMES, PICTURES, members
from shared.contracts.catalog import Asset, AssetRights

_VARIATION = "fe0f"
_RIGHTS = AssetRights(licence="MIT")


def code_points(emoji: str) -> str:
    """An emoji's code points without the variation selector, which only some picture files spell: "1f9c0"."""
    return "-".join(f"{ord(character):04x}" for character in emoji if f"{ord(character):x}" != _VARIATION)


def asset_id(emoji: str) -> str:
    """The id of an emoji's asset."""
    return f"emoji-{code_points(emoji)}"


def pictures(names_archive: Path, pictures_archive: Path) -> list[tuple[Asset, bytes]]:
    """The assets that fit a grocer with the bytes of their pictures, in the order of their ids.

    Raises:
        DamagedPackageError: the archive of names has no names in it.
    """
    named = next((data for path, data in members(names_archive) if path == "data-by-emoji.json"), None)
    if named is None:
        message = f"{PICTURE_NAMES.spec} has no data-by-emoji.json"
        raise DamagedPackageError(message)
    wanted = {code_points(emoji): asset for emoji, entry in json.loads(named).items()
              if (asset := _asset(emoji, entry["name"], entry["group"])) is not None}  # fmt: skip
    found: dict[str, tuple[Asset, bytes]] = {}
    for path, data in members(pictures_archive):
        stem = path.removeprefix("assets/").removesuffix(".webp")
        key = stem.replace(f"-{_VARIATION}", "")
        if path == f"assets/{stem}.webp" and key in wanted:
            found[key] = (wanted[key], data)
    if not found:
        message = f"{PICTURES.spec} has no pictures in assets/"
        raise DamagedPackageError(message)
    return [found[key] for key in sorted(found)]


def _asset(emoji: str, name: str, group: str) -> Asset | None:
    shop = statements()
    words = re.findall(r"[a-z]+", name.lower())
    if group not in shop.picture_groups or name in shop.leave_out or set(words) & set(shop.leave_out_words):
        return None
    shown = _shown_categories().get(code_points(emoji), [])
    keywords = [word for word in words if len(word) > 2]  # noqa: PLR2004  (no "of", "on")
    return Asset(
        asset_id=asset_id(emoji),
        name=name,
        uri=f"{code_points(emoji)}.webp",
        alt_text=name,
        tags=list(dict.fromkeys([group.lower(), *keywords, *shown])),
        brand_id=shop.brand.brand_id,
        rights=_RIGHTS,
        safety_tags=[tag for tag, names in shop.picture_safety.items() if name in names],
    )


@cache
def _shown_categories() -> dict[str, list[str]]:
    """For each picture the categories it stands for: what a shopper calls it, which Unicode does not say."""
    shown: dict[str, list[str]] = defaultdict(list)
    for entry in categories().values():
        if entry.emoji:
            shown[code_points(entry.emoji)].append(entry.name)
    return shown
