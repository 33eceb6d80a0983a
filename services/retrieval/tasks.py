"""Celery shells of retrieval. What touches vectors goes through the service, which alone owns the engine."""

from pathlib import Path
from typing import Any

from celery import Celery

from services.retrieval.importing import create_sink
from shared.contracts.imports import ImportReport
from shared.contracts.retrieval import Indexed, IndexStatus, ReindexRequest, UserVectors
from shared.contracts.tasks import ForgetUser, IndexCatalog, IndexUsers, RunCatalogImport
from shared.ingest.jobs import import_file
from shared.worker import WorkerRuntime


def register(celery: Celery, runtime: WorkerRuntime) -> None:  # noqa: C901  (one shell a task, no branch of its own)
    """Register this room's tasks."""

    async def run(payload: RunCatalogImport) -> ImportReport:
        images = Path(payload.images) if payload.images else None
        sink = create_sink(payload.kind, runtime.engine, runtime.settings, payload.tenant, images)
        report = await import_file(sink, payload, runtime.settings.atelier_data)
        if payload.kind in {"offers", "assets"}:
            await runtime.clients.retrieval.update_index(payload.kind)
        return report

    async def index_catalog(payload: IndexCatalog) -> IndexStatus:
        if payload.full:
            return await runtime.clients.retrieval.reindex(ReindexRequest(kind=payload.kind, full=True))
        return await runtime.clients.retrieval.update_index(payload.kind)

    async def index_users(_: IndexUsers) -> Indexed:
        done = Indexed(embedded=0, reused=0, deleted=0)
        cursor = None
        while True:
            page = await runtime.clients.profiles.summaries(cursor)
            vectors = UserVectors(summaries=page.summaries, withheld=page.withheld)
            part = await runtime.clients.retrieval.index_users(vectors)
            done = Indexed(
                embedded=done.embedded + part.embedded,
                reused=done.reused + part.reused,
                deleted=done.deleted + part.deleted,
            )
            cursor = page.cursor
            if cursor is None:
                return done

    async def forget_user(payload: ForgetUser) -> Indexed:
        return await runtime.clients.retrieval.forget_user(payload.profile_id)

    @celery.task(name=RunCatalogImport.task)
    def run_catalog_import(raw: dict[str, Any]) -> Any:
        return runtime.run(RunCatalogImport, raw, run)

    @celery.task(name=IndexCatalog.task)
    def run_index_catalog(raw: dict[str, Any]) -> Any:
        return runtime.run(IndexCatalog, raw, index_catalog)

    @celery.task(name=IndexUsers.task)
    def run_index_users(raw: dict[str, Any]) -> Any:
        return runtime.run(IndexUsers, raw, index_users)

    @celery.task(name=ForgetUser.task, autoretry_for=(Exception,), retry_backoff=True, max_retries=10)
    def run_forget_user(raw: dict[str, Any]) -> Any:
        return runtime.run(ForgetUser, raw, forget_user)
