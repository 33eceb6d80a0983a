"""One definition, several engines: Ibis on DuckDB, Ibis on Spark, arrays of one entity, arrays of many labels."""

import shutil
from collections.abc import Iterator
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.features import expressions, frames, joining, kernel, packing, tables
from services.features.plan import DAY, EntityPlan
from shared.contracts.features import FeatureView
from tests.features.eventsource import HOUR, NOW, VIEWS, events, plan_of, table

PLAN = plan_of().of("profile")
LAYOUT_VERSION = "00000000000000ab"
CLOSE = {"rtol": 1e-12, "atol": 1e-9}


@pytest.fixture(scope="module")
def duck() -> Iterator[Any]:
    connection = ibis.duckdb.connect()
    yield connection
    connection.disconnect()


def labels(count: int, seed: int) -> pa.Table:
    """Moments of known people and of one whom nobody knows; a third at whole hours, where events lie too."""
    draw = np.random.default_rng(seed)
    at = NOW - draw.integers(0, 80 * HOUR, count)
    at[::3] = at[::3] // HOUR * HOUR + NOW % HOUR
    at[1::3] = NOW - (NOW - at[1::3]) // HOUR * HOUR
    who = [f"p{i}" for i in draw.integers(0, 9, count)]
    return pa.table({"entity": who, "time": pa.array(at, pa.timestamp("us", "UTC"))})


def by_expressions(duck: Any, plan: EntityPlan, source: pa.Table, wanted: pa.Table) -> Any:
    duck.create_table("event", source, overwrite=True)
    return frames.there(plan, duck, duck.table("event"), frames.Labels(wanted))


def by_arrays(duck: Any, plan: EntityPlan, source: pa.Table, wanted: pa.Table) -> Any:
    duck.create_table("event", source, overwrite=True)
    return frames.here(plan, duck.table("event"), frames.Labels(wanted))


def by_records(duck: Any, plan: EntityPlan, source: pa.Table, wanted: pa.Table) -> Any:
    """As the online store does it: the records of one entity, one moment."""
    duck.create_table("event", source, overwrite=True)
    rows = expressions.records(plan, duck.table("event"), NOW - 90 * HOUR).order_by("entity").to_pyarrow()
    raw = dict(tables.records(plan, rows))
    head = bytes(packing.head_size(plan))
    found = frames.Labels(wanted)
    return np.array([
        kernel.vector(plan, packing.records(plan, head + raw.get(who, b"")), int(at))
        for who, at in zip(found.entity.to_pylist(), found.at, strict=True)
    ])  # fmt: skip


def test_a_window_holds_its_first_microsecond_and_not_its_last() -> None:
    plan = plan_of([FeatureView(name="n", windows=["1h"])]).of("profile")
    times = [NOW - HOUR - 1, NOW - HOUR, NOW - 1, NOW, NOW + 1]
    rows = np.zeros(len(times), plan.record)
    rows["at"], rows["mask"] = times, 1
    counted = [kernel.vector(plan, rows[i : i + 1], NOW)[0] for i in range(len(times))]
    assert counted == [0, 1, 1, 0, 0]


@pytest.mark.parametrize("seed", range(3))
def test_expressions_and_arrays_say_the_same(duck: Any, seed: int) -> None:
    source, wanted = table(events(600, seed)), labels(250, seed + 50)
    reference = by_expressions(duck, PLAN, source, wanted)
    assert np.isfinite(reference).all()
    assert len(np.unique(reference.round(6))) > 100  # it says something
    np.testing.assert_allclose(by_arrays(duck, PLAN, source, wanted), reference, **CLOSE)
    np.testing.assert_allclose(by_records(duck, PLAN, source, wanted), reference, **CLOSE)


def test_offers_have_features_of_their_own(duck: Any) -> None:
    plan = plan_of().of("offer")
    source = table(events(300, 4))
    wanted = labels(40, 4).set_column(0, "entity", pa.array(["o1", "o2"] * 20))
    reference = by_expressions(duck, plan, source, wanted)
    assert reference.any()
    np.testing.assert_allclose(by_arrays(duck, plan, source, wanted), reference, **CLOSE)


@pytest.mark.skipif(
    shutil.which("java") is None, reason="Spark needs Java 17 or newer, and there is no java on the path"
)
def test_spark_and_duckdb_say_the_same(duck: Any, tmp_path: Any) -> None:
    """The same expressions on a local Spark, as of one moment and at labels."""
    pyspark = pytest.importorskip("pyspark.sql", reason="pyspark is not installed (extra: spark)")
    quiet = {"spark.ui.enabled": "false", "spark.sql.shuffle.partitions": "1", "spark.driver.host": "127.0.0.1",
             "spark.driver.bindAddress": "127.0.0.1", "spark.sql.warehouse.dir": str(tmp_path),
             "spark.sql.session.timeZone": "UTC", "spark.driver.memory": "1g",
             "spark.sql.execution.arrow.pyspark.enabled": "true",
             # A few hundred rows: compiling the query would take longer than running it.
             "spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN",
             "spark.sql.adaptive.enabled": "false", "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1"}  # fmt: skip
    builder = pyspark.SparkSession.builder.master("local[1]")
    for name, value in quiet.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    try:
        spark = ibis.pyspark.connect(session)
        source, wanted = table(events(300, 7)), labels(60, 8)
        path = tmp_path / "events.parquet"
        pa.parquet.write_table(source, path)
        there = spark.read_parquet(path)
        np.testing.assert_allclose(
            frames.there(PLAN, spark, there, frames.Labels(wanted)), by_expressions(duck, PLAN, source, wanted), **CLOSE
        )
        one = spark.to_pyarrow(expressions.as_of(PLAN, there, NOW)).sort_by("entity")
        other = expressions.as_of(PLAN, duck.table("event"), NOW).to_pyarrow().sort_by("entity")
        assert one["entity"].to_pylist() == other["entity"].to_pylist()
        np.testing.assert_allclose(tables.values(PLAN, one), tables.values(PLAN, other), **CLOSE)
    finally:
        session.stop()


@pytest.mark.parametrize("dialect", ["trino", "bigquery", "postgres"])
def test_other_engines_get_sql(dialect: str) -> None:
    source = ibis.table(expressions.EVENT_SCHEMA, name="events")
    spine = ibis.table({"row": "int64", "entity": "string", "as_of": "int64"}, name="labels")
    query = str(ibis.to_sql(expressions.at_labels(PLAN, source, spine), dialect=dialect))
    assert "commerce.purchases" in query
    assert query.upper().count("DISTINCT") >= 2


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(0, 30 * HOUR))
def test_nothing_of_the_future_changes_the_past(seed: int, later: int) -> None:
    """Any events at or after the label's time, added: the frame stays what it is.

    Sums to rounding: of events of one instant, which is added first depends on what else is sorted.
    """
    columns = events(80, seed, people=3)
    at = NOW - 20 * HOUR
    past = [i for i, time in enumerate(columns["at"]) if time < at]
    future = events(40, seed + 1, people=3)
    future["at"] = [at + later + i for i in range(40)]
    before = {name: [cells[i] for i in past] for name, cells in columns.items()}
    after = {name: before[name] + future[name] for name in before}
    one, other = _frame(before, at), _frame(after, at)
    np.testing.assert_allclose(one, other, **CLOSE)
    whole = [i for i, f in enumerate(PLAN.features) if f.aggregate not in {"sum", "mean"}]
    np.testing.assert_array_equal(one[:, whole], other[:, whole])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_an_event_over_the_boundary_changes_the_frame(seed: int) -> None:
    """The same event a microsecond before the label's time counts, at its time it does not."""
    columns = events(40, seed, people=1)
    at = NOW + HOUR
    without = _frame(columns, at)
    one = {name: cells[:1] for name, cells in columns.items()} | {"type": ["commerce.purchases"], "value": [1e6]}
    inside = _frame(
        {name: cells + one[name] if name != "at" else [*cells, at - 1] for name, cells in columns.items()}, at
    )
    outside = _frame({name: cells + one[name] if name != "at" else [*cells, at] for name, cells in columns.items()}, at)
    np.testing.assert_allclose(outside, without, **CLOSE)
    spend = PLAN.names.index("spend_1h")
    assert inside[0][spend] == pytest.approx(without[0][spend] + 1e6)


def _frame(columns: dict[str, list[Any]], at: int) -> Any:
    """Arrays alone, without an engine: every person of the columns as of one moment."""
    from services.features.matching import Matcher
    from shared.contracts.stream import PackedEvents

    def numbers(name: str) -> bytes:
        return np.array([np.nan if v is None else v for v in columns[name]], "<f8").tobytes()

    packed = PackedEvents(
        "t", 1, 0, 0, columns["profile_id"], np.array(columns["at"], "<i8").tobytes(), columns["type"],
        numbers("value"), numbers("quantity"), numbers("discount"), columns["category"], columns["department"],
        columns["brand"], columns["product_id"], columns["offer_id"], columns["session_id"], columns["currency"],
    )  # fmt: skip
    ids, rows = Matcher(PLAN).records(packed)
    people = ["p0", "p1", "p2"]
    found = joining.Events(
        np.array([people.index(name) for name in ids], np.int64), rows["at"].copy(), rows["mask"].copy(),
        {name: rows[name].copy() for name in rows.dtype.names[2:]},
    )  # fmt: skip
    return joining.frame(PLAN, found, np.arange(3), np.full(3, at))


def test_what_is_kept_holds_exactly_as_long_as_it_says() -> None:
    """Between `since` and `until` the kept values are those of a fresh computation; outside, some differ."""
    draw, layout = np.random.default_rng(3), packing.Layout(PLAN, LAYOUT_VERSION)
    for _ in range(60):
        rows = np.zeros(12, PLAN.record)
        rows["at"] = NOW - draw.integers(-2 * HOUR, 9 * DAY, 12)
        rows["mask"] = draw.integers(1, 2 ** len(PLAN.filters), 12)
        rows["value"] = draw.normal(size=12)
        kept = kernel.vector(PLAN, rows, NOW, kept=True)
        since, until = kernel.valid(PLAN, rows, NOW)
        for at in {max(since, NOW - DAY), NOW, min(until, NOW + 30 * DAY) - 1}:
            head = packing.head(PLAN, LAYOUT_VERSION, since, until, kept)
            values, stale = layout.read([head], int(at))
            assert not stale
            found = layout.aged(values, int(at))[0]
            np.testing.assert_array_equal(found, kernel.vector(PLAN, rows, int(at)))
        head = packing.head(PLAN, LAYOUT_VERSION, since, until, kept)
        assert [layout.read([head], at)[1] for at in (since - 1, until)] == [[0], [0]]
        assert layout.read([head[:-1], b""], NOW)[1] == [0]  # one is damaged, of the other nothing is known


def test_heads_by_expressions_are_those_of_the_arrays(duck: Any) -> None:
    from services.features.materialising import computed

    duck.create_table("event", table(events(400, 11)), overwrite=True)
    heads, rows = computed(PLAN, "00000000000000ab", duck.table("event"), NOW - 10 * HOUR)
    for who, raw in rows:
        found = np.frombuffer(heads[who], packing.head_type(PLAN))[0]
        records = packing.records(PLAN, bytes(packing.head_size(PLAN)) + raw)
        np.testing.assert_allclose(found["values"], kernel.vector(PLAN, records, NOW - 10 * HOUR, kept=True), **CLOSE)
        since, until = kernel.valid(PLAN, records, NOW - 10 * HOUR)
        assert since <= found["since"] < found["until"] <= until


def test_groups_of_entities_change_nothing(duck: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many people, or times that lie millennia apart, are worked through in groups."""
    columns = events(300, 21)
    columns["at"][0] = -62_000_000_000_000_000  # the first years of the calendar
    source, wanted = table(columns), labels(100, 22)
    whole = by_arrays(duck, PLAN, source, wanted)
    monkeypatch.setattr(joining, "_GROUP", 2)
    np.testing.assert_array_equal(by_arrays(duck, PLAN, source, wanted), whole)
    monkeypatch.setattr(joining, "_PAIRS", 7)
    np.testing.assert_array_equal(by_arrays(duck, PLAN, source, wanted), whole)


def test_measures_that_are_no_number_count_as_missing(duck: Any) -> None:
    plan = plan_of([
        FeatureView(name="s", aggregate="sum", of="quantity", windows=["lifetime"]),
        FeatureView(name="n", windows=["lifetime"]),
        FeatureView(name="m", aggregate="mean", of="quantity", windows=["lifetime"], default=7.0),
    ]).of("profile")  # fmt: skip
    columns = events(6, 1, people=1)
    columns["quantity"] = [float("nan"), float("inf"), -float("inf"), None, 2.0, 4.0]
    wanted = pa.table({"entity": ["p0", "nobody"], "time": pa.array([NOW + 1] * 2, pa.timestamp("us", "UTC"))})
    for way in (by_expressions, by_arrays, by_records):
        assert way(duck, plan, table(columns), wanted).tolist() == [[6.0, 6.0, 3.0], [0.0, 0.0, 7.0]]


def test_every_view_of_the_tests_is_of_another_kind() -> None:
    assert {view.aggregate for view in VIEWS} == {
        "count", "sum", "mean", "min", "max", "latest", "distinct", "recency",
    }  # fmt: skip
