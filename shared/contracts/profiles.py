"""Who the person is: identities, attributes with their origin, consents, computed facts, and what may be said."""

from typing import Annotated, Literal

import msgspec

from shared.contracts.base import Contract, Id, Locale, Name, Page, Scalar, Tag, Timestamp, Value

ConsentValue = Literal["y", "n", "u", "VI"]
Channel = Literal["email", "push", "sms", "web"]
CHANNELS: tuple[Channel, ...] = ("email", "push", "sms", "web")


class Identity(Value, frozen=True, kw_only=True):
    """One identifier of a person within a namespace (XDM `identityMap` entry)."""

    id: Name
    authenticated_state: Literal["ambiguous", "authenticated", "loggedOut"] = "ambiguous"
    primary: bool = False


IdentityMap = dict[Annotated[str, msgspec.Meta(min_length=1, max_length=64)], list[Identity]]


class Consent(Value, frozen=True, kw_only=True):
    """One consent: `val` y(es), n(o), u(nknown) or VI (vital interest), and when and why it was given."""

    val: ConsentValue = "u"
    reason: str | None = None
    time: Timestamp | None = None


class PersonalizeConsent(Value, frozen=True, kw_only=True):
    """May content be personalised for this person?"""

    content: Consent = Consent()


class MarketingConsent(Value, frozen=True, kw_only=True):
    """May this person be written to: over any channel, and over each one."""

    preferred: Channel | None = None
    any: Consent = Consent()
    email: Consent | None = None
    push: Consent | None = None
    sms: Consent | None = None


class ConsentMetadata(Value, frozen=True, kw_only=True):
    """When the consents were last changed."""

    time: Timestamp | None = None


class Consents(Value, frozen=True, kw_only=True):
    """XDM `consents` (Consents and Preferences data type). Absent means unknown, and unknown means no."""

    collect: Consent = Consent()
    share: Consent = Consent()
    personalize: PersonalizeConsent = PersonalizeConsent()
    marketing: MarketingConsent = MarketingConsent()
    metadata: ConsentMetadata = ConsentMetadata()


# Begins the source of what a model predicted; such an attribute is for deciding, never for words.
MODEL_SOURCE = "model:"


class Attribute(Value, frozen=True, kw_only=True):
    """One attribute of a person with its provenance."""

    value: Scalar | list[str]
    source: Name = "import"
    observed_at: Timestamp | None = None


class ProfileUpsert(Contract, kw_only=True):
    """A profile as it comes in. A field left out is left as it was; `attributes` are merged key by key."""

    profile_id: Id
    identity_map: IdentityMap = {}
    attributes: dict[Name, Attribute] = {}
    consents: Consents | msgspec.UnsetType = msgspec.UNSET
    locale: Locale | msgspec.UnsetType = msgspec.UNSET
    time_zone: Name | msgspec.UnsetType = msgspec.UNSET


class Profile(Contract, kw_only=True):
    """A stored profile."""

    profile_id: str
    identity_map: IdentityMap
    attributes: dict[str, Attribute]
    consents: Consents
    locale: str
    time_zone: str
    created_at: Timestamp
    updated_at: Timestamp


class ProfilePage(Page, kw_only=True):
    """A page of profiles in the order of their ids."""

    profiles: list[Profile]


FactKind = Literal[
    "recency",
    "frequency",
    "monetary",
    "category",
    "lapsed",
    "price_sensitivity",
    "rhythm",
    "brand",
    "attribute",
]


class Fact(Value, frozen=True, kw_only=True):
    """One computed, typed and explainable statement about a person.

    `text` is a plain English sentence fit for a prompt ("Buys yogurt about every 9 days"). `name` is stable
    ("favourite_category:yogurt"), `explanation` says how it was computed, `sensitive` marks a fact that is used for
    eligibility at most and is never spoken to the customer or put into a prompt. `general` is `text` without the figures of
    this one person ("Buys yogurt often"), so that many can be spoken to in the same words; "" where there is no such form.
    """

    name: str
    kind: FactKind
    value: Scalar | list[str]
    text: str
    explanation: str
    unit: str | None = None
    subject: str | None = None
    sensitive: bool = False
    as_of: Timestamp | None = None
    general: str = ""


class ContextRequest(Contract, kw_only=True):
    """Ask what may be known of a person for a purpose, right now."""

    channel: Channel | None = None
    identity_map: IdentityMap = {}


class ContextQuery(ContextRequest, kw_only=True):
    """The same inside the suite: of the person of an id, else of whom an identity belongs to."""

    profile_id: Id | None = None


class ProfileContext(Contract, kw_only=True):
    """What may be used about a person for one call: read from the consents at that moment.

    `personalize` false: no fact, no summary, no attribute is included. `contactable` false: the channel may not be
    used for marketing at all. `reason` says why something was withheld. A person nobody has heard of is `known=False`.
    `attributes` are for eligibility rules only: the conductor strips them before anything goes to the writer.
    """

    profile_id: str
    known: bool
    personalize: bool
    contactable: bool
    reason: str | None
    locale: str
    time_zone: str
    first_name: str | None = None
    facts: list[Fact] = []
    summary: str = ""
    exclude_tags: list[str] = []
    attributes: dict[str, Scalar | list[str]] = {}


class AudienceQuery(Contract, kw_only=True):
    """Who: all given conditions must hold; none given means everybody. Whoever gave no consent to personalised content is
    chosen by nothing that is known of them, so only where no condition is given.
    """

    profile_ids: Annotated[list[Id], msgspec.Meta(max_length=5000)] = []
    segments: Annotated[list[Tag], msgspec.Meta(max_length=50)] = []
    excluded_segments: Annotated[list[Tag], msgspec.Meta(max_length=50)] = []
    attributes: Annotated[dict[Name, list[Scalar]], msgspec.Meta(max_length=20)] = {}
    facts: Annotated[list[Name], msgspec.Meta(max_length=20)] = []


class ContextsQuery(Contract, kw_only=True):
    """A page of people of an audience and what may be used about each, for a channel; `profile_ids` in the given order."""

    audience: AudienceQuery
    channel: Channel
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=500)] = 500


class ContextPage(Page, kw_only=True):
    """A page of contexts."""

    contexts: list[ProfileContext]


class FactsRefresh(Contract, kw_only=True):
    """Recompute the facts of these profiles, or of all of the tenant when none are named."""

    profile_ids: list[Id] = []


class FactsRefreshed(Contract, kw_only=True):
    """What a refresh did."""

    profiles: int
    facts: int
    seconds: float


class ProfileSummary(Contract, kw_only=True):
    """The consented text of one profile, for embedding. `content_hash` changes only when the text does."""

    profile_id: str
    text: str
    content_hash: str
    exclude_tags: list[str] = []


class ProfileSummaryPage(Page, kw_only=True):
    """A page of consented summaries; profiles without consent are listed in `withheld` so their vectors can go."""

    summaries: list[ProfileSummary]
    withheld: list[str]


class Erasure(Contract, kw_only=True):
    """The receipt of an erasure: how many rows went, and which other stores were told."""

    profile_id: str
    rows: dict[str, int]
    vectors: str
    time: Timestamp
