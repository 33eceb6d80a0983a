"""The offline suite: gates fail when they should, nothing that is no number is written, runs are compared case by case."""

import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals import gates, report, runs, statistics
from evals.gates import Gate
from evals.runs import BadRunError, Case, Run, mean_of
from evals.suites.ranking import area_under_curve

ROOT = Path(__file__).resolve().parents[2]


def made(values: dict[str, float], **changes: object) -> Run:
    given = {
        "suite": "grounding",
        "seed": 0,
        "data": "d1",
        "code": "c",
        "made_with": {},
        "worst": [],
        "metrics": [mean_of("recall", values, 0)],
    }
    return Run(**{**given, **changes})  # type: ignore[arg-type]


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "evals", *arguments, "--out", str(folder)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=500,
    )


def test_the_fast_suites_pass_their_gates_and_the_same_seed_gives_the_same_run(tmp_path: Path) -> None:
    first = command("fast", "--gate", folder=tmp_path / "a")
    assert first.returncode == 0, first.stdout
    again = command("fast", "--gate", "--compare", str(tmp_path / "a"), folder=tmp_path / "b")
    assert again.returncode == 0, again.stdout
    for name in ("grounding", "safety", "off-policy"):
        assert (tmp_path / "a" / f"{name}.json").read_bytes() == (tmp_path / "b" / f"{name}.json").read_bytes()
        page = (tmp_path / "b" / f"{name}.html").read_text()
        assert "no clear difference" in page
        assert "http" not in page.split("</style>")[0]
    assert all(
        math.isfinite(metric["value"])
        for metric in json.loads((tmp_path / "a" / "grounding.json").read_text())["metrics"]
    )


def test_an_unknown_suite_and_a_baseline_that_is_not_there_are_told(tmp_path: Path) -> None:
    unknown = command("poetry", folder=tmp_path)
    assert (unknown.returncode, "no suite named 'poetry'" in unknown.stdout) == (2, True)
    missing = command("grounding", "--compare", str(tmp_path / "none.json"), folder=tmp_path)
    assert missing.returncode == 2
    assert "No such file" in " ".join(missing.stdout.split())


@pytest.mark.parametrize(
    ("gate", "passed"),
    [
        ({"at_least": 0.7}, True), ({"at_least": 0.8}, False), ({"at_most": 0.75}, True), ({"at_most": 0.7}, False),
        ({"metric": "gone", "at_least": 0.0}, False), ({"regression": 0.3}, True), ({"regression": 0.1}, False),
    ],
)  # fmt: skip
def test_a_gate_fails_when_it_should(gate: dict[str, float], passed: bool) -> None:
    before = made(dict.fromkeys("abcd", 1.0))
    after = made({"a": 1.0, "b": 1.0, "c": 1.0, "d": 0.0})
    wanted = Gate(**{"suite": "grounding", "metric": "recall", **gate})  # type: ignore[arg-type]
    assert [one.passed for one in gates.judge(after, [wanted], runs.compare(after, before))] == [passed]


def test_every_gate_names_a_suite_that_there_is() -> None:
    from evals.__main__ import SUITES

    assert {gate.suite for gate in gates.read()} <= set(SUITES)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_number_is_never_written(value: float) -> None:
    run = made({"a": 1.0})
    run.metrics[0].by_case["b"] = value
    with pytest.raises(BadRunError, match="b is not a finite number"):
        runs.encode(run)
    with pytest.raises(ValueError, match="finite"):
        mean_of("recall", {"a": value}, 0)


def test_runs_on_other_data_are_not_compared() -> None:
    with pytest.raises(BadRunError, match="different data"):
        runs.compare(made({"a": 1.0}), made({"a": 1.0}, data="d2"))
    with pytest.raises(BadRunError, match="cannot be compared"):
        runs.compare(made({"a": 1.0}), made({"a": 1.0}, suite="safety"))


def test_pairs_show_a_difference_that_hides_between_cases() -> None:
    random = np.random.default_rng(1)
    hard = random.normal(0, 10, 300)
    before, after = hard, hard + 0.5 + random.normal(0, 0.5, 300)
    value, low, high = statistics.paired_interval(after.tolist(), before.tolist())
    assert low < 0.5 < high
    assert low > 0.3
    _, alone_low, alone_high = statistics.mean_interval((after - before[::-1]).tolist())
    assert alone_low < 0 < alone_high
    assert value == pytest.approx(float((after - before).mean()))


def test_a_bootstrap_interval_holds_the_mean_as_often_as_it_says() -> None:
    random = np.random.default_rng(2)
    hits = 0
    for seed in range(200):
        _, low, high = statistics.mean_interval(random.exponential(1.0, 80).tolist(), seed)
        hits += low <= 1.0 <= high
    assert 0.89 <= hits / 200 <= 0.99


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=2, max_size=40))
def test_the_area_under_the_curve_is_the_share_of_pairs_in_order(rows: list[tuple[bool, int]]) -> None:
    positive, negative = [s for label, s in rows if label], [s for label, s in rows if not label]
    area = area_under_curve(np.array([[float(label), float(score)] for label, score in rows]))
    if not positive or not negative:
        assert math.isnan(area)
        return
    pairs = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert area == pytest.approx(sum(pairs) / len(pairs))


def test_the_page_escapes_what_the_model_wrote() -> None:
    page = report.page(made({"a": 0.5}, worst=[Case(id="a", value=0.0, text="<script>alert(1)</script>")]), [], [])
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
