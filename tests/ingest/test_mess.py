"""The kinds of mess that only real files have: stray quotes, missing values in disguise, mappings with typing errors."""

import asyncio
import gc
import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from shared.contracts.catalog import Offer
from shared.contracts.events import Event
from shared.contracts.profiles import ProfileUpsert
from shared.ingest.errors import ImportRunningError, MappingError, UnreadableFileError
from shared.ingest.importer import Progress, Written
from shared.ingest.mapping import load_mapping
from tests.ingest.test_importing_files import GOOD, HEADER, Shelf, events, load, write


def goods(start: int, stop: int) -> str:
    return "".join(GOOD.format(n=n) for n in range(start, stop))


def event(number: int, **fields: Any) -> dict[str, Any]:
    return {"eventId": f"e{number}", "profileId": "p", "type": "x", "time": "2026-01-02T03:04:05Z"} | fields


async def test_two_stray_quotes_cost_their_own_lines_only(tmp_path: Path) -> None:
    bad = 'b{n},p,x,2026-01-02T03:04:05Z,"Milk,1\n'
    body = HEADER + goods(0, 20) + bad.format(n=1) + goods(20, 40) + bad.format(n=2) + goods(40, 60)
    sink = events()
    report = await load(sink, write(tmp_path / "a.csv", body), tmp_path)
    assert set(sink.rows) == {f"e{n}" for n in range(60)}
    assert [e.line for e in report.first_errors] == [22, 43]


async def test_a_quote_left_open_at_the_end_costs_the_last_line_only(tmp_path: Path) -> None:
    body = HEADER + goods(0, 3) + 'b,p,x,2026-01-02T03:04:05Z,Milk,"1'
    report = await load(events(), write(tmp_path / "a.csv", body), tmp_path)
    assert (report.stored, [e.line for e in report.first_errors]) == (3, [5])


async def test_a_quoted_text_of_many_lines_is_one_field(tmp_path: Path) -> None:
    legal = "\n".join(f'Part {n} says "x".' for n in range(250))
    quoted = legal.replace('"', '""')
    body = f'offerId,name,startDate,endDate,legalText\no1,Milk,2026-01-01,2026-02-01,"{quoted}"\no2,Tea,x,y,z\n'
    sink = Shelf(Offer, lambda o: o.offer_id)
    report = await load(sink, write(tmp_path / "o.csv", body), tmp_path)
    assert sink.rows["o1"].legal_text == legal
    assert report.first_errors[0].line == 3 + legal.count("\n")


@hypothesis_settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.sampled_from([
    "good", 'b,p,x,2026-01-02T03:04:05Z,"Milk,1', 'b,p,x,2026-01-02T03:04:05Z,Mi"lk,1', '"', 'b,"p', "a,b", "", "b,\x00",
]), max_size=40))  # fmt: skip
async def test_good_rows_between_any_stray_quotes_go_in(
    tmp_path_factory: pytest.TempPathFactory, rows: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("quotes")
    lines = [GOOD.format(n=n) if row == "good" else f"{row}\n" for n, row in enumerate(rows)]
    sink = events()
    await load(sink, write(folder / "a.csv", HEADER + "".join(lines)), folder)
    assert {f"e{n}" for n, row in enumerate(rows) if row == "good"} <= set(sink.rows)


@pytest.mark.parametrize(
    "body",
    [
        HEADER.replace("\n", "\r") + goods(0, 2).replace("\n", "\r"),
        HEADER.strip() + ",,\n" + goods(0, 2),
        HEADER + goods(0, 2).replace("\n", ",,\n"),
        HEADER.replace(",", "\t") + goods(0, 2).replace(",", "\t"),
        HEADER + goods(0, 2).replace(",", " , "),
        HEADER + "   \n\n" + goods(0, 2),
    ],
    ids=["carriage returns", "nameless columns", "trailing commas", "tabs", "padding", "blank lines"],
)
async def test_harmless_mess_is_read_past(tmp_path: Path, body: str) -> None:
    sink = events()
    report = await load(sink, write(tmp_path / "a.csv", body), tmp_path)
    assert (report.stored, report.rejected) == (2, 0), report.first_errors
    assert sink.rows["e1"].product_name == "Milk"
    assert sink.rows["e1"].properties == {}


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", (HEADER + goods(0, 2)).encode("utf-16"), "UTF-16; save it as UTF-8"),
        ("a.csv", b"a,,b\n1,2,3\n", "a column without a name"),
        ("a.jsonl", b'[\n{"eventId": "e1"}\n]\n', "one JSON array"),
        ("a.csv.gz", gzip.compress(HEADER.encode() * 9000)[:-20], "not a readable gzip"),
        ("a.csv", b"eventId,event_id,profileId,type,time\n1,2,3,x,2026-01-01\n", "both mean eventId"),
    ],
)
async def test_a_file_of_the_wrong_form_says_so(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    with pytest.raises((UnreadableFileError, MappingError), match=words):
        await load(events(), write(tmp_path / name, content), tmp_path)


async def test_nul_characters_are_found_where_they_are_and_only_there(tmp_path: Path) -> None:
    rows = [event(1, productName="a\0b"), event(2, productName="C:\\u0000"), event(3, properties={"k": ["\0"]})]
    body = "".join(json.dumps(row) + "\n" for row in rows)
    report = await load(sink := events(), write(tmp_path / "a.jsonl", body), tmp_path)
    assert set(sink.rows) == {"e2"}
    assert [e.line for e in report.first_errors] == [1, 3]
    table = pa.Table.from_pylist([event(1, category="a\0b"), event(2, category="tea")])
    pq.write_table(table, tmp_path / "a.parquet")
    report = await load(sink := events(), tmp_path / "a.parquet", tmp_path)
    assert set(sink.rows) == {"e2"}
    assert "NUL" in report.first_errors[0].reason


async def test_a_missing_number_of_a_data_frame_is_missing_and_an_infinite_one_is_refused(tmp_path: Path) -> None:
    rows = [event(n, value=v, quantity=v) for n, v in enumerate([float("nan"), 2.5, float("inf")])]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    report = await load(sink := events(), tmp_path / "a.parquet", tmp_path)
    assert (sink.rows["e0"].value, str(sink.rows["e1"].value)) == (None, "2.5")
    assert [(e.line, e.reason) for e in report.first_errors] == [(3, "not a finite number")]
    text = HEADER + "e1,p,x,2026-01-02T03:04:05Z,Milk,NaN\ne2,p,x,2026-01-02T03:04:05Z,Milk,-Infinity\n"
    report = await load(events(), write(tmp_path / "a.csv", text), tmp_path)
    assert [e.field for e in report.first_errors] == ["value", "value"]


async def test_short_forms_are_spelled_out(tmp_path: Path) -> None:
    flat = "profile_id,identity_map.email,age,consents.marketing.email\np1,a@b.example,35-44,y\n"
    nested = {
        "profileId": "p2",
        "attributes": {"age": 35},
        "identityMap": {"crm": ["77"]},
        "consents": {"collect": "n"},
    }
    sink = Shelf(ProfileUpsert, lambda p: p.profile_id)
    for name, body in (("a.csv", flat), ("a.jsonl", json.dumps(nested))):
        report = await load(sink, write(tmp_path / name, body), tmp_path)
        assert report.rejected == 0, report.first_errors
    first, second = sink.rows["p1"], sink.rows["p2"]
    assert first.identity_map["email"][0].id == "a@b.example"
    assert (first.attributes["age"].value, first.consents.marketing.email.val) == ("35-44", "y")
    assert (second.attributes["age"].value, second.identity_map["crm"][0].id, second.consents.collect.val) == (
        35,
        "77",
        "n",
    )


async def test_a_price_column_may_be_empty_where_the_currency_is_constant(tmp_path: Path) -> None:
    body = (
        "offerId,name,startDate,endDate,price.amount,conditions,eligibility.attributes.tier\n"
        "o1,Milk,2026-01-01,2026-02-01,2.50,One per household|Today,gold|silver\no2,Tea,2026-01-01,2026-02-01,,,\n"
    )
    sink = Shelf(Offer, lambda o: o.offer_id)
    mapping = load_mapping("constants: {price.currency: USD}")
    report = await load(sink, write(tmp_path / "o.csv", body), tmp_path, mapping)
    assert report.rejected == 0, report.first_errors
    assert (str(sink.rows["o1"].price.amount), sink.rows["o2"].price) == ("2.50", None)
    assert [c.text for c in sink.rows["o1"].conditions] == ["One per household", "Today"]
    assert sink.rows["o1"].eligibility.attributes == {"tier": ["gold", "silver"]}


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ("columns: {productName: prodctName}", "columns.productName: there is no field 'prodctName'; did you mean productName"),
        ("columns: {artikel: productName}", "columns.artikel: the file has no such column; it has eventId"),
        ("constants: {curency: USD}", "constants.curency: .*did you mean currency"),
        ("values: {tipe: {a: b}}", "values.tipe"),
        ("encoding: utf-16", "save the file as UTF-8"),
    ],
)  # fmt: skip
async def test_a_mapping_that_does_not_fit_names_the_key(tmp_path: Path, mapping: str, words: str) -> None:
    with pytest.raises(MappingError, match=words):
        await load(events(), write(tmp_path / "a.csv", HEADER + goods(0, 2)), tmp_path, load_mapping(mapping))


@pytest.mark.parametrize(
    ("change", "field"),
    [({"nonsense": 1}, "properties"), ({"eventId": None}, "eventId"), ({"profileId": "a b"}, "profileId")],
)
async def test_a_refused_row_names_its_field(tmp_path: Path, change: dict[str, Any], field: str) -> None:
    row = event(1, **change)
    report = await load(sink := events(), write(tmp_path / "a.jsonl", json.dumps(row)), tmp_path)
    if field == "properties":
        assert sink.rows["e1"].properties == {"nonsense": 1}
    else:
        assert report.first_errors[0].field == field


class Picky(Shelf):
    """A store that refuses the first row of each batch."""

    async def write(self, rows: list[Any]) -> Written:
        written = await super().write(rows[1:])
        return Written(stored=written.stored, duplicates=written.duplicates, rejected=[(0, "time", "too late")])


async def test_rows_refused_by_the_store_are_reported_like_the_others(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER + goods(0, 1) + "bad\n" + goods(1, 5))
    report = await load(Picky(Event, lambda e: e.event_id), path, tmp_path)
    assert [(e.file, e.line, e.reason) for e in report.first_errors] == [
        ("a.csv", 2, "too late"), ("a.csv", 3, "has 1 fields, the header has 6")]  # fmt: skip


async def test_a_resumed_import_still_knows_its_first_errors(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER + "bad\n" + goods(0, 60))
    sink = events(fail_after=20)
    with pytest.raises(ConnectionError):
        await load(sink, path, tmp_path, batch_rows=21)
    assert gc.isenabled()
    sink._fail_after = None
    report = await load(sink, path, tmp_path, batch_rows=21)
    assert report.resumed_at == 21
    assert [e.line for e in report.first_errors] == [2]
    assert not list((tmp_path / "imports").glob("*.checkpoint.json"))


async def test_the_same_import_does_not_run_twice_at_once(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", HEADER + goods(0, 10))
    go = asyncio.Event()

    class Slow(Shelf):
        async def write(self, rows: list[Any]) -> Written:
            await go.wait()
            return await super().write(rows)

    first = asyncio.create_task(load(Slow(Event, lambda e: e.event_id), path, tmp_path))
    await asyncio.sleep(0.2)
    with pytest.raises(ImportRunningError, match="being imported already"):
        await load(events(), path, tmp_path)
    go.set()
    assert (await first).stored == 10
    assert (await load(events(), path, tmp_path)).stored == 10


async def test_progress_of_a_packed_file_ends_at_the_whole(tmp_path: Path) -> None:
    packed = write(tmp_path / "a.csv.gz", gzip.compress((HEADER + goods(0, 200_000)).encode(), 1))
    seen: list[Progress] = []
    await load(events(), packed, tmp_path, progress=seen.append)
    assert seen[0].share < 0.7
    assert (seen[-1].share, seen[-1].rows) == (1.0, 200_000)
