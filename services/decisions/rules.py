"""Eligibility rules: predicates as data, checked before they are stored, evaluated without `eval`. Pure.

Truth has three values, coded so that logic is arithmetic: 1 holds, 0 unknown (a value is missing or of another type),
-1 fails; and = min, or = max, not = minus (Kleene 1952). Unknown is not eligible.
"""

import math
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from services.decisions.errors import BadRuleError
from shared.contracts.base import FieldError
from shared.contracts.policies import Rule

MAX_DEPTH, MAX_NODES, MAX_LIST = 20, 200, 1000
_MAX_DIGITS = 40
HOLDS, UNKNOWN, FAILS = 1, 0, -1
Truth = int | np.ndarray[Any, Any]
Values = Mapping[str, Any]
Column = Callable[[str], list[Any]]
Node = Callable[[Values], Truth]

_PREFIXES = ("profile.attributes.", "profile.facts.", "profile.features.", "context.attributes.", "offer.attributes.")
_FIELDS = frozenset({
    "profile.segments", "profile.locale", "profile.timeZone", "profile.known", "context.channel", "context.locale",
    "context.device", "context.page", "context.hour", "context.weekday", "offer.offerId", "offer.category",
    "offer.brandId", "offer.productBrand", "offer.tags", "offer.collections", "offer.price", "offer.value",
    "offer.priority",
})  # fmt: skip
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
_LISTS = {"in", "not_in", "any_of", "none_of"}
_BARE = {"exists", "missing"}
OPERATORS = ("==", "!=", *_ORDER, "between", *sorted(_LISTS), "contains", "starts_with", *sorted(_BARE))


def is_field(name: str) -> bool:
    """Can rules, features and models read it?"""
    return name in _FIELDS or name.startswith(_PREFIXES)


class Predicate(msgspec.Struct, frozen=True):
    """A checked predicate: what it reads of the person and the moment, whether it reads the offer, and its test."""

    fields: frozenset[str]
    build: Callable[[Column], Node]


def number(value: Any) -> float | None:
    """A finite number, also out of a short text ("35", as CSV brings it); None for anything else, booleans included."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float | str)
        or (isinstance(value, str) and len(value) > _MAX_DIGITS)
    ):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):  # an integer of hundreds of digits is none that could be compared
        return None
    return found if math.isfinite(found) else None


def _same(one: Any, other: Any) -> int:
    if isinstance(one, bool) or isinstance(other, bool):
        return (HOLDS if one == other else FAILS) if isinstance(one, bool) and isinstance(other, bool) else UNKNOWN
    if isinstance(one, str) and isinstance(other, str):
        return HOLDS if one == other else FAILS
    left, right = number(one), number(other)
    return UNKNOWN if left is None or right is None else HOLDS if left == right else FAILS


def _any_same(values: Iterable[Any], wanted: Iterable[Any]) -> int:
    choices = list(wanted)
    return max((_same(value, choice) for value in values for choice in choices), default=FAILS)


def test(op: str, given: Any, wanted: Any) -> int:  # noqa: PLR0911  (one return a family of operators)
    """One comparison of a value with a constant (or another value): 1, 0 or -1."""
    if op in _BARE:
        return HOLDS if (given is not None) == (op == "exists") else FAILS
    if given is None or wanted is None:
        return UNKNOWN
    if op in _ORDER or op == "between":
        left = number(given)
        bounds = [number(bound) for bound in (wanted if op == "between" else [wanted])]
        if left is None or None in bounds:
            return UNKNOWN
        good = bounds[0] <= left <= bounds[1] if op == "between" else _ORDER[op](left, bounds[0])  # type: ignore[operator]
        return HOLDS if good else FAILS
    if op == "starts_with":
        texts = isinstance(given, str) and isinstance(wanted, str)
        return UNKNOWN if not texts else HOLDS if given.startswith(wanted) else FAILS
    values = given if isinstance(given, list) else [given]
    if op in {"==", "!="}:
        found = UNKNOWN if isinstance(given, list) else _same(given, wanted)
        return found if op == "==" else -found
    found = _any_same(values, wanted if op in _LISTS else [wanted])
    found = FAILS if found == UNKNOWN and op in {"in", "any_of", "contains"} and isinstance(given, list) else found
    return -found if op in {"not_in", "none_of"} else found


class _Parser:
    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = rules
        self._nodes = 0

    def parse(self, raw: Any, path: str, depth: int, inside: tuple[str, ...]) -> Predicate:
        self._nodes += 1
        if depth > MAX_DEPTH or self._nodes > MAX_NODES:
            raise _bad(path, f"is larger than {MAX_NODES} parts or deeper than {MAX_DEPTH} levels", None)
        if not isinstance(raw, dict) or not raw:
            raise _bad(path, "is not a predicate", raw, "all, any, not, rule, or field with op and value")
        kind = next((key for key in ("all", "any", "not", "rule", "field") if key in raw), None)
        allowed = {"field", "op", "value"} if kind == "field" else {kind}
        if kind is None or set(raw) - allowed:
            extra = sorted(set(raw) - allowed - {None}, key=str)
            raise _bad(f"{path}.{extra[0]}" if extra else path, "is not known here", raw,
                       "all, any, not, rule, or field with op and value")  # fmt: skip
        if kind == "rule":
            return self._reference(raw["rule"], f"{path}.rule", depth, inside)
        if kind == "not":
            inner = self.parse(raw["not"], f"{path}.not", depth + 1, inside)
            return Predicate(inner.fields, lambda column: _negated(inner.build(column)))
        if kind == "field":
            return _comparison(raw, path)
        parts = raw[kind]
        if not isinstance(parts, list) or not parts:
            raise _bad(f"{path}.{kind}", "is not a list of predicates", parts, "at least one")
        inner_parts = [self.parse(part, f"{path}.{kind}[{n}]", depth + 1, inside) for n, part in enumerate(parts)]
        return _joined(inner_parts, every=kind == "all")

    def _reference(self, rule_id: Any, path: str, depth: int, inside: tuple[str, ...]) -> Predicate:
        if rule_id in inside:
            raise _bad(path, f"refers to itself: {' -> '.join([*inside, str(rule_id)])}", rule_id)
        if not isinstance(rule_id, str) or rule_id not in self._rules:
            raise _bad(path, "names no rule of this tenant", rule_id)
        return self.parse(self._rules[rule_id].when, path, depth + 1, (*inside, rule_id))


def _negated(inner: Node) -> Node:
    return lambda values: -inner(values)


def _joined(parts: list[Predicate], *, every: bool) -> Predicate:
    arrays: Any = np.minimum if every else np.maximum
    scalars: Any = min if every else max

    def build(column: Column) -> Node:
        nodes = [part.build(column) for part in parts]

        def node(values: Values) -> Truth:
            found = nodes[0](values)
            for other in nodes[1:]:
                next_found = other(values)
                plain = isinstance(found, int) and isinstance(next_found, int)
                found = scalars(found, next_found) if plain else arrays(found, next_found)
            return found

        return node

    return Predicate(frozenset().union(*(part.fields for part in parts)), build)


def _comparison(raw: dict[str, Any], path: str) -> Predicate:
    field, op, wanted = raw["field"], raw.get("op"), raw.get("value")
    _check_field(field, f"{path}.field")
    if op not in OPERATORS:
        raise _bad(f"{path}.op", "is not an operator", op, ", ".join(OPERATORS))
    if isinstance(wanted, dict):
        other = wanted.get("field")
        _check_field(other, f"{path}.value.field")
        if op in _BARE or op in _LISTS or op == "between":
            raise _bad(f"{path}.op", "cannot compare two fields", op, "==, !=, <, <=, >, >=, contains")
        return _two_fields(field, op, other)
    _check_value(op, wanted, f"{path}.value")
    if field.startswith("offer."):

        def build(column: Column) -> Node:
            found = np.array([test(op, value, wanted) for value in column(field)], dtype=np.int8)
            return lambda _: found

        return Predicate(frozenset({field}), build)
    return Predicate(frozenset({field}), lambda _: _one_field(field, op, wanted))


def _one_field(field: str, op: str, wanted: Any) -> Node:
    """The test of a person's value; a plain number beside a bound, the usual case, is compared at once."""
    bound = number(wanted) if op in _ORDER else None
    if bound is None:
        return lambda values: test(op, values.get(field), wanted)
    compare, limit = _ORDER[op], bound

    def node(values: Values) -> Truth:
        given = values.get(field)
        if type(given) is float and math.isfinite(given):
            return HOLDS if compare(given, limit) else FAILS
        return test(op, given, wanted)

    return node


def _two_fields(field: str, op: str, other: Any) -> Predicate:
    def build(column: Column) -> Node:
        left = column(field) if field.startswith("offer.") else None
        right = column(other) if other.startswith("offer.") else None
        if left is None and right is None:
            return lambda values: test(op, values.get(field), values.get(other))

        def node(values: Values) -> Truth:
            ones = left if left is not None else [values.get(field)] * len(right or ())
            others = right if right is not None else [values.get(other)] * len(ones)
            return np.array([test(op, one, two) for one, two in zip(ones, others, strict=True)], dtype=np.int8)

        return node

    return Predicate(frozenset({field, other}), build)


def _check_field(field: Any, path: str) -> None:
    known = isinstance(field, str) and (field in _FIELDS or any(field.startswith(p) and field != p for p in _PREFIXES))
    if not known:
        raise _bad(path, "is not a field", field, ", ".join([*sorted(_FIELDS), *(f"{p}NAME" for p in _PREFIXES)]))


def _check_value(op: str, wanted: Any, path: str) -> None:
    if op in _BARE:
        good, allowed = wanted is None, "no value"
    elif op in _ORDER:
        good, allowed = number(wanted) is not None and not isinstance(wanted, str), "a finite number"
    elif op == "between":
        bounds: list[Any] = wanted if isinstance(wanted, list) and len(wanted) == 2 else [None]  # noqa: PLR2004
        good = all(number(b) is not None and not isinstance(b, str) for b in bounds) and bool(bounds[0] <= bounds[-1])
        allowed = "two numbers, the smaller first"
    elif op in _LISTS:
        good = isinstance(wanted, list) and 0 < len(wanted) <= MAX_LIST
        good = good and all(isinstance(item, str | bool | int | float) for item in wanted)
        allowed = f"a list of 1 to {MAX_LIST} texts, numbers or booleans"
    elif op == "starts_with":
        good, allowed = isinstance(wanted, str) and bool(wanted), "a text"
    else:
        good, allowed = isinstance(wanted, str | bool) or number(wanted) is not None, "a text, a number or a boolean"
    if not good:
        raise _bad(path, f"does not fit the operator {op}", wanted, allowed)


def _bad(path: str, message: str, given: Any, allowed: str | None = None) -> BadRuleError:
    error = FieldError(field=path, message=message, given=repr(given)[:120], allowed=allowed)
    tail = f"; allowed: {allowed}" if allowed else ""
    return BadRuleError(f"{path} {message}{tail}", errors=[error])


def check(rule: Rule, others: Mapping[str, Rule]) -> Predicate:
    """A rule as a predicate, with the rules it refers to built in.

    Raises:
        BadRuleError: an unknown field, operator or rule, a value that does not fit, too large, or a circle; names where.
    """
    known = {**others, rule.rule_id: rule}
    return _Parser(known).parse(rule.when, "when", 0, (rule.rule_id,))
