"""How often drift alarms when nothing drifted, and when something did: simulated windows, the functions that serve, seeded."""

import math
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import threadpoolctl
from scipy import stats

from services.training.drift import control, multivariate, text, univariate
from services.training.drift.report import Floors, window_report
from services.training.drift.streaming import Adwin

COLUMNS, ROWS, ALPHA = 20, 10_000, 0.05
NULL_WINDOWS, DRIFTED_WINDOWS = 1000, 200
VECTORS, DIMENSIONS, NULL_CLOUDS, DRIFTED_CLOUDS = 500, 32, 1000, 100
STREAMS, LENGTH, BEFORE = 300, 10_000, 5_000
FLOORS = Floors()
SHARES = np.array([0.4, 0.25, 0.15, 0.1, 0.05, 0.03, 0.02])


def run() -> dict[str, Any]:
    """Shares of alarms with 95 % intervals (Clopper and Pearson)."""
    with ProcessPoolExecutor(max_workers=os.cpu_count(), initializer=_one_thread) as pool:

        def share(of: Callable[[int], tuple[bool, ...]], names: tuple[str, ...], count: int) -> dict[str, Any]:
            found = np.array(list(pool.map(of, range(count), chunksize=max(1, count // 20))))
            return {name: _share(int(found[:, k].sum()), count) for k, name in enumerate(names)}

        looks = ("with_floor", "without_floor", "without_control")
        power = {f"{moved}_sd": share(_MOVED[moved], ("alarm",), DRIFTED_WINDOWS)["alarm"] for moved in _MOVED}
        delays = {f"from_0.1_to_{rate}": _delays(list(pool.map(_DELAYS[rate], range(STREAMS)))) for rate in _DELAYS}
        return {
            "columns": COLUMNS, "rows": ROWS, "alpha": ALPHA,
            "numbers": {"false_alarms_of_windows": share(_null_window, looks, NULL_WINDOWS),
                        "power_one_of_20_moved_0.2_sd": share(_drifted_window, ("alarm", "that_column_alone"), DRIFTED_WINDOWS),
                        "power_at_least": power},
            "categories": {"false_alarms_of_windows": share(_null_categories, looks, NULL_WINDOWS),
                           "power_5_points_moved": share(_drifted_categories, ("alarm",), DRIFTED_WINDOWS)["alarm"]},
            "embeddings": {"rows": VECTORS, "dimensions": DIMENSIONS,
                           "false_alarms": share(_null_cloud, ("classifier", "mmd"), NULL_CLOUDS),
                           "power_all_dimensions_moved_0.1_sd": share(_drifted_cloud, ("classifier", "mmd"), DRIFTED_CLOUDS)},
            "texts": {"rows": VECTORS, "false_alarms": share(_null_texts, ("alarm",), NULL_CLOUDS)["alarm"],
                      "power_one_word_of_30_twice_as_often": share(_drifted_texts, ("alarm",), DRIFTED_CLOUDS)["alarm"]},
            "streams": {"delta": 0.002, "values": LENGTH,
                        "false_alarms_of_streams": share(_null_stream, ("with_floor", "any_cut"), STREAMS), "delay": delays},
        }  # fmt: skip


def _one_thread() -> None:
    threadpoolctl.threadpool_limits(1)


def _share(count: int, of: int) -> dict[str, Any]:
    low, high = stats.binomtest(count, of).proportion_ci(method="exact")
    return {"share": round(count / of, 4), "interval_95": [round(float(low), 4), round(float(high), 4)], "of": of}


def _window(draw: np.random.Generator) -> dict[str, Any]:
    return {f"f{k}": draw.normal(size=ROWS) for k in range(COLUMNS)}


def _null_window(seed: int) -> tuple[bool, ...]:
    draw = np.random.default_rng((1, seed))
    reference, current = _window(draw), _window(draw)
    findings = window_report(reference, current, dict.fromkeys(reference, "number"), alpha=ALPHA).findings
    sure = [(one.adjusted or 0.0) <= ALPHA for one in findings]
    return any(one.alarm for one in findings), any(sure), any((one.p or 0.0) <= ALPHA for one in findings)


def _drifted_window(seed: int) -> tuple[bool, ...]:
    draw = np.random.default_rng((2, seed))
    reference, current = _window(draw), _window(draw)
    current["f7"] += 0.2
    report = window_report(reference, current, dict.fromkeys(reference, "number"), alpha=ALPHA)
    return report.alarm, report.alarms == ["f7"]


class _Moved:
    """A column that moved, held to the strictest step of Holm, so at least this often in a window of 20."""

    def __init__(self, by: float) -> None:
        self.by = by

    def __call__(self, seed: int) -> tuple[bool, ...]:
        draw = np.random.default_rng((3, seed))
        found = univariate.ks(draw.normal(size=ROWS), draw.normal(self.by, 1, ROWS))
        return (found.p * COLUMNS <= ALPHA and found.effect >= FLOORS.ks,)


def _null_categories(seed: int) -> tuple[bool, ...]:
    draw = np.random.default_rng((4, seed))
    found = [univariate.chi_squared(*draw.multinomial(ROWS, SHARES, size=2)) for _ in range(COLUMNS)]
    p = np.array([one.p for one in found])
    sure = control.adjusted(p) <= ALPHA
    large = np.array([one.effect for one in found]) >= FLOORS.chi_squared
    return bool((sure & large).any()), bool(sure.any()), bool((p <= ALPHA).any())


def _drifted_categories(seed: int) -> tuple[bool, ...]:
    draw = np.random.default_rng((5, seed))
    moved = SHARES + np.array([-0.05, 0, 0, 0.05, 0, 0, 0])
    found = univariate.chi_squared(draw.multinomial(ROWS, SHARES), draw.multinomial(ROWS, moved))
    return (found.p * COLUMNS <= ALPHA and found.effect >= FLOORS.chi_squared,)


def _clouds(seed: int, by: float, *, floors: bool) -> tuple[bool, ...]:
    draw = np.random.default_rng((6, seed))
    reference, current = draw.normal(size=(VECTORS, DIMENSIONS)), draw.normal(by, 1, (VECTORS, DIMENSIONS))
    line, kernel = (
        multivariate.classifier(reference, current, seed=seed),
        multivariate.mmd(reference, current, seed=seed),
    )
    lows = (FLOORS.classifier, FLOORS.mmd) if floors else (0.0, 0.0)
    return tuple(one.p <= ALPHA and one.effect >= low for one, low in zip((line, kernel), lows, strict=True))


def _null_cloud(seed: int) -> tuple[bool, ...]:
    """Without floors: it is the p-value that is asked."""
    return _clouds(seed, 0.0, floors=False)


def _drifted_cloud(seed: int) -> tuple[bool, ...]:
    return _clouds(seed, 0.1, floors=True)


def _texts(seed: int, weight: float) -> tuple[list[str], list[str]]:
    """Texts of 5 to 11 words of 30, where in the second list one word has `weight` times its share."""
    draw = np.random.default_rng((9, seed))
    share = np.array([weight] + [1.0] * 29) / (29 + weight)

    def some(p: np.ndarray) -> list[str]:
        return [" ".join(f"word{k}" for k in draw.choice(30, size=draw.integers(5, 12), p=p)) for _ in range(VECTORS)]

    return some(np.full(30, 1 / 30)), some(share)


def _null_texts(seed: int) -> tuple[bool, ...]:
    return (text.words(*_texts(seed, 1.0), seed=seed)[0].p <= ALPHA,)


def _drifted_texts(seed: int) -> tuple[bool, ...]:
    found, _ = text.words(*_texts(seed, 2.0), seed=seed)
    return (found.p <= ALPHA and found.effect >= FLOORS.words,)


def _null_stream(seed: int) -> tuple[bool, ...]:
    changes = Adwin().update((np.random.default_rng((7, seed)).random(LENGTH) < 0.1).astype(np.float64))
    return any(change.alarm for change in changes), bool(changes)


class _Delay:
    """Values from the change to the first alarm; infinite for none, negative for an alarm before it."""

    def __init__(self, rate: float) -> None:
        self.rate = rate

    def __call__(self, seed: int) -> float:
        draw = np.random.default_rng((8, seed))
        stream = np.concatenate([draw.random(BEFORE) < 0.1, draw.random(LENGTH - BEFORE) < self.rate])
        return next(
            (float(one.at - BEFORE) for one in Adwin().update(stream.astype(np.float64)) if one.alarm), math.inf
        )


def _delays(found: list[float]) -> dict[str, Any]:
    seen = sorted(value for value in found if 0 <= value < math.inf)
    return {"seen": _share(len(seen), len(found)), "median": seen[len(seen) // 2] if seen else None,
            "p90": seen[int(len(seen) * 0.9)] if seen else None}  # fmt: skip


_MOVED = {by: _Moved(by) for by in (0.05, 0.1, 0.15, 0.2)}
_DELAYS = {rate: _Delay(rate) for rate in (0.12, 0.15, 0.2)}
