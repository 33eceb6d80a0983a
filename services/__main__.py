"""The `atelier` command. The module of a command is imported when it is called: `atelier status` needs no trainer of models."""

import importlib
from typing import Any

import typer
from typer.core import TyperGroup

# Where each command is: module of `services.commands`, name in it.
COMMANDS = {
    "up": "serving:up",
    "demo": "demo:demo",
    "import": "importing:import_files",
    "status": "status:status",
    "doctor": "status:doctor",
    "keys": "keys:app",
    "decision": "decision:app",
    "features": "features:app",
    "batch": "batch:app",
    "ope": "decision:ope",
    "evaluate": "evaluate:evaluate",
    "simulate": "simulate:simulate",
    "simulate-loop": "simulate_loop:simulate_loop",
    "train": "train:train",
    "models": "train:models",
    "rollout": "rollout:app",
    "adapter": "adapter:app",
    "serve": "serving:serve",
    "worker": "serving:worker",
    "beat": "serving:beat",
    "migrate": "serving:migrate",
    "beat-health": "serving:beat_health",
    "worker-health": "serving:worker_health",
}


class _Commands(TyperGroup):
    """Finds commands by name; `atelier --help` imports them all."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given | {"commands": dict.fromkeys(COMMANDS)})

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002  (of click)
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002  (of click)
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name].partition(":")
        found = getattr(importlib.import_module(f"services.commands.{module}"), name)
        one = typer.Typer(add_completion=False, rich_markup_mode=None, callback=lambda: None)
        if isinstance(found, typer.Typer):
            one.add_typer(found, name=cmd_name)
        else:
            one.command(cmd_name, hidden=cmd_name.endswith("-health"))(found)
        return typer.main.get_group(one).commands[cmd_name]


app = typer.Typer(
    name="atelier",
    cls=_Commands,
    callback=lambda: None,
    help="Generative personalization: know the customer, pick the offer, write the words, check every claim.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
