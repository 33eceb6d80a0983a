"""RAGAS without a model: how near is the copy to its reference, and to what its writer was given?

Import it where it is needed, not at start: RAGAS takes seconds.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from ragas.dataset_schema import SingleTurnSample
from ragas.metrics._context_precision import NonLLMContextPrecisionWithReference
from ragas.metrics._context_recall import NonLLMContextRecall
from ragas.metrics.collections import CHRFScore, NonLLMStringSimilarity, RougeScore, SemanticSimilarity

from services.evaluation.evidence import Evidence
from services.evaluation.ragas_adapters import KnownVectors
from services.evaluation.samples import Sample
from services.evaluation.scores import Score, abstained, failed, scored, similarity

_STRINGS, _ROUGE, _CHRF = NonLLMStringSimilarity(), RougeScore(), CHRFScore()
_RECALL, _PRECISION = NonLLMContextRecall(), NonLLMContextPrecisionWithReference()
Async = Callable[[Sample, Evidence], Awaitable[Score]]


def _against_reference(metric: Any) -> Async:
    async def score(sample: Sample, _: Evidence) -> Score:
        found = await metric.ascore(reference=sample.reference, response=sample.text)
        return scored(found.value, sample.basis)

    return score


async def semantic_similarity(sample: Sample, evidence: Evidence) -> Score:
    """Cosine of text and reference; a negative one counts as 0."""
    if evidence.vectors is None:
        return failed(evidence.refused or "not_embedded")
    known = KnownVectors({sample.text: evidence.vectors[0], sample.reference: evidence.vectors[1]})
    found = await SemanticSimilarity(embeddings=known).ascore(reference=sample.reference, response=sample.text)
    return similarity(found.value, sample.basis)


def _of_contexts(metric: Any) -> Async:
    """The lines that the writer was given, against the record as the catalog has it now."""

    async def score(sample: Sample, evidence: Evidence) -> Score:
        if sample.copy.material is None:
            return abstained("no_contexts")
        if not evidence.current:
            return abstained("offer_gone")
        given = SingleTurnSample(
            retrieved_contexts=[*sample.record, *sample.facts], reference_contexts=evidence.current
        )
        return scored(float(await metric.single_turn_ascore(given)))

    return score


SCORERS: dict[str, Async] = {
    "non_llm_string_similarity": _against_reference(_STRINGS),
    "rouge_score": _against_reference(_ROUGE),
    "chrf_score": _against_reference(_CHRF),
    "semantic_similarity": semantic_similarity,
    "non_llm_context_recall": _of_contexts(_RECALL),
    "non_llm_context_precision": _of_contexts(_PRECISION),
}
