"""What can be said and shown: brands, offers, creative assets."""

import hashlib
from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from shared.contracts.base import (
    Contract,
    Currency,
    Id,
    Locale,
    Money,
    Name,
    Page,
    Scalar,
    Tag,
    Text,
    Timestamp,
    Value,
)
from shared.contracts.policies import OfferCap
from shared.contracts.profiles import Channel

DiscountKind = Literal["percent", "amount", "fixed_price", "multi_buy", "free_item", "free_shipping", "none"]


class Discount(Value, frozen=True, kw_only=True):
    """What the customer gains. `value` is percent points for `percent`, money for `amount` and `fixed_price`.

    `multi_buy`: buy `buy_quantity`, pay `value` in all. `free_item`: buy `buy_quantity`, get `get_quantity` free.
    """

    kind: DiscountKind
    value: Annotated[Decimal, msgspec.Meta()] | None = None
    currency: Currency | None = None
    buy_quantity: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    get_quantity: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None


class Condition(Value, frozen=True, kw_only=True):
    """One condition of an offer, in words that may be quoted, and its figures where it has any."""

    text: Annotated[str, msgspec.Meta(min_length=1, max_length=500)]
    minimum_spend: Money | None = None
    minimum_quantity: int | None = None
    maximum_uses: int | None = None


class Eligibility(Value, frozen=True, kw_only=True):
    """Who may get an offer. Empty lists allow everybody; attributes must equal one of the given values."""

    segments: list[Tag] = []
    excluded_segments: list[Tag] = []
    attributes: dict[str, list[Scalar]] = {}


class Offer(Contract, kw_only=True):
    """A decision item: what is offered, to whom, when, where, under which conditions. Dates: [start, end)."""

    offer_id: Id
    name: Name
    description: Text = ""
    brand_id: Id = "default"
    product_id: Name | None = None
    product_name: Name | None = None
    product_brand: Name | None = None
    category: Name | None = None
    discount: Discount = Discount(kind="none")
    price: Money | None = None
    start_date: Timestamp
    end_date: Timestamp
    time_zone: Name = "UTC"
    conditions: list[Condition] = []
    eligibility: Eligibility = msgspec.field(default_factory=Eligibility)
    placements: list[Tag] = []
    channels: list[Channel] = []
    locales: list[Locale] = []
    tags: list[Tag] = []
    safety_tags: list[Tag] = []
    legal_text: Text = ""
    asset_ids: list[Id] = []
    priority: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 0
    value: Money | None = None
    boost: Annotated[float, msgspec.Meta(gt=0, le=100)] = 1.0
    collections: list[Tag] = []
    rule_ids: Annotated[list[Id], msgspec.Meta(max_length=20)] = []
    capping: Annotated[list[OfferCap], msgspec.Meta(max_length=10)] = []
    attributes: dict[str, Scalar] = {}


_STATED = ("name", "description", "brand_id", "product_name", "product_brand", "category", "discount", "price", "start_date",
           "end_date", "time_zone", "conditions", "tags", "safety_tags", "legal_text")  # fmt: skip


def statement_version(offer: Offer) -> str:
    """A hash of all that copy may state of an offer: it changes when copy has to be checked again, and only then."""
    stated = [getattr(offer, name) for name in _STATED]
    return hashlib.sha256(msgspec.json.encode(stated, order="deterministic")).hexdigest()[:16]


class AssetRights(Value, frozen=True, kw_only=True):
    """Until when a picture may be used."""

    expires: Timestamp | None = None
    licence: str | None = None


class Asset(Contract, kw_only=True):
    """A creative asset's record. `uri`: path in the import's image folder, or the origin."""

    asset_id: Id
    name: Name
    uri: Annotated[str, msgspec.Meta(max_length=2000)] = ""
    alt_text: Text = ""
    tags: list[Tag] = []
    brand_id: Id = "default"
    rights: AssetRights = AssetRights()
    channels: list[Channel] = []
    locales: list[Locale] = []
    safety_tags: list[Tag] = []


class StoredAsset(Asset, kw_only=True):
    """An asset with what the store found out about its picture. `image_status`: `ok` or `missing`."""

    mime_type: str | None
    width: int | None
    height: int | None
    content_hash: str | None
    image_status: Literal["ok", "missing"]


class Voice(Value, frozen=True, kw_only=True):
    """A brand's voice where a rule can tell it; what is left out is not tested. `second_person`: whether the reader is spoken
    to as "you"; `contractions`: whether "don't" is written or "do not"; `register`: whose words are used.
    """

    second_person: bool | None = None
    contractions: bool | None = None
    max_sentence_words: Annotated[int, msgspec.Meta(ge=3, le=200)] | None = None
    register: Literal["formal", "casual"] | None = None
    severity: Literal["block", "warn"] = "warn"


class CopyRules(Value, frozen=True, kw_only=True):
    """A brand's own limits on copy. `off` turns built-in rules of style off by their ids; rules of safety stay.

    `four_eyes`: who wrote or edited a text may not approve it.
    """

    max_exclamation_marks: Annotated[int, msgspec.Meta(ge=0, le=20)] = 2
    max_emojis: Annotated[int, msgspec.Meta(ge=0, le=20)] = 0
    max_capitals: Annotated[int, msgspec.Meta(ge=0, le=50)] = 3
    max_reading_grade: Annotated[float, msgspec.Meta(ge=1, le=30)] = 12.0
    required: tuple[Tag, ...] = ()
    voice: Voice = Voice()
    four_eyes: bool = False
    off: tuple[Tag, ...] = ()


class Brand(Contract, kw_only=True):
    """How a brand speaks: the voice goes into the prompt, the words to avoid into the checks."""

    brand_id: Id
    name: Name
    voice: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    words_to_avoid: list[Tag] = []
    sign_off: Name | None = None
    copy_rules: CopyRules = CopyRules()


class OfferPage(Page, kw_only=True):
    """A page of offers."""

    offers: list[Offer]


class AssetPage(Page, kw_only=True):
    """A page of assets."""

    assets: list[StoredAsset]


class CatalogVersion(Contract, kw_only=True):
    """A hash of all offers of a tenant."""

    version: str


class OffersQuery(Contract, kw_only=True):
    """Fetch offers by id; the ones not found are simply not in the answer."""

    offer_ids: Annotated[list[Id], msgspec.Meta(min_length=1, max_length=500)]


class OffersAnswer(Contract, kw_only=True):
    """Offers in the order they were asked for."""

    offers: list[Offer]
