"""Foreign values into what a field's type wants: dates made aware, numbers read, lists split, short forms spelled out."""

import datetime as dt
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from shared.ingest.mapping import Mapping
from shared.ingest.paths import fields, generic_in, loose, members, short_form, struct_in

Converter = Callable[[Any], Any]
_DATE_EXAMPLE = "2026-03-01T09:30:00Z"


class ShapeError(ValueError):
    """One value cannot be brought into shape."""

    def __init__(self, field: str, reason: str, given: object) -> None:
        super().__init__(reason)
        self.field = field
        self.given = given


class Values:
    """Makes the converter of each field of a file, as its mapping says."""

    def __init__(self, mapping: Mapping) -> None:
        self._mapping = mapping
        # The constant is much faster to compare than the same zone out of the database.
        self._zone: dt.tzinfo = dt.UTC if mapping.time_zone == "UTC" else ZoneInfo(mapping.time_zone)

    def converter(self, name: str, kinds: list[Any]) -> Converter | None:
        """What to do with a value of the field `name` that may be of these types; None: nothing."""
        if dt.datetime in kinds:
            return lambda value: self._time(name, value)
        if struct_in(kinds) is not None:
            return self._struct(name, kinds)
        if any(generic_in(kinds, origin) is not None for origin in (list, dict)):
            return self._collection(name, kinds)
        return self._scalar(name, kinds)

    def _scalar(self, name: str, kinds: list[Any]) -> Converter | None:
        if Decimal in kinds:
            return lambda value: self._decimal(name, value)
        if str not in kinds and (float in kinds or int in kinds):
            return self._number if self._mapping.decimal_comma else None
        if kinds[0] is str and kinds[1:] in ([], [type(None)]):
            return as_text
        return plain

    def _struct(self, name: str, kinds: list[Any]) -> Converter:
        struct = struct_in(kinds)
        assert struct is not None  # noqa: S101  (the caller found one)
        short = short_form(struct)
        parts = {key: (wire, self.converter(f"{name}.{wire}", members(annotation)))
                 for key, (wire, annotation) in fields(struct).items()}  # fmt: skip

        def convert(value: Any) -> Any:
            value = self._json(name, value, needed=short is None)
            if not isinstance(value, dict):
                if short is None:
                    raise ShapeError(name, "expected an object", value)
                value = {short: value}
            out = {}
            for key, inner in value.items():
                wire, below = parts.get(loose(key), (key, None))
                out[wire] = below(inner) if below is not None and inner is not None else inner
            return out

        return convert

    def _collection(self, name: str, kinds: list[Any]) -> Converter:
        listed, keyed = generic_in(kinds, list), generic_in(kinds, dict)
        inner = self.converter(name, members((listed or keyed or (object,))[-1]))
        separator, bare_text = self._mapping.list_separator, str in kinds

        def convert(value: Any) -> Any:
            value = self._json(name, value, needed=listed is None and not bare_text)
            if isinstance(value, str) and bare_text:
                return value
            if isinstance(value, dict) and keyed is not None:
                return {key: inner(v) if inner is not None and v is not None else v for key, v in value.items()}
            if listed is None:
                raise ShapeError(name, "expected a JSON object", value)
            if isinstance(value, str):
                value = [part.strip() for part in value.split(separator) if part.strip()]
            items = value if isinstance(value, list | tuple) else [value]
            return plain(value) if bare_text and items is not value else [inner(v) if inner else v for v in items]

        return convert

    @staticmethod
    def _json(name: str, value: Any, *, needed: bool) -> Any:
        """JSON text decoded; other text as it is, unless only JSON would do."""
        if not isinstance(value, str) or value.lstrip()[:1] not in {"[", "{"}:
            return value
        try:
            return msgspec.json.decode(value)
        except (msgspec.DecodeError, RecursionError) as error:
            if not needed:
                return value
            raise ShapeError(name, f"not valid JSON: {error}", value) from error

    def _number(self, value: Any) -> Any:
        if not self._mapping.decimal_comma or not isinstance(value, str):
            return value
        return value.replace("\u00a0", "").replace(".", "").replace(",", ".")

    def _decimal(self, name: str, value: Any) -> Any:
        value = self._number(value)
        if isinstance(value, str):
            # All spellings of what is no number have an n in it: NaN, sNaN, inf, Infinity.
            if "n" in value or "N" in value:
                raise ShapeError(name, "not a finite number", value)
            return value
        if isinstance(value, float):
            if not math.isfinite(value):
                raise ShapeError(name, "not a finite number", value)
            return str(value)
        return value

    def _time(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            value = self._parse_time(name, value.strip())
        elif isinstance(value, int | float):
            raise ShapeError(name, f"expected a date and time such as {_DATE_EXAMPLE}", value)
        elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            value = dt.datetime(value.year, value.month, value.day)
        if isinstance(value, dt.datetime) and value.tzinfo is None:
            return value.replace(tzinfo=self._zone)
        return value

    def _parse_time(self, name: str, text: str) -> dt.datetime:
        for form in self._mapping.date_formats:
            try:
                return dt.datetime.strptime(text, form)
            except ValueError:
                continue
        try:
            return dt.datetime.fromisoformat(text)
        except ValueError as error:
            allowed = " or ".join([f"ISO 8601, such as {_DATE_EXAMPLE}", *self._mapping.date_formats])
            raise ShapeError(name, f"not a date and time; expected {allowed}", text) from error


def plain(value: Any) -> Any:
    """A value that JSON can hold: dates and times as ISO 8601 text."""
    return value.isoformat() if isinstance(value, dt.date | dt.time) else value


def as_text(value: Any) -> str:
    """A value as text: ids come as numbers from Parquet and JSON."""
    return value if isinstance(value, str) else str(plain(value))
