"""The Complete Journey's households as people to write to: a seeded sample, each with an offer of something they buy or bought."""

import datetime as dt
import random
import tempfile
from pathlib import Path

import msgspec
import pyarrow.parquet as pq

from evals import histories
from evals.attributes import Attribute
from services.demo.events import write_events
from services.demo.names import statements
from services.demo.offers import offers
from services.demo.profiles import profiles
from services.demo.sources import open_sources
from services.profiles.sensitive import category_tag, table
from shared.contracts.catalog import Brand, Offer
from shared.contracts.events import Event
from shared.contracts.profiles import Fact, Profile, ProfileContext, ProfileUpsert

OFFERS_FROM = dt.date(2018, 1, 8)
_LEAST_BASKETS = 20
_AT = dt.datetime(2017, 1, 1, tzinfo=dt.UTC)
_MANY = """
SELECT "profileId" FROM read_parquet(?) WHERE type = 'commerce.purchases'
GROUP BY 1 HAVING count(DISTINCT "sessionId") >= ? ORDER BY 1
"""
_TELLING = {"alcohol", "tobacco", "infant", "religion", "gambling"}
_KINDS = {"category": "habit", "rhythm": "due", "lapsed": "lapsed"}


class Household(msgspec.Struct):
    """One household: what may be used about it, its offer, and what copy should and must not tell."""

    context: ProfileContext
    offer: Offer
    useful: list[Attribute]
    forbidden: list[Attribute]


def brand() -> Brand:
    """The demo shop's."""
    return statements().brand


def households(count: int, seed: int) -> list[Household]:
    """A sample of those with history enough and an offer that suits them.

    Raises:
        PackageUnavailableError: the extra `demo` is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="atl-") as folder, open_sources() as data:
        path = str(Path(folder) / "events.parquet")
        write_events(data, Path(path), 0)
        known = [str(row[0]) for row in data.execute(_MANY, [path, _LEAST_BASKETS]).fetchall()]
        # More than asked for: not every one has an offer that suits.
        chosen = random.Random(f"households:{seed}").sample(known, min(2 * count, len(known)))
        events = _events(path, chosen)
        people = {person.profile_id: _profile(person) for person in profiles(data, _AT) if person.profile_id in chosen}
        catalog = offers(data, OFFERS_FROM)
    acts = histories.activities(events, chosen)
    made = []
    for key in chosen:
        activity = acts.get(key)
        context = histories.context(people[key], activity, events, "email")
        bought = [category.category for category in activity.categories] if activity else []
        offer = _offer(context, catalog, random.Random(f"{seed}:{key}"))
        if offer is not None:
            made.append(Household(context, offer, _useful(context, offer), _forbidden(bought, offer)))
    return made[:count]


def _events(path: str, chosen: list[str]) -> list[Event]:
    rows = pq.read_table(path, filters=[("profileId", "in", chosen)]).to_pylist()
    known = {field.encode_name for field in msgspec.structs.fields(Event)}
    cleaned = [{name: value for name, value in row.items() if name in known and value is not None} for row in rows]
    return msgspec.convert(cleaned, list[Event])


def _profile(person: ProfileUpsert) -> Profile:
    raw = msgspec.to_builtins(person, builtin_types=(dt.datetime,))
    return msgspec.convert({**raw, "createdAt": _AT, "updatedAt": _AT}, Profile)


def _offer(context: ProfileContext, catalog: list[Offer], rng: random.Random) -> Offer | None:
    """One of what the household buys, is about to buy or has given up, by its facts; each kind as likely."""
    by_product = {str(offer.product_name): offer for offer in catalog if not offer.safety_tags}
    kinds: dict[str, list[str]] = {}
    for fact in context.facts:
        if fact.kind in _KINDS and fact.subject in by_product:
            kinds.setdefault(fact.kind, []).append(fact.subject)
    return by_product[rng.choice(kinds[rng.choice(sorted(kinds))])] if kinds else None


def _useful(context: ProfileContext, offer: Offer) -> list[Attribute]:
    """The facts about the offered product, and its brand where the offer has one."""
    found = [
        Attribute(id=f"{_KINDS[fact.kind]}: {fact.subject}", kind=_KINDS[fact.kind], words=[str(fact.subject)])
        for fact in context.facts if fact.kind in _KINDS and fact.subject == offer.product_name
    ]  # fmt: skip
    if offer.product_brand:
        found.append(Attribute(id="brand of the product", kind="offer", words=[offer.product_brand]))
        found += [_store_brand(fact) for fact in context.facts if fact.kind == "brand" and "store" in str(fact.subject)]
    return found


def _store_brand(fact: Fact) -> Attribute:
    return Attribute(id=f"brand: {fact.subject}", kind="brand", words=["store brand"])


def _forbidden(bought: list[str], offer: Offer) -> list[Attribute]:
    """Every sensitive category that the household buys from."""
    hidden = [category for category in bought if category_tag(category) and category != offer.product_name]
    return [Attribute(id=name, kind="forbidden", words=[name, *_telling(name)]) for name in hidden]


def _telling(category: str) -> list[str]:
    """Words that give the category away alone; those of medicine (cold, pain) stand in any copy."""
    groups = [group for group in table().categories if group.tag == category_tag(category)]
    return [word for group in groups if group.tag in _TELLING for word in group.words]
