"""Opaque page positions: base64 of time and event id."""

import base64
import binascii
import datetime as dt

import msgspec

from services.events.errors import BadCursorError


def encode_cursor(time: dt.datetime, event_id: str) -> str:
    """The position after the given event."""
    return base64.urlsafe_b64encode(msgspec.json.encode([time.isoformat(), event_id])).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> tuple[dt.datetime, str] | None:
    """The position a cursor stands for.

    Raises:
        BadCursorError: it is not one of ours.
    """
    if cursor is None:
        return None
    try:
        raw = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4))
        time, event_id = msgspec.json.decode(raw, type=tuple[str, str])
        return dt.datetime.fromisoformat(time), event_id
    except (binascii.Error, msgspec.DecodeError, UnicodeError, ValueError) as error:
        message = f"cursor {cursor[:80]!r} was not given out by this endpoint"
        raise BadCursorError(message) from error
