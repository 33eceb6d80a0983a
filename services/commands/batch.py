"""Copy for whole audiences: `batch run|list|show|pause|resume|cancel|results`."""

import asyncio
import time
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import typer
from rich.table import Table

from services.commands.context import console, explained
from services.commands.decision import Tenant, as_tenant
from services.gateway.audience import read_people
from shared.clients.bundle import Clients
from shared.contracts.batches import Batch, BatchMove, BatchRequest
from shared.contracts.profiles import AudienceQuery
from shared.errors import InvalidInputError
from shared.ingest.readers import format_of_name
from shared.progress import Report, console_progress

app = typer.Typer(help="Checked copy for whole audiences.", no_args_is_help=True)
BatchId = Annotated[str, typer.Argument(help="The batch's id, as `batch list` shows it.")]
_POLL_SECONDS = 0.5
_ENDED = {"done", "cancelled", "failed"}


@app.command()
def run(
    file: Annotated[Path | None, typer.Option(help="People: CSV, JSONL or Parquet with the column profileId; else by query.")] = None,
    segment: Annotated[list[str] | None, typer.Option(help="Only people of this segment; may be given several times.")] = None,
    offer: Annotated[list[str] | None, typer.Option(help="An offer's id; may be given several times.")] = None,
    best: Annotated[int | None, typer.Option(help="Instead of --offer: so many of the best offers for each person.")] = None,
    channel: Annotated[list[str] | None, typer.Option(help="email, push, sms or web; may be given several times.")] = None,
    share: Annotated[bool, typer.Option(help="People of whom the same may be said share one text.")] = True,  # noqa: FBT002
    minimum_group: Annotated[int, typer.Option(help="Fewest people that share a text which says something of them.")] = 20,
    greeting: Annotated[bool, typer.Option("--greeting", help="Begin with the first name.")] = False,  # noqa: FBT002
    priority: Annotated[int, typer.Option(min=0, max=9)] = 5,
    out: Annotated[Path | None, typer.Option(help="Where to write the results: .jsonl or .parquet.")] = None,
    wait: Annotated[bool, typer.Option(help="Follow it to its end.")] = True,  # noqa: FBT002
    tenant: Tenant = "demo",
) -> None:  # fmt: skip
    """Write for an audience, and follow it to its end. Ctrl-C leaves it running; `batch cancel` ends it."""
    with explained():
        body = {"audience": AudienceQuery(segments=segment or []), "from_file": file is not None, "offer_ids": offer or [],
                "best": best, "channels": channel or ["email"], "share": share, "minimum_group": minimum_group,
                "greeting": greeting, "priority": priority}  # fmt: skip
        try:
            request = msgspec.convert(msgspec.to_builtins(BatchRequest(**body)), BatchRequest)  # type: ignore[arg-type]
        except msgspec.ValidationError as error:
            raise InvalidInputError(str(error)) from error
        batch = as_tenant(tenant, lambda clients: _begin(clients, request, file))
        console.print(f"batch {batch.batch_id}")
        if wait:
            with console_progress(console) as report:
                batch = as_tenant(tenant, lambda clients: _follow(clients, batch.batch_id, report))
            _show(batch)
        if out:
            _fetch(tenant, batch.batch_id, out)
        if batch.state == "failed":
            raise typer.Exit(1)


async def _begin(clients: Clients, request: BatchRequest, file: Path | None) -> Batch:
    batch = await clients.batches.create(request)
    if file is None:
        return batch
    people = await asyncio.to_thread(read_people, file, format_of_name(file.name, None))
    console.print(f"{file.name}: {people.read:,} rows read = {len(people.profile_ids):,} people + {people.duplicates:,} twice "
                  f"+ {people.rejected:,} refused")  # fmt: skip
    for error in people.errors:
        console.print(f"  line {error.line}: {error.reason} ({error.given})")
    return await clients.batches.audience(batch.batch_id, people.profile_ids)


async def _follow(clients: Clients, batch_id: str, report: Report) -> Batch:
    while True:
        batch = await clients.batches.get(batch_id)
        counts = batch.counts
        if batch.state == "planning":
            report("audience", counts.people, 0)
        else:
            report("audience", max(counts.people, 1), max(counts.people, 1))
            step = f"texts for {counts.items:,} items"
            report(step, counts.texts - counts.texts_open, counts.texts)
        if batch.state in _ENDED:
            return batch
        await asyncio.sleep(_POLL_SECONDS)


def _show(batch: Batch) -> None:
    counts = batch.counts
    seconds = (batch.finished_at - batch.started_at).total_seconds() if batch.finished_at and batch.started_at else None
    table = Table(f"batch {batch.state}", "", show_header=True)
    rows = {"people": counts.people, "items": counts.items, "written": counts.written, "by the template": counts.template,
            **{f"withheld: {reason}": n for reason, n in counts.withheld.items()},
            **{f"failed: {reason}": n for reason, n in counts.failed.items()}, "open": counts.open, "distinct texts": counts.texts,
            "model calls": counts.calls, "tokens": counts.prompt_tokens + counts.completion_tokens}  # fmt: skip
    for name, value in rows.items():
        table.add_row(name, f"{value:,}")
    if batch.items_per_second:
        table.add_row("items a second", f"{batch.items_per_second:,.1f}")
    if batch.seconds_left is not None:
        table.add_row("seconds left", f"{batch.seconds_left:,.0f}")
    if seconds:
        table.add_row("seconds", f"{seconds:,.1f}")
    console.print(table)
    for line in filter(None, [batch.note, batch.problem]):
        console.print(line)


def _fetch(tenant: str, batch_id: str, out: Path) -> None:
    if out.suffix not in {".jsonl", ".parquet"}:
        message = f"{out.name}: results are .jsonl or .parquet"
        raise InvalidInputError(message)

    async def fetch(clients: Clients) -> None:
        form: Literal["jsonl", "parquet"] = "parquet" if out.suffix == ".parquet" else "jsonl"
        with out.open("wb") as file:
            async for piece in clients.batches.results(batch_id, form):
                file.write(piece)

    as_tenant(tenant, fetch)
    console.print(f"results in {out}")


@app.command("list")
def listed(tenant: Tenant = "demo") -> None:
    """The newest batches."""
    with explained():
        page = as_tenant(tenant, lambda clients: clients.batches.page(None, 20))
        table = Table("batch", "name", "state", "items", "open", "begun")
        for one in page.batches:
            table.add_row(one.batch_id, one.request.name, one.state, f"{one.counts.items:,}", f"{one.counts.open:,}",
                          f"{one.created_at:%Y-%m-%d %H:%M}")  # fmt: skip
        console.print(table if page.batches else f"tenant {tenant} has no batches")


@app.command()
def show(batch_id: BatchId, tenant: Tenant = "demo") -> None:
    """How far a batch is."""
    with explained():
        _show(as_tenant(tenant, lambda clients: clients.batches.get(batch_id)))


@app.command()
def pause(batch_id: BatchId, tenant: Tenant = "demo") -> None:
    """Stop working on it for now; what is written stays."""
    _move(batch_id, tenant, "paused")


@app.command()
def resume(batch_id: BatchId, tenant: Tenant = "demo") -> None:
    """Go on where it was paused."""
    _move(batch_id, tenant, "running")


@app.command()
def cancel(batch_id: BatchId, tenant: Tenant = "demo") -> None:
    """End it; what is written can still be fetched."""
    _move(batch_id, tenant, "cancelled")


def _move(batch_id: str, tenant: str, to: Literal["paused", "running", "cancelled"]) -> None:
    with explained():
        began = time.perf_counter()
        found = as_tenant(tenant, lambda clients: clients.batches.move(batch_id, BatchMove(to=to)))
        console.print(f"batch {found.batch_id} is {found.state} ({time.perf_counter() - began:.2f} s)")


@app.command()
def results(
    batch_id: BatchId, out: Annotated[Path, typer.Argument(help=".jsonl or .parquet")], tenant: Tenant = "demo"
) -> None:
    """Fetch the items that are there."""
    with explained():
        _fetch(tenant, batch_id, out)
