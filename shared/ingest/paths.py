"""Finding the field of a contract that a column name means, however it is spelled."""

import types
import typing
from functools import cache
from typing import Any

import msgspec

# Given a bare value where one of these structs is wanted, the value goes into the first of these fields it has.
_SHORT_FORMS = ("value", "val", "id", "text")


def members(annotation: Any) -> list[Any]:
    """The plain types in an annotation, with Annotated and unions opened."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return members(typing.get_args(annotation)[0])
    if origin in {typing.Union, types.UnionType}:
        return [m for arg in typing.get_args(annotation) for m in members(arg)]
    return [] if annotation is msgspec.UnsetType else [annotation]


def loose(name: str) -> str:
    """A name without what spellings differ in: eventId, event_id and "Event ID" are one."""
    return name.replace("_", "").replace(" ", "").replace("-", "").lower()


@cache
def fields(struct: type[msgspec.Struct]) -> dict[str, tuple[str, Any]]:
    """Every loosely spelled field of a struct -> (wire name, annotation)."""
    hints = typing.get_type_hints(struct, include_extras=True)
    return {
        loose(spelling): (field.encode_name, hints[field.name])
        for field in msgspec.structs.fields(struct)
        for spelling in (field.encode_name, field.name)
    }


def struct_in(kinds: list[Any]) -> type[msgspec.Struct] | None:
    """The struct among the types, if there is one."""
    return next((m for m in kinds if isinstance(m, type) and issubclass(m, msgspec.Struct)), None)


def generic_in(kinds: list[Any], origin: type) -> tuple[Any, ...] | None:
    """The type arguments of the `list[...]` or `dict[...]` among the types, if there is one."""
    return next((typing.get_args(m) for m in kinds if typing.get_origin(m) is origin), None)


def short_form(struct: type[msgspec.Struct]) -> str | None:
    """The field a bare value goes into: "y" for a consent is its `val`, 35 for an attribute its `value`."""
    known = fields(struct)
    return next((name for name in _SHORT_FORMS if name in known), None)


def resolve(name: str, struct: type[msgspec.Struct]) -> tuple[tuple[str, ...], list[Any]] | None:
    """The path of wire names that a (dotted, loosely spelled) column name means, and the types at its end."""
    head, _, rest = name.partition(".")
    known = fields(struct).get(loose(head))
    if known is None:
        return None
    wire, annotation = known
    kinds = members(annotation)
    if not rest:
        return (wire,), kinds
    inner = struct_in(kinds)
    if inner is not None:
        below = resolve(rest, inner)
        return None if below is None else ((wire, *below[0]), below[1])
    keyed = generic_in(kinds, dict)
    return None if keyed is None else _resolve_key(wire, rest, members(keyed[1]))


def _resolve_key(wire: str, rest: str, kinds: list[Any]) -> tuple[tuple[str, ...], list[Any]]:
    """`attributes.age` is a key, `attributes.age.source` a field of what lies under the key."""
    key, _, last = rest.rpartition(".")
    inner = struct_in(kinds)
    below = resolve(last, inner) if key and inner is not None else None
    return ((wire, rest), kinds) if below is None else ((wire, key, *below[0]), below[1])
