"""The base of all contracts and the few scalar types they share."""

import datetime as dt
from decimal import Decimal
from typing import Annotated

import msgspec

Id = Annotated[
    str, msgspec.Meta(min_length=1, max_length=200, pattern=r"^[^\s\x00-\x1f/]+$", description="Natural key")
]
Name = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
Text = Annotated[str, msgspec.Meta(max_length=5_000)]
Tag = Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
Locale = Annotated[str, msgspec.Meta(pattern=r"^[a-zA-Z]{2,3}([-_][A-Za-z0-9]{2,8})*$", description="BCP 47 tag")]
Currency = Annotated[str, msgspec.Meta(pattern=r"^[A-Z]{3}$", description="ISO 4217 code")]
Timestamp = Annotated[dt.datetime, msgspec.Meta(tz=True, description="ISO 8601 with offset")]
Scalar = str | int | float | bool | None


class Contract(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, omit_defaults=False):
    """A message between two parties: camelCase on the wire, unknown fields refused so that typing errors show."""


class Value(msgspec.Struct, rename="camel", forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A contract that cannot be changed once made, so that it may be a default value and a dictionary key."""


class Money(Value, frozen=True, kw_only=True):
    """An amount in a currency; decimal, never a float."""

    amount: Decimal
    currency: Currency


class Page(Contract, kw_only=True):
    """Where a listing goes on: pass `cursor` back to get the next rows, null at the end."""

    cursor: str | None = None


class FieldError(Contract, kw_only=True):
    """One thing wrong with one field: where, what was given, what would be right."""

    field: str
    message: str
    given: str | None = None
    allowed: str | None = None


class Problem(Contract, omit_defaults=True, kw_only=True):
    """RFC 9457 problem details, the body of every error answer (`application/problem+json`)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = None
    errors: list[FieldError] = []


class Health(Contract, kw_only=True):
    """What `/health/ready` says: `status` is `ready`, `degraded` (answers, with less) or `down`."""

    status: str
    checks: dict[str, str]
