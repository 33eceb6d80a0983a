"""What msgspec says of a wrong value, as the field, what was given and what is allowed. Pure."""

import re
from typing import Any

from shared.contracts.base import FieldError

_MSGSPEC_PATH = re.compile(r" - at `(?:key in )?\$?\.?([^`]*)`$")
_GIVEN_LIMIT = 120


def field_error(message: str, body: Any = None) -> FieldError:
    """Split a msgspec message ("Expected `int`, got `str` - at `$.limit`") into field, message and the value given."""
    match = _MSGSPEC_PATH.search(message)
    path = match.group(1) if match else ""
    text = message[: match.start()] if match else message
    allowed, _, _ = text.removeprefix("Expected ").partition(", got ") if text.startswith("Expected ") else ("", "", "")
    return FieldError(field=path or "body", message=text, given=value_at(body, path), allowed=allowed or None)


def has_nul(value: Any) -> bool:
    """Is there a NUL character, which no text in Postgres can hold, anywhere in a JSON value?"""
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(has_nul(key) or has_nul(inner) for key, inner in value.items())
    return isinstance(value, list | tuple) and any(map(has_nul, value))


def value_at(body: Any, path: str) -> str | None:
    """What stands at `a.b[0].c` of a decoded body, shortened; None when it cannot be found."""
    value = body
    for part in re.findall(r"[^.\[\]]+", path):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    if value is body:
        return None
    text = repr(value)
    return text if len(text) <= _GIVEN_LIMIT else f"{text[:_GIVEN_LIMIT]}... ({len(text)} characters)"
