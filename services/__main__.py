"""The `atelier` command."""

import typer

from services.commands import demo, importing, keys, serving, status

app = typer.Typer(
    name="atelier",
    help="Generative personalization: know the customer, pick the offer, write the words, check every claim.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(serving.up)
app.command()(demo.demo)
app.command("import")(importing.import_files)
app.command()(status.status)
app.command()(status.doctor)
app.add_typer(keys.app, name="keys")
app.command()(serving.serve)
app.command()(serving.worker)
app.command()(serving.migrate)
app.command("worker-health", hidden=True)(serving.worker_health)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
