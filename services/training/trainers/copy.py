"""An adapter of the chat model for a tenant's copy: fine-tuned on what was approved, then preferring it to what was rejected.

Its figures are of offers that training never saw, with and without it. They say that it learnt, not that its copy is better:
that is `python -m evals generation --adapter`, and until it has said so the adapter serves nobody.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from services.training import lessons, metrics, plans
from services.training.errors import BadDataError, NeedsExtraError
from services.training.lessons import Lessons
from services.training.lora import Tuner
from services.training.progress import Told
from services.training.sources import approved_copy
from services.training.trained import Order, Trained
from shared.clients.bundle import Clients
from shared.contracts.training import Dataset, DataStamp, Figure
from shared.settings import Settings, load_settings
from shared.stack import engine

FloatArray = npt.NDArray[np.float64]
DEFAULTS: dict[str, Any] = {"rank": 8, "epochs": 2, "rate": 2e-4, "preference_epochs": 1, "preference_rate": 2e-5, "beta": 0.1,
                            "batch": 8}  # fmt: skip
_FEW_PAIRS = 8


async def plan(dataset: Dataset, order: Order, clients: Clients | None) -> Callable[[Told], Trained]:
    """Read the examples: of the running suite, or of the file that the data set names."""
    if dataset.source == "table":
        if dataset.path is None:
            raise BadDataError("dataset: copy learns from a file with the columns subject, prompt, answer, approved")
        path = Path(dataset.path)
        given, name = approved_copy.of_file(path), path.name
        notes: list[str] = []
    elif clients is None:
        raise BadDataError("dataset.source: approved copy is the tenant's own: start the suite (`atelier up`)")
    else:
        given, notes = await approved_copy.of_governance(clients)
        name = "approved copy"
    taught = lessons.examine(given, order.seed)
    plans.pinned(taught.hash, dataset)

    def run(told: Told) -> Trained:
        settings = load_settings()
        return train(name, taught, chat_model(settings), settings.llm_model, order, told, notes)

    return run


def chat_model(settings: Settings) -> str:
    """The weights that serve: the bundled model's folder, converted if need be, else what LLM_MODEL names.

    Raises:
        NeedsExtraError: the bundled model is to be converted first, and vLLM's environment is not there.
    """
    log = settings.atelier_data / "logs" / "convert.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    try:
        return engine.prepare_model(settings, log)
    except engine.EngineMissingError as error:
        raise NeedsExtraError(str(error)) from error


def train(
    name: str, taught: Lessons, base: str, model: str, order: Order, told: Told, notes: list[str] | None = None
) -> Trained:
    """Fine-tune and judge.

    Args:
        name: of the data.
        taught: what may be learnt from.
        base: folder of the chat model's weights.
        model: its name.
        order: seed, threads, parameters.
        told: hears every step.
        notes: what was left out on the way here.
    """
    settings = {**DEFAULTS, **order.parameters}
    batch, own = int(settings["batch"]), taught.approved(held=False)
    pairs = taught.pairs(held=False)
    told("load", 0, 1)
    tuner = Tuner(base, model, rank=int(settings["rank"]), seed=order.seed, threads=order.threads)
    before = _measured(tuner, taught, batch, adapted=False)
    tuner.imitate(own, epochs=int(settings["epochs"]), batch=batch, rate=float(settings["rate"]), seed=order.seed,
                  told=lambda done, total: told("approved", done, total))  # fmt: skip
    said = [f"{len(pairs)} pairs of approved and rejected answers are too few: no preference tuning"]
    if len(pairs) >= _FEW_PAIRS:
        tuner.prefer(pairs, beta=float(settings["beta"]), epochs=int(settings["preference_epochs"]), batch=batch,
                     rate=float(settings["preference_rate"]), seed=order.seed,
                     told=lambda done, total: told("preferred", done, total))  # fmt: skip
        said = [f"{len(pairs)} pairs of approved and rejected answers"]
    figures, better = _figures(before, _measured(tuner, taught, batch, adapted=True), order.seed)
    rejected = sum(not one.approved for one in taught.examples)
    return Trained(
        algorithm=f"LoRA of {model}, rank {settings['rank']}, fine-tuned, then DPO",
        data=DataStamp(name=name, hash=taught.hash, rows=len(taught.examples), columns=4, positives=len(taught.examples) - rejected),
        files=tuner.files(), figures=figures, beats_baseline=better, baseline="the chat model as it is", parameters=settings,
        notes=[*(notes or []), *taught.notes, *said, f"{len(taught.held)} offers held back"],
        limits=["serves nobody before `python -m evals generation --adapter` finds its copy no worse"],
    )  # fmt: skip


class _Measured:
    """Log-likelihood and tokens of the held-back answers: approved ones, and both sides of pairs."""

    def __init__(self, approved: tuple[FloatArray, FloatArray], pairs: list[tuple[FloatArray, FloatArray]]) -> None:
        self.nats = -approved[0] / approved[1]
        self.perplexity = float(np.exp(-approved[0].sum() / approved[1].sum()))
        better, worse = (total / count for total, count in pairs)
        self.preferred = (better > worse).astype(np.float64)


def _measured(tuner: Tuner, taught: Lessons, batch: int, *, adapted: bool) -> _Measured:
    pairs = taught.pairs(held=True)
    sides = [tuner.measure([pair[side] for pair in pairs], batch, adapted=adapted) for side in (0, 1)]
    return _Measured(tuner.measure(taught.approved(held=True), batch, adapted=adapted), sides)


def _figures(before: _Measured, after: _Measured, seed: int) -> tuple[list[Figure], bool]:
    """The figures, and whether approved answers have become likelier beyond chance."""
    gain = before.nats - after.nats
    low, high = metrics.interval(lambda rows: float(gain[rows].mean()), len(gain), seed)
    found = [
        Figure(name="perplexity", value=after.perplexity, baseline=before.perplexity, higher_is_better=False,
               note="of approved answers about offers held back; baseline: without the adapter"),
        Figure(name="gain", value=float(gain.mean()), low=low, high=high, baseline=0.0, note="nats a token, a mean by answer"),
    ]  # fmt: skip
    if len(after.preferred):
        at, to = metrics.interval(lambda rows: float(after.preferred[rows].mean()), len(after.preferred), seed)
        found.append(Figure(name="preference_accuracy", value=float(after.preferred.mean()), low=at, high=to,
                            baseline=float(before.preferred.mean()), note=f"{len(after.preferred)} pairs held back: the approved answer is likelier a token"))  # fmt: skip
    return found, low > 0
