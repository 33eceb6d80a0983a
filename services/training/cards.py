"""Model cards: what a model is, for people and for machines (Mitchell et al., FAT* 2019). Pure."""

import datetime as dt
import math

from services.training.trained import Order, Trained
from shared.contracts.training import Figure, Lineage, ModelCard, Objective


def card_of(trained: Trained, order: Order, objective: Objective, code_version: str, now: dt.datetime) -> ModelCard:
    """The card of a model that is not registered yet. A figure that came out as no number is left out, with a note."""
    measured = [figure for figure in trained.figures if _is_finite(figure)]
    odd = [f"{figure.name} could not be measured" for figure in trained.figures if not _is_finite(figure)]
    return ModelCard(
        model_key=order.model_key, tenant=order.tenant, objective=objective, algorithm=trained.algorithm, created_at=now,
        code_version=code_version, seed=order.seed, data=trained.data, parameters=trained.parameters, figures=measured,
        beats_baseline=trained.beats_baseline, baseline=trained.baseline, inputs=trained.inputs, importance=trained.importance,
        attribution_residual=trained.attribution_residual, reliability=trained.reliability, notes=[*trained.notes, *odd],
        limits=trained.limits, lineage=Lineage(data_hash=trained.data.hash, model_hash=trained.hash),
    )  # fmt: skip


def _is_finite(figure: Figure) -> bool:
    return all(
        math.isfinite(value) for value in (figure.value, figure.low, figure.high, figure.baseline) if value is not None
    )


def markdown(card: ModelCard) -> str:
    """The card as a page."""
    verdict = "beats" if card.beats_baseline else "**does not beat**"
    lines = [
        f"# {card.model_key}, version {card.version or 'not registered'}",
        "",
        (f"{card.algorithm} for {card.objective}, tenant {card.tenant}, made {card.created_at:%Y-%m-%d %H:%M} UTC. It {verdict} its "
        f"baseline: {card.baseline}."),
        "",
        "## Figures",
        "",
        "On rows that training never saw.",
        "",
        "| figure | value | 95 % | baseline | |",
        "| --- | --- | --- | --- | --- |",
        *(_row(figure) for figure in card.figures),
        "",
        "## Data",
        "",
        (f"{card.data.name}: {card.data.rows:,} rows ({card.data.positives:,} positive), {card.data.columns} columns, "
        f"{_span(card)}, SHA-256 `{card.data.hash[:16]}`."),
    ]  # fmt: skip
    if card.importance:
        lines += ["", "## What it goes by", "", ("Mean absolute contribution in log-odds; a prediction's contributions add up "
                  f"to it (largest residual {card.attribution_residual or 0:.1e})."), "", "| input | contribution |", "| --- | --- |"]  # fmt: skip
        lines += [f"| {name} | {value:.4f} |" for name, value in list(card.importance.items())[:15]]
    if card.reliability:
        lines += ["", "## Calibration", "", "| predicted | observed | rows |", "| --- | --- | --- |"]
        lines += [f"| {said:.4f} | {seen:.4f} | {count} |" for said, seen, count in card.reliability]
    for title, items in (("Notes", card.notes), ("Limits", card.limits)):
        if items:
            lines += ["", f"## {title}", "", *(f"- {item}" for item in items)]
    line = card.lineage
    lines += ["", "## Lineage", "",
              f"data `{line.data_hash[:16]}` -> run `{line.run_id or '-'}` -> {line.model_name or card.model_key} {line.version or '-'}"
              f" (`{line.model_hash[:16]}`) -> scorer `{line.scorer_id or '-'}`. Code {card.code_version}, seed {card.seed}, "
              "parameters " + ", ".join(f"{name} {_short(value)}" for name, value in card.parameters.items()) + "."]  # fmt: skip
    return "\n".join(lines) + "\n"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _row(figure: Figure) -> str:
    interval = "" if figure.low is None or figure.high is None else f"{figure.low:.4f} to {figure.high:.4f}"
    baseline = "" if figure.baseline is None else f"{figure.baseline:.4f}"
    return f"| {figure.name} | {figure.value:.4f} | {interval} | {baseline} | {figure.note} |"


def _span(card: ModelCard) -> str:
    if card.data.start is None or card.data.end is None:
        return "no times"
    return f"{card.data.start:%Y-%m-%d} to {card.data.end:%Y-%m-%d}"
