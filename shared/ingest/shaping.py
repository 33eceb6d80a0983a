"""Flat, foreign rows into a contract's shape: names matched, lists split, dates made aware, the rest kept aside."""

import datetime as dt
import types
import typing
from collections.abc import Callable
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from shared.ingest.mapping import Mapping

Converter = Callable[[Any], Any]
# Where a column that the contract does not know goes; kinds without such a field drop it and say so.
FREE_FIELDS = {"ProfileUpsert": "attributes", "Event": "properties", "Offer": "attributes"}


class ShapeError(ValueError):
    """One value cannot be brought into shape."""

    def __init__(self, field: str, reason: str, given: object) -> None:
        super().__init__(reason)
        self.field = field
        self.given = given


class Column(NamedTuple):
    """What becomes of one foreign column: the path it goes to and how its value is converted."""

    source: str
    path: tuple[str, ...]
    convert: Converter | None


def _members(annotation: Any) -> list[Any]:
    """The plain types in an annotation, with Annotated and unions opened."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _members(typing.get_args(annotation)[0])
    if origin in {typing.Union, types.UnionType}:
        return [m for arg in typing.get_args(annotation) for m in _members(arg)]
    return [annotation]


def _fields(struct: type[msgspec.Struct]) -> dict[str, tuple[str, Any]]:
    """Every accepted spelling of a field's name -> (wire name, annotation)."""
    hints = typing.get_type_hints(struct, include_extras=True)
    found = {}
    for field in msgspec.structs.fields(struct):
        for spelling in (field.encode_name, field.name):
            found[_loose(spelling)] = (field.encode_name, hints[field.name])
    return found


def _loose(name: str) -> str:
    return name.replace("_", "").replace(" ", "").replace("-", "").lower()


def _struct_in(members: list[Any]) -> type[msgspec.Struct] | None:
    return next((m for m in members if isinstance(m, type) and issubclass(m, msgspec.Struct)), None)


def resolve(name: str, struct: type[msgspec.Struct]) -> tuple[tuple[str, ...], list[Any]] | None:
    """The path of wire names that a (dotted, loosely spelled) column name means, and the types at its end."""
    head, _, rest = name.partition(".")
    known = _fields(struct).get(_loose(head))
    if known is None:
        return None
    wire, annotation = known
    members = _members(annotation)
    if not rest:
        return (wire,), members
    inner = _struct_in(members)
    if inner is not None:
        below = resolve(rest, inner)
        return None if below is None else ((wire, *below[0]), below[1])
    if any(typing.get_origin(m) is dict for m in members):
        return (wire, rest), [object]
    return None


class Shaper:
    """Brings the rows of one file into the shape of a contract."""

    def __init__(self, contract: type[msgspec.Struct], mapping: Mapping) -> None:
        self._contract = contract
        self._mapping = mapping
        # The constant is much faster to compare than the same zone out of the database.
        self._zone: dt.tzinfo = dt.UTC if mapping.time_zone == "UTC" else ZoneInfo(mapping.time_zone)
        self._free = FREE_FIELDS.get(contract.__name__)
        self._plans: dict[str, Column | None] = {}
        self._extras = [
            (self._path(name), value, replace)
            for source, replace in ((mapping.constants, True), (mapping.defaults, False))
            for name, value in source.items()
        ]
        self.dropped: set[str] = set()

    def _path(self, name: str) -> tuple[str, ...]:
        found = resolve(name, self._contract)
        return found[0] if found else tuple(name.split("."))

    def shape(self, fields: dict[str, Any]) -> dict[str, Any]:
        """One row in the contract's shape. Empty strings and nulls are left out.

        Raises:
            ShapeError: a value is not a date, number or list as its field wants it.
        """
        out: dict[str, Any] = {}
        plans = self._plans
        for source, value in fields.items():
            if value is None or value == "":
                continue
            try:
                plan = plans[source]
            except KeyError:
                plan = self._plan(source)
            if plan is None:
                continue
            _, path, convert = plan
            if convert is not None:
                value = convert(value)  # noqa: PLW2901
            if len(path) == 1:
                out[path[0]] = value
            else:
                _put(out, path, value)
        for path, value, replace in self._extras:
            _put(out, path, value, replace=replace)
        return out

    def _plan(self, source: str) -> Column | None:
        plan = self._make_plan(source)
        self._plans[source] = plan
        return plan

    def _make_plan(self, source: str) -> Column | None:
        if source in self._mapping.ignore:
            return None
        name = self._mapping.columns.get(source, source)
        found = resolve(name, self._contract)
        if found is None:
            if self._free is None:
                self.dropped.add(source)
                return None
            wrap = (lambda v: v if isinstance(v, dict) and "value" in v else {"value": _plain(v)}) if (
                self._contract.__name__ == "ProfileUpsert"
            ) else _plain  # fmt: skip
            return Column(source, (self._free, name), wrap)
        path, members = found
        return Column(source, path, self._converter(name, path, members))

    def _converter(self, name: str, path: tuple[str, ...], members: list[Any]) -> Converter | None:
        base = self._base_converter(name, members)
        if self._contract.__name__ == "ProfileUpsert" and path[0] == "attributes" and len(path) > 1:
            base = lambda v: v if isinstance(v, dict) and "value" in v else {"value": _plain(v)}  # noqa: E731
        table = self._mapping.values.get(name) or self._mapping.values.get(".".join(path))
        if not table:
            return base
        return lambda v: table[str(v)] if str(v) in table else base(v) if base else v

    def _base_converter(self, name: str, members: list[Any]) -> Converter | None:
        if dt.datetime in members:
            return lambda v: self._time(name, v)
        if any(typing.get_origin(m) in {list, dict} for m in members) or _struct_in(members):
            as_list = any(typing.get_origin(m) is list for m in members)
            return lambda v: self._nested(name, v, as_list=as_list)
        if Decimal in members or float in members or int in members:
            return self._number if self._mapping.decimal_comma else (_decimal if Decimal in members else None)
        if str in members:
            return lambda v: v if isinstance(v, str) else str(v)
        return None

    def _number(self, value: Any) -> Any:
        return value.replace(".", "").replace(",", ".").replace("\u00a0", "") if isinstance(value, str) else value

    def _nested(self, name: str, value: Any, *, as_list: bool) -> Any:
        if not isinstance(value, str):
            return list(value) if as_list and isinstance(value, tuple) else value
        text = value.strip()
        if text[:1] in "[{":
            try:
                return msgspec.json.decode(text)
            except msgspec.DecodeError as error:
                raise ShapeError(name, f"not valid JSON: {error}", value) from error
        if as_list:
            return [part.strip() for part in text.split(self._mapping.list_separator) if part.strip()]
        raise ShapeError(name, "expected a JSON object", value)

    def _time(self, name: str, value: Any) -> Any:
        if isinstance(value, str):
            value = self._parse_time(name, value.strip())
        elif isinstance(value, int | float):
            raise ShapeError(name, "expected a date and time such as 2026-03-01T09:30:00Z", value)
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
            allowed = " or ".join(["ISO 8601, such as 2026-03-01T09:30:00Z", *self._mapping.date_formats])
            raise ShapeError(name, f"not a date and time; expected {allowed}", text) from error


def _decimal(value: Any) -> Any:
    return str(value) if isinstance(value, float) else value


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, dt.datetime | dt.date) else value


def _put(out: dict[str, Any], path: tuple[str, ...], value: Any, *, replace: bool = True) -> None:
    for part in path[:-1]:
        below = out.setdefault(part, {})
        if not isinstance(below, dict):
            return
        out = below
    if replace or path[-1] not in out:
        out[path[-1]] = value
