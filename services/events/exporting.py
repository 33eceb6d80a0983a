"""All events of a tenant as a Parquet file, read in one snapshot of the database."""

import asyncio
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from services.events.repository import EventRepository
from shared.contracts.events import EventsExport
from shared.db.engine import transaction

_NUMBERS = ("value", "quantity", "discount")
_TEXTS = (
    "profile_id", "type", "category", "department", "brand", "product_id", "offer_id", "session_id", "currency",
)  # fmt: skip
_SCHEMA = pa.schema(
    [("at", pa.int64()), *((name, pa.string()) for name in _TEXTS), *((name, pa.float64()) for name in _NUMBERS)]
)
_OPTIONS = pa.csv.ConvertOptions(
    column_types=_SCHEMA, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
)
# A label may hold a line break; Postgres quotes it.
_PARSE = pa.csv.ParseOptions(newlines_in_values=True)
_LEFT_SECONDS = 86_400  # longer than anybody works with a file


async def export(engine: AsyncEngine, tenant: str, data_dir: Path) -> EventsExport:
    """Write the file below `data_dir`; it is personal data and belongs to the caller, who removes it."""
    path = data_dir / "events" / "exports" / f"{uuid_utils.uuid7()}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_left(path.parent)
    lines = path.with_suffix(".csv")
    try:
        async with transaction(engine) as connection:
            with lines.open("wb") as file:
                snapshot = await EventRepository(connection).export(tenant, file)
        rows = await asyncio.to_thread(_to_parquet, lines, path)
    finally:
        lines.unlink(missing_ok=True)
    return EventsExport(path=str(path.relative_to(data_dir)), rows=rows, snapshot=snapshot)


def _remove_left(folder: Path) -> None:
    """Files of callers that were killed before they could remove theirs."""
    for path in folder.iterdir():
        if path.is_file() and time.time() - path.stat().st_mtime > _LEFT_SECONDS:
            path.unlink(missing_ok=True)


def _to_parquet(lines: Path, path: Path) -> int:
    count = 0
    with (
        pa.csv.open_csv(lines, convert_options=_OPTIONS, parse_options=_PARSE) as reader,
        pa.parquet.ParquetWriter(path, reader.schema, compression="zstd") as writer,
    ):
        for batch in reader:
            count += batch.num_rows
            writer.write_batch(batch)
    return count
