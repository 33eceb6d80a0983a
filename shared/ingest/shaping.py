"""Flat, foreign rows into a contract's shape: columns matched to fields, what the contract does not know kept aside."""

import difflib
from typing import Any, NamedTuple

import msgspec

from shared.ingest.errors import MappingError
from shared.ingest.mapping import Mapping
from shared.ingest.paths import fields, resolve
from shared.ingest.values import Converter, Values, as_text

# Where a column that the contract does not know goes; kinds without such a field drop it and say so.
FREE_FIELDS = {"ProfileUpsert": "attributes", "Event": "properties", "Offer": "attributes"}
_CURRENCY = "currency"
_CLOSE = 0.85


class Column(NamedTuple):
    """What becomes of one foreign column: the path it goes to and how its value is converted."""

    path: tuple[str, ...]
    convert: Converter | None


class Shaper:
    """Brings the rows of one file into the shape of a contract.

    Raises:
        MappingError: the mapping names a field that the contract does not have.
    """

    def __init__(self, contract: type[msgspec.Struct], mapping: Mapping) -> None:
        self._contract = contract
        self._mapping = mapping
        self._values = Values(mapping)
        self._free = FREE_FIELDS.get(contract.__name__)
        self._plans: dict[str, Column | None] = {}
        # Structs that hold a currency: with nothing but a currency in it there is no amount, so there is no struct.
        self._money: set[str] = set()
        self.dropped: set[str] = set()
        for foreign, name in mapping.columns.items():
            self._target(f"columns.{foreign}", name)
        for name in mapping.values:
            self._target(f"values.{name}", mapping.columns.get(name, name))
        self._extras = [
            (column.path, column.convert(value) if column.convert and value is not None else value, replace)
            for key, given, replace in (("constants", mapping.constants, True), ("defaults", mapping.defaults, False))
            for name, value in given.items()
            for column in (self._target(f"{key}.{name}", name),)
        ]

    def check_columns(self, columns: list[str]) -> None:
        """Does the mapping fit a file with these columns?

        Raises:
            MappingError: it names a column the file lacks, or two columns mean one field.
        """
        missing = next((name for name in self._mapping.columns if name not in columns), None)
        if missing is not None:
            message = f"mapping: columns.{missing}: the file has no such column; it has {', '.join(columns)}"
            raise MappingError(message)
        named = {*columns, *self._mapping.columns.values()}
        lost = next((n for n in self._mapping.values if n not in named and not resolve(n, self._contract)), None)
        if lost is not None:
            message = f"mapping: values.{lost}: neither a field nor a column of the file; it has {', '.join(columns)}"
            raise MappingError(message)
        seen: dict[tuple[str, ...], str] = {}
        for name in columns:
            plan = self._plan(name)
            if plan is not None and (other := seen.setdefault(plan.path, name)) != name:
                field = ".".join(plan.path)
                message = f"the columns {other!r} and {name!r} both mean {field}; list one of them under `ignore`"
                raise MappingError(message)

    def shape(self, row: dict[str, Any]) -> dict[str, Any]:
        """One row in the contract's shape. Empty strings and nulls are left out.

        Raises:
            ShapeError: a value is not a date, number or list as its field wants it.
        """
        out: dict[str, Any] = {}
        plans = self._plans
        for source, value in row.items():
            if value is None or value == "":
                continue
            try:
                plan = plans[source]
            except KeyError:
                plan = self._plan(source)
            if plan is None:
                continue
            path, convert = plan
            # Text for a text field, most cells of most files, saves itself the call.
            if convert is not None and (convert is not as_text or value.__class__ is not str):
                value = convert(value)  # noqa: PLW2901
            if len(path) == 1:
                out[path[0]] = value
            else:
                _put(out, path, value)
        for path, value, replace in self._extras:
            _put(out, path, value, replace=replace)
        for name in self._money:
            if out.get(name, {}).keys() == {_CURRENCY}:
                del out[name]
        return out

    def _plan(self, source: str) -> Column | None:
        if source not in self._plans:
            ignored = source in self._mapping.ignore
            name = self._mapping.columns.get(source, source)
            self._plans[source] = None if ignored else self._column(source, name)
            if not ignored and self._plans[source] is None:
                self.dropped.add(source)
        return self._plans[source]

    def _column(self, source: str, name: str) -> Column | None:
        found = resolve(name, self._contract)
        if found is None:
            if self._free is None:
                return None
            found = resolve(f"{self._free}.{name}", self._contract)
            assert found is not None  # noqa: S101  (the free fields are dictionaries)
        path, kinds = found
        if len(path) > 1 and path[-1] == _CURRENCY:
            self._money.add(path[0])
        convert = self._values.converter(".".join(path), kinds)
        values = self._mapping.values
        table = values.get(name) or values.get(".".join(path)) or values.get(source)
        return Column(path, _translated(table, convert) if table else convert)

    def _target(self, key: str, name: str) -> Column:
        """The column a mapping entry writes to; a near miss of a field's name is a typing error, not a new attribute."""
        known = sorted({wire for wire, _ in fields(self._contract).values()})
        column = self._column(name, name)
        unknown = resolve(name, self._contract) is None
        close = difflib.get_close_matches(name, known, n=1, cutoff=_CLOSE) if unknown else []
        if column is None or close:
            hint = f"did you mean {close[0]}? " if close else ""
            message = f"mapping: {key}: there is no field {name!r}; {hint}fields: {', '.join(known)}"
            raise MappingError(message)
        return column


def _translated(table: dict[str, Any], convert: Converter | None) -> Converter:
    def translate(value: Any) -> Any:
        found = table.get(str(value), value)
        return convert(found) if convert is not None and found is not None else found

    return translate


def _put(out: dict[str, Any], path: tuple[str, ...], value: Any, *, replace: bool = True) -> None:
    for part in path[:-1]:
        below = out.setdefault(part, {})
        if not isinstance(below, dict):
            return
        out = below
    if replace or path[-1] not in out:
        out[path[-1]] = value
