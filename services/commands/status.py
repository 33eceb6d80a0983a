"""`status` and `doctor`: what runs, what is missing, how to mend it."""

import httpx
import typer
from rich.table import Table

from services.commands.context import console, explained
from services.generation.settings import GenerationSettings
from shared.clients.bundle import INTERNAL_PREFIX, SERVICES
from shared.settings import load_settings, read_env
from shared.stack import doctor as checks
from shared.stack.engine import NoModelServerError, served_models
from shared.stack.run_folder import RunFolder

_SECONDS = 5.0
_STYLES = {"ok": "green", "warning": "yellow", "wrong": "bold red"}


def status() -> None:
    """Say whether a suite runs on this data folder, and how each part of it is. Status 1 if none does."""
    with explained():
        settings = load_settings()
        running = RunFolder(settings.atelier_data).running()
        if running is None:
            console.print(f"nothing runs on {settings.atelier_data}; start it with `atelier up`")
            raise typer.Exit(1)
        console.print(f"process {running.pid} serves {running.url}")
        table = Table("part", "state", "details")
        paths = {"gateway": "", **{name: f"{INTERNAL_PREFIX}/{name}" for name in SERVICES}}
        for name, path in paths.items():
            state, details = _health(f"{running.url}{path}/health/ready")
            table.add_row(name, state, details)
        table.add_row("model server", *_model(running.llm_base_url, settings.llm_api_key))
        console.print(table)


def _health(url: str) -> tuple[str, str]:
    try:
        answer = httpx.get(url, timeout=_SECONDS).json()
    except (httpx.HTTPError, ValueError) as error:
        return "down", type(error).__name__
    return str(answer.get("status", "unknown")), ", ".join(
        f"{key}: {value}" for key, value in answer.get("checks", {}).items()
    )


def _model(base_url: str, api_key: str) -> tuple[str, str]:
    try:
        return "ready", f"{base_url}: {', '.join(served_models(base_url, api_key))}"
    except NoModelServerError as error:
        return "down", f"{error}; approved copy is served meanwhile"


def doctor() -> None:
    """Check this machine and the settings; say what is missing and how to mend it. Status 1 if something is wrong."""
    with explained():
        found = checks.examine(load_settings(), read_env(GenerationSettings).prompts_dir)
        table = Table("check", "", "found", "what to do", show_lines=False)
        for check in found:
            table.add_row(check.name, f"[{_STYLES[check.state]}]{check.state}[/]", check.said, check.mend)
        console.print(table)
        wrong = sum(check.state == "wrong" for check in found)
        if wrong:
            console.print(f"[bold red]{wrong} to mend before `atelier up` works[/]")
            raise typer.Exit(1)
        console.print("[green]ready for `atelier up`[/]")
