"""What a record must be beyond its types: dates in order, figures complete, currencies and zones that exist. Pure.

Every refusal names the field as the caller wrote it (camelCase), what was given and what is allowed.
"""

import datetime as dt
import re
import zoneinfo
from collections.abc import Callable, Iterator
from decimal import Decimal
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import msgspec

from services.retrieval.currencies import CURRENCIES
from shared.contracts.base import FieldError, Money
from shared.contracts.catalog import Asset, Brand, Discount, Offer

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")
_MAX_GIVEN = 120
_LARGEST_MONEY = Decimal(10) ** 9
_DECIMALS = 4
_LARGEST_NUMBER = 2**53
_WHOLE = Decimal(100)
_FIRST_YEAR = 1970
_LEAST_BOOST = 0.001
_LONGEST = {"tags": 200, "safetyTags": 200, "placements": 200, "assetIds": 100, "conditions": 50, "attributes": 100,
            "locales": 200, "wordsToAvoid": 500}  # fmt: skip
_WITH_MONEY = ("amount", "fixed_price", "multi_buy")


def _error(field: str, message: str, given: object, allowed: str | None = None) -> FieldError:
    text = str(given)
    short = text if len(text) <= _MAX_GIVEN else f"{text[:_MAX_GIVEN]}... ({len(text)} characters)"
    return FieldError(field=field, message=message, given=_CONTROL.sub("\ufffd", short), allowed=allowed)


@lru_cache(maxsize=1)
def time_zones() -> frozenset[str]:
    """The names of the IANA time zones this machine knows; UTC always."""
    return frozenset(zoneinfo.available_timezones()) | {"UTC"}


def is_plain_text(text: str) -> bool:
    """Can Postgres store it and a person read it: no NUL, no control character but tab and line ends."""
    return _CONTROL.search(text) is None


def _scalars(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, below in value.items():
            yield path, key
            yield from _scalars(below, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, below in enumerate(value):
            yield from _scalars(below, f"{path}[{index}]")
    else:
        yield path, value


def _values(document: dict[str, Any]) -> Iterator[FieldError]:
    """Texts without control characters, numbers that survive JSON, lists of sane length, a name that says something."""
    for path, value in _scalars(document, ""):
        if isinstance(value, str) and not is_plain_text(value):
            yield _error(path, "contains a NUL or control character", value, "text, tabs and line ends")
        elif isinstance(value, int | float) and not abs(value) <= _LARGEST_NUMBER:
            yield _error(path, "is too large a number", value, f"-{_LARGEST_NUMBER} to {_LARGEST_NUMBER}, or a text")
    for name, longest in _LONGEST.items():
        if len(document.get(name) or ()) > longest:
            yield _error(name, "has too many entries", len(document[name]), f"at most {longest}")
    if not document["name"].strip():
        yield _error("name", "is blank", repr(document["name"]), "a name that can be shown")


def _id(field: str, value: str) -> Iterator[FieldError]:
    if value in {".", ".."}:
        yield _error(field, "is a folder's name", value, "any other id without blanks and slashes")


def _instant(field: str, value: dt.datetime | None) -> Iterator[FieldError]:
    if value is None:
        return
    try:
        fits = value.astimezone(dt.UTC).year >= _FIRST_YEAR
    except OverflowError:
        fits = False
    if not fits:
        yield _error(field, "lies outside of the calendar", value.isoformat(), f"years {_FIRST_YEAR} to 9999 in UTC")


def _figure(
    field: str, value: Decimal | None, what: str, *, highest: Decimal = _LARGEST_MONEY, zero: bool = True
) -> Iterator[FieldError]:
    if value is None:
        yield _error(field, "is missing", "nothing", what)
    elif not value.is_finite() or not 0 <= value <= highest or not (zero or value) or _decimals(value) > _DECIMALS:
        yield _error(field, "is out of range", value, what)


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _currency(field: str, value: str | None) -> Iterator[FieldError]:
    if value is not None and value not in CURRENCIES:
        yield _error(field, "is not a currency", value, "an ISO 4217 code such as USD or EUR")


def _money(field: str, value: Money | None) -> Iterator[FieldError]:
    if value is not None:
        what = f"0 to {_LARGEST_MONEY} with at most {_DECIMALS} decimals"
        yield from _figure(f"{field}.amount", value.amount, what)
        yield from _currency(f"{field}.currency", value.currency)


def _discount(discount: Discount) -> Iterator[FieldError]:
    kind, field = discount.kind, "discount.value"
    if kind == "percent":
        what = "more than 0 and at most 100 percent"
        yield from _figure(field, discount.value, what, highest=_WHOLE, zero=False)
    elif kind in _WITH_MONEY:
        free = kind == "fixed_price"
        what = f"{'0 or more' if free else 'more than 0'}, at most {_DECIMALS} decimals"
        yield from _figure(field, discount.value, what, zero=free)
        if discount.currency is None:
            yield _error("discount.currency", f"is needed for {kind}", "nothing", "an ISO 4217 code")
    elif discount.value:
        yield _error(field, f"has no meaning for {kind}", discount.value, "nothing")
    if kind in {"multi_buy", "free_item"} and discount.buy_quantity is None:
        yield _error("discount.buyQuantity", f"is needed for {kind}", "nothing", "1 to 1000")
    if kind == "free_item" and discount.get_quantity is None:
        yield _error("discount.getQuantity", "is needed for free_item", "nothing", "1 to 1000")
    yield from _currency("discount.currency", discount.currency)


def _conditions(offer: Offer) -> Iterator[FieldError]:
    for index, condition in enumerate(offer.conditions):
        field = f"conditions[{index}]"
        yield from _money(f"{field}.minimumSpend", condition.minimum_spend)
        for name, value in (("minimumQuantity", condition.minimum_quantity), ("maximumUses", condition.maximum_uses)):
            if value is not None and value < 1:
                yield _error(f"{field}.{name}", "is out of range", value, "1 or more")


def _one_currency(offer: Offer) -> Iterator[FieldError]:
    """All money of an offer is in one currency: nobody can compare or ground a mixture."""
    given = [("price.currency", offer.price.currency if offer.price else None),
             ("discount.currency", offer.discount.currency)]  # fmt: skip
    given += [
        (f"conditions[{i}].minimumSpend.currency", c.minimum_spend.currency)
        for i, c in enumerate(offer.conditions)
        if c.minimum_spend
    ]
    named = [(field, code) for field, code in given if code]
    for field, code in named[1:]:
        if code != named[0][1]:
            yield _error(field, f"differs from {named[0][0]}", code, named[0][1])


def offer_errors(offer: Offer, document: dict[str, Any]) -> list[FieldError]:
    """All that is wrong with an offer; `document` is the same offer as plain JSON data."""
    errors = [*_values(document), *_id("offerId", offer.offer_id)]
    dates = [*_instant("startDate", offer.start_date), *_instant("endDate", offer.end_date)]
    if not dates and offer.end_date <= offer.start_date:
        given, start = offer.end_date.isoformat(), offer.start_date.isoformat()
        dates.append(_error("endDate", "is not after startDate", given, f"later than {start}"))
    if offer.time_zone not in time_zones():
        errors.append(_error("timeZone", "is not a time zone", offer.time_zone, "an IANA name such as Europe/Berlin"))
    if not offer.boost >= _LEAST_BOOST:
        errors.append(_error("boost", "is out of range", offer.boost, f"{_LEAST_BOOST} to 100"))
    rules = (*_discount(offer.discount), *_money("price", offer.price), *_money("value", offer.value),
             *_conditions(offer), *_one_currency(offer))  # fmt: skip
    return [*errors, *dates, *rules]


def asset_errors(asset: Asset, document: dict[str, Any]) -> list[FieldError]:
    """All that is wrong with an asset's record; its picture is checked when it is decoded."""
    errors = [*_values(document), *_id("assetId", asset.asset_id), *_instant("rights.expires", asset.rights.expires)]
    try:
        scheme = urlsplit(asset.uri).scheme
    except ValueError:
        scheme = "?"
    if scheme not in {"", "http", "https"}:
        errors.append(_error("uri", "has a scheme that is not used here", asset.uri, "a relative path, http or https"))
    return errors


def brand_errors(brand: Brand, document: dict[str, Any]) -> list[FieldError]:
    """All that is wrong with a brand."""
    return [*_values(document), *_id("brandId", brand.brand_id)]


_RULES: dict[type, Callable[[Any, dict[str, Any]], list[FieldError]]] = {
    Offer: offer_errors,
    Asset: asset_errors,
    Brand: brand_errors,
}


def check(record: Offer | Asset | Brand) -> tuple[dict[str, Any], list[FieldError]]:
    """A record as plain JSON data, and all that is wrong with it (empty: it may be stored)."""
    document: dict[str, Any] = msgspec.to_builtins(record)
    return document, _RULES[type(record)](record, document)
