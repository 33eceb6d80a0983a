"""What a judge says. Whatever it answers becomes a value in [0, 1] or an abstention with a class of reasons.

Import it where it is needed, not at start: RAGAS takes seconds.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from ragas.metrics.collections import (
    AnswerRelevancy,
    ContextPrecisionWithoutReference,
    ContextPrecisionWithReference,
    ContextRecall,
    Faithfulness,
)

from services.evaluation.judge import Judge, JudgeError
from services.evaluation.prompts import JudgePrompts
from services.evaluation.ragas_adapters import JudgeModel, ServiceVectors
from services.evaluation.samples import Words
from services.evaluation.scores import Score, abstained, scored, similarity
from services.evaluation.spending import Spent
from shared.clients.retrieval import RetrievalClient
from shared.errors import UnavailableError


class _Faithfulness(Faithfulness):
    """A score of fewer verdicts than statements would be a score of something else."""

    async def _create_verdicts(self, statements: list[str], context: str) -> Any:
        found = await super()._create_verdicts(statements, context)
        if len(found.statements) != len(statements):
            raise JudgeError("verdicts_missing")
        return found


class Bench:
    """A judge with its prompts, and the text model that compares its questions."""

    def __init__(self, judge: Judge, prompts: JudgePrompts, retrieval: RetrievalClient, seed: int) -> None:
        self.judge = judge
        self.prompts = prompts
        self.seed = seed
        self._retrieval = retrieval
        self.vectors = ServiceVectors(retrieval)

    def with_seed(self, seed: int) -> "Bench":
        """The same with another seed."""
        return Bench(self.judge, self.prompts, self._retrieval, seed)

    async def score(self, metric: str, sample: Words, spent: Spent) -> Score:
        """One metric of one sample."""
        try:
            return await SCORERS[metric](self, sample, spent)
        except JudgeError as error:
            return abstained(error.reason)
        except UnavailableError:
            return abstained("embedding_unavailable")
        except Exception:
            return abstained("metric_failed")

    def model(self, spent: Spent) -> JudgeModel:
        """The judge for one score."""
        return JudgeModel(self.judge, self.seed, spent)


async def _verdict(bench: Bench, sample: Words, spent: Spent) -> Score:
    said = await bench.prompts.verdict(bench.judge, [*sample.record, *sample.facts], sample.text, bench.seed, spent)
    return scored(1.0 if said else 0.0)


async def _faithfulness(bench: Bench, sample: Words, spent: Spent) -> Score:
    metric = _Faithfulness(llm=bench.model(spent))
    found = await metric.ascore(user_input=sample.question, response=sample.text, retrieved_contexts=sample.contexts)
    return scored(found.value)


async def _answer_relevancy(bench: Bench, sample: Words, spent: Spent) -> Score:
    """One question for a piece of copy: at temperature 0 RAGAS's three would be the same one."""
    metric = AnswerRelevancy(llm=bench.model(spent), embeddings=bench.vectors, strictness=1)
    found = await metric.ascore(user_input=sample.question, response=sample.text)
    return similarity(found.value)


async def _context_precision(bench: Bench, sample: Words, spent: Spent) -> Score:
    """Against a person's text where there is one, else against the copy itself."""
    model = bench.model(spent)
    if sample.basis == "person":
        by_reference = ContextPrecisionWithReference(llm=model)
        found = await by_reference.ascore(
            user_input=sample.question, reference=sample.reference, retrieved_contexts=sample.contexts
        )
    else:
        found = await ContextPrecisionWithoutReference(llm=model).ascore(
            user_input=sample.question, response=sample.text, retrieved_contexts=sample.contexts
        )
    return scored(found.value, sample.basis)


async def _context_recall(bench: Bench, sample: Words, spent: Spent) -> Score:
    """Only against a person's text: the record is always recalled from the record."""
    if sample.basis != "person":
        return abstained("no_reference_by_a_person")
    found = await ContextRecall(llm=bench.model(spent)).ascore(
        user_input=sample.question, retrieved_contexts=sample.contexts, reference=sample.reference
    )
    return scored(found.value, sample.basis)


SCORERS: dict[str, Callable[[Bench, Words, Spent], Awaitable[Score]]] = {
    "verdict": _verdict,
    "faithfulness": _faithfulness,
    "answer_relevancy": _answer_relevancy,
    "context_precision": _context_precision,
    "context_recall": _context_recall,
}
