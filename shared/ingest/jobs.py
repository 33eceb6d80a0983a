"""An import as a job: a folder with its state and its file, and the task body that every kind shares."""

import datetime as dt
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import uuid_utils

from shared.contracts.imports import ImportFormat, ImportJob, ImportKind, ImportReport
from shared.contracts.tasks import IMPORTS, RunImport
from shared.errors import AtelierError, NotFoundError
from shared.files import replace_file
from shared.ingest.importer import ImportSource, Progress, Sink, run_import
from shared.ingest.mapping import load_mapping

_STATE = "job.json"
_FILE = "file"
_PROGRESS_SECONDS = 0.5


class JobStore:
    """A tenant's import jobs below `ATELIER_DATA/imports/jobs`, on a disk that gateway and workers share.

    A job's state is one small file, replaced whole; the gateway writes it until the task is queued, then the worker.
    """

    def __init__(self, data_dir: Path, tenant: str) -> None:
        self._tenant = tenant
        self._folder = data_dir / "imports" / "jobs" / tenant

    def create(
        self, kind: ImportKind, file: str, form: ImportFormat | None = None, mapping: str | None = None
    ) -> ImportJob:
        """A new job that waits for its file.

        Raises:
            MappingError: the mapping cannot be read.
        """
        load_mapping(mapping)
        job = ImportJob(job_id=str(uuid_utils.uuid7()), kind=kind, file=file, state="waiting", format=form,
                        mapping=mapping, created_at=dt.datetime.now(dt.UTC))  # fmt: skip
        (self._folder / job.job_id).mkdir(parents=True)
        self.save(job)
        return job

    def upload(self, job: ImportJob) -> Path:
        """Where the job's file is to be written; it keeps its own name, which the report shows."""
        folder = self._folder / job.job_id / _FILE
        folder.mkdir(exist_ok=True)
        return folder / job.file

    def get(self, job_id: str) -> ImportJob:
        """The job of this id.

        Raises:
            NotFoundError: this tenant has none.
        """
        path = self._folder / job_id / _STATE
        if not (job_id.replace("-", "").isalnum() and path.exists()):
            message = f"there is no import {job_id[:80]!r}"
            raise NotFoundError(message)
        return msgspec.json.decode(path.read_bytes(), type=ImportJob)

    def save(self, job: ImportJob) -> None:
        """Replace the job's state."""
        replace_file(self._folder / job.job_id / _STATE, msgspec.json.encode(job))

    def task(self, job: ImportJob, path: Path, *, images: Path | None = None, follow: bool = True) -> RunImport:
        """The task that imports the job's file."""
        return IMPORTS[job.kind](
            tenant=self._tenant, job_id=job.job_id, kind=job.kind, path=str(path.absolute()), format=job.format,
            mapping=job.mapping, images=str(images.absolute()) if images else None, follow=follow,
        )  # fmt: skip

    def progress(self, job: ImportJob) -> Callable[[Progress], None]:
        """A callback that keeps the job's state up to date, at most twice a second."""
        saved = 0.0

        def tell(at: Progress) -> None:
            nonlocal saved
            now = time.monotonic()
            job.rows, job.share, job.rejected = at.rows, round(at.share, 4), at.rejected
            if now - saved >= _PROGRESS_SECONDS:
                saved = now
                self.save(job)

        return tell


async def import_file(sink: Sink[Any], payload: RunImport, data_dir: Path) -> ImportReport:
    """Read the file that a payload names into a sink, keeping the job's state; raises as `run_import` does."""
    store = JobStore(data_dir, payload.tenant)
    job = store.get(payload.job_id)
    job.state, job.problem = "running", None
    store.save(job)
    try:
        source = ImportSource(path=Path(payload.path), format=payload.format, mapping=load_mapping(payload.mapping))
        report = await run_import(sink, kind=payload.kind, source=source, data_dir=data_dir, tenant=payload.tenant,
                                  progress=store.progress(job))  # fmt: skip
    except Exception as error:
        job.state = "failed"
        job.problem = error.detail if isinstance(error, AtelierError) else f"it stopped: {type(error).__name__}"
        store.save(job)
        raise
    job.state, job.report, job.share = "done", report, 1.0
    job.rows, job.rejected = report.read, report.rejected
    store.save(job)
    return report
