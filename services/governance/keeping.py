"""Copy as it is kept: made of what generation or a person wrote, edited, checked again, served. Pure."""

import datetime as dt
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

import msgspec

from services.governance import approval, checking
from shared.contracts.approval import EditCopy, GeneratedCopy, LiveCopy, Provenance, StoredCopy, WrittenCopy
from shared.contracts.catalog import Brand, Offer, statement_version
from shared.contracts.generation import SECTIONS, Material
from shared.contracts.governance import CheckReport
from shared.contracts.profiles import ProfileContext

_ANYBODY = "anybody"
_SOURCES = (".py", ".yaml", ".txt")


@lru_cache(maxsize=1)
def checker_version() -> str:
    """A hash of the checker's code, rules and word lists."""
    digest = hashlib.sha256()
    root = files("services.governance")
    for folder in (root, root / "claims", root / "claims" / "languages"):
        for file in sorted((f for f in folder.iterdir() if f.name.endswith(_SOURCES)), key=lambda f: f.name):
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    digest.update(files("shared").joinpath("folding.py").read_bytes())
    return digest.hexdigest()[:12]


def impersonal(offer: Offer, brand: Brand, locale: str) -> Material:
    """Material about an offer and nobody in particular."""
    nobody = ProfileContext(profile_id=_ANYBODY, known=False, personalize=False, contactable=True, reason=None, locale=locale,
                            time_zone=offer.time_zone)  # fmt: skip
    return Material(profile=nobody, offer=offer, brand=brand)


def of_generated(copies: Sequence[GeneratedCopy], at: dt.datetime) -> list[tuple[StoredCopy, str | None]]:
    """Each piece as it is stored, and of whom it is (None: of nobody). The id is made of the text and what it is about."""
    return [_of_generated(made, at) for made in copies]


def _of_generated(made: GeneratedCopy, at: dt.datetime) -> tuple[StoredCopy, str | None]:
    offer, person = made.material.offer, made.material.profile
    profile_id = person.profile_id if made.personal else None
    material = _kept(made)
    report = checking.of_one(material, made.sections, made.channel, made.locale)
    about = [
        made.sections,
        offer.offer_id,
        made.channel,
        made.locale,
        profile_id,
        made.facts,
        made.provenance.prompt_version,
    ]
    one = StoredCopy(
        copy_id=hashlib.sha256(msgspec.json.encode(about)).hexdigest()[:24], offer_id=offer.offer_id, channel=made.channel,
        locale=made.locale, sections=made.sections, state=approval.checked_state(report), revision=1,
        authors=[approval.MODEL_ACTOR], source=made.source, report=report, statement=statement_version(offer),
        provenance=msgspec.structs.replace(made.provenance, checker=checker_version()), required_facts=made.facts,
        personal=made.personal, created_at=at, updated_at=at, usage=made.usage, material=material,
    )  # fmt: skip
    return one, profile_id


def _kept(made: GeneratedCopy) -> Material:
    """What is kept of the material: of the person only the facts that the copy was given, no name, no exclusions."""
    person, wanted = made.material.profile, {(fact.name, fact.text) for fact in made.facts}
    kept = msgspec.structs.replace(
        person, profile_id=person.profile_id if made.personal else _ANYBODY, first_name=None, summary="", attributes={},
        exclude_tags=[], facts=[fact for fact in person.facts if (fact.name, fact.text) in wanted],
    )  # fmt: skip
    return msgspec.structs.replace(made.material, profile=kept)


def of_written(
    written: WrittenCopy, material: Material, report: CheckReport, copy_id: str, at: dt.datetime
) -> StoredCopy:
    """A person's text as it is stored."""
    provenance = Provenance(ai_generated=False, digital_source_type="digitalCreation", checker=checker_version(),
                            source_ids=[f"offer:{material.offer.offer_id}", f"brand:{material.brand.brand_id}"])  # fmt: skip
    return StoredCopy(
        copy_id=copy_id, offer_id=written.offer_id, channel=written.channel, locale=written.locale, sections=written.sections,
        state=approval.checked_state(report), revision=1, authors=[written.by], source="person",
        provenance=provenance, report=report, statement=statement_version(material.offer), required_facts=[], personal=False,
        created_at=at, updated_at=at, material=material,
    )  # fmt: skip


def rechecked(one: StoredCopy, offer: Offer, brand: Brand) -> StoredCopy:
    """The same text, checked against what the offer and its brand say now. Its state is the caller's matter."""
    material = one.material or impersonal(offer, brand, one.locale)
    material = msgspec.structs.replace(material, offer=offer, brand=brand)
    report = checking.of_one(material, one.sections, one.channel, one.locale)
    provenance = msgspec.structs.replace(one.provenance, checker=checker_version())
    return msgspec.structs.replace(one, report=report, statement=statement_version(offer), provenance=provenance)


def edited(one: StoredCopy, edit: EditCopy, offer: Offer, brand: Brand, at: dt.datetime) -> StoredCopy:
    """Another text by a person, checked; the mark of what a model wrote stays."""
    source = one.provenance.digital_source_type
    marked = source if source == "digitalCreation" else approval.edited_source(source)
    fresh = rechecked(msgspec.structs.replace(one, sections=edit.sections), offer, brand)
    return msgspec.structs.replace(
        fresh,
        state=approval.checked_state(fresh.report),
        revision=one.revision + 1,
        authors=list(dict.fromkeys([*one.authors, edit.by])),
        provenance=msgspec.structs.replace(fresh.provenance, digital_source_type=marked),
        updated_at=at,
    )


def served(one: StoredCopy) -> LiveCopy:
    """As a decision needs it."""
    said = {name: getattr(one.sections, name) for name in SECTIONS}
    return LiveCopy(
        variant_id=one.copy_id, offer_id=one.offer_id, channel=one.channel, locale=one.locale, statement=one.statement,
        sections={name: text for name, text in said.items() if text}, prompt_version=one.provenance.prompt_version,
        required_facts=one.required_facts, provenance=one.provenance,
    )  # fmt: skip
