"""An import as a task: the same for every kind, whatever room its sink belongs to."""

from pathlib import Path
from typing import Any

from shared.contracts.imports import ImportReport
from shared.contracts.tasks import RunImport
from shared.ingest.importer import ImportSource, Sink, run_import
from shared.ingest.mapping import load_mapping


async def import_file(sink: Sink[Any], payload: RunImport, data_dir: Path) -> ImportReport:
    """Read the file that a payload names into a sink; raises as `run_import` and `load_mapping` do."""
    source = ImportSource(path=Path(payload.path), format=payload.format, mapping=load_mapping(payload.mapping))
    return await run_import(sink, kind=payload.kind, source=source, data_dir=data_dir, tenant=payload.tenant)
