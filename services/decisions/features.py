"""What the model is told of a person and a moment: named values to a vector. Pure."""

import datetime as dt
import hashlib
import math
import zoneinfo
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from services.decisions.rules import number
from shared.contracts.policies import CONTEXT_INPUTS, FeatureSpec, Policy, input_names

FloatArray = npt.NDArray[np.float64]
CHANNELS = ("email", "push", "sms", "web")
_CLIP = 5.0
_HUGE = 1e300
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
_NIGHT = (7, 21)
_SATURDAY = 5


def space(policy: Policy) -> str:
    """A hash of what makes vectors comparable: two policies of one space share what was learnt."""
    return hashlib.sha256(msgspec.json.encode([policy.features, policy.reward.objective])).hexdigest()[:16]


def fields(specs: Sequence[FeatureSpec]) -> set[str]:
    """What the features read."""
    return {spec.field for spec in specs}


class Vectors:
    """Named values to vectors, laid out once for a policy's features."""

    def __init__(self, specs: Sequence[FeatureSpec]) -> None:
        self._size = len(input_names(specs))
        self._fields: list[str] = []
        self._categories: list[tuple[int, FeatureSpec]] = []
        places, means, scales, place = [], [], [], len(CONTEXT_INPUTS)
        for spec in specs:
            if spec.categories:
                self._categories.append((place, spec))
            else:
                self._fields.append(spec.field)
                places.append(place)
                means.append(spec.mean)
                scales.append(spec.scale)
            place += len(spec.categories) or 1
        self._places = np.array(places, dtype=np.intp)
        self._mean, self._scale = np.array(means, dtype=float), np.array(scales, dtype=float)

    def of(self, values: Mapping[str, Any]) -> FloatArray:
        """Shape (d,), every entry finite and within +-5; a value that is missing or unusable is 0."""
        found = np.zeros(self._size)
        found[: len(CONTEXT_INPUTS)] = _built_in(values)
        given = [values.get(field) for field in self._fields]
        plain = [v if type(v) is float and -_HUGE < v < _HUGE else _unusual(v) for v in given]
        with np.errstate(over="ignore"):
            scaled = (np.array(plain, dtype=float) - self._mean) / self._scale
        scaled[np.isnan(scaled)] = 0.0
        found[self._places] = np.minimum(np.maximum(scaled, -_CLIP), _CLIP)
        for place, spec in self._categories:
            value = values.get(spec.field)
            found[place : place + len(spec.categories)] = [float(value == category) for category in spec.categories]
        return found


def _built_in(values: Mapping[str, Any]) -> list[float]:
    channel = values["context.channel"]
    night = not _NIGHT[0] <= values["context.hour"] < _NIGHT[1]
    return [1.0, *(float(channel == name) for name in CHANNELS), float(bool(values["profile.known"])),
            float(night), float(values["context.weekday"] >= _SATURDAY)]  # fmt: skip


def _unusual(value: Any) -> float:
    """What is no plain float, as one; NaN for what is no number."""
    found = number(value)
    return math.nan if found is None else found


@lru_cache(maxsize=1000)
def zone(name: str) -> dt.tzinfo:
    """A time zone by name; UTC for one that does not exist."""
    try:
        return zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return dt.UTC


@lru_cache(maxsize=1000)
def clock(at: dt.datetime, time_zone: str) -> tuple[dt.datetime, str, str]:
    """The person's local time, calendar day ("20260601") and ISO week ("202623")."""
    local = at.astimezone(zone(time_zone))
    year, week, _ = local.isocalendar()
    return local, f"{local.year:04d}{local.month:02d}{local.day:02d}", f"{year:04d}{week:02d}"


def only(wanted: Iterable[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """The values that are read by something, and nothing else: what the log keeps of a person."""
    found = {name: values[name] for name in wanted if values.get(name) is not None}
    for name, value in found.items():
        if type(value) is int or type(value) is list:
            found[name] = _kept(value)
    return {name: value for name, value in found.items() if value is not None}


def _kept(value: Any) -> Any:
    """As the log can hold it: an integer beyond 64 bits as the nearest float, beyond those as nothing."""
    if isinstance(value, list):
        return [kept for kept in map(_kept, value) if kept is not None]
    if isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
        return number(value)
    return value
