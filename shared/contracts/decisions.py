"""What to say to whom: the proposition request and answer (field names after Adobe's experience decisioning)."""

from typing import Annotated, Any

import msgspec

from shared.contracts.approval import Provenance
from shared.contracts.base import Contract, Id, Locale, Scalar, Tag, Timestamp
from shared.contracts.generation import Material
from shared.contracts.profiles import Channel, IdentityMap

PAGE_LENGTH = 2000
ITEM_SCHEMA = "https://ns.adobe.com/personalization/json-content-item"


class DecisionRequest(Contract, kw_only=True):
    """Which offers for this person, here and now? `limit` items for each scope (placement), none twice.

    `at` defaults to now; candidates default to the whole catalog. `explore` false takes the best without chance (for
    previews and batches whose answers nobody learns from).
    """

    profile_id: Id | None = None
    identity_map: IdentityMap = {}
    scopes: Annotated[list[Tag], msgspec.Meta(min_length=1, max_length=10)] = msgspec.field(
        default_factory=lambda: ["default"]
    )
    channel: Channel = "email"
    locale: Locale | None = None
    device: Tag | None = None
    page: Annotated[str, msgspec.Meta(max_length=PAGE_LENGTH)] | None = None
    attributes: Annotated[dict[Tag, Scalar], msgspec.Meta(max_length=100)] = {}
    limit: Annotated[int, msgspec.Meta(ge=1, le=30)] = 3
    at: Timestamp | None = None
    candidate_ids: Annotated[list[Id], msgspec.Meta(max_length=500)] = []
    exclude_ids: Annotated[list[Id], msgspec.Meta(max_length=500)] = []
    explore: bool = True


class Content(Contract, kw_only=True):
    """What to show: the approved copy, or the offer's own words when no copy is approved for it yet.

    `provenance` of copy: whether a model wrote it, and all that it was made of.
    """

    sections: dict[str, str]
    variant_id: str | None
    approved: bool
    provenance: Provenance | None = None


class ItemData(Contract, kw_only=True):
    """The data of a proposition item."""

    content: Content


class ItemCharacteristics(Contract, kw_only=True):
    """Send `tokens` back unaltered with every outcome of the item."""

    tokens: list[str]


class RankingDetail(Contract, kw_only=True):
    """How the item was ranked; `traffic_type`: exploit, explore, fallback or holdout."""

    strategy_id: str = msgspec.field(name="strategyID")
    algorithm_id: str = msgspec.field(name="algorithmID")
    step: str
    traffic_type: str


class ItemSelection(Contract, kw_only=True):
    """Adobe's `itemSelection`."""

    ranking_detail: RankingDetail


class PropositionItem(Contract, kw_only=True):
    """One offer to show. `probability`: with which chance it was drawn for this slot, given the slots before."""

    id: str
    schema: str
    data: ItemData
    characteristics: ItemCharacteristics
    item_selection: ItemSelection
    name: str
    rank: int
    score: float
    probability: float
    propensity: float
    uplift: float | None
    asset_id: str | None
    reasons: list[str]


class DecisionProvider(Contract, kw_only=True):
    """Adobe's reference object."""

    id: str


class ScopeDetails(Contract, kw_only=True):
    """Adobe's `scopeDetails`."""

    decision_provider: str
    correlation_id: str = msgspec.field(name="correlationID")
    decision_policy: DecisionProvider
    placement: DecisionProvider
    characteristics: dict[str, str] = {}


class Proposition(Contract, kw_only=True):
    """The items for one scope."""

    id: str
    scope: str
    scope_details: ScopeDetails
    items: list[PropositionItem]


class ArmAssignment(Contract, kw_only=True):
    """Which arm of which experiment the person is in."""

    experiment_key: str
    arm: str
    is_control: bool = False


class Decision(Contract, kw_only=True):
    """The answer. `degraded` says why it is less than asked for; `reason` why there is no item."""

    id: str
    profile_id: str
    propositions: list[Proposition]
    policy_version: str
    model_version: str
    rules_version: str
    catalog_version: str
    index_version: str
    holdout: bool
    experiments: list[ArmAssignment]
    degraded: list[str]
    reason: str | None
    took_ms: float

    @property
    def items(self) -> list[PropositionItem]:
        """The items of all scopes."""
        return [item for proposition in self.propositions for item in proposition.items]


class Candidate(Contract, kw_only=True):
    """One candidate as the log keeps it: its score and probability (of the first slot), or the stage that removed it."""

    offer_id: str
    score: float
    probability: float
    removed_by: str | None = None


class LoggedPick(Contract, kw_only=True):
    """One slot of a logged decision."""

    scope: str
    slot: int
    offer_id: str
    score: float
    probability: float
    propensity: float
    uplift: float | None
    variant_id: str | None
    fallback: bool
    reasons: list[str]


class DecisionRecord(Contract, kw_only=True):
    """A logged decision. `funnel`: how many offers were left after each stage; `features`: values that were read."""

    id: str
    time: Timestamp
    profile_id: str
    channel: str
    locale: str
    scopes: list[str]
    seed: str
    versions: dict[str, str]
    funnel: dict[str, int]
    candidates: list[Candidate]
    picks: list[LoggedPick]
    features: dict[str, Any]
    holdout: str
    experiments: list[ArmAssignment]
    degraded: list[str]


class Replay(Contract, kw_only=True):
    """A decision made again from its log: `identical` means bit for bit; else `differs` names what is not."""

    id: str
    identical: bool
    differs: list[str]
    compared: dict[str, int]


class Explanation(Contract, kw_only=True):
    """Why an offer was or was not picked. `lead`: term by term, by how much the first pick's ln(score) is ahead.

    `residual`: what the contributions leave unexplained of ln(score), below 1e-6.
    """

    id: str
    offer_id: str
    verdict: str
    removed_by: str | None
    details: list[str]
    score: float
    probability: float
    rank: int | None
    contributions: dict[str, float]
    lead: dict[str, float]
    residual: float
    features: dict[str, float]


class LogRow(Contract, kw_only=True):
    """One slot of the log as an estimator needs it: what was shown with which probability, what a policy would do.

    `space`: what the entries of `x` are, see `LogPage`. `target`: the candidate policy's conditional probability of the
    shown item; `expected`: its probabilities over the eligible offers of the slot, beside `offers`, and `estimates`, the
    logged model's propensities of the same offers.
    """

    decision_id: str
    time: Timestamp
    space: str
    slot: int
    offer_id: str
    logging: float
    target: float
    reward: float
    value: float
    x: list[float]
    offers: list[str]
    expected: list[float]
    estimates: list[float]


class LogQuery(Contract, kw_only=True):
    """Logged decisions in [start, end) with their rewards, beside what a candidate policy (JSON merge patch) would do.

    `share`: about this share of them, the same ones each time; `newestFirst`: else the oldest come first.
    """

    start: Timestamp
    end: Timestamp
    policy: dict[str, Any] = {}
    share: Annotated[float, msgspec.Meta(gt=0, le=1)] = 1.0
    newest_first: bool = False
    cursor: str | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=2000)] = 500


class LogPage(Contract, kw_only=True):
    """A page of the log; `skipped` counts decisions that no chance was in or that cannot be replayed, by reason.

    `spaces`: space -> names of the inputs in the order of `x`, unless the query's policy changes the features.
    """

    rows: list[LogRow]
    cursor: str | None
    skipped: dict[str, int]
    spaces: dict[str, list[str]] = {}


class DecisionsErased(Contract, kw_only=True):
    """How many decisions of a profile were erased."""

    rows: int


class MaterialRequest(Contract, kw_only=True):
    """Assemble what the writer needs for these offers and this person."""

    profile_id: Id | None = None
    identity_map: IdentityMap = {}
    offer_ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=20)]
    channel: Channel = "email"
    locale: Locale | None = None
    at: Timestamp | None = None


class MaterialAnswer(Contract, kw_only=True):
    """One material per offer, in order. `index_version`: of the index that found pictures, empty when none was searched."""

    materials: list[Material]
    degraded: list[str]
    index_version: str = ""
