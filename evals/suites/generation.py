"""How good is the copy that is written, and what does it cost? The demo shop's offers on channels they allow, for a reader of whom
nothing is known; the writer, the model and the checks that serve.
"""

import random
import re
from collections.abc import Callable, Sequence

from evals import engine, households, writing
from evals.runs import Case, Metric, Run, code_version, mean_of
from evals.writing import Written
from services.demo.offers import offers
from services.demo.sources import open_sources, source_digest
from services.generation.prompts import Library
from services.governance.style import reading_grade
from services.profiles import usable
from shared.contracts.generation import Material, WriteRequest
from shared.settings import Settings

SIZE = 64
_REPEATED, _SHOWN, _RUN = 10, 40, 4
_WORD = re.compile(r"[a-z']+")


def requests(size: int, seed: int) -> list[tuple[WriteRequest, Material]]:
    """A sample of offers and channels.

    Raises:
        PackageUnavailableError: the extra `demo` is not installed.
    """
    with open_sources() as data:
        catalog = offers(data, households.OFFERS_FROM)
    every = [(offer, channel) for offer in catalog for channel in offer.channels]
    made = []
    for n, (offer, channel) in enumerate(random.Random(f"generation:{seed}").sample(every, min(size, len(every)))):
        reader = usable.unknown("somebody", "unknown person", "web")
        material = Material(profile=reader, offer=offer, brand=households.brand())
        asked = WriteRequest(material=material, channel=channel, seed=seed + n, deadline_ms=writing.DEADLINE_MS)
        made.append((asked, material))
    return made


def run(seed: int, size: int = SIZE) -> Run:
    """Quality, cost, and whether the same seed writes the same words."""
    with engine.running() as settings:
        return measured(settings, seed, size)


def measured(settings: Settings, seed: int, size: int = SIZE, adapter: str = "") -> Run:
    """The run on a server that answers; `adapter`: which of the model's adapters writes, "" for the model as it is."""
    pairs = requests(size, seed)
    written = writing.write(settings, pairs, adapter=adapter)
    writing.measure_surprise(settings, written)
    again = _repeated(settings, pairs[:_REPEATED], adapter)
    model = f"{settings.llm_model}+{adapter}" if adapter else settings.llm_model
    prompt = Library(writing.PROMPTS).prompts["offer_copy"]
    metrics = [*_quality(written, prompt.shown(), seed), *_cost(written, seed)]
    metrics.append(mean_of("same_seed_same_words", again, seed, note="written twice, one at a time, on an idle server"))
    return Run(suite="generation", seed=seed, data=f"{source_digest()[:16]}-{size}", code=code_version(),
               made_with={"model": model, "prompt": prompt.version}, metrics=metrics, worst=_worst(written))  # fmt: skip


def _repeated(settings: Settings, pairs: Sequence[tuple[WriteRequest, Material]], adapter: str) -> dict[str, float]:
    first, second = (writing.write(settings, pairs, at_once=1, adapter=adapter) for _ in range(2))
    return {_key(one): float(one.sections == other.sections) for one, other in zip(first, second, strict=True)}


def _key(one: Written) -> str:
    return f"{one.request.material.offer.offer_id} {one.request.channel}"


def _quality(written: Sequence[Written], shown: Sequence[str], seed: int) -> list[Metric]:
    def share(name: str, holds: Callable[[Written], bool], *, better: bool = True) -> Metric:
        return mean_of(name, {_key(one): float(holds(one)) for one in written}, seed, higher_is_better=better)

    claims = {_key(one): one.report.claims for one in written if one.report and one.report.claims}
    supported = {key: sum(c.status == "supported" for c in found) / len(found) for key, found in claims.items()}
    own = {_key(one): one.own_words() for one in written if one.by_the_model and one.request.channel != "sms"}
    grades = {key: grade for key, text in own.items() if (grade := reading_grade(text)) is not None}
    surprise = {_key(one): one.surprise for one in written if one.surprise is not None and _key(one) in own}
    return [
        share("usable", lambda one: one.usable),
        mean_of("claims_supported", supported, seed),
        share("repaired", lambda one: one.variant is not None and one.variant.source == "repaired", better=False),
        share("approved_copy_instead", lambda one: one.variant is not None and not one.by_the_model, better=False),
        share("nothing_served", lambda one: one.variant is None, better=False),
        mean_of("echo", {key: float(echoes(text, shown)) for key, text in own.items()}, seed, higher_is_better=False,
                note=f"shares {_RUN} words in a row with an answer that the prompt shows"),
        _distinct(list(own.values())),
        mean_of("reading_grade", grades, seed, higher_is_better=False),
        mean_of("surprise", surprise, seed, higher_is_better=False, note="nats a token to the served model"),
    ]  # fmt: skip


def _distinct(texts: Sequence[str]) -> Metric:
    value = distinct_pairs(texts)
    note = "distinct pairs of words by all pairs (Li et al. 2016), over the whole sample; falls as samples grow"
    return Metric(name="distinct_pairs", value=value, low=value, high=value, n=len(texts), note=note)


def distinct_pairs(texts: Sequence[str]) -> float:
    """Distinct-2 of Li et al. (2016): different pairs of neighbouring words by all of them; 0 without any."""
    pairs = [pair for text in texts for pair in _runs(text, 2)]
    return len(set(pairs)) / len(pairs) if pairs else 0.0


def echoes(text: str, shown: Sequence[str]) -> bool:
    """Does it share a run of words with a shown line?"""
    known = {run for line in shown for run in _runs(line, _RUN)}
    return any(run in known for run in _runs(text, _RUN))


def _runs(text: str, length: int) -> list[tuple[str, ...]]:
    words = _WORD.findall(text.lower())
    return [tuple(words[n : n + length]) for n in range(len(words) - length + 1)]


def _cost(written: Sequence[Written], seed: int) -> list[Metric]:
    served = [one for one in written if one.variant]
    usage = {_key(one): one.variant.usage for one in served if one.variant}
    found = {
        "seconds": {_key(one): one.copy.took_ms / 1000 for one in served},
        "calls": {key: float(one.calls) for key, one in usage.items()},
        "prompt_tokens": {key: float(one.prompt_tokens) for key, one in usage.items()},
        "answer_tokens": {key: float(one.completion_tokens) for key, one in usage.items()},
    }
    notes = {"seconds": f"an offer, {writing.AT_ONCE} at once"}
    return [
        mean_of(name, values, seed, higher_is_better=False, note=notes.get(name, ""))
        for name, values in found.items()
    ]  # fmt: skip


def _worst(written: Sequence[Written]) -> list[Case]:
    """What was not usable first, then what reads least fluently."""
    ranked = sorted(written, key=lambda one: (one.usable, -(one.surprise or 0.0), _key(one)))
    return [_case(one) for one in ranked[:_SHOWN]]


def _case(one: Written) -> Case:
    if one.variant is None:
        return Case(id=_key(one), value=0.0, text="nothing could be served", note="; ".join(one.copy.degraded))
    rejected = ", ".join(dict.fromkeys(repr(claim.text) for claim in one.variant.rejected))
    surprise = f"surprise {one.surprise:.2f}" if one.surprise is not None else ""
    note = " · ".join(filter(None, [one.variant.source, surprise, f"refused for {rejected}" if rejected else ""]))
    return Case(
        id=_key(one), value=float(one.usable), text=f"{one.sections.headline}\n{one.sections.body}".strip(), note=note
    )
