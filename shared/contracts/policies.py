"""How decisions are made, as data: eligibility rules, contact policy, arbitration, exploration, rewards."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec

from shared.contracts.base import Contract, Currency, FieldError, Id, Money, Name, Tag, Timestamp, Value
from shared.contracts.profiles import Channel

Window = Literal["day", "week", "lifetime"]
ExplorationKind = Literal["none", "epsilon", "squarecb", "thompson", "uniform"]
OutcomeKind = Literal["display", "interact", "dismiss", "convert"]
Weight = Annotated[float, msgspec.Meta(ge=0, le=5)]
ModelKey = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$", description="Name of a model within its tenant")
]
ScorerId = Annotated[str, msgspec.Meta(max_length=200)]
ClockTime = Annotated[str, msgspec.Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$", description="HH:MM, local to the person")]


class OfferCap(Value, frozen=True, kw_only=True):
    """At most `limit` propositions of one offer to one person in a calendar day, a calendar week, or ever."""

    window: Window
    limit: Annotated[int, msgspec.Meta(ge=0, le=10_000)]


class Cap(OfferCap, frozen=True, kw_only=True):
    """A cap of the policy: on every single offer, on all offers of a collection together, or on a channel's contacts.

    `name` is the collection or the channel; left out, the cap holds for each of them.
    """

    scope: Literal["offer", "collection", "channel"]
    name: Tag | None = None


class QuietHours(Value, frozen=True, kw_only=True):
    """No proposition on these channels between two clock times in the person's own time zone; may pass midnight."""

    channels: list[Channel]
    start: ClockTime
    end: ClockTime


class Suppression(Value, frozen=True, kw_only=True):
    """After this happened, the offer (or all of its category) rests for some days."""

    after: Literal["convert", "dismiss"]
    days: Annotated[float, msgspec.Meta(gt=0, le=3650)]
    scope: Literal["offer", "category"] = "offer"


class ContactPolicy(Value, frozen=True, kw_only=True):
    """How often, when, and when not again."""

    caps: Annotated[list[Cap], msgspec.Meta(max_length=50)] = []
    quiet_hours: Annotated[list[QuietHours], msgspec.Meta(max_length=10)] = []
    suppressions: Annotated[list[Suppression], msgspec.Meta(max_length=10)] = []


class Arbitration(Value, frozen=True, kw_only=True):
    """Exponents of score = P^p x C^c x V^v x L^l; `use_uplift` puts the uplift in the place of P where one is known.

    With `minimum_uplift`, people whom an offer would move less than that are not given it (sleeping dogs at 0).
    """

    propensity: Weight = 1.0
    context: Weight = 1.0
    value: Weight = 1.0
    lever: Weight = 1.0
    use_uplift: bool = False
    minimum_uplift: Annotated[float, msgspec.Meta(ge=-1, le=1)] | None = None


class Exploration(Value, frozen=True, kw_only=True):
    """How chance enters. `epsilon`: share given to all eligible alike; `gamma`: SquareCB's rate, the larger the greedier;
    `scale`: standard deviations of the posterior (Thompson), `draws`: posterior draws the probabilities come from.
    """

    kind: ExplorationKind = "epsilon"
    epsilon: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.1
    gamma: Annotated[float, msgspec.Meta(gt=0, le=1e6)] = 100.0
    scale: Annotated[float, msgspec.Meta(gt=0, le=10)] = 0.3
    draws: Annotated[int, msgspec.Meta(ge=8, le=512)] = 48


class RewardPlan(Value, frozen=True, kw_only=True):
    """What counts as success, how long to wait for it, and in which currency values are added up.

    An item without the objective `wait_seconds` after its decision gets the default reward 0; a late success corrects it.
    `rates`: how much of `currency` one unit of another currency is worth.
    """

    objective: Literal["interact", "convert"] = "interact"
    wait_seconds: Annotated[int, msgspec.Meta(ge=1, le=90 * 86_400)] = 86_400
    currency: Currency = "USD"
    rates: dict[Currency, Annotated[float, msgspec.Meta(gt=0, le=1e6)]] = {}


class FeatureSpec(Value, frozen=True, kw_only=True):
    """One input of the contextual model: a number, (value - mean) / scale, clipped to +-5; or one 0/1 input a category.

    A value that is missing, not a number or not finite counts as the mean (0 after scaling) or as no category.
    """

    field: Annotated[str, msgspec.Meta(max_length=200)]
    mean: Annotated[float, msgspec.Meta(ge=-1e12, le=1e12)] = 0.0
    scale: Annotated[float, msgspec.Meta(gt=0, le=1e12)] = 1.0
    categories: Annotated[list[Name], msgspec.Meta(max_length=50)] = []


CONTEXT_INPUTS = ("bias", "channel=email", "channel=push", "channel=sms", "channel=web", "known", "night", "weekend")


def input_names(features: Sequence[FeatureSpec]) -> list[str]:
    """What scorers, the log and monitors call the inputs, in the order of the vector: the built-in ones, then the policy's."""
    found = list(CONTEXT_INPUTS)
    for spec in features:
        found += [f"{spec.field}={category}" for category in spec.categories] if spec.categories else [spec.field]
    return found


class Policy(Contract, kw_only=True):
    """All that decides between eligible offers. A stored policy never changes: a new one gets the next version.

    `scorer`: the built-in `prior`, a stored scorer's id, or the key of a model whose roll-out says which scorer decides.
    """

    policy_id: Id = "default"
    version: Annotated[int, msgspec.Meta(ge=0)] = 0
    scorer: ScorerId = "prior"
    prior: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.05
    learn: bool = True
    relevance: bool = True
    features: Annotated[list[FeatureSpec], msgspec.Meta(max_length=64)] = []
    arbitration: Arbitration = Arbitration()
    exploration: Exploration = Exploration()
    max_per_category: Annotated[int, msgspec.Meta(ge=1, le=100)] | None = 1
    contact: ContactPolicy = msgspec.field(default_factory=ContactPolicy)
    reward: RewardPlan = msgspec.field(default_factory=RewardPlan)
    fallback_offer_ids: Annotated[list[Id], msgspec.Meta(max_length=20)] = []


class Rule(Contract, kw_only=True):
    """An eligibility rule. `when` is a predicate: `{"all": [...]}`, `{"any": [...]}`, `{"not": {...}}`, `{"rule": id}` or
    `{"field": path, "op": operator, "value": ...}`; the operators and fields are in docs/decisions.md.
    """

    rule_id: Id
    name: Annotated[str, msgspec.Meta(max_length=300)] = ""
    when: dict[str, Any]


class RuleList(Contract, kw_only=True):
    """All rules of a tenant and their version (a hash of them all)."""

    rules: list[Rule]
    version: str


class DryRunRequest(Contract, kw_only=True):
    """Try a rule that is not stored yet on up to 100 people and all offers."""

    rule: Rule
    profile_ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=100)]
    channel: Channel = "web"
    placement: Tag = "default"
    at: Timestamp | None = None


class DryRunResult(Contract, kw_only=True):
    """How many offers the rule lets one person have: `unknown` are those where a value it needs is missing."""

    profile_id: str
    holds: int
    fails: int
    unknown: int


class DryRunAnswer(Contract, kw_only=True):
    """The fields the rule reads, and what it would do."""

    fields: list[str]
    results: list[DryRunResult]


class ScorerModel(Contract, kw_only=True):
    """A stored scorer. `linear`: `{"intercept", "weights": {feature: w}, "offers": {offerId: {"intercept", "weights"}},
    "control": {...same without offers}}`, a logistic model per offer and, for uplift, of the untreated; `trees`:
    `{"model", "control"?}`, LightGBM text models (objective binary) whose inputs are named as the policy's features are,
    or `offer.FIELD` (a number) or `offer.FIELD=VALUE`.
    """

    model_id: Id
    kind: Literal["linear", "trees"]
    body: dict[str, Any]


class Rollout(Contract, kw_only=True):
    """Which scorers decide where a policy names `model_key` as its scorer. Ids of scorers; empty: none.

    `live` decides; `previous` where what is stored of `live` is damaged, the policy's prior when that fails too. A known
    person whose hash with `salt` lies below `share` is decided for by `challenger`. `digests`: what each scorer was when
    the roll-out named it; filled in by decisions.
    """

    model_key: ModelKey
    live: ScorerId = ""
    previous: ScorerId = ""
    challenger: ScorerId = ""
    share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.0
    salt: Annotated[str, msgspec.Meta(max_length=200)] = ""
    digests: dict[str, str] = {}


class RolloutList(Contract, kw_only=True):
    """All roll-outs of a tenant."""

    rollouts: list[Rollout]


class ScorerTiming(Contract, kw_only=True):
    """How long a scorer takes for all live offers of the tenant and one person, in milliseconds of one thread."""

    offers: int
    runs: int
    median_ms: float
    p95_ms: float


class ArmsQuery(Contract, kw_only=True):
    """How do a challenger and the live one do since a time? `sample`: newest decisions an arm that are looked into."""

    challenger: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    since: Timestamp
    sample: Annotated[int, msgspec.Meta(ge=0, le=2000)] = 1000


class ArmFigures(Contract, kw_only=True):
    """One arm. Sums are over persons, each with the mean of their decisions: `reward` and `reward_squares` of rewards a
    decision, `dismissed` and `dismissed_squares` of dismissals a decision. Of the newest `sampled` decisions: how many were
    `degraded`; `pairs` of (propensity, reward) of shown items whose waiting time is over.
    """

    persons: int = 0
    decisions: int = 0
    reward: float = 0.0
    reward_squares: float = 0.0
    dismissed: float = 0.0
    dismissed_squares: float = 0.0
    sampled: int = 0
    degraded: int = 0
    pairs: list[tuple[float, float]] = []


class Arms(Contract, kw_only=True):
    """Both arms over the same time; people who are held out or unknown are in neither."""

    canary: ArmFigures
    live: ArmFigures


class LogStart(Contract, kw_only=True):
    """From when on the log has the asked number of decisions (or all it has), and how many that are."""

    start: Timestamp | None
    decisions: int


class Outcome(Contract, kw_only=True):
    """What became of one proposed item. `token` is the item's own; the same `idempotency_key` twice counts once, and may not
    be used for anything else.

    An item converts once; `order_id` says which order a `convert` is about, so that a second purchase counts too.
    """

    token: Annotated[str, msgspec.Meta(min_length=10, max_length=200)]
    kind: OutcomeKind
    idempotency_key: Id
    time: Timestamp | None = None
    value: Money | None = None
    order_id: Id | None = None


class OutcomeBatch(Contract, kw_only=True):
    """Up to 1,000 outcomes."""

    outcomes: Annotated[list[Outcome], msgspec.Meta(min_length=1, max_length=1000)]


class OutcomesStored(Contract, kw_only=True):
    """What was new, known before, or refused (by index, with the reason)."""

    stored: int
    duplicates: int
    rejected: int
    errors: list[FieldError] = []


class SettleRequest(Contract, kw_only=True):
    """Give the default reward to what has waited long enough at this time (default: now)."""

    as_of: Timestamp | None = None


class Settled(Contract, kw_only=True):
    """How many items got the default reward."""

    items: int
