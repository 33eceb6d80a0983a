"""How an entity's features lie in Redis: a head of fixed size, and behind it the records of its events. Pure.

The head is the version of the views (8 bytes), the first and the last moment + 1 at which the values hold (microseconds),
and the values as 64-bit floats. A head of zeros says: compute them from the records.
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from services.features import kernel
from services.features.plan import DAY, EntityPlan

_CACHED_HASHES = 200_000


@lru_cache(maxsize=_CACHED_HASHES)
def told(value: str | None) -> int:
    """A text as a number to tell it apart by: 64 bits of BLAKE2, 0 only for none.

    Of n different texts two are taken for one with a chance of n^2 / 2^65: one in 37 million for a million texts.
    """
    if value is None:
        return 0
    return int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "little") or 1


def head_type(plan: EntityPlan) -> np.dtype[Any]:
    """The head as a numpy type."""
    return np.dtype([("version", "<u8"), ("since", "<i8"), ("until", "<i8"), ("values", "<f8", (len(plan.features),))])


def head_size(plan: EntityPlan) -> int:
    """Bytes of a head."""
    return 24 + 8 * len(plan.features)


def number(version: str) -> int:
    """A version (16 hexadecimal digits) as the number in the head."""
    return int(version, 16)


class Layout:
    """What reading heads of a plan needs, made once."""

    def __init__(self, plan: EntityPlan, version: str) -> None:
        self.plan = plan
        self.size = head_size(plan)
        self.number = number(version)
        self.recencies = kernel.recencies(plan)
        self.defaults = np.array(plan.defaults)[self.recencies]
        self._nothing = kernel.vector(plan, np.empty(0, plan.record), 0, kept=True)
        self._type = head_type(plan)
        self._empty = bytes(self.size)

    def read(self, raw: list[bytes], moment: int) -> tuple[kernel.FloatArray, list[int]]:
        """(values (n, features) to be aged, the places of those that have to be computed) of heads as of a moment.

        What is not there has no events; what is not whole, of another version or out of its time is to be computed.
        """
        found = np.frombuffer(b"".join([r if len(r) == self.size else self._empty for r in raw]), self._type)
        values = found["values"].copy()
        fits = (found["version"] == self.number) & (found["since"] <= moment) & (found["until"] > moment)
        if fits.all():
            return values, []
        stale = []
        for place in np.flatnonzero(~fits).tolist():
            if raw[place]:
                stale.append(place)
            else:
                values[place] = self._nothing
        return values, stale

    def aged(self, values: kernel.FloatArray, moment: int) -> kernel.FloatArray:
        """What was kept, as of a later moment: the same bits as a fresh computation."""
        if len(self.recencies):
            days = (moment - values[:, self.recencies]) / DAY
            values[:, self.recencies] = np.where(np.isnan(days), self.defaults, days)
        return values


def many_heads(plan: EntityPlan, version: str, since: Any, until: Any, values: npt.NDArray[np.float64]) -> list[bytes]:
    """Heads of many entities: since and until (n,), values (n, features)."""
    found = np.zeros(len(values), head_type(plan))
    found["version"], found["since"], found["until"], found["values"] = number(version), since, until, values
    raw, size = found.tobytes(), head_size(plan)
    return [raw[i : i + size] for i in range(0, len(raw), size)]


def head(plan: EntityPlan, version: str, since: int, until: int, values: npt.NDArray[np.float64]) -> bytes:
    """One head."""
    one = np.zeros((), head_type(plan))
    one["version"], one["since"], one["until"], one["values"] = number(version), since, until, values
    return one.tobytes()


def records(plan: EntityPlan, raw: bytes) -> npt.NDArray[Any]:
    """The records behind a head. What a damaged value has beyond whole records is passed over."""
    kind, start = plan.record, head_size(plan)
    count = max(0, len(raw) - start) // kind.itemsize
    return np.frombuffer(raw, kind, count, start) if count else np.empty(0, kind)


def by_entity(ids: Sequence[Any], rows: npt.NDArray[Any]) -> list[tuple[Any, bytes]]:
    """(entity, its records) of rows whose entities are given beside them."""
    places: dict[Any, int] = {}
    codes = np.fromiter((places.setdefault(name, len(places)) for name in ids), np.int64, len(ids))
    order = np.argsort(codes, kind="stable")
    raw, size = rows[order].tobytes(), rows.dtype.itemsize
    ends = np.cumsum(np.bincount(codes, minlength=len(places))) * size
    start, found = 0, []
    for name, end in zip(places, ends.tolist(), strict=True):
        found.append((name, raw[start:end]))
        start = end
    return found
