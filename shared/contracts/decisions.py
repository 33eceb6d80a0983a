"""What to say to whom: the proposition request and answer (field names after Adobe's experience decisioning)."""

from typing import Annotated

import msgspec

from shared.contracts.base import Contract, Id, Locale, Tag, Timestamp
from shared.contracts.generation import Material
from shared.contracts.profiles import Channel, IdentityMap


class DecisionRequest(Contract, kw_only=True):
    """Which offers for this person, here and now? `at` defaults to now; candidates default to the whole catalog."""

    profile_id: Id | None = None
    identity_map: IdentityMap = {}
    placement: Tag = "default"
    channel: Channel = "email"
    locale: Locale | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=30)] = 3
    at: Timestamp | None = None
    candidate_ids: Annotated[list[Id], msgspec.Meta(max_length=500)] = []
    exclude_ids: Annotated[list[Id], msgspec.Meta(max_length=500)] = []


class PropositionItem(Contract, kw_only=True):
    """One offer of a proposition with the asset to show and how it was ranked."""

    id: str
    rank: int
    score: float
    probability: float
    asset_id: str | None
    reasons: list[str]
    name: str


class Candidate(Contract, kw_only=True):
    """One candidate as the log keeps it: its score and probability, or the stage that removed it."""

    offer_id: str
    score: float
    probability: float
    removed_by: str | None = None


class Proposition(Contract, kw_only=True):
    """The answer. `degraded` says why it is less than asked for; `reason` why there is no item."""

    id: str
    scope: str
    profile_id: str
    items: list[PropositionItem]
    policy_version: str
    index_version: str
    degraded: list[str]
    reason: str | None
    took_ms: float


class DecisionRecord(Contract, kw_only=True):
    """A logged decision."""

    id: str
    time: Timestamp
    request: DecisionRequest
    profile_id: str
    candidates: list[Candidate]
    proposition: Proposition


class MaterialRequest(Contract, kw_only=True):
    """Assemble what the writer needs for these offers and this person."""

    profile_id: Id | None = None
    identity_map: IdentityMap = {}
    offer_ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=20)]
    channel: Channel = "email"
    locale: Locale | None = None
    at: Timestamp | None = None


class MaterialAnswer(Contract, kw_only=True):
    """One material per offer, in order."""

    materials: list[Material]
    degraded: list[str]
