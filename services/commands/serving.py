"""Running things: `up`, `serve`, `worker`, `beat`, `migrate`."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from services.beat import beat_acts, run_beat
from services.commands.context import console, explained, running_settings
from shared.clients.bundle import SERVICES
from shared.clients.tasks import create_celery
from shared.db.migrate import upgrade
from shared.progress import console_progress
from shared.settings import SettingsError, load_settings
from shared.stack.run_folder import RunFolder
from shared.stack.supervisor import Parts, Stack

ALL = "all"
NAMES = (ALL, "gateway", *SERVICES)
_SERVICES = Path(__file__).resolve().parents[1]
_TEND_SECONDS = 1.0
_BACKLOG = 1024
_PING_SECONDS = 5.0


def migrated_services() -> list[str]:
    """Every service with tables of its own."""
    return sorted(path.parent.name for path in _SERVICES.glob("*/migrations"))


def migrate_all(database_url: str) -> dict[str, list[str]]:
    """Bring every service's schema up to date; the revisions applied, by service."""
    return {service: upgrade(service, database_url) for service in migrated_services()}


def parts() -> Parts:
    """The suite's own processes."""
    own = [sys.executable, "-m", "services"]
    return Parts(services=[*own, "serve", ALL], worker=[*own, "worker"], beat=[*own, "beat"], migrate=migrate_all)


@contextmanager
def suite() -> Iterator[tuple[Stack, threading.Event]]:
    """A suite to be started in the block; left, everything it started is stopped. The event: somebody asked to stop."""
    settings = load_settings()
    stopped = threading.Event()

    def stop(*_: object) -> None:
        if not stopped.is_set():  # else the stop is under way
            stopped.set()
            raise KeyboardInterrupt

    with RunFolder(settings.atelier_data) as run:
        stack = Stack(settings, run, parts())
        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield stack, stopped
        except KeyboardInterrupt:
            pass
        finally:
            stopped.set()
            console.print("stopping ...")
            stack.stop()
            for number, handler in before.items():
                signal.signal(number, handler)
            console.print("stopped")


def tend_until_stopped(stack: Stack, stopped: threading.Event) -> None:
    """Keep the suite running until somebody stops it."""
    while not stopped.wait(_TEND_SECONDS):
        for line in stack.tend():
            console.print(f"[yellow]{line}[/]")


def up() -> None:
    """Start everything on loopback and serve until stopped (Ctrl-C).

    Starts what no setting names: Postgres, Valkey, vLLM, the services, a worker, a beat. Data and logs are in ATELIER_DATA.
    """
    with explained(), suite() as (stack, stopped):
        with console_progress(console) as report:
            stack.start(report)
            url = stack.settings.self_url
            console.print(f"Atelier serves at [bold]{url}[/], its API page is [bold]{url}/docs[/]", soft_wrap=True)
            console.print("make a key: atelier keys create TENANT")
            stack.wait_for_engine()
        if stack.engine_problem:
            console.print(f"[yellow]no model: {stack.engine_problem}; approved copy is served meanwhile[/]")
        tend_until_stopped(stack, stopped)


def serve(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(NAMES)}.")] = ALL,
    host: Annotated[str | None, typer.Option(help="Address to listen on; HOST if left out.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; PORT if left out.")] = None,
) -> None:
    """Serve one service (or all in one process) with the servers that the environment names."""
    from services.host import build  # every room: seconds that no other command has to wait for

    with explained():
        given = load_settings()
        settings = msgspec.structs.replace(given, host=host or given.host, port=port or given.port)
        build(name, settings)  # fails here, with a sentence, rather than in the server's child process
        os.environ.update(ATELIER_SERVICE=name, PORT=str(settings.port))
        from granian import Granian
        from granian.constants import Interfaces

        server = Granian(
            "services.host:build", address=settings.host, port=settings.port, interface=Interfaces.ASGI, factory=True,
            workers=1, backlog=_BACKLOG, log_access=False,
        )  # fmt: skip
        server.serve()


def worker(concurrency: Annotated[int, typer.Option(min=1, help="Processes that work on tasks.")] = 4) -> None:
    """Run a Celery worker for every queue."""
    from services.worker import run_worker  # as above

    with explained():
        run_worker(running_settings(), concurrency=concurrency)


def beat() -> None:
    """Send the tasks of the schedule. Run two: one acts, the other takes over when it is gone."""
    with explained():
        run_beat(running_settings())


def beat_health() -> None:
    """Status 0 if a beat acts, for container health checks."""
    with explained():
        if not beat_acts(running_settings()):
            message = "no beat acts"
            raise SettingsError(message)


def worker_health() -> None:
    """Status 0 if a worker answers on the broker, for container health checks."""
    with explained():
        if not create_celery(running_settings().redis_url).control.ping(timeout=_PING_SECONDS):
            message = "no worker answers"
            raise SettingsError(message)


def migrate() -> None:
    """Bring the database's schemas up to date (`up` does so itself)."""
    with explained():
        for service, applied in migrate_all(running_settings().database_url).items():
            console.print(f"{service}: {', '.join(applied) or 'up to date'}")
