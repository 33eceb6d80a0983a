"""Putting a piece of copy together: the model's two lines, and the sentences that code fills from the record. Pure."""

from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from services.generation.channels import LIMITS, plain_sms
from services.generation.neutral import named, one_line
from services.generation.prompts import Templates
from shared.contracts.catalog import Offer
from shared.contracts.generation import Material, Sections
from shared.contracts.profiles import Channel

_PRODUCT = 60
_SYMBOLS = {"USD": "${}", "GBP": "£{}", "EUR": "€{}", "JPY": "¥{}"}


class Draft(msgspec.Struct, frozen=True):
    """What the model writes."""

    headline: str
    hook: str


def money(value: Decimal, currency: str | None) -> str:
    """An amount with its symbol, else its ISO code."""
    text = f"{value:.2f}" if value != value.to_integral_value() else f"{value:.0f}"
    return _SYMBOLS.get(currency or "", f"{{}} {currency or ''}".strip()).format(text)


def product_of(offer: Offer) -> str:
    """The product's name as it stands in a sentence."""
    return named(offer.product_name or offer.category or offer.name, _PRODUCT, "this product")


def offer_line(offer: Offer, templates: Templates) -> str:
    """The sentence that carries the figures."""
    discount = offer.discount
    value = discount.value if discount.value is not None else Decimal(0)
    return templates.offer_line[discount.kind].format(
        product=product_of(offer),
        value=f"{value.normalize():f}",
        money=money(value, discount.currency or (offer.price.currency if offer.price else None)),
        buy=discount.buy_quantity,
        get=discount.get_quantity,
    )


def validity(offer: Offer, templates: Templates) -> str:
    """Until when, in the offer's own time zone."""
    end = offer.end_date.astimezone(ZoneInfo(offer.time_zone))
    return templates.validity.format(end=f"{end.strftime('%B')} {end.day}, {end.year}")


def fallback(material: Material, templates: Templates, *, personal: bool) -> Draft:
    """The approved words instead of the model's."""
    which = "personal" if personal else "general"
    product = product_of(material.offer)
    brand = named(material.brand.name, _PRODUCT, "our shop")
    return Draft(
        headline=templates.headline[which].format(product=product),
        hook=templates.hook[which].format(product=product, brand=brand),
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rsplit(" ", 1)[0].rstrip(" ,;:-")


def assemble(draft: Draft, material: Material, channel: Channel, templates: Templates) -> Sections:
    """The sections of a channel. Figures, conditions and legal text are whole or the piece does not fit, never cut."""
    offer, limits = material.offer, LIMITS[channel]
    line, until = offer_line(offer, templates), validity(offer, templates)
    conditions = [one_line(condition.text, 500).rstrip(".") + "." for condition in offer.conditions]
    legal = " ".join(offer.legal_text.split())
    cta = templates.cta.get(offer.discount.kind, templates.cta["default"])
    headline = _cut(draft.headline, limits["headline"] or 60)
    if channel == "sms":
        required = [line, until, *conditions, legal]
        return Sections(body=plain_sms(" ".join(filter(None, required))))
    if channel == "push":
        body = f"{draft.hook} {line}"
        return Sections(
            headline=headline, body=body if len(body) <= limits["body"] else line, cta=_cut(cta, limits["cta"])
        )
    if channel == "web":
        parts = [draft.hook, line, until, *conditions]
        body = " ".join(parts)
        return Sections(headline=headline, body=body if len(body) <= limits["body"] else f"{line} {until}", cta=cta)
    body = " ".join(filter(None, [draft.hook, line, until, *conditions, legal]))
    return Sections(subject=_cut(draft.headline, limits["subject"]), preheader=_cut(line, limits["preheader"]),
                    headline=headline, body=body, cta=cta)  # fmt: skip
