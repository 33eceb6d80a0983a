"""A window over a stream that shortens itself when the mean changes: ADWIN2 (Bifet and Gavaldà 2007). Pure.

river, which is kept, has it too; importing that takes seconds and pulls in pandas, its state is a pickle, a missing value
poisons it for good, and it forgets everything after an alarm. Here the state is JSON, and what remains of the window stays.
"""

import math

import msgspec
import numpy as np

from services.training.drift.errors import BadWindowError
from services.training.drift.types import FloatArray
from shared.contracts.base import Contract, FieldError
from shared.contracts.monitoring import Change

_BUCKETS = 5  # of one size before two are joined: M of the paper
_LEAST = 5  # values on either side of a cut


class Adwin(Contract, kw_only=True):
    """The detector; its fields are its state, so it can be stored as JSON between batches.

    Values lie in [low, high] (what lies outside is set to the bound and counted). `delta` (0, 1): the chance of a false cut at a
    look is at most about this; there is a look every `every` values. A cut whose effect is below `floor`, counted from the
    last alarm on so that many small steps are one large one, is no alarm.
    """

    low: float = 0.0
    high: float = 1.0
    delta: float = 0.002
    every: int = 32
    floor: float = 0.05
    seen: int = 0
    missing: int = 0
    clipped: int = 0
    anchor: float | None = None
    buckets: list[list[tuple[float, float]]] = msgspec.field(default_factory=list)
    """Of each power of two, the smallest first: (sum, sum of squared deviations) of its buckets, the oldest first."""

    def __post_init__(self) -> None:
        bounds = {
            "low": (math.isfinite(self.low), "a finite number"),
            "high": (math.isfinite(self.high) and self.high > self.low, "a finite number above low"),
            "delta": (0 < self.delta < 1, "above 0 and below 1"),
            "every": (self.every >= 1, "1 or more"),
            "floor": (math.isfinite(self.floor) and self.floor >= 0, "0 or more"),
        }
        for name, (good, allowed) in bounds.items():
            if not good:
                given = str(getattr(self, name))
                fault = FieldError(field=name, message="is not allowed", given=given, allowed=allowed)
                raise BadWindowError(f"{name}: {given} is not allowed; {allowed}", errors=[fault])

    @property
    def width(self) -> int:
        """Values in the window."""
        return sum(len(row) << level for level, row in enumerate(self.buckets))

    @property
    def mean(self) -> float | None:
        """Of the window, in the stream's unit; None before the first value."""
        width = self.width
        total = sum(bucket[0] for row in self.buckets for bucket in row)
        return self.low + (self.high - self.low) * total / width if width else None

    def update(self, values: FloatArray) -> list[Change]:
        """Take the next values (n,), in order, NaN or infinite for missing; the changes that they showed."""
        values = np.asarray(values, dtype=np.float64).ravel()
        known = np.isfinite(values)
        unit = np.zeros(len(values))
        unit[known] = (values[known] - self.low) / (self.high - self.low)
        self.missing += int((~known).sum())
        self.clipped += int(((unit < 0) | (unit > 1)).sum())
        changes = []
        for value, there in zip(np.clip(unit, 0.0, 1.0).tolist(), known.tolist(), strict=True):
            self.seen += 1
            if there:
                self._insert(value)
            if self.seen % self.every == 0:
                change = self._cut()
                if change:
                    changes.append(change)
        return changes

    def _insert(self, value: float) -> None:
        """A bucket of one; where a size has one too many, its two oldest become one of twice the size."""
        carried, level = (value, 0.0), 0
        while True:
            if level == len(self.buckets):
                self.buckets.append([])
            row = self.buckets[level]
            row.append(carried)
            if len(row) <= _BUCKETS:
                return
            (one, spread), (two, spread_two) = row[0], row[1]
            del row[:2]
            carried = (one + two, spread + spread_two + (one - two) ** 2 / (2 << level))
            level += 1

    def _cut(self) -> Change | None:
        """Drop the oldest buckets as long as any cut of the window parts two means that differ."""
        size, total, square = self._arrays()
        change, dropped = None, 0
        while len(size) - dropped > 1:
            window = size[dropped:], total[dropped:], square[dropped:]
            place = _parting(*window, self.delta)
            if place is None:
                break
            change = change or self._change(*window, place)
            dropped += 1
        self._drop(dropped)
        return change

    def _change(self, size: FloatArray, total: FloatArray, square: FloatArray, place: int) -> Change:
        old = float(total[:place].sum() / size[:place].sum())
        new = float(total[place:].sum() / size[place:].sum())
        spread = math.sqrt(_variance(size, total, square))
        anchor = old if self.anchor is None else self.anchor
        effect = abs(new - anchor) / spread if spread > 0 else 0.0
        alarm = effect >= self.floor
        self.anchor = None if alarm else anchor
        scale = self.high - self.low
        return Change(at=self.seen, since=int(size[place:].sum()), before=self.low + scale * anchor,
                      after=self.low + scale * new, effect=effect, alarm=alarm)  # fmt: skip

    def _arrays(self) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Sizes, sums and squared deviations of the buckets, the oldest first."""
        rows = [
            (float(1 << level), *bucket)
            for level in range(len(self.buckets) - 1, -1, -1)
            for bucket in self.buckets[level]
        ]
        table = np.array(rows, dtype=np.float64).reshape(-1, 3)
        return table[:, 0], table[:, 1], table[:, 2]

    def _drop(self, count: int) -> None:
        while count:
            taken = min(count, len(self.buckets[-1]))
            del self.buckets[-1][:taken]
            count -= taken
            while self.buckets and not self.buckets[-1]:
                self.buckets.pop()


def _variance(size: FloatArray, total: FloatArray, square: FloatArray) -> float:
    mean = total.sum() / size.sum()
    return float((square + size * (total / size - mean) ** 2).sum() / size.sum())


def _parting(size: FloatArray, total: FloatArray, square: FloatArray, delta: float) -> int | None:
    """The cut between two buckets that most surely parts means that differ by more than equation 3.1 allows; None if none does."""
    width = size.sum()
    older, sums = np.cumsum(size)[:-1], np.cumsum(total)[:-1]
    newer = width - older
    level = math.log(2 * math.log(width) / delta)
    harmonic = 1 / older + 1 / newer
    bound = np.sqrt(2 * harmonic * _variance(size, total, square) * level) + 2 / 3 * harmonic * level
    ratio = np.abs(sums / older - (total.sum() - sums) / newer) / bound
    ratio[(older < _LEAST) | (newer < _LEAST)] = 0.0
    best = int(ratio.argmax())
    return best + 1 if ratio[best] >= 1 else None
