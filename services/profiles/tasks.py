"""Celery shells of profiles."""

from typing import Any

from celery import Celery

from services.profiles.importing import create_sink
from services.profiles.online import OnlineProfiles
from services.profiles.refreshing import FactService
from shared.contracts.imports import ImportReport
from shared.contracts.profiles import FactsRefreshed
from shared.contracts.tasks import IndexUsers, RefreshFacts, RunProfilesImport
from shared.ingest.jobs import import_file
from shared.worker import WorkerRuntime


def register(celery: Celery, runtime: WorkerRuntime) -> None:
    """Register this room's tasks."""

    async def run(payload: RunProfilesImport) -> ImportReport:
        sink = create_sink(payload.kind, runtime.engine, runtime.settings, payload.tenant)
        report = await import_file(sink, payload, runtime.settings.atelier_data)
        if payload.follow and report.stored:
            runtime.tasks.send(RefreshFacts(tenant=payload.tenant))
        return report

    async def refresh(payload: RefreshFacts) -> FactsRefreshed:
        done = await FactService(
            runtime.engine, runtime.clients.events, OnlineProfiles(runtime.settings.redis_url)
        ).refresh(payload.tenant, payload.profile_ids)
        if payload.follow:
            runtime.tasks.send(IndexUsers(tenant=payload.tenant))
        return done

    @celery.task(name=RunProfilesImport.task)
    def run_profiles_import(raw: dict[str, Any]) -> Any:
        return runtime.run(RunProfilesImport, raw, run)

    @celery.task(name=RefreshFacts.task)
    def refresh_facts(raw: dict[str, Any]) -> Any:
        return runtime.run(RefreshFacts, raw, refresh)
