"""Rows of the log as columns that drift can be tested on: which there are, and their values. Pure."""

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
import numpy as np

from shared.contracts.base import FieldError
from shared.contracts.catalog import Offer
from shared.contracts.decisions import LogRow
from shared.contracts.monitoring import ColumnKind, MonitoredColumn
from shared.contracts.policies import Policy, input_names
from shared.errors import InvalidInputError

INPUTS, EMBEDDED = "inputs", "offer.embedding"
_BIAS = "bias"
_CLOCK = ("night", "weekend")  # windows shorter than a week differ in them, which is no drift of people
_OWN: dict[str, tuple[ColumnKind, ...]] = {
    "prediction": ("number",),
    "reward": ("number", "category"),
    INPUTS: ("embedding",),
    "offer": ("category",),
    "offer.category": ("category",),
    "offer.text": ("text", "category"),
    EMBEDDED: ("embedding",),
}
_NAMED = 60


class Goods(msgspec.Struct):
    """What is known beside the log: the catalog, embeddings of its offers, and until when rewards are settled."""

    offers: dict[str, Offer]
    vectors: dict[str, list[float]]
    ripe: dt.datetime


def known(policy: Policy) -> dict[str, tuple[ColumnKind, ...]]:
    """Column -> the kinds it may be tested as, under a policy."""
    found: dict[str, tuple[ColumnKind, ...]] = dict(_OWN)
    for name in input_names(policy.features):
        if name != _BIAS:
            found[name] = ("number", "category")
            field, mark, _ = name.partition("=")
            if mark:
                found[field] = ("category",)
    return found


def check(columns: Sequence[MonitoredColumn], policy: Policy) -> None:
    """Are these columns of the log under the policy, each once and of a kind that fits?

    Raises:
        InvalidInputError: no; it names the column, and what there is.
    """
    there = known(policy)
    faults = []
    seen: set[str] = set()
    for n, column in enumerate(columns):
        if column.name not in there:
            allowed = ", ".join(list(there)[:_NAMED]) + (" and more" if len(there) > _NAMED else "")
            faults.append(FieldError(field=f"columns[{n}].name", message="is no column of the decision log", given=column.name,
                                     allowed=f"there are {allowed}"))  # fmt: skip
        elif column.kind not in there[column.name]:
            faults.append(FieldError(field=f"columns[{n}].kind", message=f"{column.name} cannot be tested so",
                                     given=column.kind, allowed=", ".join(there[column.name])))  # fmt: skip
        elif column.name in seen:
            faults.append(FieldError(field=f"columns[{n}].name", message="is there twice", given=column.name))
        seen.add(column.name)
    if faults:
        raise InvalidInputError("; ".join(f"{one.field}: {one.given!r} {one.message}" for one in faults), errors=faults)


def window(
    rows: Sequence[LogRow], spaces: Mapping[str, Sequence[str]], columns: Iterable[MonitoredColumn], goods: Goods
) -> dict[str, Any]:
    """Column -> its values, one a row (of `reward` those that are settled); what a row does not have is missing."""
    found: dict[str, Any] = {}
    for column in columns:
        if column.name in _OWN:
            found[column.name] = _own(column.name, rows, spaces, goods)
        elif any(column.name in names for names in spaces.values()):
            found[column.name] = _input(column.name, rows, spaces)
        else:
            found[column.name] = _choice(column.name, rows, spaces)
    return found


def words(offer: Offer) -> str:
    """What an offer says of itself."""
    return f"{offer.name}. {offer.description}" if offer.description else offer.name


def propensity(row: LogRow) -> float:
    """Of what was shown; NaN where it could not have been under the policy that is asked about."""
    return row.estimates[row.offers.index(row.offer_id)] if row.offer_id in row.offers else float("nan")


def _own(name: str, rows: Sequence[LogRow], spaces: Mapping[str, Sequence[str]], goods: Goods) -> Any:
    if name == "prediction":
        return np.array([propensity(row) for row in rows], dtype=np.float64)
    if name == "reward":
        return np.array([row.reward for row in rows if row.time < goods.ripe], dtype=np.float64)
    if name == INPUTS:
        left_out = (_BIAS, *_CLOCK)
        return [[x for x, one in zip(row.x, spaces[row.space], strict=True) if one not in left_out] for row in rows]
    if name == EMBEDDED:
        return [goods.vectors.get(row.offer_id) for row in rows]
    told: dict[str, Callable[[Offer], str | None]] = {
        "offer.category": lambda offer: offer.category,
        "offer.text": words,
    }
    if name not in told:
        return [row.offer_id for row in rows]
    return [told[name](goods.offers[row.offer_id]) if row.offer_id in goods.offers else None for row in rows]


def _input(name: str, rows: Sequence[LogRow], spaces: Mapping[str, Sequence[str]]) -> Any:
    place = {space: list(names).index(name) for space, names in spaces.items() if name in names}
    return np.array([row.x[place[row.space]] if row.space in place else np.nan for row in rows], dtype=np.float64)


def _choice(name: str, rows: Sequence[LogRow], spaces: Mapping[str, Sequence[str]]) -> list[str | None]:
    """Of a field whose values are inputs of their own, which one it is; missing where it is none of them."""
    places = {
        space: [(n, one.partition("=")[2]) for n, one in enumerate(names) if one.startswith(f"{name}=")]
        for space, names in spaces.items()
    }
    return [next((label for n, label in places[row.space] if row.x[n] > 0), None) for row in rows]
