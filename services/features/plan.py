"""Views taken apart into what is computed: filters, windows, columns, and one feature after the other. Pure.

All computation goes by a plan, the Ibis expressions as well as the arrays of the stream, so that what is written once as
a view means the same everywhere.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import numpy as np

from services.features.errors import BadViewError, UnknownFeatureError
from shared.contracts.base import FieldError
from shared.contracts.features import Aggregate, Each, Entity, FeatureInfo, FeatureView

LIFETIME = "lifetime"
ENTITY_COLUMN: dict[Entity, str] = {
    "profile": "profile_id", "offer": "offer_id", "product": "product_id", "category": "category", "brand": "brand",
}  # fmt: skip
MEASURES = ("value", "quantity", "discount")
LABELS = ("type", "category", "department", "brand", "product_id", "offer_id", "session_id", "currency")
MAX_FILTERS, MAX_FEATURES, MAX_DAYS = 60, 500, 3650
_NEVER_DAYS = 9999.0
_UNITS = {"m": 60_000_000, "h": 3_600_000_000, "d": 86_400_000_000}
DAY = _UNITS["d"]
SLACK = 7 * DAY  # how much longer than its longest window a record is kept: online reads may lie so far back
_ADDS = {"sum", "mean", "min", "max", "latest"}

Filter = tuple[tuple[str, tuple[str, ...]], ...]


def microseconds(window: str) -> int | None:
    """The length of a window in microseconds; None for a lifetime."""
    return None if window == LIFETIME else int(window[:-1]) * _UNITS[window[-1]]


class Feature(msgspec.Struct, frozen=True):
    """One feature of an entity: `filter` and `window` are indices into the plan's; `ttl` in microseconds."""

    name: str
    view: str
    aggregate: Aggregate
    of: str | None
    filter: int
    window: int
    ttl: int | None
    default: float


class EntityPlan(msgspec.Struct, frozen=True):
    """All features of one kind of entity.

    `windows`: microseconds, None for a lifetime; `measures` and `told`: the columns that are added up, and told apart.
    """

    entity: Entity
    filters: tuple[Filter, ...]
    windows: tuple[int | None, ...]
    measures: tuple[str, ...]
    told: tuple[str, ...]
    features: tuple[Feature, ...]

    @property
    def column(self) -> str:
        """The column of an event that names the entity."""
        return ENTITY_COLUMN[self.entity]

    @property
    def names(self) -> list[str]:
        """The features' names, in the order of their values."""
        return [feature.name for feature in self.features]

    @property
    def defaults(self) -> list[float]:
        """What an entity without events has."""
        return [feature.default for feature in self.features]

    @property
    def horizon(self) -> int | None:
        """How far back events are needed, in microseconds; None: for ever."""
        return None if None in self.windows else max(w for w in self.windows if w is not None)

    @property
    def record(self) -> np.dtype[Any]:
        """One event as it is kept for an entity: its time, the filters it passes (bit i: filter i), its columns."""
        fields = [("at", "<i8"), ("mask", "<u8"), *((name, "<f8") for name in self.measures)]
        return np.dtype([*fields, *((f"h_{name}", "<u8") for name in self.told)])

    def select(self, names: Iterable[str]) -> list[int]:
        """The positions of these features; all for no names.

        Raises:
            UnknownFeatureError: one is not a feature of this entity.
        """
        wanted, known = list(names), self.names
        unknown = [name for name in wanted if name not in known]
        if unknown:
            message = f"{unknown[0]!r} is no feature of {self.entity}"
            error = FieldError(field="features", message=message, given=unknown[0], allowed=", ".join(known[:60]))
            raise UnknownFeatureError(message, errors=[error])
        return [known.index(name) for name in wanted] if wanted else list(range(len(known)))

    def part(self, names: Iterable[str]) -> "EntityPlan":
        """The same plan with these features only, in this order."""
        return msgspec.structs.replace(self, features=tuple(self.features[i] for i in self.select(names)))


class Plan(msgspec.Struct, frozen=True):
    """Everything a tenant's views come to; `version` is a hash of it."""

    version: str
    entities: dict[Entity, EntityPlan]

    def of(self, entity: Entity) -> EntityPlan:
        """The plan of a kind of entity, without features when no view is about it."""
        return self.entities.get(entity) or EntityPlan(entity, (), (), (), (), ())

    def infos(self, views: Iterable[FeatureView]) -> list[FeatureInfo]:
        """Every feature as people look it up."""
        windows = {view.name: {microseconds(w): w for w in view.windows} for view in views}
        return [
            FeatureInfo(name=f.name, view=f.view, entity=kind, aggregate=f.aggregate, default=f.default,
                        window=windows[f.view][plan.windows[f.window]])
            for kind, plan in self.entities.items() for f in plan.features
        ]  # fmt: skip


def _bad(field: str, message: str, given: Any, allowed: str) -> BadViewError:
    error = FieldError(field=field, message=message, given=str(given)[:120], allowed=allowed)
    return BadViewError(f"{field} {message}; allowed: {allowed}", errors=[error])


def _check_of(view: FeatureView, at: str) -> None:
    if view.aggregate in _ADDS and view.of not in MEASURES:
        raise _bad(f"{at}.of", f"is nothing that {view.aggregate} can be taken of", view.of, ", ".join(MEASURES))
    if view.aggregate == "distinct" and view.of not in LABELS:
        raise _bad(f"{at}.of", "is nothing that can be told apart", view.of, ", ".join(LABELS))
    if view.aggregate in {"count", "recency"} and view.of is not None:
        raise _bad(f"{at}.of", f"is not used by {view.aggregate}", view.of, "nothing")


def check(views: list[FeatureView]) -> None:
    """See that views can be computed.

    Raises:
        BadViewError: one cannot; names the view, the field, what was given and what is allowed.
    """
    names: set[str] = set()
    for index, view in enumerate(views):
        at = f"views[{index}]"
        if view.name in names:
            raise _bad(f"{at}.name", "is there twice", view.name, "a name of its own")
        names.add(view.name)
        _check_of(view, at)
        if len(set(view.windows)) < len(view.windows):
            raise _bad(f"{at}.windows", "has a window twice", view.windows, "each once")
        spans = [microseconds(text) for text in (*view.windows, *([view.ttl] if view.ttl else []))]
        if any(span is not None and span > MAX_DAYS * DAY for span in spans):
            raise _bad(f"{at}.windows", "is too long", view.windows, f"up to {MAX_DAYS}d, or lifetime")
        if view.each and bool(view.each.values) == bool(view.each.top):
            raise _bad(f"{at}.each", "needs values or top, one of the two", msgspec.to_builtins(view.each), "one")
        if view.each and view.each.label in view.where:
            raise _bad(f"{at}.each.label", "is in where as well", view.each.label, "another label")
    _size(compile_plan(resolved(views, {})))


def _size(plan: Plan) -> None:
    for kind, part in plan.entities.items():
        if len(part.filters) > MAX_FILTERS:
            raise _bad("views", f"have too many conditions about {kind}", len(part.filters), f"at most {MAX_FILTERS}")
        if len(part.features) > MAX_FEATURES:
            raise _bad("views", f"make too many features of {kind}", len(part.features), f"at most {MAX_FEATURES}")


def tops(views: Iterable[FeatureView]) -> dict[str, int]:
    """View -> how many of the most frequent values have to be looked up for it."""
    return {view.name: view.each.top for view in views if view.each and view.each.top}


def resolved(views: Iterable[FeatureView], found: Mapping[str, list[str]]) -> list[FeatureView]:
    """The views with their most frequent values filled in; placeholders where none are known yet."""
    done = []
    for view in views:
        if view.each and view.each.top:
            values = found.get(view.name, [f"#{n}" for n in range(view.each.top)])
            each = Each(label=view.each.label, values=values) if values else None
            if each is None:
                continue
            done.append(msgspec.structs.replace(view, each=each))
        else:
            done.append(view)
    return done


def _filters(view: FeatureView) -> list[tuple[str, Filter]]:
    """(suffix of the feature's name, filter) of every value of `each`, one without."""
    base = {
        name: (value,) if isinstance(value, str) else tuple(sorted(set(value))) for name, value in view.where.items()
    }
    if view.each is None:
        return [("", tuple(sorted(base.items())))]
    label = view.each.label
    return [
        (f":{value}", tuple(sorted({**base, label: (value,)}.items()))) for value in dict.fromkeys(view.each.values)
    ]


def _default(view: FeatureView, window: int | None) -> float:
    if view.default is not None:
        return float(view.default)
    if view.aggregate == "recency":
        return _NEVER_DAYS if window is None else window / DAY
    return 0.0


def _entity(entity: Entity, views: list[FeatureView]) -> EntityPlan:
    filters: dict[Filter, int] = {}
    windows: dict[int | None, int] = {}
    features: list[Feature] = []
    for view in views:
        ttl = microseconds(view.ttl) if view.ttl else None
        for suffix, condition in _filters(view):
            at = filters.setdefault(condition, len(filters))
            for text in view.windows:
                window = microseconds(text)
                features.append(
                    Feature(f"{view.name}_{text}{suffix}", view.name, view.aggregate, view.of, at,
                            windows.setdefault(window, len(windows)), ttl, _default(view, window))
                )  # fmt: skip
    used = {feature.of for feature in features if feature.of}
    told = {feature.of for feature in features if feature.of and feature.aggregate == "distinct"}
    return EntityPlan(entity, tuple(filters), tuple(windows), tuple(m for m in MEASURES if m in used - told),
                      tuple(name for name in LABELS if name in told), tuple(features))  # fmt: skip


def compile_plan(views: list[FeatureView]) -> Plan:
    """The plan of views whose most frequent values are filled in."""
    by_entity: dict[Entity, list[FeatureView]] = {}
    for view in views:
        by_entity.setdefault(view.entity, []).append(view)
    digest = hashlib.sha256(msgspec.json.encode(views, order="sorted")).hexdigest()[:16]
    return Plan(digest, {entity: _entity(entity, found) for entity, found in by_entity.items()})
