"""What happened: purchases, exposures, interactions; and the aggregates that facts are computed from."""

import datetime as dt
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from shared.contracts.base import Contract, Currency, FieldError, Id, Name, Page, Timestamp

EVENT_TYPES = (
    "commerce.purchases",
    "commerce.productViews",
    "commerce.couponRedemptions",
    "decisioning.propositionDisplay",
    "decisioning.propositionInteract",
    "decisioning.propositionDismiss",
)
EventType = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z][\w.\-]{0,99}$", examples=list(EVENT_TYPES))]


class Event(Contract, kw_only=True):
    """One thing that happened to one profile. `event_id` is the natural key: the same id twice is stored once."""

    event_id: Id
    profile_id: Id
    type: EventType
    time: Timestamp
    product_id: Name | None = None
    product_name: Name | None = None
    category: Name | None = None
    department: Name | None = None
    brand: Name | None = None
    quantity: Annotated[float, msgspec.Meta(ge=0, le=1e7)] | None = None
    value: Annotated[Decimal, msgspec.Meta()] | None = None
    discount: Decimal | None = None
    currency: Currency | None = None
    offer_id: Name | None = None
    session_id: Name | None = None
    properties: dict[str, Any] = {}


class EventBatch(Contract, kw_only=True):
    """Up to 1,000 events in one call."""

    events: Annotated[list[Event], msgspec.Meta(min_length=1, max_length=1000)]


class EventsStored(Contract, kw_only=True):
    """How many were new, and how many were there before."""

    stored: int
    duplicates: int


class EventsIngested(Contract, kw_only=True):
    """How many were new, how many were there before, what was wrong with the rest; `attributed`: tokens that were ours."""

    stored: int
    duplicates: int
    rejected: int
    errors: list[FieldError]
    attributed: int = 0


class EventPage(Page, kw_only=True):
    """Events of one profile, newest first."""

    events: list[Event]


class CategoryActivity(Contract, kw_only=True):
    """Purchases of one profile in one category over its whole history."""

    category: str
    department: str | None
    baskets: int
    units: float
    spend: Decimal
    first_time: Timestamp
    last_time: Timestamp


class BrandActivity(Contract, kw_only=True):
    """Purchases of one profile of one brand."""

    brand: str
    baskets: int
    spend: Decimal


class PurchaseActivity(Contract, kw_only=True):
    """All that the facts of one profile are computed from.

    `basket_days` are the distinct purchase dates in UTC, ascending; `discount` is the sum the person saved,
    `discounted_lines` of `lines` had a discount; `redemptions` counts coupon redemptions.
    """

    profile_id: str
    lines: int
    baskets: int
    spend: Decimal
    discount: Decimal
    discounted_lines: int
    redemptions: int
    currency: str | None
    basket_days: list[dt.date]
    categories: list[CategoryActivity]
    brands: list[BrandActivity]
    products: list[str] = []


class ActivityRequest(Contract, kw_only=True):
    """Ask for the purchase activity of up to 500 profiles, as known at `as_of` (default: now)."""

    profile_ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=500)]
    as_of: Timestamp | None = None


class ActivityAnswer(Contract, kw_only=True):
    """Activity per profile that has any, and the time of the tenant's newest event ("today" of a historic data set)."""

    activities: list[PurchaseActivity]
    newest: Timestamp | None


class EventsErased(Contract, kw_only=True):
    """How many events of a profile were erased."""

    rows: int


class EventsExport(Contract, kw_only=True):
    """All events of a tenant as one Parquet file below ATELIER_DATA; whoever asked for it removes it.

    `snapshot`: what the database saw, as Postgres writes it: the transactions that are in the file.
    """

    path: str
    rows: int
    snapshot: str
