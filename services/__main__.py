"""The `atelier` command."""

import typer

from services.commands import (
    adapter,
    batch,
    decision,
    demo,
    evaluate,
    features,
    importing,
    keys,
    serving,
    simulate,
    status,
    train,
)

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
app.add_typer(decision.app, name="decision")
app.add_typer(features.app, name="features")
app.add_typer(batch.app, name="batch")
app.command()(decision.ope)
app.command()(evaluate.evaluate)
app.command()(simulate.simulate)
app.command()(train.train)
app.command()(train.models)
app.add_typer(adapter.app, name="adapter")
app.command()(serving.serve)
app.command()(serving.worker)
app.command()(serving.beat)
app.command()(serving.migrate)
app.command("beat-health", hidden=True)(serving.beat_health)
app.command("worker-health", hidden=True)(serving.worker_health)


def main() -> None:
    """Entry point."""
    app()


if __name__ == "__main__":
    main()
