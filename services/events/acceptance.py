"""Which events of the right types are refused all the same: what no clock, table or person could make sense of. Pure."""

import datetime as dt
import operator
from decimal import Decimal
from typing import Any

import msgspec

from shared.contracts.base import FieldError
from shared.contracts.events import Event
from shared.fields import has_nul

FUTURE_TOLERANCE = dt.timedelta(days=1)
# The column is numeric(18, 4), and NaN in one row would make every sum NaN.
MAX_AMOUNT = Decimal(10) ** 12
MAX_NESTING = 50
# A day of slack: with an offset, the first day of year 1 is a year 0 that no datetime can read back.
_EARLIEST = dt.datetime(1, 1, 2, tzinfo=dt.UTC)
_TEXTS = ("product_id", "product_name", "category", "department", "brand", "offer_id", "session_id")
_texts = operator.attrgetter(*_TEXTS)
_WIRE = {field.name: field.encode_name for field in msgspec.structs.fields(Event)}
_NUL = "contains a NUL character"


def refusal(event: Event, now: dt.datetime) -> FieldError | None:
    """Why an event is refused; None when it is fine. Old, late and out-of-order events are fine."""
    if not _EARLIEST <= event.time <= now + FUTURE_TOLERANCE:
        return _bad_time(event, now)
    for name in ("value", "discount"):
        amount: Decimal | None = getattr(event, name)
        if amount is not None and not (amount.is_finite() and -MAX_AMOUNT < amount < MAX_AMOUNT):
            return FieldError(field=name, message="is not an amount", given=str(amount)[:40],
                              allowed=f"a finite number below {MAX_AMOUNT:,}")  # fmt: skip
    if "\0" in "".join(filter(None, _texts(event))):
        name = next(name for name in _TEXTS if "\0" in (getattr(event, name) or ""))
        return FieldError(field=_WIRE[name], message=_NUL)
    return _bad_properties(event.properties) if event.properties else None


def _bad_time(event: Event, now: dt.datetime) -> FieldError:
    given = event.time.isoformat()
    if event.time < _EARLIEST:
        return FieldError(field="time", message="lies before the calendar", given=given,
                          allowed=f"from {_EARLIEST.isoformat()}")  # fmt: skip
    allowed = f"at most {FUTURE_TOLERANCE.days} day ahead of {now.isoformat(timespec='seconds')}"
    return FieldError(field="time", message="lies in the future", given=given, allowed=allowed)


def _bad_properties(properties: dict[str, Any]) -> FieldError | None:
    if nesting(properties) > MAX_NESTING:
        return FieldError(field="properties", message="is nested too deeply", allowed=f"at most {MAX_NESTING} levels")
    return FieldError(field="properties", message=_NUL) if has_nul(properties) else None


def nesting(value: Any) -> int:
    """How many levels of objects and lists a JSON value has; walks by level, so that depth costs no stack."""
    level, depth = [value], 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [inner for item in level for inner in (item.values() if isinstance(item, dict) else item)]
    return depth
