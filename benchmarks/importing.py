"""Event lines into Postgres: the public import against a bare COPY of the same lines."""

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import duckdb
import psycopg

from benchmarks.harness import timed
from services.demo.shop import prepare_shop
from services.events.importing import create_sink
from shared.db.engine import create_engine
from shared.db.migrate import upgrade
from shared.ingest.importer import ImportSource, run_import
from shared.settings import Settings
from shared.stack.postgres import Postgres

_COLUMNS = "eventId, profileId, type, time, category, value, discount, sessionId"


def run() -> dict[str, Any]:
    """Rows a second for Parquet and CSV, first import and the same file again."""
    with tempfile.TemporaryDirectory(prefix="atl-") as name:
        folder = Path(name)
        shop = prepare_shop(folder)
        lines = folder / "events.csv"
        with duckdb.connect() as db:
            db.execute(f"COPY (SELECT * FROM read_parquet('{shop.events}')) TO '{lines}' (HEADER)")
            db.execute(
                f"COPY (SELECT {_COLUMNS} FROM read_parquet('{shop.events}')) TO '{folder / 'bare.csv'}' (HEADER)"
            )
        server = Postgres(folder / "pg")
        try:
            upgrade("events", server.url)
            result = {
                "parquet": _imported(server.url, folder, shop.events, "parquet"),
                "csv": _imported(server.url, folder, lines, "csv"),
                "parquet_again": _imported(server.url, folder, shop.events, "parquet", clean=False),
            }
            bare = _bare_copy(server.url, folder / "bare.csv")
        finally:
            server.stop()
        rows = result["parquet"]["read"]
        return {"goal": ">= 50,000 rows/s", "rows": rows, **result, "bare_copy_rows_per_second": round(rows / bare)}


def _imported(url: str, folder: Path, path: Path, tenant: str, *, clean: bool = True) -> dict[str, Any]:
    async def work() -> Any:
        engine = create_engine(url)
        sink = create_sink("events", engine, Settings(database_url=url), tenant)
        report = await run_import(sink, kind="events", source=ImportSource(path=path), data_dir=folder, tenant=tenant)
        await engine.dispose()
        return report

    report = asyncio.run(work())
    assert report.read == report.stored + report.duplicates + report.rejected
    assert clean == (report.stored > 0)
    return {"read": report.read, "stored": report.stored, "duplicates": report.duplicates, "rejected": report.rejected,
            "seconds": report.seconds, "rows_per_second": report.rows_per_second}  # fmt: skip


def _bare_copy(url: str, path: Path) -> float:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE bare (event_id text, profile_id text, type text, time timestamptz, category text, "
                           "value numeric, discount numeric, session_id text)")  # fmt: skip

        def copy() -> None:
            with (
                connection.cursor().copy("COPY bare FROM STDIN (FORMAT csv, HEADER)") as sink,
                path.open("rb") as source,
            ):
                while chunk := source.read(1 << 20):
                    sink.write(chunk)

        return timed(copy)
