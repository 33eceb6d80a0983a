"""Copy on its way to being seen: draft -> checked -> approved or rejected -> live -> retired, with who, when and why."""

from typing import Annotated, Literal

import msgspec

from shared.contracts.base import Contract, Id, Locale, Name, Page, Tag, Timestamp, Value
from shared.contracts.generation import Material, Sections, Usage, Variant, VariantSource
from shared.contracts.governance import CheckReport
from shared.contracts.profiles import Channel

CopyState = Literal["draft", "checked", "approved", "rejected", "live", "retired"]
Actor = Annotated[
    str, msgspec.Meta(min_length=1, max_length=200, description="Who did it, as your system names people")
]
# The IPTC's Digital Source Type NewsCodes, which C2PA's content credentials use too.
DigitalSource = Literal[
    "trainedAlgorithmicMedia", "compositeWithTrainedAlgorithmicMedia", "algorithmicMedia", "humanEdits", "digitalCreation"
]  # fmt: skip


class RequiredFact(Value, frozen=True, kw_only=True):
    """A fact about a person that copy speaks of: only who has it, in these words and consented, may be shown the copy."""

    name: Name
    text: Annotated[str, msgspec.Meta(max_length=500)]


class Provenance(Contract, kw_only=True):
    """Where a piece of copy comes from, for machines: the mark of what a model wrote, and every version that made it.

    `ai_generated`: a model wrote it, or a part of it that a person then edited. `source_ids`: records and facts that were
    given to the writer. `checker`: the version of rules and claim checker of the last report.
    """

    ai_generated: bool
    digital_source_type: DigitalSource
    model_version: str = ""
    prompt_version: str = ""
    index_version: str = ""
    source_ids: list[str] = []
    seed: int | None = None
    checker: str = ""


def provenance_of(variant: Variant, index_version: str = "") -> Provenance:
    """Where a variant comes from. Code fills in the figures around a model's lines, so model copy is a composite."""
    model = variant.source != "template"
    source: DigitalSource = "compositeWithTrainedAlgorithmicMedia" if model else "algorithmicMedia"
    return Provenance(
        ai_generated=model, digital_source_type=source, model_version=variant.model_version,
        prompt_version=variant.prompt_version, index_version=index_version, source_ids=variant.context_ids, seed=variant.seed,
    )  # fmt: skip


class Step(Contract, kw_only=True):
    """One step of a piece of copy: who, when, why, from where to where, on which text (a hash of its sections)."""

    number: int
    time: Timestamp
    actor: str
    key_id: str
    action: Literal["created", "edited", "moved", "rechecked"]
    before: CopyState | None
    after: CopyState
    reason: str
    text_hash: str


class StoredCopy(Contract, kw_only=True):
    """A piece of copy with its checks and where it stands. `personal`: written for one person, gone when they are erased.

    `revision` counts texts; `authors`: who wrote or edited the present one. `statement`: the version of what the offer said
    when the copy was last checked; a decision serves it only while the offer still says so. `material`: what the writer was
    given, without names of people.
    """

    copy_id: Id
    offer_id: Id
    channel: Channel
    locale: Locale
    sections: Sections
    state: CopyState
    revision: int
    authors: list[str]
    source: VariantSource | Literal["person"]
    provenance: Provenance
    report: CheckReport
    statement: str
    required_facts: list[RequiredFact]
    personal: bool
    created_at: Timestamp
    updated_at: Timestamp
    usage: Usage = msgspec.field(default_factory=Usage)
    material: Material | None = None
    history: list[Step] = []


class CopyPage(Page, kw_only=True):
    """A page of stored copy in the order of its ids, without material and history unless asked for."""

    copies: list[StoredCopy]


class CopyQuery(Contract, kw_only=True):
    """Which stored copy: every given condition must hold. `details`: with material and history."""

    states: list[CopyState] = []
    offer_ids: Annotated[list[Id], msgspec.Meta(max_length=500)] = []
    copy_ids: Annotated[list[Id], msgspec.Meta(max_length=500)] = []
    prompt_version: Annotated[str, msgspec.Meta(max_length=200)] | None = None
    since: Timestamp | None = None
    details: bool = False
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 100


class WrittenCopy(Contract, kw_only=True):
    """Copy that a person wrote for an offer."""

    copy_id: Id | None = None
    offer_id: Id
    channel: Channel = "email"
    locale: Locale = "en-US"
    sections: Sections
    by: Actor
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class GeneratedCopy(Contract, kw_only=True):
    """Copy that generation wrote, to be kept (service-internal). `personal`: for the material's person alone."""

    material: Material
    channel: Channel
    locale: Locale
    sections: Sections
    source: VariantSource
    provenance: Provenance
    usage: Usage
    facts: list[RequiredFact] = []
    personal: bool = True


class GeneratedCopies(Contract, kw_only=True):
    """Up to 500 pieces at once."""

    copies: Annotated[list[GeneratedCopy], msgspec.Meta(min_length=1, max_length=500)]


class EditCopy(Contract, kw_only=True):
    """Change the text; the checks run again and the copy is approved no more. `revision`: the text that was read."""

    sections: Sections
    by: Actor
    revision: Annotated[int, msgspec.Meta(ge=1)]
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class MoveCopy(Contract, kw_only=True):
    """Approve, reject, publish or retire the text of a revision. A rejection needs a reason."""

    to: Literal["approved", "rejected", "live", "retired"]
    by: Actor
    revision: Annotated[int, msgspec.Meta(ge=1)]
    reason: Annotated[str, msgspec.Meta(max_length=1000)] = ""


class RecheckCopy(Contract, kw_only=True):
    """Check copy again against what its offers say now: the named offers', or all that is approved or live."""

    offer_ids: Annotated[list[Id], msgspec.Meta(max_length=500)] = []


class Rechecked(Contract, kw_only=True):
    """How many pieces were checked; which of them no longer pass and were taken back to `draft`."""

    checked: int
    withdrawn: list[str]


class LiveCopy(Contract, kw_only=True):
    """A live piece of copy as a decision needs it."""

    variant_id: Id
    offer_id: Id
    channel: Channel
    locale: Locale
    sections: dict[Tag, str]
    statement: str
    prompt_version: str = ""
    required_facts: list[RequiredFact] = []
    provenance: Provenance


class LiveCopies(Contract, kw_only=True):
    """All live copy that is not personal, and its version; no copies when the caller has this version already."""

    version: str
    copies: list[LiveCopy] | None


class CopyErased(Contract, kw_only=True):
    """How many pieces of copy were written for a person who is erased."""

    rows: int
