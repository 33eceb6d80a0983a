"""The catalog as the index and the callers see it: what is active, what is embedded, what is filtered by. Pure."""

import datetime as dt
import hashlib
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Literal

import msgspec

from shared.contracts.catalog import Asset, Brand, Discount, Offer

Record = Offer | Asset | Brand
CatalogKind = Literal["offers", "assets"]
PayloadValue = str | int | float | bool | list[str] | None
Activity = Literal["not_started", "active", "expired"]

# "For all" is a value of its own in payload lists, so that one match-any condition serves open and closed offers.
ANY = "*"
FOREVER = dt.datetime(9999, 12, 31, 23, 59, 59, tzinfo=dt.UTC).timestamp()
DEFAULT_BRAND = Brand(brand_id="default", name="our shop")


class Indexable(msgspec.Struct, frozen=True):
    """One catalog row as the index needs it.

    Attributes:
        id: offer or asset id.
        text: what the text model and the sparse vector are made from.
        content_hash: changes exactly when a vector has to be made anew (text or picture).
        record_hash: changes with anything at all; the payload has to be written again.
        payload: what filters and hits use.
        image_hash: the stored picture's hash, see `store.PictureStore`; None without one.
    """

    id: str
    text: str
    content_hash: str
    record_hash: str
    payload: dict[str, PayloadValue]
    image_hash: str | None = None


def activity(offer: Offer, at: dt.datetime) -> Activity:
    """Where `at` lies relative to the half-open interval [start, end).

    Args:
        offer: its dates carry their own offsets; `time_zone` is for showing them, never for comparing.
        at: an aware time of any zone.

    Raises:
        ValueError: `at` is naive, a programming error.
    """
    if at.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    if at < offer.start_date:
        return "not_started"
    return "active" if at < offer.end_date else "expired"


def is_active(offer: Offer, at: dt.datetime) -> bool:
    """May the offer be made at this instant?"""
    return activity(offer, at) == "active"


def rights_expired(asset: Asset, at: dt.datetime) -> bool:
    """May the picture no longer be used at this instant? Without an expiry the rights last."""
    return asset.rights.expires is not None and asset.rights.expires <= at


def locale_key(locale: str) -> str:
    """One spelling of a locale: `en_US` and `EN-us` are `en-us`."""
    return locale.replace("_", "-").lower()


def locale_matches(locale: str) -> list[str]:
    """The payload values that admit a locale: `en-US` -> `*`, `en-us`, `en` (RFC 4647: a range is a prefix)."""
    parts = locale_key(locale).split("-")
    return [ANY, *("-".join(parts[:end]) for end in range(len(parts), 0, -1))]


def _plain(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def discount_words(discount: Discount) -> str:  # noqa: PLR0911  (one return a kind)
    """A discount as a shopper would search for it; "" when there is none or its figures are missing."""
    value = "" if discount.value is None else _plain(discount.value)
    money = f"{value} {discount.currency or ''}".strip()
    buy, get = discount.buy_quantity, discount.get_quantity
    match discount.kind:
        case "percent":
            return f"{value}% off"
        case "amount":
            return f"{money} off"
        case "fixed_price":
            return f"now {money}"
        case "multi_buy":
            return f"{buy} for {money}"
        case "free_item":
            return f"buy {buy} get {get} free"
        case "free_shipping":
            return "free shipping"
        case _:
            return ""


def _sentences(parts: Iterable[str | None]) -> str:
    """Distinct non-empty parts in order, each once: a name that repeats the product says nothing twice."""
    cleaned = (" ".join(part.split()).rstrip(".") for part in parts if part)
    return ". ".join(dict.fromkeys(part for part in cleaned if part))


def offer_text(offer: Offer) -> str:
    """The canonical text an offer is embedded by: what it is and for what, no dates, no legal text."""
    conditions = [condition.text for condition in offer.conditions]
    product = " ".join(filter(None, [offer.product_brand, offer.product_name]))
    words = discount_words(offer.discount)
    return _sentences([offer.name, product, offer.category, offer.description, words, *conditions, *offer.tags])


def asset_text(asset: Asset) -> str:
    """The canonical text an asset is embedded by."""
    return _sentences([asset.name, asset.alt_text, *asset.tags])


def _open(values: Sequence[str]) -> list[str]:
    return list(values) if values else [ANY]


def offer_payload(tenant: str, offer: Offer) -> dict[str, PayloadValue]:
    """What an offer is filtered by. `start` and `end` are seconds since 1970 in UTC; `*` stands for all."""
    return {
        "tenant": tenant,
        "id": offer.offer_id,
        "name": offer.name,
        "brand_id": offer.brand_id,
        "category": offer.category,
        "start": offer.start_date.timestamp(),
        "end": offer.end_date.timestamp(),
        "channels": _open(offer.channels),
        "locales": _open([locale_key(locale) for locale in offer.locales]),
        "placements": _open(offer.placements),
        "tags": list(offer.tags),
        "safety_tags": list(offer.safety_tags),
        "priority": offer.priority,
    }


def asset_payload(tenant: str, asset: Asset) -> dict[str, PayloadValue]:
    """What an asset is filtered by; `end` is when its rights expire. Same keys as an offer's where both have them."""
    expires = asset.rights.expires
    return {
        "tenant": tenant,
        "id": asset.asset_id,
        "name": asset.name,
        "brand_id": asset.brand_id,
        "start": 0.0,
        "end": FOREVER if expires is None else expires.timestamp(),
        "channels": _open(asset.channels),
        "locales": _open([locale_key(locale) for locale in asset.locales]),
        "placements": [ANY],
        "tags": list(asset.tags),
        "safety_tags": list(asset.safety_tags),
    }


def record_hash(record: Record) -> str:
    """SHA-256 of the whole record in canonical JSON."""
    return hashlib.sha256(msgspec.json.encode(record, order="sorted")).hexdigest()


def offer_content_hash(offer: Offer) -> str:
    """SHA-256 of what is embedded of an offer."""
    return hashlib.sha256(offer_text(offer).encode()).hexdigest()


def asset_content_hash(asset: Asset, image_hash: str | None) -> str:
    """SHA-256 of what is embedded of an asset: its text and its picture."""
    return hashlib.sha256(f"{asset_text(asset)}\n{image_hash or ''}".encode()).hexdigest()
