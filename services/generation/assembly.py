"""Putting a piece of copy together: the model's two lines, and the sentences that code fills from the record. Pure."""

import datetime as dt
import json
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec

from services.generation.neutral import named, one_line
from services.generation.prompts import Templates
from services.generation.screening import gives_orders
from shared.contracts.catalog import Offer
from shared.contracts.generation import CHANNEL_LIMITS, Material, Sections
from shared.contracts.profiles import Channel

_PRODUCT = 60
_ASCII = str.maketrans({"\u2019": "'", "\u2018": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-",
                        "\u2026": "...", "\u00a0": " "})  # fmt: skip
# Longer names are told without the brand: a headline has 60 characters, in a push message 50.
_BRANDED = 36
# Characters of a text message, and of each part of a longer one (3GPP TS 23.038, GSM-7).
_SMS, _SMS_PART = 160, 153
_SYMBOLS = {"USD": "${}", "GBP": "£{}", "EUR": "€{}", "JPY": "¥{}"}


class Draft(msgspec.Struct, frozen=True):
    """What the model writes."""

    headline: str
    hook: str


def money(value: Decimal, currency: str | None) -> str:
    """An amount with its symbol, else its ISO code."""
    text = f"{value:.2f}" if value != value.to_integral_value() else f"{value:.0f}"
    return _SYMBOLS.get(currency or "", f"{{}} {currency or ''}".strip()).format(text)


def plain_sms(text: str) -> str:
    """Typographic characters that would cost a whole message its encoding, as their plain spelling."""
    return text.translate(_ASCII)


def product_of(offer: Offer) -> str:
    """The product's name as it stands in a sentence, with its brand where that is not part of it."""
    name = named(offer.product_name or offer.category or offer.name, _PRODUCT, "this product")
    brand = named(offer.product_brand, _PRODUCT, "")
    whole = f"{brand} {name}"
    return whole if brand and brand.lower() not in name.lower() and len(whole) <= _BRANDED else name


def unfit(offer: Offer) -> str | None:
    """Why nothing can be written about an offer at all: what may not be left out is no text for customers."""
    for n, condition in enumerate(offer.conditions):
        if gives_orders(condition.text):
            return f"condition {n + 1} of the offer speaks to a model or holds markup, and may not be left out"
    if gives_orders(offer.legal_text):
        return "the offer's legal text speaks to a model or holds markup, and may not be left out"
    return None


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
    # The end is exclusive: what ends at midnight was last valid the day before.
    end = (offer.end_date - dt.timedelta(microseconds=1)).astimezone(ZoneInfo(offer.time_zone))
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


def _messages(text: str) -> int:
    return 1 if len(text) <= _SMS else -(-len(text) // _SMS_PART)


def _joined(*parts: str) -> str:
    return " ".join(filter(None, parts))


def _longest(limit: int, *ways: list[str]) -> str:
    """The first of the ways that fits, else the last."""
    whole = [_joined(*parts) for parts in ways]
    return next((text for text in whole if len(text) <= limit), whole[-1])


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1].rsplit(" ", 1)[0].rstrip(" ,;:-")


def answered(draft: Draft) -> str:
    """The model's answer that says a draft, written as the prompt's shown answers are."""
    return json.dumps({"headline": draft.headline, "hook": draft.hook}, ensure_ascii=False)


def draft_of(sections: Sections, material: Material, channel: Channel, templates: Templates) -> Draft | None:
    """The model's two lines in a finished piece that says nothing of a reader: `assemble` makes exactly the piece of them.

    None where there are none: the channel has no room for them, or what code fills in was changed by hand.
    """
    hook, line, _ = sections.body.partition(offer_line(material.offer, templates))
    draft = Draft(headline=sections.headline, hook=hook.strip())
    if not (draft.headline and draft.hook and line):
        return None
    return draft if assemble(draft, material, channel, templates) == sections else None


def assemble(draft: Draft, material: Material, channel: Channel, templates: Templates, personal: str = "") -> Sections:
    """The sections of a channel. Figures, conditions and legal text are whole or the piece does not fit, never cut.

    `personal` is the sentence said of the reader; where there is little room it stays and the model's goes, and in a
    text message it is left out when it would cost another one.
    """
    offer, limits = material.offer, CHANNEL_LIMITS[channel]
    line, until = offer_line(offer, templates), validity(offer, templates)
    conditions = [one_line(condition.text, 500).rstrip(".") + "." for condition in offer.conditions]
    legal = " ".join(offer.legal_text.split())
    cta = templates.cta.get(offer.discount.kind, templates.cta["default"])
    headline = _cut(draft.headline, limits["headline"] or 60)
    if channel == "sms":
        required = [line, until, *conditions, legal]
        whole, needed = (plain_sms(_joined(*parts)) for parts in ([personal, *required], required))
        return Sections(body=whole if _messages(whole) == _messages(needed) and whole.isascii() else needed)
    if channel == "push":
        body = _longest(limits["body"], [personal, draft.hook, line], [personal or draft.hook, line], [line])
        return Sections(headline=headline, body=body, cta=_cut(cta, limits["cta"]))
    if channel == "web":
        rest = [line, until, *conditions]
        body = _longest(limits["body"], [personal, draft.hook, *rest], [personal, *rest], rest, [line, until])
        return Sections(headline=headline, body=body, cta=cta)
    body = _joined(personal, draft.hook, line, until, *conditions, legal)
    return Sections(subject=_cut(draft.headline, limits["subject"]), preheader=_cut(line, limits["preheader"]),
                    headline=headline, body=body, cta=cta)  # fmt: skip
