"""Drift is seen when it matters, and only then: chance and trifles do not alarm, and what cannot be tested is said."""

import datetime as dt
import itertools
import json
import math

import msgspec
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from services.training.drift import control, multivariate, text, univariate
from services.training.drift.errors import BadWindowError
from services.training.drift.report import Finding, Floors, WindowReport, window_report
from services.training.drift.streaming import Adwin

WORDS = ["coffee", "tea", "bread", "milk", "offer", "today", "fresh", "only", "week", "save"]


def one(report: WindowReport, name: str = "x") -> Finding:
    return next(finding for finding in report.findings if finding.name == name)


def alone(reference: object, current: object, kind: str, **options: object) -> Finding:
    """The report on one column."""
    return one(window_report({"x": reference}, {"x": current}, {"x": kind}, **options))  # type: ignore[arg-type, dict-item]


def uniform(p: list[float]) -> float:
    return float(stats.kstest(p, "uniform").pvalue)


# --- p-values under no drift ---


def test_p_values_of_numbers_are_uniform_when_nothing_drifts() -> None:
    draw = np.random.default_rng(1)
    p = [
        univariate.ks(draw.normal(size=1500), draw.normal(size=1201)).p for _ in range(1000)
    ]  # coprime sizes: a fine lattice of gaps
    assert uniform(p) > 0.01


def test_p_values_of_categories_are_uniform_when_nothing_drifts() -> None:
    draw = np.random.default_rng(2)
    shares = np.array([0.5, 0.3, 0.15, 0.05])
    p = [univariate.chi_squared(draw.multinomial(2000, shares), draw.multinomial(5000, shares)).p for _ in range(400)]
    assert uniform(p) > 0.01


@pytest.mark.parametrize("test", [multivariate.classifier, multivariate.mmd])
def test_p_values_of_embeddings_keep_their_promise_when_nothing_drifts(test: object) -> None:
    draw = np.random.default_rng(3)
    p = np.array([
        test(draw.standard_t(3, size=(60, 5)), draw.standard_t(3, size=(80, 5)), seed=k, permutations=99).p  # type: ignore[operator]
        for k in range(250)
    ])  # fmt: skip
    for level in (0.05, 0.2, 0.5):
        assert stats.binomtest(int((p <= level).sum()), len(p), level, alternative="greater").pvalue > 0.005, level
    assert (p <= 0.5).mean() > 0.35, "the test never rejects"


def test_psi_of_no_drift_alarms_by_its_own_p_value_not_by_its_size() -> None:
    draw = np.random.default_rng(4)
    found = [univariate.psi(draw.normal(size=80), draw.normal(size=80)) for _ in range(300)]
    assert np.mean([one.statistic > 0.1 for one in found]) > 0.5  # what a rule of thumb would call drift
    assert np.mean([one.p <= 0.05 for one in found]) <= 0.08


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.sampled_from(["holm", "bh"]))
def test_adjusted_p_values_are_larger_keep_the_order_and_end_at_one(p: list[float], how: control.Control) -> None:
    given_p = np.array(p)
    found = control.adjusted(given_p, how)
    assert (found >= given_p - 1e-15).all()
    assert (found <= 1).all()
    order = np.argsort(given_p, kind="stable")
    assert (np.diff(found[order]) >= -1e-15).all()


def test_holm_is_what_its_paper_says() -> None:
    assert control.adjusted(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert control.adjusted(np.array([0.01, 0.04, 0.03, 0.005]), "bh") == pytest.approx([0.02, 0.04, 0.04, 0.02])


# --- alarms over a window ---


def window(draw: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    return {f"f{k}": draw.normal(size=n) for k in range(20)}


def test_of_a_hundred_windows_of_20_columns_without_drift_hardly_one_alarms() -> None:
    draw = np.random.default_rng(5)
    kinds = dict.fromkeys(window(draw, 1), "number")
    any_effect = Floors(ks=0)
    reports = [window_report(window(draw, 300), window(draw, 300), kinds, floors=any_effect) for _ in range(100)]  # type: ignore[arg-type]
    alarms = sum(report.alarm for report in reports)
    assert stats.binomtest(alarms, 100, 0.05, alternative="greater").pvalue > 0.01, alarms
    naive = sum(any((finding.p or 1) <= 0.05 for finding in report.findings) for report in reports)
    assert naive > 30, naive  # what one test a column costs


def test_a_fifth_of_a_standard_deviation_is_seen_at_10000_rows_and_named() -> None:
    draw = np.random.default_rng(6)
    kinds = dict.fromkeys(window(draw, 1), "number")
    for _ in range(10):
        now = window(draw, 10_000)
        now["f7"] += 0.2
        report = window_report(window(draw, 10_000), now, kinds)  # type: ignore[arg-type]
        assert report.alarms == ["f7"]
    assert one(report, "f7").shift == pytest.approx(0.2, abs=0.05)
    assert report.said == "1 of 20 columns drifted: f7"


def test_a_shift_that_is_certain_and_too_small_to_matter_does_not_alarm() -> None:
    draw = np.random.default_rng(7)
    reference, current = draw.normal(size=200_000), draw.normal(0.03, 1, 200_000)
    found = alone(reference, current, "number")
    assert found.adjusted is not None
    assert found.adjusted < 1e-6
    assert not found.alarm
    assert alone(reference, current, "number", floors=Floors(ks=0)).alarm


def test_a_changed_spread_alarms_though_the_mean_stays() -> None:
    draw = np.random.default_rng(8)
    assert alone(draw.normal(size=5000), draw.normal(0, 1.5, 5000), "number").alarm


@pytest.mark.parametrize("number_test", ["ks", "psi"])
def test_a_column_that_begins_to_fail_is_drift(number_test: str) -> None:
    draw = np.random.default_rng(9)
    current = draw.normal(size=4000)
    current[:800] = np.nan
    found = alone(draw.normal(size=4000), current, "number", number_test=number_test)
    assert found.alarm
    assert found.missing_current == 800
    gone = alone(draw.normal(size=4000), np.full(4000, np.nan), "number", number_test=number_test)
    assert gone.alarm
    assert gone.shift is None


def test_a_new_category_and_missing_categories_are_drift_and_order_is_not() -> None:
    draw = np.random.default_rng(10)
    reference = draw.choice(["a", "b", "c"], 5000)
    assert not alone(reference, draw.permutation(reference), "category").alarm
    new = np.where(draw.random(5000) < 0.1, "d", draw.choice(["a", "b", "c"], 5000))
    assert alone(reference, new, "category").alarm
    missing = draw.choice(["a", "b", "c"], 5000).astype(object)
    missing[:500] = None
    found = alone(reference, missing, "category")
    assert found.alarm
    assert found.missing_current == 500


def test_the_effect_of_categories_does_not_depend_on_how_long_the_reference_is() -> None:
    drifted = np.array([300, 700])
    short = univariate.chi_squared(np.array([500, 500]), drifted).effect
    long = univariate.chi_squared(np.array([50_000, 50_000]), drifted).effect
    assert short == pytest.approx(long, abs=0.002)
    assert short == pytest.approx(0.2 / math.sqrt(4 * 0.4 * 0.6), abs=0.002)


def test_psi_is_the_sum_that_its_name_says() -> None:
    before, now = np.array([4000, 3000, 3000]), np.array([2000, 3000, 5000])
    by_hand = -0.2 * math.log(0.2 / 0.4) + 0.2 * math.log(0.5 / 0.3)
    assert univariate.index_of(before, now).statistic == pytest.approx(by_hand, abs=1e-3)


# --- embeddings and texts ---


@pytest.mark.parametrize("test", ["classifier", "mmd"])
def test_embeddings_that_move_alarm_and_others_do_not(test: str) -> None:
    draw = np.random.default_rng(11)
    reference = draw.normal(size=(800, 16))
    still, moved = draw.normal(size=(800, 16)), draw.normal(size=(800, 16)) + 0.15
    assert not alone(reference, still, "embedding", embedding_test=test).alarm
    table = pa.table({"x": pa.FixedSizeListArray.from_arrays(moved.ravel(), 16)})
    found = one(window_report({"x": reference}, table, {"x": "embedding"}, embedding_test=test))  # type: ignore[arg-type]
    assert found.alarm
    assert found.adjusted == pytest.approx(0.001)


def test_vectors_that_are_mostly_the_same_do_not_alarm_by_the_order_of_rows() -> None:
    draw = np.random.default_rng(24)
    clouds = [(draw.random((2, 80, 1)) < 0.1).astype(float) for _ in range(60)]
    p = [multivariate.classifier(*cloud, seed=k, permutations=99).p for k, cloud in enumerate(clouds)]
    assert np.mean(np.array(p) <= 0.05) < 0.15


def test_a_changed_spread_is_seen_by_mmd_and_not_by_a_line() -> None:
    draw = np.random.default_rng(12)
    reference, wider = draw.normal(size=(800, 4)), draw.normal(0, 1.4, (800, 4))
    assert alone(reference, wider, "embedding", embedding_test="mmd").alarm
    assert not alone(reference, wider, "embedding").alarm


def sentences(draw: np.random.Generator, n: int, weights: list[float]) -> list[str]:
    share = np.array(weights) / sum(weights)
    return [" ".join(draw.choice(WORDS, size=draw.integers(4, 9), p=share)) for _ in range(n)]


def test_texts_with_other_words_alarm_and_the_words_are_named() -> None:
    draw = np.random.default_rng(13)
    reference = sentences(draw, 600, [1.0] * 10)
    assert not alone(reference, sentences(draw, 600, [1.0] * 10), "text").alarm
    found = alone(reference, sentences(draw, 600, [3.0] + [1.0] * 9), "text")
    assert found.alarm
    assert found.notes[0].startswith("'coffee' in ")


def test_a_word_that_few_texts_have_is_not_named() -> None:
    draw = np.random.default_rng(14)
    current = sentences(draw, 300, [1.0] * 10)
    current[:19] = [f"{line} mrs-rosenzweig" for line in current[:19]]
    _, named = text.words(sentences(draw, 300, [1.0] * 10), current)
    assert not [note for note in named if "rosenzweig" in note]


# --- streams ---


def bernoulli(draw: np.random.Generator, *parts: tuple[float, int]) -> np.ndarray:
    return np.concatenate([draw.random(n) < p for p, n in parts]).astype(np.float64)


def test_a_stream_that_stays_does_not_alarm_and_one_that_changes_does_soon() -> None:
    draw = np.random.default_rng(15)
    alarms = [change.alarm for _ in range(20) for change in Adwin().update(bernoulli(draw, (0.1, 5000)))]
    assert sum(alarms) <= 1
    stream = Adwin()
    changes = stream.update(bernoulli(draw, (0.1, 5000), (0.2, 3000)))
    assert changes[0].alarm
    assert 5000 < changes[0].at <= 5600
    assert changes[0].since == pytest.approx(changes[0].at - 5000, abs=300)
    assert (changes[0].before, changes[0].after) == (pytest.approx(0.1, abs=0.02), pytest.approx(0.2, abs=0.05))
    assert stream.mean == pytest.approx(0.2, abs=0.03)


def test_a_detector_that_is_stored_between_batches_finds_the_same() -> None:
    values = bernoulli(np.random.default_rng(16), (0.1, 3000), (0.3, 2000))
    whole, pieces = Adwin(), Adwin()
    expected = whole.update(values)
    found = []
    for part in np.array_split(values, 37):
        found += pieces.update(part)
        pieces = msgspec.json.decode(msgspec.json.encode(pieces), type=Adwin)
    assert found == expected
    assert pieces == whole


def test_the_buckets_hold_what_a_plain_window_would() -> None:
    values = np.random.default_rng(17).random(3001)
    stream = Adwin()
    stream.update(values)
    kept = values[-stream.width :]
    assert stream.mean == pytest.approx(kept.mean())
    total = sum(bucket[1] for row in stream.buckets for bucket in row)
    sizes = [(1 << level, bucket) for level, row in enumerate(stream.buckets) for bucket in row]
    between = sum(size * (bucket[0] / size - kept.mean()) ** 2 for size, bucket in sizes)
    assert (total + between) / stream.width == pytest.approx(kept.var())
    assert max(len(row) for row in stream.buckets) <= 5


def test_many_small_steps_are_one_large_one() -> None:
    draw = np.random.default_rng(18)
    steps = bernoulli(draw, *[(0.2 + 0.03 * k, 20_000) for k in range(6)])
    assert any(change.alarm for change in Adwin(floor=0.2).update(steps))
    assert not any(change.alarm for change in Adwin(floor=0.2).update(steps[:40_000]))


def test_missing_and_odd_values_of_a_stream_are_counted_and_change_nothing() -> None:
    stream = Adwin(low=0, high=10, every=1)
    assert not stream.update(np.array([1.0, math.nan, math.inf, 2.0, 99.0]))
    assert (stream.seen, stream.missing, stream.clipped, stream.width) == (5, 2, 1, 3)
    assert stream.mean == pytest.approx(13 / 3)


@pytest.mark.parametrize(
    "bad", [{"low": 1.0}, {"delta": 0.0}, {"delta": 1.0}, {"high": math.inf}, {"every": 0}, {"floor": math.nan}]
)
def test_bounds_of_a_stream_that_are_none_are_refused(bad: dict[str, float]) -> None:
    with pytest.raises(BadWindowError) as refused:
        Adwin(**bad)  # type: ignore[arg-type]
    assert refused.value.errors[0].allowed


# --- what cannot be tested ---

NORMAL = np.random.default_rng(19).normal(size=100)
VECTORS = np.random.default_rng(20).normal(size=(100, 3))
UNTESTABLE = {
    "constant": (np.full(100, 3.0), np.full(90, 3.0), "number", "same single value"),
    "all missing": (np.full(100, np.nan), np.full(100, np.nan), "number", "all missing in both"),
    "one row": (NORMAL, NORMAL[:1], "number", "100 rows in the reference and 1 now"),
    "no row": (NORMAL, NORMAL[:0], "number", "0 now"),
    "text for numbers": (NORMAL, np.array(["a"] * 100), "number", "texts where numbers"),
    "dates for numbers": (NORMAL, [dt.datetime(2026, 1, 1, tzinfo=dt.UTC)] * 100, "number", "where numbers"),
    "mixed types": (NORMAL, [1, "a"] * 50, "number", "different types"),
    "a matrix for numbers": (NORMAL, VECTORS, "number", "shape (100, 3)"),
    "categories of other types": (["1"] * 100, [1] * 100, "category", "texts in the reference, numbers now"),
    "one category": (["a"] * 100, ["a"] * 100, "category", "same single value"),
    "names as categories": ([str(k) for k in range(100)], [str(k) for k in range(100)], "category", "too rare"),
    "another encoder": (VECTORS, VECTORS[:, :2], "embedding", "another encoder"),
    "few vectors": (VECTORS, VECTORS[:40], "embedding", "50 of each"),
    "vectors that are not finite": (VECTORS, np.full((100, 3), np.nan), "embedding", "0 now"),
    "numbers for vectors": (VECTORS, NORMAL, "embedding", "shape (100,)"),
    "ragged vectors": (VECTORS, [[1.0], [1.0, 2.0]] * 50, "embedding", "different lengths"),
    "one vector": (np.ones((60, 3)), np.ones((60, 3)), "embedding", "same single vector"),
    "no words": (["?"] * 60, [None] * 60, "text", "no word"),
    "numbers for texts": (["a b"] * 60, [1] * 60, "text", "where texts"),
}


@pytest.mark.parametrize("case", UNTESTABLE)
def test_what_cannot_be_tested_has_a_reason_and_no_figures(case: str) -> None:
    reference, current, kind, reason = UNTESTABLE[case]
    drifted = {"y": np.arange(100.0)}, {"y": np.arange(100.0) + 80}
    report = window_report({"x": reference, **drifted[0]}, {"x": current, **drifted[1]}, {"x": kind, "y": "number"})  # type: ignore[arg-type, dict-item]
    found = one(report)
    assert reason in (found.reason or "")
    assert (found.p, found.effect, found.alarm) == (None, None, False)
    assert report.untested == ["x"]
    assert report.alarms == ["y"], "another column's drift is hidden by it"
    json.loads(msgspec.json.encode(report), parse_constant=pytest.fail)


def test_a_column_of_one_window_only_is_a_reason_and_of_none_an_error() -> None:
    report = window_report({"x": NORMAL}, {"y": NORMAL}, {"x": "number", "y": "number"})
    assert [finding.reason for finding in report.findings] == [
        "not a column of this window",
        "not a column of the reference",
    ]
    with pytest.raises(BadWindowError, match=r"kinds\.z is a column of neither window"):
        window_report({"x": NORMAL}, {"x": NORMAL}, {"z": "number"})


@pytest.mark.parametrize(
    ("kinds", "options", "field"),
    [
        ({}, {}, "kinds"),
        ({"x": "ordinal"}, {}, "kinds.x"),
        ({"x": "number"}, {"alpha": 0.0}, "alpha"),
        ({"x": "number"}, {"alpha": math.nan}, "alpha"),
        ({"x": "number"}, {"floors": Floors(ks=math.nan)}, "floors.ks"),
        ({"x": "number"}, {"control": "none"}, "control"),
    ],
)
def test_a_question_that_is_wrong_is_refused_with_its_field(kinds: dict, options: dict, field: str) -> None:
    with pytest.raises(BadWindowError) as refused:
        window_report({"x": NORMAL}, {"x": NORMAL}, kinds, **options)
    assert [fault.field for fault in refused.value.errors] == [field]


def test_infinite_values_are_missing_ones_and_said() -> None:
    current = NORMAL.copy()
    current[:3] = [math.inf, -math.inf, math.inf]
    found = alone(NORMAL, current, "number")
    assert found.missing_current == 3
    assert "3 of this window counted as missing" in found.notes[0]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=20, max_size=60),
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=20, max_size=60),
    st.sampled_from(["number", "category"]),
    st.sampled_from(["ks", "psi"]),
)
def test_whatever_the_numbers_every_figure_is_finite_or_absent(
    a: list[float], b: list[float], kind: str, number_test: str
) -> None:
    found = alone(np.array(a), np.array(b), kind, number_test=number_test)
    figures = [found.statistic, found.p, found.adjusted, found.effect, found.psi, found.shift]
    assert all(figure is None or math.isfinite(figure) for figure in figures)
    assert (found.p is None) == (found.reason is not None)


def test_huge_vectors_do_not_overflow() -> None:
    draw = np.random.default_rng(21)
    for test in ("classifier", "mmd"):
        found = alone(
            draw.normal(size=(80, 3)) * 1e300, draw.normal(size=(80, 3)) * 1e300, "embedding", embedding_test=test
        )
        assert found.p is not None


def test_tables_and_arrays_whole_and_broken_numbers_say_the_same() -> None:
    draw = np.random.default_rng(22)
    whole, now = draw.integers(0, 50, 400), draw.integers(10, 60, 400)
    label, label_now = draw.choice(["a", "b"], 400), draw.choice(["a", "b"], 400)
    arrays = ({"x": whole, "y": label}, {"x": now.astype(float), "y": label_now})
    tables = tuple(
        pa.table({"x": pa.array(x["x"]), "y": pa.array(x["y"].tolist()).dictionary_encode()}) for x in arrays
    )
    kinds = {"x": "number", "y": "category"}
    reports = [window_report(a, b, kinds) for a, b in itertools.product((arrays[0], tables[0]), (arrays[1], tables[1]))]  # type: ignore[arg-type]
    assert all(report == reports[0] for report in reports)
    assert reports[0].alarms == ["x"]


def test_the_same_rows_give_the_same_report_whatever_the_order_of_columns() -> None:
    draw = np.random.default_rng(23)
    reference = {"v": draw.normal(size=(200, 4)), "w": draw.normal(size=(200, 4))}
    current = {"v": draw.normal(size=(200, 4)), "w": draw.normal(size=(200, 4)) + 0.1}
    one_way = window_report(reference, current, {"v": "embedding", "w": "embedding"})
    other_way = window_report(reference, current, {"w": "embedding", "v": "embedding"})
    assert one(one_way, "v") == one(other_way, "v")
    assert one(one_way, "w") == one(other_way, "w")
