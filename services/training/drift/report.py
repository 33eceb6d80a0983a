"""One window against the reference: every column tested, false alarms held over all of them, one answer. Pure, seeded.

A column alarms when its adjusted p-value is at most alpha and its effect is at least the floor of its test: the first keeps
chance out, the second keeps out what is certain and too small to matter, as anything is in a window that is large enough.
"""

import math
import zlib
from collections.abc import Mapping
from typing import Literal, get_args

import msgspec
import numpy as np

from services.training.drift import columns, multivariate, text, univariate
from services.training.drift.columns import Window
from services.training.drift.control import adjusted
from services.training.drift.errors import BadWindowError, UntestableError
from services.training.drift.types import Tested
from shared.contracts.base import FieldError
from shared.contracts.monitoring import ColumnKind as Kind
from shared.contracts.monitoring import Control, DriftTest, Finding, Floors, WindowReport

_NAMED = 5


def window_report(
    reference: Window,
    current: Window,
    kinds: Mapping[str, Kind],
    *,
    alpha: float = 0.05,
    floors: Floors | None = None,
    control: Control = "holm",
    number_test: Literal["ks", "psi"] = "ks",
    embedding_test: Literal["classifier", "mmd"] = "classifier",
    seed: int = 0,
) -> WindowReport:
    """Every column that `kinds` names, tested.

    Args:
        reference: rows as they were when all was well, one a unit; a pyarrow table, or numpy arrays by name.
        current: the window in question, rows that are not of the reference.
        kinds: column -> what it holds. Features, predictions and labels are columns alike.
        alpha: chance of any alarm where nothing drifted (`holm`), 0 to 1.
        floors: smallest effects that may alarm.
        control: how p-values are adjusted for being many.
        number_test: for numbers.
        embedding_test: for embeddings.
        seed: of permutations and samples; the same rows give the same report.

    Raises:
        BadWindowError: no columns, one in neither window, an unknown kind, alpha or a floor out of its bounds.
    """
    floors = floors or Floors()
    _check(reference, current, kinds, alpha, floors, control)
    tests: dict[Kind, DriftTest] = {
        "number": number_test,
        "category": "chi-squared",
        "embedding": embedding_test,
        "text": "words",
    }
    permutations = max(multivariate.PERMUTATIONS, math.ceil(2 * len(kinds) / alpha))
    findings = []
    for name, kind in kinds.items():
        floor = getattr(floors, tests[kind].replace("-", "_"))
        finding = Finding(name=name, kind=kind, test=tests[kind], floor=floor)
        try:
            _present(reference, current, name)
            tested = _TESTERS[kind](finding, reference, current, zlib.crc32(name.encode()) ^ seed, permutations)
            finding.statistic, finding.p, finding.effect = _finite(tested)
        except UntestableError as error:
            finding.reason = str(error)
        findings.append(finding)
    _judge(findings, alpha, control)
    return _report(findings, alpha, control)


def _judge(findings: list[Finding], alpha: float, control: Control) -> None:
    tested = [one for one in findings if one.p is not None and one.effect is not None]
    for one, p in zip(tested, adjusted(np.array([one.p for one in tested], dtype=np.float64), control), strict=True):
        one.adjusted = float(p)
        one.alarm = one.adjusted <= alpha and (one.effect or 0.0) >= one.floor


def _report(findings: list[Finding], alpha: float, control: Control) -> WindowReport:
    alarms = [one.name for one in findings if one.alarm]
    untested = [one.name for one in findings if one.reason]
    said = f"{len(alarms)} of {len(findings)} columns drifted{_listed(alarms)}"
    if untested:
        said += f"; {len(untested)} could not be tested{_listed(untested)}"
    return WindowReport(alarm=bool(alarms), said=said, alpha=alpha, control=control, alarms=alarms, untested=untested,
                        findings=findings)  # fmt: skip


def _listed(names: list[str]) -> str:
    if not names:
        return ""
    return f": {', '.join(names[:_NAMED])}{' and more' if len(names) > _NAMED else ''}"


def _number(finding: Finding, reference: Window, current: Window, _seed: int, _permutations: int) -> Tested:
    (before, odd), (now, odd_now) = columns.numbers(reference, finding.name), columns.numbers(current, finding.name)
    _rows(finding, len(before), len(now), int(np.isnan(before).sum()), int(np.isnan(now).sum()), columns.LEAST_ROWS)
    if odd or odd_now:
        finding.notes.append(f"{odd} infinite values of the reference and {odd_now} of this window counted as missing")
    values = np.concatenate([before, now])
    if np.isnan(values).all() or (values == values[0]).all():
        raise UntestableError(
            "all missing in both windows" if np.isnan(values[0]) else "the same single value in both windows"
        )
    finding.shift = univariate.shift(before, now)
    if finding.test == "psi":
        tested = univariate.psi(before, now)
        finding.psi = tested.statistic
        return tested
    try:
        finding.psi = univariate.psi(before, now).statistic
    except UntestableError as error:
        finding.notes.append(f"no PSI: {error}")
    return univariate.ks(before, now)


def _category(finding: Finding, reference: Window, current: Window, _seed: int, _permutations: int) -> Tested:
    before, now, missing = columns.categories(reference, current, finding.name)
    _rows(finding, int(before.sum()), int(now.sum()), int(missing[0]), int(missing[1]), columns.LEAST_ROWS)
    tested = univariate.chi_squared(before, now)
    finding.psi = univariate.index_of(before, now).statistic
    return tested


def _embedding(finding: Finding, reference: Window, current: Window, seed: int, permutations: int) -> Tested:
    (before, lost), (now, lost_now) = columns.vectors(reference, finding.name), columns.vectors(current, finding.name)
    _rows(finding, len(before), len(now), lost, lost_now, columns.LEAST_VECTORS)
    if before.shape[1] != now.shape[1]:
        raise UntestableError(f"{before.shape[1]} numbers a row in the reference, {now.shape[1]} now: another encoder")
    if (before == before[0]).all() and (now == before[0]).all():
        raise UntestableError("the same single vector in both windows")
    if lost or lost_now:
        finding.notes.append(
            f"{lost} rows of the reference and {lost_now} of this window without a whole vector left out"
        )
    test = multivariate.mmd if finding.test == "mmd" else multivariate.classifier
    return test(before, now, seed=seed, permutations=permutations)


def _text(finding: Finding, reference: Window, current: Window, seed: int, permutations: int) -> Tested:
    (before, empty), (now, empty_now) = columns.texts(reference, finding.name), columns.texts(current, finding.name)
    _rows(finding, len(before), len(now), empty, empty_now, columns.LEAST_VECTORS)
    tested, finding.notes = text.words(before, now, seed=seed, permutations=permutations)
    return tested


_TESTERS = {"number": _number, "category": _category, "embedding": _embedding, "text": _text}


def _rows(finding: Finding, n: int, m: int, missing: int, missing_now: int, least: int) -> None:
    finding.rows_reference, finding.rows_current = n, m
    finding.missing_reference, finding.missing_current = missing, missing_now
    if min(n, m) < least:
        raise UntestableError(f"{n} rows in the reference and {m} now; {least} of each are needed")


def _finite(tested: Tested) -> Tested:
    if not all(map(math.isfinite, tested)):
        raise UntestableError("its numbers are too large or too small to compare")
    return tested


def _present(reference: Window, current: Window, name: str) -> None:
    for window, called in ((reference, "the reference"), (current, "this window")):
        if name not in columns.names(window):
            raise UntestableError(f"not a column of {called}")


def _check(
    reference: Window, current: Window, kinds: Mapping[str, Kind], alpha: float, floors: Floors, control: Control
) -> None:
    faults = []
    known = set(columns.names(reference)) | set(columns.names(current))
    if not kinds:
        faults.append(FieldError(field="kinds", message="names no column", allowed="column -> kind"))
    for name, kind in kinds.items():
        if name not in known:
            there = ", ".join(sorted(known)[:_NAMED]) or "none"
            faults.append(
                FieldError(field=f"kinds.{name}", message="is a column of neither window", allowed=f"there are {there}")
            )
        if kind not in get_args(Kind):
            allowed = f"one of {', '.join(get_args(Kind))}"
            faults.append(
                FieldError(field=f"kinds.{name}", message="is not known", given=str(kind)[:80], allowed=allowed)
            )
    if not 0 < alpha < 1:
        faults.append(
            FieldError(field="alpha", message="is not allowed", given=str(alpha), allowed="above 0 and below 1")
        )
    for field, floor in msgspec.structs.asdict(floors).items():
        if not (math.isfinite(floor) and floor >= 0):
            faults.append(
                FieldError(field=f"floors.{field}", message="is not allowed", given=str(floor), allowed="0 or more")
            )
    if control not in get_args(Control):
        faults.append(
            FieldError(field="control", message="is not known", given=str(control)[:80], allowed="holm or bh")
        )
    if faults:
        raise BadWindowError("; ".join(f"{one.field} {one.message}" for one in faults), errors=faults)
