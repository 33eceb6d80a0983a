"""A stored piece of copy as an evaluation sees it: its text, what its writer was given, what it is compared with. Pure."""

import datetime as dt
import hashlib
import heapq
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

import msgspec

from shared.contracts.approval import StoredCopy
from shared.contracts.catalog import Offer
from shared.contracts.evaluation import Basis
from shared.contracts.generation import SECTIONS, Material, Sections

FACT = "profile.facts."


class Words(msgspec.Struct, frozen=True):
    """All that a judge is shown of a sample. `record`: a line a field; `facts`: those that the writer was given.

    `question`: what the copy answers. `reference`: what a person wrote or edited and approved for the same offer and
    channel, else the record's own lines; `basis` says which.
    """

    id: str
    text: str
    record: list[str]
    facts: list[str]
    question: str
    reference: str
    basis: Basis

    @property
    def contexts(self) -> list[str]:
        """What the writer was given: the record as one text, then each fact."""
        return ["\n".join(self.record), *self.facts]


class Sample(Words, frozen=True):
    """A stored piece of copy with its words, and the material of its writer."""

    copy: StoredCopy
    material: Material


class Question(Protocol):
    """Words what a piece of copy answers."""

    def __call__(self, *, product: str) -> str:
        """The question about a product."""


def chosen(ids: Iterable[str], limit: int, seed: int) -> list[str]:
    """At most `limit` of the ids, the same ones for the same seed whatever the order they come in; sorted."""
    drawn = heapq.nsmallest(limit, ids, key=lambda key: (hashlib.sha256(f"{seed}:{key}".encode()).digest(), key))
    return sorted(drawn)


def text_of(sections: Sections) -> str:
    """The sections, one a line, without the empty ones."""
    return "\n".join(filter(None, (" ".join(getattr(sections, name).split()) for name in SECTIONS)))


def is_by_people(copy: StoredCopy) -> bool:
    """Did a person write or edit the present text? What generation wrote is a first text."""
    return copy.source == "person" or copy.revision > 1


def reference_of(copy: StoredCopy, others: Sequence[StoredCopy]) -> StoredCopy | None:
    """The newest approved text of a person for the same offer, channel and language: never the copy itself, and nothing
    that was written for a customer.
    """
    fit = [
        other for other in others
        if other.copy_id != copy.copy_id and other.state in {"approved", "live"} and is_by_people(other)
        and not other.personal
        and (other.offer_id, other.channel, other.locale) == (copy.offer_id, copy.channel, copy.locale)
    ]  # fmt: skip
    return max(fit, key=lambda other: (other.updated_at, other.copy_id), default=None)


def given_facts(copy: StoredCopy, material: Material) -> dict[str, str]:
    """Name -> words of the facts that the writer was given, or that the copy says it needs."""
    sources = set(copy.provenance.source_ids)
    found = {fact.name: fact.text for fact in material.profile.facts if f"{FACT}{fact.name}" in sources}
    return found | {fact.name: fact.text for fact in copy.required_facts}


def sample_of(copy: StoredCopy, material: Material, reference: StoredCopy | None, question: Question) -> Sample:
    """All that the metrics need."""
    record = record_lines(material.offer)
    return Sample(
        id=copy.copy_id,
        copy=copy,
        material=material,
        text=text_of(copy.sections),
        record=record,
        facts=list(given_facts(copy, material).values()),
        question=question(product=product_of(material.offer)),
        reference="\n".join(record) if reference is None else text_of(reference.sections),
        basis="record" if reference is None else "person",
    )


def product_of(offer: Offer) -> str:
    """What the offer is for."""
    return offer.product_name or offer.category or offer.name


def record_lines(offer: Offer) -> list[str]:
    """What the record of an offer says, a line a field."""
    lines = {
        "Offer": offer.name, "Product": offer.product_name, "Product brand": offer.product_brand,
        "Category": offer.category, "Description": offer.description, "Discount": discount_words(offer),
        "Price": f"{amount(offer.price.amount)} {offer.price.currency}" if offer.price else None,
        "Valid from": day(offer.start_date, offer), "Valid until": last_day(offer),
    }  # fmt: skip
    conditions = [f"Condition: {condition.text}" for condition in offer.conditions]
    legal = [f"Legal text: {offer.legal_text}"] if offer.legal_text else []
    return [f"{name}: {' '.join(value.split())}" for name, value in lines.items() if value] + conditions + legal


def day(moment: dt.datetime, offer: Offer) -> str:
    """A day in the offer's own time zone."""
    local = moment.astimezone(ZoneInfo(offer.time_zone))
    return f"{local:%B} {local.day}, {local.year}"


def last_day(offer: Offer) -> str:
    """The last valid day: the end is exclusive."""
    return day(offer.end_date - dt.timedelta(microseconds=1), offer)


def amount(value: Decimal) -> str:
    """A figure as it is written: 20, 1.50."""
    return f"{value:.0f}" if value == value.to_integral_value() else f"{value:.2f}"


def discount_words(offer: Offer) -> str | None:
    """The discount in words."""
    discount = offer.discount
    value = amount(discount.value) if discount.value is not None else ""
    currency = discount.currency or (offer.price.currency if offer.price else "")
    said = {
        "percent": f"{value}% off", "amount": f"{value} {currency} off", "fixed_price": f"for {value} {currency}",
        "multi_buy": f"{discount.buy_quantity} for {value} {currency}",
        "free_item": f"buy {discount.buy_quantity}, get {discount.get_quantity or 1} free",
        "free_shipping": "free shipping",
    }  # fmt: skip
    return said.get(discount.kind)
