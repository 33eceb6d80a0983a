"""What every command needs: the console, the settings (completed by the suite that runs here), plain error texts."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import typer
from rich.console import Console

from shared.errors import AtelierError
from shared.settings import Settings, SettingsError, load_settings
from shared.stack.engine import AdapterRefusedError, EngineMissingError
from shared.stack.run_folder import AlreadyRunningError, RunFolder
from shared.stack.supervisor import StartError

console = Console(highlight=False)
problems = Console(stderr=True, highlight=False)
EXPECTED = (
    AtelierError,
    SettingsError,
    StartError,
    AlreadyRunningError,
    EngineMissingError,
    AdapterRefusedError,
    OSError,
)


@contextmanager
def explained() -> Iterator[None]:
    """Expected failures are said in a sentence and end with status 1; anything else is a fault of ours."""
    try:
        yield
    except EXPECTED as error:
        problems.print(f"[bold red]atelier:[/] {getattr(error, 'detail', None) or error}", soft_wrap=True)
        raise typer.Exit(1) from error


def running_settings() -> Settings:
    """The settings, with the addresses of the suite that runs on this data folder where the environment names none.

    Raises:
        SettingsError: no suite runs here and the environment names no servers.
    """
    settings = load_settings()
    folder = RunFolder(settings.atelier_data)
    found = folder.running()
    if found is not None:
        settings = msgspec.structs.replace(
            settings,
            database_url=settings.database_url or found.database_url,
            redis_url=settings.redis_url or found.redis_url,
            llm_base_url=settings.llm_base_url or found.llm_base_url,
            internal_token=settings.internal_token or folder.secret("internal-token"),
            public_url=settings.public_url or found.url,
        )
    if not (settings.database_url and settings.redis_url):
        message = f"no suite runs on {settings.atelier_data}: start `atelier up`, or set DATABASE_URL and REDIS_URL"
        raise SettingsError(message)
    return settings
