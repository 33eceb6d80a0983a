"""The import schema as Markdown tables, read off the contracts; docs/data-formats.md holds what this says."""

import datetime as dt
import types
import typing
from decimal import Decimal
from typing import Any

import msgspec

from shared.ingest.paths import generic_in, members, short_form, struct_in

_WORDS = {
    str: "text", int: "whole number", float: "number", bool: "true or false", Decimal: "decimal number",
    dt.datetime: "date and time",
}  # fmt: skip


def describe(contract: type[msgspec.Struct]) -> str:
    """A table of the columns of one kind: name, what goes in, whether it must be there."""
    lines = ["| column | value | required |", "| --- | --- | --- |"]
    lines += [f"| `{name}` | {words} | {'yes' if needed else ''} |" for name, words, needed in _columns(contract)]
    return "\n".join(lines)


def _columns(struct: type[msgspec.Struct], prefix: str = "") -> list[tuple[str, str, bool]]:
    hints = typing.get_type_hints(struct, include_extras=True)
    rows: list[tuple[str, str, bool]] = []
    for field in msgspec.structs.fields(struct):
        name, kinds = f"{prefix}{field.encode_name}", members(hints[field.name])
        inner = struct_in(kinds)
        needed = field.required and not prefix
        if inner is None:
            keyed = generic_in(kinds, dict)
            rows.append((f"{name}.KEY" if keyed else name, _words(members(keyed[1]) if keyed else kinds), needed))
        elif (short := short_form(inner)) is not None and not {"kind", "amount"} & set(inner.__struct_fields__):
            rows.append((name, f"its `{short}`: {_words(_short_kinds(inner, short))}, or JSON", needed))
        else:
            rows += _columns(inner, f"{name}.")
    return rows


def _short_kinds(struct: type[msgspec.Struct], short: str) -> list[Any]:
    hints = typing.get_type_hints(struct, include_extras=True)
    return members(next(hints[f.name] for f in msgspec.structs.fields(struct) if f.encode_name == short))


def _words(kinds: list[Any]) -> str:
    inner = struct_in(kinds)
    listed = generic_in(kinds, list)
    if inner is not None:
        short = short_form(inner)
        return f"its `{short}`, or JSON" if short else "JSON"
    if str in kinds and len([k for k in kinds if k is not types.NoneType]) > 1:
        return "text, number or true/false" + (", or a JSON list" if listed else "")
    if listed is not None:
        return f"list: {_words(members(listed[0]))}"
    literal = next((k for k in kinds if typing.get_origin(k) is typing.Literal), None)
    if literal is not None:
        return ", ".join(f"`{value}`" for value in typing.get_args(literal))
    return next((_WORDS[k] for k in kinds if k in _WORDS), "JSON")
