"""Events as columns for the stream. Pure."""

import datetime as dt
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from operator import attrgetter
from typing import Any

import numpy as np

from shared.contracts.events import Event
from shared.contracts.stream import MAX_EVENTS, PackedEvents

_LABELS = ("category", "department", "brand", "product_id", "offer_id", "session_id", "currency")
_NONE = float("nan")


def _numbers(values: Iterable[Decimal | float | None]) -> bytes:
    return np.array([_NONE if value is None else float(value) for value in values], dtype="<f8").tobytes()


def _labels(rows: Sequence[Event], name: str) -> list[str | None]:
    get = attrgetter(name)
    found = [get(row) for row in rows]
    return found if any(found) else []


def microseconds(rows: Sequence[Event]) -> bytes:
    """The times of events as whole microseconds since 1970."""
    naive = [row.time.astimezone(dt.UTC).replace(tzinfo=None) for row in rows]
    return np.array(naive, dtype="datetime64[us]").astype("<i8").tobytes()


def packed(tenant: str, transaction: int, stored_at: int, events: Sequence[Event]) -> Iterator[PackedEvents]:
    """The messages that say what a transaction stored, up to 500 events each."""
    for part, start in enumerate(range(0, len(events), MAX_EVENTS)):
        rows = events[start : start + MAX_EVENTS]
        labels: dict[str, Any] = {name: _labels(rows, name) for name in _LABELS}
        yield PackedEvents(
            tenant=tenant, transaction=transaction, part=part, stored_at=stored_at,
            profile_id=[row.profile_id for row in rows], time=microseconds(rows), type=[row.type for row in rows],
            value=_numbers(row.value for row in rows), quantity=_numbers(row.quantity for row in rows),
            discount=_numbers(row.discount for row in rows), **labels,
        )  # fmt: skip
