"""Planted personas: people whose histories hide what copy should tell, and what it must not. Seeded and versioned.

A persona has a year of purchase events as the events service stores them, sometimes a stated favourite meal, and consents.
What is true of them is known because it was planted; the facts themselves come out of the services' own rules.
"""

import datetime as dt
import itertools
import random
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Literal

import msgspec

from evals.attributes import Attribute
from shared.contracts.catalog import Brand, Condition, Discount, Offer
from shared.contracts.events import Event
from shared.contracts.profiles import Attribute as Stated
from shared.contracts.profiles import Consent, Consents, PersonalizeConsent, Profile

DATA = Path(__file__).parent / "datasets" / "personas"
NOW = dt.datetime(2026, 3, 2, 12, tzinfo=dt.UTC)
State = Literal["regular", "due", "lapsed"]
_STATES: tuple[State, ...] = ("regular", "due", "lapsed")
_YEAR, _NOISE = 360, 24
_REFUSES, _LOYAL, _MEAL = 0.12, 0.6, 0.35
_CENT = Decimal("0.01")


class Product(msgspec.Struct, forbid_unknown_fields=True):
    """One line of the shop."""

    name: str
    brand: str
    price: Decimal
    days: int
    meals: list[str]
    details: list[str]
    description: str


class Hidden(msgspec.Struct, forbid_unknown_fields=True):
    """A category that copy about something else must not name, and the words it would be named by."""

    category: str
    words: list[str]


class Shop(msgspec.Struct, forbid_unknown_fields=True):
    """The whole of `shop.yaml`."""

    version: int
    brand: Brand
    products: list[Product]
    fillers: list[str]
    sensitive: list[Hidden]
    unrelated: list[Hidden]
    names: list[str]


class Persona(msgspec.Struct):
    """One person, the offer they get, and what is known of both. `consented` false: nothing personal may be told."""

    profile: Profile
    events: list[Event]
    offer: Offer
    state: State
    consented: bool
    useful: list[Attribute]
    forbidden: list[Attribute]


@cache
def shop() -> Shop:
    """The shop, read once."""
    return msgspec.yaml.decode((DATA / "shop.yaml").read_bytes(), type=Shop)


def offers() -> list[Offer]:
    """One offer a product: the catalog."""
    return [_offer(product, n) for n, product in enumerate(shop().products)]


def _offer(product: Product, n: int) -> Offer:
    discount = (
        Discount(kind="percent", value=Decimal(10 + 5 * (n % 4)))
        if n % 2
        else Discount(kind="amount", value=(product.price / 5).quantize(_CENT), currency="USD")
    )
    return Offer(
        offer_id=product.name.replace(" ", "-"), name=f"{product.name} offer", product_name=product.name,
        category=product.name, product_brand=product.brand, description=product.description, discount=discount,
        start_date=NOW - dt.timedelta(days=2), end_date=NOW + dt.timedelta(days=40), time_zone="America/New_York",
        conditions=[Condition(text="One coupon per household.", maximum_uses=1)],
        tags=[product.name, *product.meals],
    )  # fmt: skip


def personas(count: int, seed: int) -> list[Persona]:
    """People in turn regular, due and lapsed buyers of what they are offered; products in a shuffled round."""
    order = list(range(len(shop().products)))
    random.Random(f"{shop().version}:{seed}").shuffle(order)
    made = [_persona(n, order[n % len(order)], seed) for n in range(count)]
    for one, other in zip(made, [*made[1:], made[0]], strict=True):
        one.forbidden += _of_another(one, other)
    return made


def _persona(n: int, which: int, seed: int) -> Persona:
    rng = random.Random(f"{shop().version}:{seed}:{n}")
    product, key = shop().products[which], f"persona-{seed}-{n}"
    state = _STATES[n % len(_STATES)]
    loyal, consented = rng.random() < _LOYAL, rng.random() >= _REFUSES
    meal = rng.choice(product.meals) if product.meals and rng.random() < _MEAL else None
    sensitive, unrelated = rng.choice(shop().sensitive), rng.choice(shop().unrelated)
    events = _history(key, product, state, [sensitive, unrelated], rng, loyal=loyal)
    offer = _offer(product, which)
    personal = _true_of(product, state, meal, loyal=loyal) if consented else []
    planted = [sensitive, unrelated]
    return Persona(
        profile=_profile(key, rng, meal, consented=consented), events=events, offer=offer, state=state,
        consented=consented, useful=[*_of_offer(product), *personal],
        forbidden=[Attribute(id=f"{hidden.category}", kind="forbidden", words=hidden.words) for hidden in planted],
    )  # fmt: skip


def _of_offer(product: Product) -> list[Attribute]:
    return [
        Attribute(id="brand of the product", kind="offer", words=[product.brand]),
        Attribute(id="detail of the product", kind="offer", words=product.details),
    ]


def _true_of(product: Product, state: State, meal: str | None, *, loyal: bool) -> list[Attribute]:
    """What copy about the product should tell this person of themselves."""
    kinds = {"regular": ["habit"], "due": ["habit", "due"], "lapsed": ["lapsed"]}[state]
    found = [Attribute(id=kind, kind=kind, words=[product.name]) for kind in kinds]
    if loyal:
        found.append(Attribute(id="brand they buy", kind="brand", words=[product.brand]))
    if meal:
        found.append(Attribute(id="favourite meal", kind="favourite", words=[meal]))
    return found


def _of_another(one: Persona, other: Persona) -> list[Attribute]:
    """The next person's name and brand, where they are not this one's too."""
    first = str(other.profile.attributes["firstName"].value)
    found = [Attribute(id="another person's name", kind="forbidden", words=[first])]
    if other.offer.product_brand not in {one.offer.product_brand, None}:
        found.append(Attribute(id="another person's brand", kind="forbidden", words=[str(other.offer.product_brand)]))
    own = one.profile.attributes["firstName"].value
    return [attribute for attribute in found if attribute.words != [own]]


def _profile(key: str, rng: random.Random, meal: str | None, *, consented: bool) -> Profile:
    attributes = {"firstName": Stated(value=rng.choice(shop().names), source="planted")}
    if meal:
        attributes["favourite meal"] = Stated(value=meal, source="planted")
    consent = Consent(val="y" if consented else "n", time=NOW)
    return Profile(profile_id=key, identity_map={}, attributes=attributes, locale="en-US", time_zone="America/New_York",
                   consents=Consents(personalize=PersonalizeConsent(content=consent)), created_at=NOW, updated_at=NOW)  # fmt: skip


def _history(
    key: str, product: Product, state: State, hidden: list[Hidden], rng: random.Random, *, loyal: bool
) -> list[Event]:
    """A year of baskets: the product by its rhythm and state, what is hidden every few weeks, other things around them."""
    ends = {"regular": 0.3, "due": 1.1, "lapsed": 0.0}[state] * product.days
    silence = max(5 * product.days, 60) if state == "lapsed" else max(1, round(ends))
    brands = [product.brand] if loyal else [product.brand, "Plain & Good", "Everyday"]
    days = _days(silence, product.days, rng)
    lines: list[tuple[int, str, str | None, Decimal]] = []
    lines += [(day, product.name, rng.choice(brands), product.price) for day in days]
    for one in hidden:
        lines += [(day, one.category, None, Decimal(6)) for day in _days(3, rng.randint(9, 20), rng)]
    noise = sorted(rng.sample(range(2, _YEAR), _NOISE))
    lines += [(day, name, None, Decimal(2)) for day in noise for name in rng.sample(shop().fillers, 2)]
    return [
        Event(event_id=f"{key}-{n}", profile_id=key, type="commerce.purchases", time=NOW - dt.timedelta(days=day),
              product_id=name.replace(" ", "-"), product_name=name, category=name, brand=brand, quantity=1.0,
              value=price, currency="USD", session_id=f"{key}-day-{day}")
        for n, (day, name, brand, price) in enumerate(lines)
    ]  # fmt: skip


def _days(silence: int, rhythm: int, rng: random.Random) -> list[int]:
    """Days before now: the last one `silence` days ago, then backwards by the rhythm with a day more or less."""
    steps = itertools.accumulate(max(1, rhythm + rng.randint(-1, 1)) for _ in range(_YEAR // rhythm))
    return [silence, *(silence + step for step in steps if silence + step < _YEAR)]
