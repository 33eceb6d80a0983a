"""Every metric: its version, what it needs to be known of a sample, and who computes it. Pure."""

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, cast, get_args

import msgspec

from services.evaluation.evidence import Evidence
from services.evaluation.metrics.attributes import attribute_recall
from services.evaluation.metrics.claims import claim_support
from services.evaluation.metrics.conformance import conformance
from services.evaluation.metrics.facts import no_forbidden_facts, personal_facts
from services.evaluation.metrics.images import image_match
from services.evaluation.samples import Sample
from services.evaluation.scores import Score
from shared.contracts.evaluation import DeterministicMetric, JudgeMetric, MetricName

Part = Literal["report", "current", "forbidden", "image", "vectors"]
Kind = Literal["deterministic", "judge"]


def _ragas() -> str:
    try:
        return f"ragas-{version('ragas')}"
    except PackageNotFoundError:
        return "ragas-missing"


class Metric(msgspec.Struct, frozen=True):
    """A metric. `score` None: RAGAS computes it; change `version` with anything that changes a value."""

    name: MetricName
    kind: Kind
    version: str
    parts: tuple[Part, ...] = ()
    score: Callable[[Sample, Evidence], Score] | None = None


def _ours(name: DeterministicMetric, score: Callable[[Sample, Evidence], Score], *parts: Part) -> Metric:
    return Metric(name, "deterministic", "1", parts, score)


def _theirs(name: MetricName, kind: Kind = "deterministic", *parts: Part) -> Metric:
    return Metric(name, kind, f"{_ragas()}/1", parts)


CORPUS = "diversity"
METRICS: dict[str, Metric] = {
    metric.name: metric
    for metric in (
        _ours("claim_support", claim_support, "report"),
        _ours("personal_facts", personal_facts),
        _ours("no_forbidden_facts", no_forbidden_facts, "forbidden"),
        _ours("attribute_recall", attribute_recall, "report"),
        _ours("conformance", conformance, "report"),
        _ours("image_match", image_match, "image"),
        Metric("diversity", "deterministic", "1"),
        _theirs("non_llm_string_similarity"),
        _theirs("rouge_score"),
        _theirs("chrf_score"),
        _theirs("semantic_similarity", "deterministic", "vectors"),
        _theirs("non_llm_context_recall", "deterministic", "current"),
        _theirs("non_llm_context_precision", "deterministic", "current"),
        Metric("verdict", "judge", "1"),
        _theirs("faithfulness", "judge"),
        _theirs("answer_relevancy", "judge"),
        _theirs("context_precision", "judge"),
        _theirs("context_recall", "judge"),
    )
}
DETERMINISTIC = cast("tuple[DeterministicMetric, ...]", get_args(DeterministicMetric))
JUDGED = cast("tuple[JudgeMetric, ...]", get_args(JudgeMetric))


class Plan(msgspec.Struct, frozen=True):
    """The metrics of a run: of each sample alone, of all together, of the judge."""

    alone: tuple[MetricName, ...]
    together: bool
    judged: tuple[MetricName, ...]

    @property
    def names(self) -> tuple[MetricName, ...]:
        """All of them, in the order of the registry."""
        wanted = {*self.alone, *self.judged, *([CORPUS] if self.together else [])}
        return tuple(metric.name for metric in METRICS.values() if metric.name in wanted)


def plan(names: Sequence[MetricName], *, judge: bool) -> Plan:
    """What a request asks for; without names all metrics."""
    wanted = set(names) or {*DETERMINISTIC, *(JUDGED if judge else ())}
    return Plan(
        alone=tuple(name for name in DETERMINISTIC if name in wanted and name != CORPUS),
        together=CORPUS in wanted,
        judged=tuple(name for name in JUDGED if name in wanted),
    )


def parts_of(names: Sequence[MetricName]) -> set[Part]:
    """What must be known for these metrics."""
    return {part for name in names for part in METRICS[name].parts}
