"""Is a frame fit to learn from? What is wrong is refused with the column or the rows named; what is useless is left out. Pure.

Leakage. A column is refused when, alone, it ranks the outcome (area under the curve) at 0.995 or better, or whether it
is missing does; or when its value uses a record dated after the moment the row is about. Nothing that is known before an
outcome separates outcomes so cleanly; where something does, name it in the data set's options as `allow`.
"""

import numpy as np

from services.training.errors import BadDataError, LeakageError
from services.training.frames import BoolArray, FloatArray, Frame
from services.training.metrics import area_under_curve
from shared.contracts.base import FieldError

LEAK = 0.995
LEAST_ROWS, LEAST_OF_A_CLASS = 50, 10
_SKEW_SECONDS, _SKEW_SHARE = 3600.0, 0.01
_NAMED = 5


def examine(frame: Frame, *, now: float, binary: bool = True, allow: list[str] | None = None) -> Frame:
    """The frame without duplicates, skewed rows and useless columns, with a note on each.

    Args:
        frame: what was built.
        now: epoch seconds; nothing may be dated later.
        binary: the outcome is 0 or 1.
        allow: columns that may predict the outcome as well as they like.

    Raises:
        BadDataError: too few rows, one class only, no column left, contradicting rows, a clock that is wrong.
        LeakageError: a column knows the outcome.
    """
    notes = list(frame.notes)
    if not np.isfinite(frame.y).all():
        raise BadDataError(f"outcome: {int((~np.isfinite(frame.y)).sum())} rows have no finite outcome")
    frame = _clocks(_deduplicated(frame, notes), notes, now)
    _enough(frame, binary=binary)
    _dated(frame)
    if binary:
        _leaks(frame, set(allow or ()))
    frame = _useful(frame, notes)
    frame.notes = notes
    return frame


def _refuse(kind: type[BadDataError], field: str, message: str) -> BadDataError:
    return kind(f"{field}: {message}", errors=[FieldError(field=field, message=message)])


def _deduplicated(frame: Frame, notes: list[str]) -> Frame:
    """One row for an entity and a moment; the same row twice counts once, contradicting ones are refused."""
    key = np.array([f"{who}\0{when!r}" for who, when in zip(frame.entity.tolist(), frame.time.tolist(), strict=True)])
    _, first, inverse = np.unique(key, return_index=True, return_inverse=True)
    if len(first) == len(key):
        return frame
    same = frame.y == frame.y[first][inverse]
    if not same.all():
        who = sorted(set(frame.entity[~same].tolist()))[:_NAMED]
        message = (
            f"{int((~same).sum())} rows contradict another row of the same entity and time, first {', '.join(who)}"
        )
        raise _refuse(BadDataError, "entity", message)
    notes.append(f"{len(key) - len(first)} duplicated rows counted once")
    keep = np.zeros(len(key), dtype=bool)
    keep[first] = True
    return frame.rows(keep)


def _clocks(frame: Frame, notes: list[str], now: float) -> Frame:
    """Rows from the future, or whose outcome came before them: a few are left out, more means a wrong clock."""
    skewed: BoolArray = ~np.isfinite(frame.time) | (frame.time > now + _SKEW_SECONDS)
    if frame.outcome_time is not None:
        skewed |= frame.outcome_time < frame.time
    count = int(skewed.sum())
    if not count:
        return frame
    if count > max(1, _SKEW_SHARE * len(frame.y)):
        message = (f"{count} of {len(frame.y)} rows are dated in the future, or their outcome before them: a clock is wrong "
                   f"(up to {_SKEW_SHARE:.0%} would be left out)")  # fmt: skip
        raise _refuse(BadDataError, "time", message)
    notes.append(f"{count} rows with skewed clocks left out")
    return frame.rows(~skewed)


def _enough(frame: Frame, *, binary: bool) -> None:
    if len(frame.y) < LEAST_ROWS:
        raise _refuse(
            BadDataError, "rows", f"{len(frame.y)} are too few to learn from; at least {LEAST_ROWS} are needed"
        )
    if not binary:
        return
    wrong = ~np.isin(frame.y, (0.0, 1.0))
    if wrong.any():
        raise _refuse(
            BadDataError, "outcome", f"must be 0 or 1; {int(wrong.sum())} rows are {frame.y[wrong][0]:g} or else"
        )
    for part, rows in (("training", ~frame.test), ("test", frame.test)):
        if not rows.any():
            continue
        positive = int(frame.y[rows].sum())
        negative = int(rows.sum()) - positive
        if min(positive, negative) < LEAST_OF_A_CLASS:
            message = (f"{positive} positive and {negative} negative {part} rows; {LEAST_OF_A_CLASS} of each are needed: "
                       "of one class alone nothing can be learnt")  # fmt: skip
            raise _refuse(BadDataError, "outcome", message)


def _dated(frame: Frame) -> None:
    for name, newest in frame.dated.items():
        late = np.isfinite(newest) & (newest > frame.time)
        if late.any():
            message = f"{int(late.sum())} values use records dated after the moment they are about"
            raise _refuse(LeakageError, name, message)


def separation(values: FloatArray, y: FloatArray) -> float:
    """How well a column ranks the outcome, whichever way round: 0.5 not at all, 1 perfectly. Missing values or their absence count too."""
    known = np.isfinite(values)
    best = 0.5
    if known.any() and not known.all():
        missing = area_under_curve(y, known.astype(np.float64))
        best = max(missing, 1 - missing)
    filled = np.where(known, values, np.median(values[known]) if known.any() else 0.0)
    ranked = area_under_curve(y, filled)
    return max(best, ranked, 1 - ranked)


def _leaks(frame: Frame, allowed: set[str]) -> None:
    for n, name in enumerate(frame.columns):
        if name in allowed:
            continue
        found = separation(frame.x[:, n], frame.y)
        if found >= LEAK:
            message = (f"separates the outcomes almost perfectly by itself (area under the curve {found:.4f}, refused from "
                       f"{LEAK}): it knows what it should predict")  # fmt: skip
            raise _refuse(LeakageError, name, message)


def _useful(frame: Frame, notes: list[str]) -> Frame:
    """Without columns that say nothing: all missing, or one value only."""
    empty, constant, kept = [], [], []
    for n, name in enumerate(frame.columns):
        values = frame.x[~frame.test, n]
        known = values[np.isfinite(values)]
        if not len(known):
            empty.append(name)
        elif len(known) == len(values) and known.min() == known.max():
            constant.append(name)
        else:
            kept.append(name)
    if not kept:
        raise _refuse(BadDataError, "columns", "every column is empty or constant: there is nothing to learn from")
    if empty:
        notes.append(f"columns left out, all missing: {', '.join(empty)}")
    if constant:
        notes.append(f"columns left out, constant: {', '.join(constant)}")
    return frame.only(kept) if len(kept) < len(frame.columns) else frame
