"""Words: what the writer is given, what it gives back, and how every claim in it was checked."""

from typing import Annotated, Literal

import msgspec

from shared.contracts.base import Contract, Id, Locale, Tag
from shared.contracts.catalog import Brand, Offer, StoredAsset
from shared.contracts.claims import Claim
from shared.contracts.profiles import Channel, Fact, IdentityMap, ProfileContext

SECTIONS = ("subject", "preheader", "headline", "body", "cta")
VariantSource = Literal["model", "repaired", "template"]
# Most characters of each section on a channel; 0 where the channel has no such part.
CHANNEL_LIMITS: dict[Channel, dict[str, int]] = {
    "email": {"subject": 60, "preheader": 90, "headline": 60, "body": 1200, "cta": 25},
    "push": {"subject": 0, "preheader": 0, "headline": 50, "body": 178, "cta": 20},
    "sms": {"subject": 0, "preheader": 0, "headline": 0, "body": 918, "cta": 0},
    "web": {"subject": 0, "preheader": 0, "headline": 60, "body": 400, "cta": 25},
}


class Sections(Contract, kw_only=True):
    """The parts of one piece of copy. A channel that has no such part leaves it empty."""

    subject: str = ""
    preheader: str = ""
    headline: str = ""
    body: str = ""
    cta: str = ""


class ChannelFit(Contract, kw_only=True):
    """How the copy fits its channel; for SMS the encoding and the number of segments (3GPP TS 23.038)."""

    fits: bool
    lengths: dict[str, int]
    limits: dict[str, int]
    encoding: Literal["GSM-7", "UCS-2"] | None = None
    segments: int | None = None


class Usage(Contract, kw_only=True):
    """Cost of the model calls behind one variant."""

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


class Variant(Contract, kw_only=True):
    """One piece of copy that passed its checks. `source` template: approved fallback copy, not written by a model.

    `copy_id`: where it is kept for approval, if it was to be kept. `passed` of `tested` claims and rules; `warnings`: rules of
    style that it breaks without being held back for it, and what could not be looked at.
    """

    id: str
    sections: Sections
    claims: list[Claim]
    source: VariantSource
    channel_fit: ChannelFit
    seed: int
    model_version: str
    prompt_version: str
    context_ids: list[str]
    repairs: int
    usage: Usage
    rejected: list[Claim] = []
    copy_id: str | None = None
    passed: int = 0
    tested: int = 0
    warnings: list[str] = []


class Material(Contract, kw_only=True):
    """All that the writer may use: nothing else reaches the prompt. Assembled by the conductor, consent applied."""

    profile: ProfileContext
    offer: Offer
    brand: Brand
    asset: StoredAsset | None = None


class WriteRequest(Contract, kw_only=True):
    """Write copy for one offer to one person (service-internal).

    `candidates`: answers asked for in a call; `attempts`: calls at most, until an answer passes. The settings say how many where
    they are left out.
    """

    material: Material
    placement: Tag = "default"
    channel: Channel = "email"
    locale: Locale = "en-US"
    max_variants: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    deadline_ms: Annotated[int, msgspec.Meta(ge=100, le=120_000)] = 20_000
    candidates: Annotated[int, msgspec.Meta(ge=1, le=8)] | None = None
    attempts: Annotated[int, msgspec.Meta(ge=1, le=10)] | None = None


class LessonPiece(Contract, kw_only=True):
    """A finished piece of copy and the material that it was written from."""

    material: Material
    channel: Channel = "email"
    sections: Sections


class LessonRequest(Contract, kw_only=True):
    """What would the model have had to be asked, and to answer, for these pieces (service-internal)?"""

    pieces: Annotated[list[LessonPiece], msgspec.Meta(min_length=1, max_length=64)]


class Lesson(Contract, kw_only=True):
    """What the model is asked, as messages in the chat form, and the answer that becomes exactly this piece.

    `answer` is None where no answer does: a person changed what code fills in, the channel has none of the model's words,
    or the piece speaks of a reader.
    """

    messages: list[dict[str, str]]
    answer: str | None


class Lessons(Contract, kw_only=True):
    """One lesson a piece, in their order, and the prompt that is served."""

    prompt_version: str
    lessons: list[Lesson]


class RelevanceRequest(Contract, kw_only=True):
    """Which of these facts would matter for copy about an offer (service-internal)?"""

    offer: Offer
    facts: Annotated[list[Fact], msgspec.Meta(max_length=2000)]


class Relevance(Contract, kw_only=True):
    """A weight for each fact, in their order; 0: it would not be used."""

    weights: list[float]
    budget_tokens: int


class Copy(Contract, kw_only=True):
    """Variants for one offer, best first. `degraded` lists why the answer is less than what was asked."""

    offer_id: str
    asset_id: str | None
    variants: list[Variant]
    degraded: list[str]
    took_ms: float


class GenerateRequest(Contract, kw_only=True):
    """Public: copy for one or more named offers for one person. `keep`: store it for approval, see `/v1/copy`."""

    profile_id: Id | None = None
    identity_map: IdentityMap = {}
    offer_ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=20)]
    placement: Tag = "default"
    channel: Channel = "email"
    locale: Locale | None = None
    max_variants: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    deadline_ms: Annotated[int, msgspec.Meta(ge=100, le=120_000)] = 20_000
    keep: bool = False


class RankedRequest(Contract, kw_only=True):
    """Public: pick the best `limit` offers for one person and write copy for each. `keep`: as above."""

    profile_id: Id | None = None
    identity_map: IdentityMap = {}
    limit: Annotated[int, msgspec.Meta(ge=1, le=20)] = 3
    placement: Tag = "default"
    channel: Channel = "email"
    locale: Locale | None = None
    max_variants: Annotated[int, msgspec.Meta(ge=1, le=8)] = 1
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0
    deadline_ms: Annotated[int, msgspec.Meta(ge=100, le=120_000)] = 30_000
    keep: bool = False


class GenerateAnswer(Contract, kw_only=True):
    """Copy per offer in the order asked for or ranked, and what was known of the person."""

    profile_id: str
    personalized: bool
    copies: list[Copy]
    degraded: list[str]
    decision_id: str | None = None


class TemplateList(Contract, kw_only=True):
    """The approved fallback templates: name -> version."""

    templates: dict[str, str]
