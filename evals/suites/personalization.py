"""Does personalisation help? The same offers, seeds and model, written with and without what is known of the reader, and with and
without the record that is retrieved for the offer.

With the profile: the context that the conductor hands over, facts computed from the history and read through consent. Without:
the context of a person who gave no consent. With retrieval: the offer's record found by hybrid search for the product's name,
and the shop's brand guide. Without: the product's name alone; brand, category, tags and description are missing, and so are the
brand guide's voice and words to avoid. Discount, validity and conditions, which code fills in, stay in every arm, and every piece
is checked against all that is true.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from evals import attributes, engine, households, personas, records, statistics, writing
from evals.attributes import CUES, Attribute
from evals.runs import Case, Metric, Run, code_version, data_hash, mean_of
from evals.writing import Written
from services.generation.prompts import Library
from shared.contracts.catalog import Brand, Offer
from shared.contracts.generation import Material, WriteRequest
from shared.contracts.profiles import ProfileContext
from shared.settings import Settings

SIZE = 48
_SHOWN = 8
# (with the profile, with retrieval)
ARMS = {"both": (True, True), "profile": (True, False), "retrieval": (False, True), "neither": (False, False)}
_NOBODYS_GUIDE = Brand(brand_id="default", name="our shop")


class Person(msgspec.Struct):
    """Somebody to write to: what may be used, the offer, the brand, what copy should and must not tell."""

    key: str
    context: ProfileContext
    offer: Offer
    brand: Brand
    useful: list[Attribute]
    forbidden: list[Attribute]
    found: Offer


def planted(count: int, seed: int) -> list[Person]:
    """Personas with their facts, each with the record that search finds for the product's name."""
    from evals import histories

    made, catalog = personas.personas(count, seed), personas.offers()
    events = [event for persona in made for event in persona.events]
    known = histories.activities(events, [persona.profile.profile_id for persona in made])
    hits = records.found(catalog, [str(persona.offer.product_name) for persona in made])
    return [
        Person(one.profile.profile_id, histories.context(one.profile, known.get(one.profile.profile_id), events, "email"),
               one.offer, personas.shop().brand, one.useful, one.forbidden, found)
        for one, found in zip(made, hits, strict=True)
    ]  # fmt: skip


def real(count: int, seed: int) -> list[Person]:
    """Households of The Complete Journey; their offers' records are the catalog's (two offers of one product are told apart)."""
    brand = households.brand()
    return [
        Person(one.context.profile_id, one.context, one.offer, brand, one.useful, one.forbidden, one.offer)
        for one in households.households(count, seed)
    ]


def pair(person: Person, seed: int, *, profile: bool, retrieval: bool) -> tuple[WriteRequest, Material]:
    """What the writer is given in one arm, and what is true."""
    context = person.context if profile else impersonal(person.context)
    truth = Material(profile=context, offer=person.offer, brand=person.brand)
    offer = person.offer
    if retrieval:
        offer = msgspec.structs.replace(
            offer, product_brand=person.found.product_brand, category=person.found.category, tags=person.found.tags,
            description=person.found.description,
        )  # fmt: skip
    else:
        offer = msgspec.structs.replace(
            offer, name=offer.product_name or offer.name, product_brand=None, category=None, tags=[], description=""
        )
    given = Material(profile=context, offer=offer, brand=person.brand if retrieval else _NOBODYS_GUIDE)
    return WriteRequest(material=given, seed=seed, deadline_ms=writing.DEADLINE_MS), truth


def impersonal(context: ProfileContext) -> ProfileContext:
    """The context of the same person without consent to personalised content."""
    return msgspec.structs.replace(context, personalize=False, facts=[], summary="", first_name=None)


def run(seed: int, size: int = SIZE) -> Run:
    """Planted personas, and half as many households, in four arms."""
    groups = {"": planted(size, seed), "_households": real(max(1, size // 2), seed)}
    metrics: list[Metric] = []
    cases: list[Case] = []
    with engine.running() as settings:
        for suffix, people in groups.items():
            written = arms(settings, people, seed)
            metrics += figures(people, written, suffix, seed)
            cases += shown(people, written)
        model = settings.llm_model
    metrics.insert(0, _found(groups[""], seed))
    files = [personas.DATA / "shop.yaml", CUES, *(path for path in [personas.DATA.parents[1] / "personas.py"])]
    version = Library(writing.PROMPTS).prompts["offer_copy"].version
    return Run(suite="personalization", seed=seed, data=f"{data_hash(files)}-{size}", code=code_version(),
               made_with={"model": model, "prompt": version}, metrics=metrics, worst=cases)  # fmt: skip


def arms(
    settings: Settings,
    people: Sequence[Person],
    seed: int,
    names: Sequence[str] = tuple(ARMS),
    prompts: Path = writing.PROMPTS,
) -> dict[str, list[Written]]:
    """Copy for everybody in each arm, people in the same order. A person's seed is the same in all of them."""
    written = {}
    for name in names:
        profile, retrieval = ARMS[name]
        pairs = [pair(one, seed + n, profile=profile, retrieval=retrieval) for n, one in enumerate(people)]
        written[name] = writing.write(settings, pairs, prompts)
        writing.measure_surprise(settings, written[name])
    return written


def recalls(
    people: Sequence[Person], written: Sequence[Written], kinds: Callable[[Attribute], bool] = bool
) -> dict[str, float]:
    """By person: the share of what is useful that the copy tells; people for whom nothing is are left out."""
    found = {}
    for person, one in zip(people, written, strict=True):
        wanted = [attribute for attribute in person.useful if kinds(attribute)]
        if wanted:
            found[person.key] = attributes.recall(wanted, attributes.sentences(one.sections))
    return found


def figures(people: Sequence[Person], written: dict[str, list[Written]], suffix: str, seed: int) -> list[Metric]:
    """All metrics of one group of people."""
    found = {name: recalls(people, rows) for name, rows in written.items()}
    facts = {name: recalls(people, rows, is_fact) for name, rows in written.items()}
    metrics = [mean_of(f"attribute_recall_{name}{suffix}", values, seed) for name, values in found.items()]
    metrics += [
        *_gain("profile", suffix, found["both"], found["retrieval"], seed),
        *_gain("profile_without_retrieval", suffix, found["profile"], found["neither"], seed),
        *_gain("retrieval", suffix, found["both"], found["profile"], seed),
        mean_of(f"fact_recall_with_profile{suffix}", facts["both"], seed),
        mean_of(f"fact_recall_without_profile{suffix}", facts["retrieval"], seed, higher_is_better=False,
                note="by chance: nothing is known of the reader there"),
        mean_of(f"forbidden{suffix}", _forbidden(people, written), seed, higher_is_better=False),
    ]  # fmt: skip
    for name, rows in written.items():
        metrics += _quality(people, rows, f"_{name}{suffix}", seed)
    return metrics


def is_fact(attribute: Attribute) -> bool:
    """Is it about the reader?"""
    return attribute.kind != "offer"


def _gain(of: str, suffix: str, after: dict[str, float], before: dict[str, float], seed: int) -> list[Metric]:
    """The paired difference of recall by person, and how much more that is than without, where there is any without."""
    keys = sorted(after.keys() & before.keys())
    found = [mean_of(f"recall_gain_of_{of}{suffix}", {key: after[key] - before[key] for key in keys}, seed)]
    rows = np.array([[after[key], before[key]] for key in keys])
    if rows[:, 1].any():
        value, low, high = statistics.statistic_interval(rows, _relative, seed, draws=2000)
        found.append(Metric(name=f"relative_recall_gain_of_{of}{suffix}", value=value, low=low, high=high, n=len(keys)))
    return found


def _relative(rows: statistics.FloatArray) -> float:
    before = float(rows[:, 1].mean())
    return float(rows[:, 0].mean()) / before - 1 if before else float("nan")


def _forbidden(people: Sequence[Person], written: dict[str, list[Written]]) -> dict[str, float]:
    """By person: does anything forbidden stand in any of the copies?"""
    return {
        person.key: float(any(leaks(person, rows[n]) for rows in written.values())) for n, person in enumerate(people)
    }


def leaks(person: Person, one: Written) -> list[str]:
    """What must not be told and is."""
    said = attributes.sentences(one.sections)
    return [attribute.id for attribute in person.forbidden if attributes.told(attribute, said)]


def _quality(people: Sequence[Person], rows: Sequence[Written], suffix: str, seed: int) -> list[Metric]:
    keys = [person.key for person in people]
    claims = [(key, one.report) for key, one in zip(keys, rows, strict=True) if one.report and one.report.claims]
    supported = {
        key: sum(c.status == "supported" for c in report.claims) / len(report.claims) for key, report in claims
    }
    surprise = {key: one.surprise for key, one in zip(keys, rows, strict=True) if one.surprise is not None}
    metrics = [mean_of(f"usable{suffix}", {key: float(one.usable) for key, one in zip(keys, rows, strict=True)}, seed)]
    if supported:
        metrics.append(mean_of(f"claims_supported{suffix}", supported, seed))
    if surprise:
        metrics.append(mean_of(f"surprise{suffix}", surprise, seed, higher_is_better=False,
                               note="nats a token to the served model: lower reads more fluently"))  # fmt: skip
    return metrics


def _found(people: Sequence[Person], seed: int) -> Metric:
    hits = {person.key: float(person.found.offer_id == person.offer.offer_id) for person in people}
    return mean_of("record_found", hits, seed, note="the right record is the first hit for the product's name")


def shown(people: Sequence[Person], written: dict[str, list[Written]]) -> list[Case]:
    """The worst and the best, each written without and with what is known of the reader."""
    recall = recalls(people, written["both"])
    scored = sorted(
        (n for n, person in enumerate(people) if person.key in recall),
        key=lambda n: (-len(leaks(people[n], written["both"][n])), recall[people[n].key], people[n].key),
    )
    half = min(_SHOWN, (len(scored) + 1) // 2)
    return [
        _case(people[n], written["retrieval"][n], written["both"][n], recall) for n in [*scored[:half], *scored[-half:]]
    ]


def _case(person: Person, without: Written, with_profile: Written, recall: dict[str, float]) -> Case:
    said = attributes.sentences(with_profile.sections)
    told = [one.id for one in person.useful if attributes.told(one, said)]
    missed = [one.id for one in person.useful if not attributes.told(one, said)]
    leaked = leaks(person, with_profile)
    parts = [f"told: {', '.join(told)}" if told else "", f"missed: {', '.join(missed)}" if missed else "",
             f"FORBIDDEN: {', '.join(leaked)}" if leaked else ""]  # fmt: skip
    return Case(
        id=person.key, value=recall[person.key], note=" · ".join(filter(None, parts)),
        text="; ".join(fact.text for fact in person.context.facts[:6]) or "no consent: nothing is known",
        beside={"without the profile": _read(without), "with the profile": _read(with_profile)},
    )  # fmt: skip


def _read(one: Written) -> str:
    return f"{one.sections.headline}\n{one.sections.body}" if one.variant else "nothing could be served"
