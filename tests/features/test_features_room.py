"""The room: views are checked and replaced without a gap, runs are told, frames are made, bad input says what is wrong."""

import asyncio
import datetime as dt
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from services.features.errors import AlreadyComputingError, BadLabelsError, BadViewError
from services.features.frames import read_labels
from services.features.materialising import Materialiser, default_views
from services.features.plan import check, compile_plan, resolved
from services.features.settings import FeaturesSettings
from shared.contracts.features import Each, FeatureView, FeatureViews
from tests.features.suite import Suite, until
from tests.rooms import TENANT

BUY = {"type": "commerce.purchases"}
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)


def event(n: int, who: str, ago_hours: float, **more: Any) -> dict[str, Any]:
    time = NOW - dt.timedelta(hours=ago_hours)
    return {"eventId": f"{who}-{n}", "profileId": who, "time": time.isoformat(), "value": "2.50", **BUY, **more}


def test_the_default_views_are_fine_and_count_twenty_things_of_a_person() -> None:
    views = default_views()
    check(views)
    plan = compile_plan(resolved(views, {"category_purchases": ["milk"], "category_spend": ["milk"]}))
    windowed = [f for f in plan.of("profile").features if plan.of("profile").windows[f.window] is not None]
    assert len(windowed) >= 20
    assert "category_spend_28d:milk" in plan.of("profile").names
    assert plan.of("offer").features


BAD: list[tuple[dict[str, Any], str]] = [
    ({"name": "a", "windows": []}, "windows"),
    ({"name": "a", "windows": ["0h"]}, "windows"),
    ({"name": "a", "windows": ["-1d"]}, "windows"),
    ({"name": "a", "windows": ["7 days"]}, "windows"),
    ({"name": "a", "windows": ["99999d"]}, "windows"),
    ({"name": "a", "windows": ["7d", "7d"]}, "windows"),
    ({"name": "A b", "windows": ["7d"]}, "name"),
    ({"name": "a", "windows": ["7d"], "where": {"shoeSize": "9"}}, "where"),
    ({"name": "a", "windows": ["7d"], "where": {"type": []}}, "where"),
    ({"name": "a", "windows": ["7d"], "aggregate": "median"}, "aggregate"),
    ({"name": "a", "windows": ["7d"], "aggregate": "sum"}, "of"),
    ({"name": "a", "windows": ["7d"], "aggregate": "sum", "of": "category"}, "of"),
    ({"name": "a", "windows": ["7d"], "aggregate": "distinct", "of": "value"}, "of"),
    ({"name": "a", "windows": ["7d"], "aggregate": "count", "of": "value"}, "of"),
    ({"name": "a", "windows": ["7d"], "entity": "shop"}, "entity"),
    ({"name": "a", "windows": ["7d"], "default": 1e300}, "default"),
    ({"name": "a", "windows": ["7d"], "each": {"label": "category"}}, "each"),
    ({"name": "a", "windows": ["7d"], "each": {"label": "category", "top": 2, "values": ["x"]}}, "each"),
    ({"name": "a", "windows": ["7d"], "each": {"label": "type", "top": 2}, "where": BUY}, "each"),
    ({"name": "a", "windows": ["7d"], "source": "clicks"}, "source"),
    ({"name": "a", "windows": ["7d"], "colour": "red"}, "colour"),
]  # fmt: skip


@pytest.mark.parametrize(("view", "field"), BAD)
def test_a_bad_view_is_refused_and_the_field_named(view: dict[str, Any], field: str) -> None:
    with pytest.raises((BadViewError, msgspec.ValidationError)) as caught:
        check(msgspec.convert({"views": [view]}, FeatureViews).views)
    assert field in str(caught.value), caught.value


async def test_a_bad_view_is_answered_with_a_problem_and_nothing_is_stored(suite: Suite) -> None:
    before = (await suite.features.get("/views")).json()
    for view in (BAD[1][0], BAD[10][0], BAD[16][0]):
        answer = await suite.features.put("/views", json={"views": [{"name": "fine", "windows": ["7d"]}, view]})
        assert answer.status_code == 422, answer.text
        assert answer.json()["errors"][0]["field"].startswith("views[1]"), answer.text
    assert (await suite.features.get("/views")).json() == before


async def test_too_many_views_and_names_that_are_there_twice(suite: Suite) -> None:
    twice = [{"name": "a", "windows": ["7d"]}] * 2
    assert "twice" in (await suite.features.put("/views", json={"views": twice})).text
    wide = [{"name": f"a{i}", "windows": ["7d"], "where": {"type": f"t{i}"}} for i in range(61)]
    assert "at most 60" in (await suite.features.put("/views", json={"views": wide})).text


async def test_new_views_serve_when_they_are_computed_and_the_old_ones_until_then(suite: Suite) -> None:
    await suite.send(event(1, "anna", 5), event(2, "anna", 50))
    await suite.put_views([FeatureView(name="old", where=BUY, windows=["24h"])])
    assert await suite.online("anna") == []  # nothing is computed yet
    await suite.compute()
    assert await suite.online("anna") == [{"old_24h": 1}]
    await suite.put_views([FeatureView(name="new", where=BUY, windows=["7d"])])
    assert await suite.online("anna") == [{"old_24h": 1}]
    views = (await suite.features.get("/views")).json()
    assert views["storedVersion"] != views["version"]
    run = await suite.compute()
    assert (run.state, run.events, run.done) == ("done", 2, 1)
    assert await suite.online("anna") == [{"new_7d": 2}]
    assert (await suite.features.get(f"/runs/{run.run_id}")).json()["version"] == run.version
    live = (await suite.store.state(TENANT, again=True)).live
    assert live is not None
    keys = [key async for key in suite.store.redis.scan_iter(match=f"atelier:{TENANT}:features:*:p:*")]
    assert keys == [
        suite.store.entity(TENANT, live.number, "profile", "anna").encode()
    ]  # nothing of the old ones is left


async def test_the_most_frequent_values_are_looked_up_once_and_again_when_asked(suite: Suite) -> None:
    views = [FeatureView(name="kind", where=BUY, each=Each(label="category", top=2), windows=["7d"])]
    await suite.put_views(views)
    await suite.compute()
    assert await suite.online("anna") == [{}]
    await suite.send(*[event(n, "anna", 1, category=c) for n, c in enumerate(["tea", "milk", "tea", "bread", "milk"])])
    await suite.compute()
    assert await suite.online("anna") == [{"kind_7d:milk": 2, "kind_7d:tea": 2}]
    await suite.send(*[event(n, "ben", 1, category="bread") for n in range(9)])
    await suite.compute()
    assert list((await suite.online("ben"))[0]) == ["kind_7d:milk", "kind_7d:tea"]
    await suite.compute(top=True)
    assert await suite.online("ben") == [{"kind_7d:bread": 9, "kind_7d:milk": 0}]


async def test_only_one_run_at_a_time_and_one_that_came_later_will_do(suite: Suite) -> None:
    await suite.put_views([FeatureView(name="n", windows=["7d"])])
    asked = time.time()
    async with suite.store.lock(TENANT, "somebody"):
        with pytest.raises(AlreadyComputingError):
            await suite.compute()
    first = await suite.compute()
    epoch = (await suite.store.state(TENANT, again=True)).token
    work = Materialiser(
        suite.engine, suite.clients.events, suite.store, FeaturesSettings(), suite.settings.atelier_data
    )
    with suite.as_tenant():
        again = await work.run(TENANT, "later", asked)
    assert again.state == "done"
    assert again.version == first.version
    assert (await suite.store.state(TENANT, again=True)).token == epoch  # nothing was computed


async def test_a_run_that_fails_leaves_what_serves(suite: Suite, monkeypatch: pytest.MonkeyPatch) -> None:
    await suite.send(event(1, "anna", 1))
    await suite.put_views([FeatureView(name="n", windows=["7d"])])
    await suite.compute()

    async def fails(*_: Any, **__: Any) -> int:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(type(suite.store), "fill", fails)
        with pytest.raises(OSError, match="disk full"):
            await suite.compute()
    assert await suite.online("anna") == [{"n_7d": 1}]
    await suite.send(event(2, "anna", 2))
    await until(lambda: counted(suite, 2))
    assert not list((suite.settings.atelier_data / "events" / "exports").glob("*.parquet"))


async def counted(suite: Suite, count: int) -> bool:
    return await suite.online("anna") == [{"n_7d": count}]


def labels_file(suite: Suite, table: pa.Table) -> str:
    path = suite.settings.atelier_data / "labels.parquet"
    pq.write_table(table, path)
    return path.name


async def test_a_frame_has_the_labels_rows_and_their_features(suite: Suite) -> None:
    """Duplicated labels and unknown people are answered like any other; order and own columns stay."""
    await suite.put_views([FeatureView(name="n", where=BUY, windows=["24h", "7d"])])
    await suite.send(event(1, "anna", 5), event(2, "anna", 50), event(3, "ben", 100))
    await suite.compute()
    moments = [NOW, NOW - dt.timedelta(hours=5), NOW, NOW, NOW]
    table = pa.table({"entity": ["anna", "anna", "nobody", "ben", "anna"], "bought": [1, 0, 0, 1, 1],
                      "time": pa.array(moments, pa.timestamp("us", "Europe/Berlin"))})  # fmt: skip
    answer = await suite.features.post("/frames", json={"labels": labels_file(suite, table)})
    assert answer.status_code == 200, answer.text
    found = pq.read_table(suite.settings.atelier_data / answer.json()["path"])
    assert found.column_names == ["entity", "bought", "time", "n_24h", "n_7d"]
    assert found["n_24h"].to_pylist() == [1, 0, 0, 0, 1]
    assert found["n_7d"].to_pylist() == [2, 1, 0, 1, 2]  # the event five hours ago is not before the label of that hour
    assert found["bought"].to_pylist() == [1, 0, 0, 1, 1]
    chosen = await suite.features.post("/frames", json={"labels": "labels.parquet", "features": ["n_7d"]})
    assert chosen.json()["features"] == ["n_7d"]
    online = await suite.online("anna", "nobody", "ben", at=NOW)
    assert [one["n_7d"] for one in online] == [2, 0, 1]  # the same as online


@pytest.mark.parametrize(
    ("table", "says"),
    [
        (pa.table({"entity": ["a"]}), "time"),
        (pa.table({"time": pa.array([NOW], pa.timestamp("us", "UTC"))}), "entity"),
        (pa.table({"entity": ["a"], "time": ["2026-01-01"]}), "no moment"),
        (pa.table({"entity": ["a"], "time": pa.array([NOW.replace(tzinfo=None)])}), "no moment"),
        (
            pa.table({"entity": ["a", "b"], "time": pa.array([NOW, None], pa.timestamp("us", "UTC"))}),
            "missing in 1 of 2",
        ),
        (
            pa.table({"entity": pa.array([None], pa.string()), "time": pa.array([NOW], pa.timestamp("us", "UTC"))}),
            "missing in 1 of 1",
        ),
        (pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["entity", "entity"]), "cannot be read"),
        (pa.table({"entity": [5], "time": pa.array([NOW], pa.timestamp("us", "UTC"))}), "not text"),
    ],
)
def test_bad_labels_say_what_is_wrong(tmp_path: Path, table: pa.Table, says: str) -> None:
    pq.write_table(table, tmp_path / "labels.parquet")
    with pytest.raises(BadLabelsError, match=says) as caught:
        read_labels(tmp_path / "labels.parquet")
    assert caught.value.errors[0].allowed


async def test_other_bad_requests(suite: Suite) -> None:
    for path, word in (
        ("../../etc/passwd", "ATELIER_DATA"), ("a\0b", "ATELIER_DATA"), ("", "ATELIER_DATA"), ("nowhere.parquet", "cannot be read"),
    ):  # fmt: skip
        answer = await suite.features.post("/frames", json={"labels": path})
        assert answer.status_code == 422, answer.text
        assert word in answer.text
    (suite.settings.atelier_data / "text.parquet").write_text("no parquet")
    assert "cannot be read" in (await suite.features.post("/frames", json={"labels": "text.parquet"})).text
    empty = pa.table({"entity": pa.array([], pa.string()), "time": pa.array([], pa.timestamp("us", "UTC"))})
    assert (await suite.features.post("/frames", json={"labels": labels_file(suite, empty)})).json()["rows"] == 0
    assert (await suite.features.get("/runs/none")).status_code == 404
    for body in ({"ids": []}, {"ids": ["a"] * 1001}, {"ids": ["a b"]}, {"ids": ["a"], "entity": "x"}):
        assert (await suite.features.post("/online", json=body)).status_code == 422
    await suite.put_views([FeatureView(name="n", windows=["7d"])])
    await suite.compute()
    answer = await suite.features.post("/online", json={"ids": ["a"], "features": ["m_7d"]})
    assert answer.status_code == 422
    assert "n_7d" in answer.text
    answer = await suite.features.post("/online", json={"ids": ["a"], "at": "2019-01-01T00:00:00Z"})
    assert answer.status_code == 422
    assert "frame" in answer.text


async def test_constant_and_empty_columns_are_numbers_like_any_other(suite: Suite) -> None:
    await suite.put_views([
        FeatureView(name="none", aggregate="mean", of="discount", windows=["7d"]),
        FeatureView(name="same", aggregate="max", of="value", windows=["7d"]),
    ])  # fmt: skip
    await suite.send(*[event(n, f"p{n}", 1) for n in range(5)])
    await suite.compute()
    found = await suite.online(*[f"p{n}" for n in range(5)])
    assert found == [{"none_7d": 0, "same_7d": 2.5}] * 5
    assert np.isfinite([list(one.values()) for one in found]).all()


async def test_reads_beside_writes_are_never_torn(suite: Suite) -> None:
    """While events come in and everything is computed anew, counts only grow, and no read fails."""
    await suite.put_views([FeatureView(name="n", windows=["7d", "lifetime"])])
    await suite.compute()
    stop = asyncio.Event()
    seen: list[float] = []

    async def read() -> None:
        while not stop.is_set():
            found = (await suite.online("anna"))[0]
            assert found["n_7d"] == found["n_lifetime"]
            seen.append(found["n_7d"])
            await asyncio.sleep(0)

    async def write() -> None:
        for start in range(0, 200, 20):
            await suite.send(*[event(n, "anna", 1) for n in range(start, start + 20)])

    reading = asyncio.create_task(read())
    await asyncio.gather(write(), suite.compute())
    await until(lambda: _all(suite))
    stop.set()
    await reading
    assert seen == sorted(seen)


async def _all(suite: Suite) -> bool:
    return (await suite.online("anna"))[0]["n_7d"] == 200
