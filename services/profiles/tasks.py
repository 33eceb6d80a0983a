"""Celery shells of profiles."""

from pathlib import Path
from typing import Any

from celery import Celery

from services.profiles.importing import create_sink
from services.profiles.refreshing import FactService
from shared.contracts.imports import ImportReport
from shared.contracts.profiles import FactsRefreshed
from shared.contracts.tasks import RefreshFacts, RunProfilesImport
from shared.ingest.importer import ImportSource, run_import
from shared.ingest.mapping import load_mapping
from shared.worker import WorkerRuntime


def register(celery: Celery, runtime: WorkerRuntime) -> None:
    """Register this room's tasks."""

    async def import_file(payload: RunProfilesImport) -> ImportReport:
        sink = create_sink(payload.kind, runtime.engine, runtime.settings, payload.tenant)
        source = ImportSource(path=Path(payload.path), format=payload.format, mapping=load_mapping(payload.mapping))
        return await run_import(
            sink, kind=payload.kind, source=source, data_dir=runtime.settings.atelier_data, tenant=payload.tenant
        )

    async def refresh(payload: RefreshFacts) -> FactsRefreshed:
        return await FactService(runtime.engine, runtime.clients.events).refresh(payload.tenant, payload.profile_ids)

    @celery.task(name=RunProfilesImport.task)
    def run_profiles_import(raw: dict[str, Any]) -> Any:
        return runtime.run(RunProfilesImport, raw, import_file)

    @celery.task(name=RefreshFacts.task)
    def refresh_facts(raw: dict[str, Any]) -> Any:
        return runtime.run(RefreshFacts, raw, refresh)
