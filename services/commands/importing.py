"""`import`: files of any shop into the running suite, by the same tasks that the HTTP imports use."""

import time
from pathlib import Path
from typing import Annotated, cast, get_args

import typer
from rich.table import Table

from services.commands.context import console, explained, running_settings
from shared.clients.tasks import TaskSender, create_celery
from shared.contracts.imports import ImportFormat, ImportJob, ImportKind
from shared.errors import AtelierError, InvalidInputError
from shared.ingest.jobs import JobStore
from shared.ingest.readers import format_of
from shared.progress import Report, console_progress
from shared.settings import Settings

KINDS = get_args(ImportKind)
FORMATS = get_args(ImportFormat)
_POLL_SECONDS = 0.2
_SHARE_STEPS = 1000


class ImportFailedError(AtelierError):
    """The import as a whole could not be done; the message says why."""

    title = "Import failed"


class Importer:
    """Queues imports for one tenant and follows them."""

    def __init__(self, settings: Settings, tenant: str) -> None:
        self._store = JobStore(settings.atelier_data.absolute(), tenant)
        self._tasks = TaskSender(create_celery(settings.redis_url))

    def start(
        self, kind: ImportKind, path: Path, *, form: ImportFormat | None = None, mapping: str | None = None,
        images: Path | None = None, follow: bool = True,
    ) -> ImportJob:  # fmt: skip
        """Queue the import of a local file that the worker sees too.

        Raises:
            UnreadableFileError: no such file, or an unknown format.
            MappingError: the mapping cannot be read.
        """
        format_of(path, form)
        job = self._store.create(kind, path.name, form, mapping)
        job.state = "queued"
        self._store.save(job)
        self._tasks.send(self._store.task(job, path, images=images, follow=follow))
        return job

    def follow(self, job: ImportJob, report: Report) -> ImportJob:
        """Wait for its end.

        Raises:
            ImportFailedError: it failed as a whole.
        """
        step = f"import {job.file}"
        while job.state not in {"done", "failed"}:
            time.sleep(_POLL_SECONDS)
            job = self._store.get(job.job_id)
            report(step, min(int(job.share * _SHARE_STEPS), _SHARE_STEPS - 1), _SHARE_STEPS)
        if job.state == "failed":
            message = f"{job.file}: {job.problem}"
            raise ImportFailedError(message)
        report(step, _SHARE_STEPS, _SHARE_STEPS)
        return job


def show(job: ImportJob) -> None:
    """The counts of a finished import, and its first refused rows."""
    done = job.report
    if done is None:
        return
    console.print(f"{done.file}: {done.read:,} rows read = {done.stored:,} stored + {done.duplicates:,} known already "
                  f"+ {done.rejected:,} refused, in {done.seconds:.1f} s")  # fmt: skip
    if done.ignored_columns:
        console.print(f"columns not used: {', '.join(done.ignored_columns)}")
    if done.first_errors:
        table = Table("line", "field", "why", "given", title="first refused rows", title_justify="left")
        for error in done.first_errors[:10]:
            table.add_row(str(error.line), error.field, error.reason, (error.given or "")[:40])
        console.print(table)
        console.print(f"all refused rows: {done.rejects_file}", soft_wrap=True)


def import_files(
    kind: Annotated[str, typer.Argument(help=f"What the files hold: {', '.join(KINDS)}.")],
    files: Annotated[list[Path], typer.Argument(help="CSV, JSONL or Parquet files (also .gz).")],
    tenant: Annotated[str, typer.Option(help="Whose data it is.")] = "demo",
    mapping: Annotated[Path | None, typer.Option(help="YAML file that maps foreign columns.")] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of the pictures that `assets` name.")] = None,
    form: Annotated[str | None, typer.Option("--format", help=f"{', '.join(FORMATS)}; else by the suffix.")] = None,
) -> None:
    """Import files into the running suite. Bad rows are reported and never stop the good ones.

    Safe to repeat and to interrupt: known rows are counted, not doubled. Formats and fields: docs/data-formats.md.
    """
    with explained():
        if kind not in KINDS:
            message = f"kind {kind!r} is unknown; there are {', '.join(KINDS)}"
            raise InvalidInputError(message)
        if form is not None and form not in FORMATS:
            message = f"format {form!r} is unknown; there are {', '.join(FORMATS)}"
            raise InvalidInputError(message)
        importer = Importer(running_settings(), tenant)
        text = mapping.read_text(encoding="utf-8") if mapping else None
        refused = 0
        for path in files:
            job = importer.start(cast(ImportKind, kind), path, form=cast("ImportFormat | None", form), mapping=text,
                                 images=images)  # fmt: skip
            with console_progress(console) as report:
                job = importer.follow(job, report)
            show(job)
            refused += job.report.rejected if job.report else 0
        if refused:
            raise typer.Exit(2)
