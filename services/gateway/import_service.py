"""Imports over HTTP: announce, upload, follow. The work is done by the tasks of the kind's own room."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import uuid_utils

from services.gateway.errors import UploadStateError
from shared.clients.tasks import TaskSender
from shared.contracts.imports import ImportJob, ImportRequest
from shared.errors import NotFoundError, UnavailableError
from shared.ingest.jobs import JobStore
from shared.ingest.readers import format_of_name
from shared.settings import Settings
from shared.web.body import write_body


class ImportService:
    """A tenant's import jobs."""

    def __init__(self, settings: Settings, tasks: TaskSender) -> None:
        self._settings = settings
        self._tasks = tasks

    def _store(self, tenant: str) -> JobStore:
        return JobStore(self._settings.atelier_data.absolute(), tenant)

    def announce(self, tenant: str, request: ImportRequest) -> ImportJob:
        """A job that waits for its file.

        Raises:
            MappingError: the mapping cannot be read.
            UnreadableFileError: neither `format` nor the file's suffix names a format.
        """
        format_of_name(request.file, request.format)
        return self._store(tenant).create(request.kind, request.file, request.format, request.mapping)

    async def upload(self, tenant: str, job_id: str, chunks: AsyncIterator[bytes]) -> ImportJob:
        """Take the job's file in pieces, then queue the import. An upload that broke off may be sent again.

        Raises:
            NotFoundError: no such job.
            UploadStateError: its file has been taken already.
            TooLargeError: more bytes than MAX_IMPORT_BYTES.
            UnavailableError: the queue does not answer; send the file again later.
        """
        store = self._store(tenant)
        job = store.get(job_id)
        if job.state != "waiting":
            message = f"import {job_id} is {job.state}; its file was taken already"
            raise UploadStateError(message)
        path = store.upload(job)
        partial = path.with_name(f".{uuid_utils.uuid7()}.part")  # two uploads at once do not write into one file
        await write_body(chunks, partial, self._settings.max_import_bytes)
        if store.get(job_id).state != "waiting":
            partial.unlink()
            message = f"import {job_id}: another upload was faster"
            raise UploadStateError(message)
        partial.replace(path)
        job.state = "queued"
        store.save(job)
        try:
            await asyncio.to_thread(self._tasks.send, store.task(job, path))
        except Exception as error:
            job.state = "waiting"
            store.save(job)
            raise UnavailableError(
                "The import cannot be queued right now; send the file again.", retry_after=5
            ) from error
        return job

    def one(self, tenant: str, job_id: str) -> ImportJob:
        """How far a job is; the path of its rejects is the one of this API.

        Raises:
            NotFoundError: no such job.
        """
        job = self._store(tenant).get(job_id)
        if job.report and job.report.rejects_file:
            job.report.rejects_file = f"/v1/imports/{job_id}/rejects"
        return job

    def rejects(self, tenant: str, job_id: str) -> Path:
        """The file of refused rows.

        Raises:
            NotFoundError: no such job, or nothing was refused.
        """
        job = self._store(tenant).get(job_id)
        path = Path(job.report.rejects_file) if job.report and job.report.rejects_file else None
        if path is None or not path.exists():
            message = f"import {job_id} has no refused rows" + ("" if job.report else " yet")
            raise NotFoundError(message)
        return path
