"""From results to the report: means with intervals, reasons, gates. Pure, and the same bytes for the same results.

Intervals: percentile bootstrap (Efron and Tibshirani 1993), seeded.
"""

import operator
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from services.evaluation.metrics.registry import METRICS
from services.evaluation.scores import Score
from shared.contracts.evaluation import Calibration, Gate, GateResult, MetricName, MetricSummary

_DRAWS = 1000
_DIGITS = 6
_OPS = {">=": operator.ge, ">": operator.gt, "<=": operator.le, "<": operator.lt}
_UNCALIBRATED = "this metric of a judge is not calibrated against labels, so it cannot gate"


def interval(values: Sequence[float], seed: int) -> tuple[float, float]:
    """The 95 % interval of a mean; draws a block at a time, so that 20,000 values need no gigabytes."""
    array = np.asarray(values, dtype=np.float64)
    random = np.random.default_rng(seed)
    means = [float(array[random.integers(0, len(array), len(array))].mean()) for _ in range(_DRAWS)]
    low, high = np.percentile(means, (2.5, 97.5))
    return round(float(low), _DIGITS), round(float(high), _DIGITS)


def summarise(
    names: Sequence[MetricName], results: Sequence[tuple[str, Score]], judge: Calibration | None, seed: int
) -> list[MetricSummary]:
    """One summary a metric, in the order of the names, also for metrics without any result."""
    by_metric: dict[str, list[Score]] = {name: [] for name in names}
    for metric, score in results:
        by_metric.setdefault(metric, []).append(score)
    return [_summary(name, by_metric[name], judge, seed) for name in names]


def _summary(name: MetricName, scores: Sequence[Score], judge: Calibration | None, seed: int) -> MetricSummary:
    values = [score.value for score in scores if score.value is not None]
    low, high = interval(values, seed) if values else (None, None)
    gates, note = may_gate(name, judge)
    return MetricSummary(
        metric=name, kind=METRICS[name].kind, version=METRICS[name].version,
        mean=round(float(np.mean(values)), _DIGITS) if values else None, low=low, high=high, n=len(values),
        abstained=_counted(score.reason for score in scores if score.status == "abstained"),
        errors=_counted(score.reason for score in scores if score.status == "error"),
        basis=_counted(score.basis for score in scores if score.status == "ok"), gates=gates, note=note,
    )  # fmt: skip


def _counted(reasons: object) -> dict[str, int]:
    return dict(sorted(Counter(reason for reason in reasons if reason).items()))  # type: ignore[attr-defined]


def so_far(
    names: Sequence[MetricName],
    counts: Sequence[tuple[str, str, str | None, str | None, int, float | None]],
    judge: Calibration | None,
) -> list[MetricSummary]:
    """Summaries of a run that still goes on, from counts: without intervals."""
    made = []
    for name in names:
        mine = [row[1:] for row in counts if row[0] == name]
        right = [(basis, n, mean) for status, _, basis, n, mean in mine if status == "ok" and mean is not None]
        total = sum(n for _, n, _ in right)
        gates, note = may_gate(name, judge)
        made.append(MetricSummary(
            metric=name, kind=METRICS[name].kind, version=METRICS[name].version,
            mean=round(sum(n * mean for _, n, mean in right) / total, _DIGITS) if total else None,
            low=None, high=None, n=total, abstained=_summed(mine, "abstained"), errors=_summed(mine, "error"),
            basis={basis: n for basis, n, _ in right if basis}, gates=gates, note=note,
        ))  # fmt: skip
    return made


def _summed(rows: Sequence[tuple[str, str | None, str | None, int, float | None]], wanted: str) -> dict[str, int]:
    found: Counter[str] = Counter()
    for status, reason, _, n, _ in rows:
        if status == wanted:
            found[reason or ""] += n
    return dict(sorted(found.items()))


def may_gate(name: MetricName, judge: Calibration | None) -> tuple[bool, str | None]:
    """May this metric stop anything, and if not, why?"""
    if METRICS[name].kind == "deterministic":
        return True, None
    if judge is None:
        return False, "the judge is not calibrated"
    known = judge.metrics.get(name)
    if known is None:
        return False, _UNCALIBRATED
    if known.may_gate:
        return True, None
    return False, (
        f"the judge's kappa is {known.kappa:.2f} ({known.kappa_low:.2f} to {known.kappa_high:.2f}); "
        f"its interval must lie above {judge.needed_kappa:g} to gate"
    )


def gates(wanted: Sequence[Gate], summaries: Sequence[MetricSummary]) -> list[GateResult]:
    """What became of the gates: a metric without a value does not hold its bound, one that may not gate says nothing."""
    by_name: Mapping[str, MetricSummary] = {one.metric: one for one in summaries}
    made = []
    for gate in wanted:
        found = by_name.get(gate.metric)
        value = found.mean if found else None
        passed: bool | None = value is not None and bool(_OPS[gate.op](value, gate.threshold))
        note = None if value is not None else "no sample has a value"
        if found is not None and not found.gates:
            passed, note = None, found.note
        made.append(
            GateResult(metric=gate.metric, op=gate.op, threshold=gate.threshold, value=value, passed=passed, note=note)
        )
    return made
