"""Is every claim supported by the offer record or a consented fact? Pure. Money and percentages match exactly."""

import re
from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

import msgspec

from services.generation.claims import Found, extract, normalise
from shared.contracts.catalog import Brand, Offer
from shared.contracts.generation import SECTIONS, Claim, Material, Sections
from shared.contracts.profiles import Fact

_FIGURES = {"number", "percent", "price", "date", "duration"}
_NEVER = {"sensitive", "instruction", "banned_word"}
# Words for a gain as such: true of every offer that has a discount.
_GAIN = {"save", "saving", "savings", "deal", "deals", "discount", "discounts"}
_ORDINARY = {"i", "ok", "your", "you"}


class Evidence(msgspec.Struct):
    """What copy may say: (kind, spelling) -> the field that says so; and the words that occur in the record."""

    figures: dict[tuple[str, str], str]
    texts: dict[str, str]
    names: set[str]
    banned: list[str]


def _number(text: str) -> str:
    """A canonical decimal: "1,250.50", "1250.5" and "$1250.50" are one number."""
    digits = re.sub(r"[^\d.,]", "", text).strip(".,")
    if re.fullmatch(r"\d{1,3}(,\d{3})+(\.\d+)?", digits):
        digits = digits.replace(",", "")
    try:
        return format(Decimal(digits.replace(",", ".")).normalize(), "f")
    except InvalidOperation:
        return digits


def _canonical(found: Found) -> tuple[str, str]:
    """The key a figure is looked up by; the unit of a duration is part of it."""
    if found.kind == "date":
        return "date", re.sub(r"(\d)(?:st|nd|rd|th)\b", r"\1", found.text.lower()).replace(",", "")
    if found.kind == "duration":
        unit = re.search(r"[a-z]+", found.text.lower())
        return "duration", f"{_number(found.text)} {(unit.group(0) if unit else '').rstrip('s')}"
    return found.kind, _number(found.text)


def evidence(offer: Offer, brand: Brand, facts: Sequence[Fact], first_name: str | None) -> Evidence:
    """Everything copy about this offer may rest on."""
    texts = {"offer.name": offer.name, "offer.description": offer.description, "offer.legalText": offer.legal_text,
             "offer.productName": offer.product_name or "", "offer.category": offer.category or "",
             "offer.productBrand": offer.product_brand or "", "brand.name": brand.name,
             "brand.signOff": brand.sign_off or ""}  # fmt: skip
    texts |= {f"offer.conditions[{i}]": condition.text for i, condition in enumerate(offer.conditions)}
    texts |= {f"profile.facts.{fact.name}": fact.text for fact in facts}
    figures: dict[tuple[str, str], str] = {}
    for field, text in texts.items():
        for found in extract(text):
            if found.kind in _FIGURES:
                figures.setdefault(_canonical(found), field)
    figures |= _offer_figures(offer)
    names = {word for text in texts.values() for word in normalise(text).lower().split()}
    names |= {word.strip(".,!?'\"") for word in names}
    if first_name:
        names.add(first_name.lower())
    return Evidence(
        figures, {field: normalise(text).lower() for field, text in texts.items()}, names, brand.words_to_avoid
    )


def _offer_figures(offer: Offer) -> dict[tuple[str, str], str]:
    figures: dict[tuple[str, str], str] = {}
    discount = offer.discount
    if discount.value is not None:
        kind = "percent" if discount.kind == "percent" else "price"
        figures[kind, _number(str(discount.value))] = "offer.discount.value"
    for name, quantity in (("buyQuantity", discount.buy_quantity), ("getQuantity", discount.get_quantity)):
        if quantity is not None:
            figures["number", str(quantity)] = f"offer.discount.{name}"
    if offer.price is not None:
        figures["price", _number(str(offer.price.amount))] = "offer.price"
    for index, condition in enumerate(offer.conditions):
        if condition.minimum_spend is not None:
            figures["price", _number(str(condition.minimum_spend.amount))] = f"offer.conditions[{index}].minimumSpend"
    zone = ZoneInfo(offer.time_zone)
    for field, moment in (("offer.startDate", offer.start_date), ("offer.endDate", offer.end_date)):
        day = moment.astimezone(zone)
        month = day.strftime("%B").lower()
        spellings = (f"{month} {day.day}", f"{month} {day.day} {day.year}", f"{day.day} {month}",
                     f"{day.day} {month} {day.year}", day.date().isoformat())  # fmt: skip
        figures |= {("date", spelling): field for spelling in spellings}
    return figures


def _spelled_out(found: Found, known: Evidence) -> str | None:
    """A figure in words ("two") or a day ("sunday") has no canonical form: the same words must stand in a text."""
    if any(c.isdigit() for c in found.text):
        return None
    pattern = re.compile(rf"(?<![a-z0-9]){re.escape(found.text.lower())}(?![a-z0-9])")
    return next((field for field, text in known.texts.items() if pattern.search(text)), None)


def _supported_by(  # noqa: PLR0911  (one return a kind of claim)
    found: Found, known: Evidence, offer: Offer, first_name: str | None
) -> str | None:
    """The field that supports a claim, None when nothing does."""
    if found.kind in _NEVER:
        return None
    if found.kind == "name":
        return "profile.firstName" if first_name and found.text.lower() == first_name.lower() else None
    if found.kind == "product":
        word = found.text.lower()
        return "offer" if word in known.names or word.removesuffix("'s") in known.names or word in _ORDINARY else None
    if found.kind in _FIGURES:
        return known.figures.get(_canonical(found)) or _spelled_out(found, known)
    if found.kind == "free" and offer.discount.kind in {"free_item", "free_shipping"}:
        return "offer.discount.kind"
    if found.kind == "condition" and offer.discount.kind != "none" and found.text in _GAIN:
        return "offer.discount.kind"
    return _spelled_out(found, known)


def _in_product_name(found: Found, text: str, offer: Offer) -> bool:
    """Is the word said only as a part of the product's own name ("baby food"), never beside it?"""
    name = normalise(offer.product_name or "").lower()
    return bool(name) and found.text in name and found.text not in normalise(text).lower().replace(name, " ")


def check(sections: Sections, material: Material, facts: Sequence[Fact]) -> list[Claim]:
    """Every claim of a piece of copy with its support. Only `facts`, the ones that were chosen, count as consented."""
    profile = material.profile
    first_name = profile.first_name if profile.personalize else None
    known = evidence(material.offer, material.brand, facts, first_name)
    claims = []
    for section in SECTIONS:
        text = getattr(sections, section)
        for found in extract(text, known.banned):
            field = _supported_by(found, known, material.offer, first_name)
            if found.kind == "sensitive" and _in_product_name(found, text, material.offer):
                field = "offer.productName"
            claims.append(
                Claim(
                    section=section,
                    text=found.text,
                    kind=found.kind,
                    status="supported" if field else "unsupported",
                    field=field,
                    reason=None if field else f"no field of the offer or profile supports {found.text!r}",
                )
            )
    return claims


def unsupported(claims: Sequence[Claim]) -> list[Claim]:
    """The claims that must not be served."""
    return [claim for claim in claims if claim.status == "unsupported"]
