"""Written copy as it goes to governance, to be kept for approval. Pure."""

from collections.abc import Iterable

import msgspec

from shared.contracts.approval import GeneratedCopy, RequiredFact, provenance_of
from shared.contracts.generation import Copy, Material, Variant
from shared.contracts.profiles import Channel

_FACT = "profile.facts."


def generated(variant: Variant, material: Material, channel: Channel, locale: str, index_version: str) -> GeneratedCopy:
    """A variant with where it comes from. It is a person's own only where it was written from facts about them."""
    used = {key.removeprefix(_FACT) for key in variant.context_ids if key.startswith(_FACT)}
    facts = [RequiredFact(name=fact.name, text=fact.text) for fact in material.profile.facts if fact.name in used]
    return GeneratedCopy(
        material=material, channel=channel, locale=locale, sections=variant.sections, source=variant.source,
        provenance=provenance_of(variant, index_version), usage=variant.usage, facts=facts, personal=bool(facts),
    )  # fmt: skip


def with_ids(copies: Iterable[Copy], copy_ids: Iterable[str]) -> list[Copy]:
    """The copies with the ids that their variants are kept under, one id a variant in their order."""
    ids = iter(copy_ids)
    return [
        msgspec.structs.replace(
            copy, variants=[msgspec.structs.replace(variant, copy_id=next(ids)) for variant in copy.variants]
        )
        for copy in copies
    ]
