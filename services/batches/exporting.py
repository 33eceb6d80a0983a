"""Results of a batch as they are fetched: an item a line, or Parquet; slots filled for each person."""

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
from sqlalchemy.ext.asyncio import AsyncEngine

from services.batches.repository import BatchRepository
from shared.contracts.approval import Provenance
from shared.contracts.batches import BatchItem, BatchRequest
from shared.contracts.generation import SECTIONS, Sections
from shared.db.engine import transaction

_GROUP = 5000
_PIECE = 1 << 18
_COLUMNS = ("item", "profileId", "channel", "offerId", "status", "reason", *SECTIONS, "assetId", "decisionId", "token", "textId",
            "sharedBy", "aiGenerated", "modelVersion", "promptVersion")  # fmt: skip
_NUMBERS = {"item": pa.int64(), "sharedBy": pa.int64(), "aiGenerated": pa.bool_()}
SCHEMA = pa.schema([(name, _NUMBERS.get(name, pa.string())) for name in _COLUMNS])


def item_of(row: Any, request: BatchRequest) -> BatchItem | None:
    """One item of the results; None while its text is not written."""
    common = {"item": row.number, "profile_id": row.profile_id, "channel": row.channel, "offer_id": row.offer_id,
              "asset_id": row.asset_id, "decision_id": row.decision_id, "token": row.token}  # fmt: skip
    if row.text_key is None:
        if row.withheld is None:
            return None
        return BatchItem(**common, status="withheld", reason=row.withheld, sections=None, text_id=None, shared_by=0,
                         provenance=None)  # fmt: skip
    if row.status == "open":
        return None
    sections = msgspec.convert(row.sections, Sections) if row.sections else None
    return BatchItem(
        **common, status=row.status, reason=row.reason, text_id=row.text_key, shared_by=row.people,
        sections=greeted(sections, row.first_name) if sections and request.greeting else sections,
        provenance=msgspec.convert(row.provenance, Provenance) if row.provenance else None,
    )  # fmt: skip


def greeted(sections: Sections, first_name: str | None) -> Sections:
    """With the person's first name before the body, where it is known."""
    return (
        msgspec.structs.replace(sections, body=f"{first_name}, {sections.body}")
        if first_name and sections.body
        else sections
    )


class Exporter:
    """Streams results."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def lines(self, tenant: str, batch_id: str, request: BatchRequest) -> AsyncIterator[bytes]:
        """One JSON object a line."""
        async for item in self.items(tenant, batch_id, request):
            yield msgspec.json.encode(item) + b"\n"

    async def parquet(self, tenant: str, batch_id: str, request: BatchRequest) -> AsyncIterator[bytes]:
        """A Parquet file, made on disk and sent in pieces."""
        with tempfile.TemporaryDirectory(prefix="atelier-batch-") as folder:
            path = Path(folder) / "items.parquet"
            with pq.ParquetWriter(path, SCHEMA, compression="zstd") as writer:
                rows: list[dict[str, Any]] = []
                async for item in self.items(tenant, batch_id, request):
                    rows.append(_flat(item))
                    if len(rows) == _GROUP:
                        writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
                        rows = []
                writer.write_table(pa.Table.from_pylist(rows, SCHEMA))
            with path.open("rb") as file:
                while piece := file.read(_PIECE):
                    yield piece

    async def items(self, tenant: str, batch_id: str, request: BatchRequest) -> AsyncIterator[BatchItem]:
        """The items that are there, in the order of their numbers."""
        async with transaction(self._engine) as connection:
            async for row in BatchRepository(connection).results(tenant, batch_id):
                item = item_of(row, request)
                if item is not None:
                    yield item


def _flat(item: BatchItem) -> dict[str, Any]:
    plain = msgspec.to_builtins(item)
    sections, provenance = plain.pop("sections") or {}, plain.pop("provenance") or {}
    mark = {name: provenance.get(name) for name in ("aiGenerated", "modelVersion", "promptVersion")}
    return {**plain, **{name: sections.get(name) for name in SECTIONS}, **mark}
