"""Is copy written with an adapter of the chat model no worse than without? The generation suite, both ways on the same offers and
seeds, on one server into which the adapter is loaded while it runs.
"""

import hashlib
from pathlib import Path

import msgspec

from evals import engine, gates, runs
from evals.runs import Difference, Run
from evals.suites import generation
from shared.stack.engine import AdapterRefusedError, load_adapter, unload_adapter

WEIGHTS = "adapter_model.safetensors"
_MUST_HOLD = ("usable", "claims_supported", "repaired", "approved_copy_instead", "nothing_served", "echo")
_LEAST_DIVERSITY = 0.9


class Judgement(msgspec.Struct):
    """Both runs, their paired differences, and why the adapter may not be used; empty: it may."""

    before: Run
    after: Run
    differences: list[Difference]
    objections: list[str]

    def said(self) -> str:
        """The figures in a line."""
        moved = {one.name: one for one in self.differences}
        parts = [f"{name} {moved[name].before:.3f} -> {moved[name].after:.3f}" for name in _MUST_HOLD if name in moved]
        return ", ".join([*parts, f"distinct pairs {_diversity(self.before):.3f} -> {_diversity(self.after):.3f}"])


def judge(folder: Path, seed: int, size: int = generation.SIZE) -> Judgement:
    """Load the adapter of a folder, measure without and with it, unload it.

    Raises:
        BadRunError: it is no adapter, the server does not take it, or nothing could be measured.
    """
    try:
        digest = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    except OSError as error:
        raise runs.BadRunError(f"{folder}: no adapter is there ({error.strerror}: {WEIGHTS})") from error
    name = f"judged-{digest[:12]}"
    with engine.running(adapters=1) as settings:
        try:
            load_adapter(settings.llm_base_url, name, folder, settings.llm_api_key)
            before = generation.measured(settings, seed, size)
            after = generation.measured(settings, seed, size, name)
            unload_adapter(settings.llm_base_url, name, settings.llm_api_key)
        except AdapterRefusedError as error:
            raise runs.BadRunError(str(error)) from error
    found = runs.compare(after, before)
    return Judgement(before, after, found, objections(before, after, found))


def objections(before: Run, after: Run, differences: list[Difference]) -> list[str]:
    """What is worse beyond chance, which gates are missed, and whether the copy has become monotonous."""
    said = [
        f"{one.name} {one.before:.3f} -> {one.after:.3f} ({one.low:+.3f} to {one.high:+.3f})"
        for one in differences
        if one.name in _MUST_HOLD and one.verdict == "worse"
    ]
    said += [f"gate {one.gate.metric}: {one.said}" for one in gates.judge(after, gates.read()) if not one.passed]
    old, new = _diversity(before), _diversity(after)
    if new < _LEAST_DIVERSITY * old:
        said.append(f"distinct pairs of words {old:.3f} -> {new:.3f}; {_LEAST_DIVERSITY:.0%} of it must be left")
    return said


def _diversity(run: Run) -> float:
    metric = run.metric("distinct_pairs")
    return metric.value if metric else 0.0
