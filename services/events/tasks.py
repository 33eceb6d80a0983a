"""Celery shells of events."""

from pathlib import Path
from typing import Any

from celery import Celery

from services.events.importing import create_sink
from services.events.service import EventService
from shared.contracts.events import EventsErased
from shared.contracts.imports import ImportReport
from shared.contracts.tasks import ForgetEvents, RunEventsImport
from shared.ingest.importer import ImportSource, run_import
from shared.ingest.mapping import load_mapping
from shared.worker import WorkerRuntime


def register(celery: Celery, runtime: WorkerRuntime) -> None:
    """Register this room's tasks."""

    async def import_file(payload: RunEventsImport) -> ImportReport:
        sink = create_sink(payload.kind, runtime.engine, runtime.settings, payload.tenant)
        source = ImportSource(path=Path(payload.path), format=payload.format, mapping=load_mapping(payload.mapping))
        return await run_import(
            sink, kind=payload.kind, source=source, data_dir=runtime.settings.atelier_data, tenant=payload.tenant
        )

    async def forget(payload: ForgetEvents) -> EventsErased:
        return await EventService(runtime.engine).erase(payload.tenant, payload.profile_id)

    @celery.task(name=RunEventsImport.task)
    def run_events_import(raw: dict[str, Any]) -> Any:
        return runtime.run(RunEventsImport, raw, import_file)

    @celery.task(name=ForgetEvents.task)
    def forget_events(raw: dict[str, Any]) -> Any:
        return runtime.run(ForgetEvents, raw, forget)
