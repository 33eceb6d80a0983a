"""Features: numbers about people, offers and other things, counted over windows of events. A feature is data.

A view stands for one feature a window. An event at time e counts as of time t when t - window <= e < t: never one of the
same instant, never one of the future.
"""

from typing import Annotated, Literal

import msgspec

from shared.contracts.base import Contract, Id, Timestamp, Value

Entity = Literal["profile", "offer", "product", "category", "brand"]
Aggregate = Literal["count", "sum", "mean", "min", "max", "latest", "distinct", "recency"]
Measure = Literal["value", "quantity", "discount"]
Label = Literal["type", "category", "department", "brand", "product_id", "offer_id", "session_id", "currency"]
RunState = Literal["queued", "running", "done", "failed"]
Duration = Annotated[
    str, msgspec.Meta(pattern=r"^([1-9]\d{0,4}[mhd]|lifetime)$", description="15m, 24h, 28d, or lifetime")
]
ViewName = Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9_]{0,59}$", description="a-z, 0-9 and _, a letter first")]
Texts = Annotated[list[Annotated[str, msgspec.Meta(max_length=300)]], msgspec.Meta(min_length=1, max_length=100)]
Finite = Annotated[float, msgspec.Meta(ge=-1e15, le=1e15)]
MAX_ENTITIES = 1000


class Each(Value, frozen=True, kw_only=True):
    """One feature for each of these values of a label: named ones, or the `top` most frequent ones.

    Which ones are the most frequent is looked up once, when the views are first computed, and kept until asked anew.
    """

    label: Label
    values: Annotated[
        list[Annotated[str, msgspec.Meta(min_length=1, max_length=300)]], msgspec.Meta(max_length=50)
    ] = []
    top: Annotated[int, msgspec.Meta(ge=0, le=50)] = 0


class FeatureView(Value, frozen=True, kw_only=True):
    """What is counted, of which events, about whom, over which windows.

    `where`: label -> the one value or the values that an event must have. `of`: what is added up (sum, mean, min, max,
    latest) or told apart (distinct). `latest`: of the newest event that has the measure; of several at one instant, the
    largest. `recency`: days since the newest event. `ttl`: the value counts as missing when the newest event that it is
    made of is older than this. `default`: what stands for a missing value; left out, it is 0, for recency the window's
    length in days (9999 for a lifetime). No value is ever NaN.
    """

    name: ViewName
    entity: Entity = "profile"
    source: Literal["events"] = "events"
    where: dict[Label, str | Texts] = {}
    each: Each | None = None
    aggregate: Aggregate = "count"
    of: Measure | Label | None = None
    windows: Annotated[list[Duration], msgspec.Meta(min_length=1, max_length=12)]
    ttl: Duration | None = None
    default: Finite | None = None


class FeatureViews(Contract, kw_only=True):
    """All views of a tenant; put, they replace the ones before. The old ones serve until the new ones are computed."""

    views: Annotated[list[FeatureView], msgspec.Meta(min_length=1, max_length=200)]


class FeatureInfo(Contract, kw_only=True):
    """One feature as rules, policies and frames name it."""

    name: str
    view: str
    entity: Entity
    aggregate: Aggregate
    window: str
    default: float


class ViewsAnswer(Contract, kw_only=True):
    """The views as stored, and the features of the ones that serve now.

    `version` is a hash of the views that serve, "" while none do; `stored_version` of those stored last.
    """

    views: list[FeatureView]
    stored_version: str
    version: str
    features: list[FeatureInfo]
    computed_at: Timestamp | None = None


class OnlineQuery(Contract, kw_only=True):
    """The features of up to 1,000 entities as of `at` (left out: now)."""

    entity: Entity = "profile"
    ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=MAX_ENTITIES)]
    at: Timestamp | None = None
    features: Annotated[list[str], msgspec.Meta(max_length=500)] = []


class OnlineAnswer(Contract, kw_only=True):
    """`values[i]` are the features of `ids[i]` in the order of `names`; one of whom nothing is known has the defaults.

    `version` is "" while the tenant has no computed features; then there are no names and no values.
    """

    version: str
    names: list[str]
    values: list[list[float]]


class MaterialiseRequest(Contract, kw_only=True):
    """Compute the features of everybody from all events; `top`: look up the most frequent values anew."""

    top: bool = False


class FeatureRun(Contract, kw_only=True):
    """One computation of all features: how far it is, of how many entities."""

    run_id: str
    state: RunState
    step: str = ""
    done: int = 0
    total: int = 0
    events: int = 0
    version: str = ""
    problem: str | None = None
    started_at: Timestamp | None = None
    finished_at: Timestamp | None = None


class FrameRequest(Contract, kw_only=True):
    """Features of labelled moments: `labels` is a Parquet file below ATELIER_DATA with the columns `entity` and `time`.

    `features`: the ones to compute, all of the entity's if left out. The answer is a Parquet file with the labels' rows in
    their order, all their columns, and one more a feature.
    """

    labels: Annotated[str, msgspec.Meta(max_length=400)]
    entity: Entity = "profile"
    features: Annotated[list[str], msgspec.Meta(max_length=1000)] = []


class FrameAnswer(Contract, kw_only=True):
    """Where the frame lies below ATELIER_DATA, its rows and the names of the columns that were added."""

    path: str
    rows: int
    features: list[str]
    version: str


class FeaturesErased(Contract, kw_only=True):
    """How many keys of a person were removed."""

    keys: int
