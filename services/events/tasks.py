"""Celery shells of events."""

import time
from typing import Any

from celery import Celery

from services.events.importing import create_sink
from services.events.service import EventService
from shared.contracts.events import EventsErased
from shared.contracts.imports import ImportReport
from shared.contracts.tasks import ForgetEvents, ForgetFeatures, MaterialiseFeatures, RefreshFacts, RunEventsImport
from shared.ingest.jobs import import_file
from shared.worker import WorkerRuntime


def register(celery: Celery, runtime: WorkerRuntime) -> None:
    """Register this room's tasks."""

    async def run(payload: RunEventsImport) -> ImportReport:
        sink = create_sink(payload.kind, runtime.engine, runtime.settings, payload.tenant)
        report = await import_file(sink, payload, runtime.settings.atelier_data)
        if payload.follow and report.stored:
            runtime.tasks.send(RefreshFacts(tenant=payload.tenant))
            # A file's events do not go through the stream: a long one would fill it.
            runtime.tasks.send(MaterialiseFeatures(tenant=payload.tenant, asked_at=time.time()))
        return report

    async def forget(payload: ForgetEvents) -> EventsErased:
        erased = await EventService(runtime.engine).erase(payload.tenant, payload.profile_id)
        # Features may have been computed anew while the events still were there.
        runtime.tasks.send(ForgetFeatures(tenant=payload.tenant, profile_id=payload.profile_id))
        return erased

    @celery.task(name=RunEventsImport.task)
    def run_events_import(raw: dict[str, Any]) -> Any:
        return runtime.run(RunEventsImport, raw, run)

    @celery.task(name=ForgetEvents.task)
    def forget_events(raw: dict[str, Any]) -> Any:
        return runtime.run(ForgetEvents, raw, forget)
