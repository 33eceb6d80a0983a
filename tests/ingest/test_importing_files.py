"""Files of every kind of mess: the good rows go in, the bad ones are named, the counts add up."""

import gzip
import json
from collections.abc import Callable
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
from shared.contracts.imports import ImportReport
from shared.contracts.profiles import ProfileUpsert
from shared.ingest.errors import MappingError, UnreadableFileError
from shared.ingest.importer import ImportSource, Written, run_import
from shared.ingest.mapping import Mapping, load_mapping

HEADER = "eventId,profileId,type,time,productName,value\n"
GOOD = "e{n},p{n},commerce.purchases,2026-01-02T03:04:05Z,Milk,1.50\n"


class Shelf:
    """A sink that keeps what it is given, once per natural key."""

    def __init__(self, contract: type[Any], key: Callable[[Any], str], fail_after: int | None = None) -> None:
        self.contract = contract
        self.rows: dict[str, Any] = {}
        self._key = key
        self._fail_after = fail_after

    async def write(self, rows: list[Any]) -> Written:
        if self._fail_after is not None and len(self.rows) >= self._fail_after:
            raise ConnectionError("the store went away")
        before = len(self.rows)
        self.rows |= {self._key(row): row for row in rows}
        stored = len(self.rows) - before
        return Written(stored=stored, duplicates=len(rows) - stored)


def events(**options: Any) -> Shelf:
    return Shelf(Event, lambda e: e.event_id, **options)


async def load(sink: Shelf, path: Path, data: Path, mapping: Mapping | None = None, **options: Any) -> ImportReport:
    source = ImportSource(path=path, mapping=mapping or Mapping())
    report = await run_import(sink, kind="events", source=source, data_dir=data, tenant="acme", **options)
    assert report.read == report.stored + report.duplicates + report.rejected
    return report


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


async def test_a_clean_csv_goes_in_whole(tmp_path: Path) -> None:
    sink = events()
    report = await load(sink, write(tmp_path / "a.csv", HEADER + "".join(GOOD.format(n=n) for n in range(5))), tmp_path)
    assert (report.stored, report.rejected, report.rejects_file) == (5, 0, None)
    assert sink.rows["e3"].time.isoformat() == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize(
    ("name", "bad", "reason"),
    [
        ("too few fields", b"e9,p9\n", "has 2 fields, the header has 6"),
        ("invalid UTF-8", b"e9,p9,commerce.purchases,2026-01-02T03:04:05Z,Caf\xe9,1\n", "not valid text: byte 0xe9"),
        ("a NUL character", b"e9,p9,x,2026-01-02T03:04:05Z,a\0b,1\n", "NUL"),
        ("a wrong date", b"e9,p9,x,yesterday,Milk,1\n", "not a date and time"),
        ("a wrong number", b"e9,p9,x,2026-01-02T03:04:05Z,Milk,abc\n", "decimal"),
        ("an open quote", b'e9,p9,x,2026-01-02T03:04:05Z,"Milk,1\n', "never closed"),
        ("an empty key", b",p9,x,2026-01-02T03:04:05Z,Milk,1\n", "missing required field `eventId`"),
        ("a huge name", b"e9,p9,x,2026-01-02T03:04:05Z," + b"m" * 10_000 + b",1\n", "length <= 300"),
        ("a huge line", b"e9," + b"m" * 1_100_000 + b"\n", "longer than"),
    ],
)
async def test_a_bad_row_is_named_and_the_others_go_in(tmp_path: Path, name: str, bad: bytes, reason: str) -> None:
    sink = events()
    body = HEADER.encode() + GOOD.format(n=1).encode() + bad + GOOD.format(n=2).encode()
    report = await load(sink, write(tmp_path / "a.csv", body), tmp_path)
    assert set(sink.rows) == {"e1", "e2"}, name
    assert report.rejected == 1
    assert report.first_errors[0].line == 3
    assert reason in report.first_errors[0].reason
    assert report.rejects_file is not None
    rejects = [json.loads(line) for line in Path(report.rejects_file).read_text().splitlines()]
    assert [r["line"] for r in rejects] == [3]


async def test_line_numbers_are_those_of_an_editor_after_a_quoted_newline(tmp_path: Path) -> None:
    body = HEADER + 'e1,p1,x,2026-01-02T03:04:05Z,"Milk\nwhole",1\n' + "e2,p2\n"
    sink = events()
    report = await load(sink, write(tmp_path / "a.csv", body), tmp_path)
    assert sink.rows["e1"].product_name == "Milk\nwhole"
    assert report.first_errors[0].line == 4


async def test_bom_crlf_semicolons_padding_and_blank_lines_are_fine(tmp_path: Path) -> None:
    body = "\ufeff eventId ; profileId ;type;time\r\n\r\ne1;p1;x;2026-01-02\r\n"
    sink = events()
    report = await load(sink, write(tmp_path / "a.csv", body), tmp_path)
    assert (report.stored, report.rejected) == (1, 0)
    assert sink.rows["e1"].time.isoformat() == "2026-01-02T00:00:00+00:00"


async def test_jsonl_with_a_truncated_last_line(tmp_path: Path) -> None:
    good = {"eventId": "e1", "profileId": "p1", "type": "x", "time": "2026-01-02T03:04:05Z", "properties": {"a": [1]}}
    report = await load(events(), write(tmp_path / "a.jsonl", json.dumps(good) + '\n[1]\n{"eventId": "e2", '), tmp_path)
    assert (report.stored, report.rejected) == (1, 2)
    assert [e.line for e in report.first_errors] == [2, 3]


async def test_parquet_and_gzip_are_read(tmp_path: Path) -> None:
    table = pa.table({"event_id": [1, 2], "profile_id": ["p", "p"], "type": ["x", "x"], "value": [1.5, None],
                      "time": pa.array([0, 1], pa.timestamp("s"))})  # fmt: skip
    pq.write_table(table, tmp_path / "a.parquet")
    sink = events()
    assert (await load(sink, tmp_path / "a.parquet", tmp_path)).stored == 2
    assert str(sink.rows["1"].value) == "1.5"
    packed = write(tmp_path / "b.csv.gz", gzip.compress((HEADER + GOOD.format(n=7)).encode()))
    assert (await load(events(), packed, tmp_path)).stored == 1


async def test_a_foreign_file_is_mapped(tmp_path: Path) -> None:
    mapping = load_mapping(
        "columns: {Kunde: profileId, Nr: eventId, Datum: time, Betrag: value, Art: type}\n"
        "values: {type: {Kauf: commerce.purchases}}\nconstants: {currency: EUR}\n"
        "timeZone: Europe/Berlin\ndateFormats: ['%d.%m.%Y %H:%M']\ndecimalComma: true\nignore: [Notiz]\n"
    )
    body = "Nr;Kunde;Art;Datum;Betrag;Notiz;Filiale\n1;k1;Kauf;24.12.2025 18:00;1.234,50;x;Mitte\n"
    sink = events()
    report = await load(sink, write(tmp_path / "a.csv", body), tmp_path, mapping)
    assert report.rejected == 0, report.first_errors
    event = sink.rows["1"]
    assert (event.type, str(event.value), event.currency) == ("commerce.purchases", "1234.50", "EUR")
    assert event.time.isoformat() == "2025-12-24T18:00:00+01:00"
    assert event.properties == {"Filiale": "Mitte"}


async def test_nested_fields_come_from_dotted_columns_lists_and_json(tmp_path: Path) -> None:
    body = (
        "offerId,name,start_date,end_date,discount.kind,discount.value,tags,conditions,price\n"
        'o1,Milk deal,2026-01-01,2026-02-01,percent,20,dairy|milk,"[{""text"": ""One per household""}]",'
        '"{""amount"": ""2.50"", ""currency"": ""USD""}"\n'
    )
    sink = Shelf(Offer, lambda o: o.offer_id)
    report = await load(sink, write(tmp_path / "o.csv", body), tmp_path)
    assert report.rejected == 0, report.first_errors
    offer = sink.rows["o1"]
    assert (offer.discount.kind, str(offer.discount.value), offer.tags) == ("percent", "20", ["dairy", "milk"])
    assert offer.conditions[0].text == "One per household"
    assert offer.price is not None
    assert offer.price.currency == "USD"


async def test_unknown_profile_columns_become_attributes(tmp_path: Path) -> None:
    sink = Shelf(ProfileUpsert, lambda p: p.profile_id)
    body = "profileId,locale,loyalty tier,consents.personalize.content.val\np1,en-US,gold,y\n"
    report = await load(sink, write(tmp_path / "p.csv", body), tmp_path)
    assert report.rejected == 0, report.first_errors
    assert sink.rows["p1"].attributes["loyalty tier"].value == "gold"
    assert sink.rows["p1"].consents.personalize.content.val == "y"


async def test_an_interrupted_import_goes_on_where_it_stopped(tmp_path: Path) -> None:
    body = HEADER + "".join(GOOD.format(n=n) for n in range(100)) + "bad\n"
    path = write(tmp_path / "a.csv", body)
    sink = events(fail_after=40)
    with pytest.raises(ConnectionError):
        await load(sink, path, tmp_path, batch_rows=20)
    sink._fail_after = None
    report = await load(sink, path, tmp_path, batch_rows=20)
    assert report.resumed_at == 40
    assert (report.read, report.stored, report.duplicates, report.rejected) == (101, 100, 0, 1)
    again = await load(sink, path, tmp_path)
    assert (again.resumed_at, again.stored, again.duplicates) == (0, 0, 100)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("gone.csv", None, "no such file"),
        ("a.xlsx", b"x", "unknown suffix '.xlsx'"),
        ("a.parquet", b"not parquet", "not a readable Parquet file"),
        ("a.csv", b"a,a\n1,2\n", "'a' twice"),
        ("a.csv.gz", b"no gzip", "not a readable gzip"),
    ],
)
async def test_an_unreadable_file_says_why(tmp_path: Path, name: str, content: bytes | None, words: str) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UnreadableFileError, match=words):
        await load(events(), path, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [("colums: {}", "allowed keys: columns"), ("timeZone: Mars", "Mars"), ("columns: 3", "columns"), ("{", "mapping")],
)
def test_a_wrong_mapping_says_what_is_allowed(text: str, words: str) -> None:
    with pytest.raises(MappingError, match=words):
        load_mapping(text)


GOOD_ROW = st.integers(0, 50).map(lambda n: GOOD.format(n=n).encode())
BAD_ROW = st.one_of(
    st.binary(min_size=1, max_size=60).map(lambda b: b.replace(b"\n", b"") + b"\n"),
    st.sampled_from([b"e,p\n", b'"\n', b'a,"b\n', b"\xff\xfe\n", b"e1,p1,x,never,Milk,1\n"]),
)


@hypothesis_settings(max_examples=60, deadline=None)
@given(rows=st.lists(st.one_of(GOOD_ROW, BAD_ROW), max_size=30))
async def test_whatever_is_between_them_every_good_row_goes_in(
    tmp_path_factory: pytest.TempPathFactory, rows: list[bytes]
) -> None:
    folder = tmp_path_factory.mktemp("mess")
    # A foreign quote may swallow the lines up to the next quote, as CSV says: here quotes never pair up across rows.
    kept = [row for row in rows if row.count(b'"') == 0] + [row for row in rows if row.count(b'"') == 1][:1]
    sink = events()
    await load(sink, write(folder / "a.csv", HEADER.encode() + b"".join(kept)), folder)
    wanted = {row.split(b",")[0].decode() for row in kept if row.startswith(b"e") and b"commerce.purchases" in row}
    assert wanted <= set(sink.rows)
