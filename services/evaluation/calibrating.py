"""Asking a judge about the labelled set, every item twice and every pair in both orders."""

import datetime as dt
from collections.abc import Sequence

from services.evaluation import calibration
from services.evaluation.calibration import Labelled, LabelledSet, Pair
from services.evaluation.judge import JudgeError
from services.evaluation.judging import Answer, Question, key_of
from services.evaluation.metrics.judged import Bench
from services.evaluation.metrics.registry import METRICS
from services.evaluation.samples import Words
from services.evaluation.scores import Score, abstained, scored
from services.evaluation.spending import Spent
from shared.contracts.evaluation import Agreement, Calibration

_TRIALS = (0, 1)


def questions(bench: Bench, judge: str, found: LabelledSet, metrics: Sequence[str]) -> list[Question]:
    """All that is asked, in a fixed order: items by metric and trial, then pairs by order."""
    made = [
        _of_item(bench, judge, item, metric, trial) for metric in metrics for trial in _TRIALS for item in found.items
    ]
    return made + [_of_pair(bench, judge, pair, swapped=swapped) for swapped in (False, True) for pair in found.pairs]


def _of_item(bench: Bench, judge: str, item: Labelled, metric: str, trial: int) -> Question:
    words = Words(id=f"calibration:{item.id}", text=item.text, record=item.record, facts=[], basis="record",
                  question=bench.prompts.question(product=item.product), reference="\n".join(item.record))  # fmt: skip
    asked = bench.with_seed(trial)
    key = key_of("calibration", judge, metric, METRICS[metric].version, trial, words)
    return Question(key, words.id, metric, lambda spent: asked.score(metric, words, spent))


def _of_pair(bench: Bench, judge: str, pair: Pair, *, swapped: bool) -> Question:
    first, second = (pair.wrong, pair.right) if swapped else (pair.right, pair.wrong)

    async def ask(spent: Spent) -> Score:
        try:
            better = await bench.prompts.first_is_better(bench.judge, pair.record, first, second, 0, spent)
        except JudgeError as error:
            return abstained(error.reason)
        return scored(1.0 if better else 0.0)

    return Question(
        key_of("calibration", judge, "pair", pair.record, first, second), f"calibration:{pair.id}", "pair", ask
    )


def read(answers: Sequence[Answer], found: LabelledSet, metrics: Sequence[str], needed: float) -> dict[str, Agreement]:
    """Metric -> agreement, from answers in the order of the questions."""
    labels = [item.faithful for item in found.items]
    size = len(found.items)
    made = {}
    for n, metric in enumerate(metrics):
        start = n * len(_TRIALS) * size
        first, again = ([a.score for a in answers[at : at + size]] for at in (start, start + size))
        made[metric] = calibration.agreement(labels, first, again, needed)
    return made


def calibrated(
    answers: Sequence[Answer], model: str, version: str, found: LabelledSet, metrics: Sequence[str], needed: float,
    known: Calibration | None,
) -> Calibration:  # fmt: skip
    """How the judge does, for these metrics and those known before; `answers` to all questions, in their order."""
    pairs = [answer.score for answer in answers[len(answers) - 2 * len(found.pairs) :]]
    bias, lost = calibration.position_bias(pairs[: len(found.pairs)], pairs[len(found.pairs) :])
    before = known.metrics if known else {}
    return Calibration(
        model=model, version=version, set_version=found.version, needed_kappa=needed,
        metrics=before | read(answers, found, metrics, needed), pairs=len(found.pairs), pairs_abstained=lost,
        position_bias=bias, created_at=dt.datetime.now(dt.UTC),
    )  # fmt: skip
