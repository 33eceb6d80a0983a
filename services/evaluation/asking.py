"""The judge's part of a slice: its calibration, kept for the whole suite, and its scores."""

from collections.abc import Sequence
from typing import Any, Self

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.evaluation.calibrating import calibrated, questions
from services.evaluation.calibration import CALIBRATED, LabelledSet
from services.evaluation.judge import Judge
from services.evaluation.judging import Answer, Judging, Question, is_passing, key_of
from services.evaluation.metrics.judged import Bench
from services.evaluation.metrics.registry import METRICS
from services.evaluation.prompts import JudgePrompts
from services.evaluation.repository import EvaluationRepository, Kept, Lease, Row
from services.evaluation.samples import Sample, Words
from services.evaluation.settings import EvaluationSettings
from services.evaluation.spending import Spent
from shared.clients.bundle import Clients
from shared.contracts.evaluation import Calibration
from shared.db.engine import transaction
from shared.settings import Settings

GAVE_UP = "the judge did not answer; from then on nothing was asked"


class Asking:
    """A judge with its prompts for one slice; `notes` say what a reader of the run should know."""

    def __init__(
        self, engine: AsyncEngine, clients: Clients, settings: Settings, own: EvaluationSettings, lease: Lease,
        prompts: JudgePrompts, seed: int, until: float,
    ) -> None:  # fmt: skip
        self._engine = engine
        self._own = own
        self._lease = lease
        self._seed = seed
        self._until = until
        self._judge = Judge(settings, own)
        self._bench = Bench(self._judge, prompts, clients.retrieval, seed)
        # Everything about the judge that an answer depends on.
        self.version = "; ".join(
            filter(None, [own.evaluation_judge_version, prompts.version, METRICS["faithfulness"].version])
        )
        self.key = key_of(self._judge.model, self.version, own.evaluation_judge_max_tokens)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._judge.__aexit__()

    @property
    def notes(self) -> list[str]:
        """What happened to the judge."""
        return [GAVE_UP] if self._judge.given_up else []

    def give_up(self) -> None:
        """An earlier slice of this run asked in vain."""
        self._judge.given_up = True

    async def calibrated(self, metrics: Sequence[str], found: LabelledSet, before: Any) -> bool:
        """See to it that the run knows how good its judge is. False when the time is over first."""
        wanted = [name for name in CALIBRATED if name in metrics]
        if before is not None or not wanted:
            return True
        key = key_of(self.key, found.version)
        async with transaction(self._engine) as connection:
            known = await EvaluationRepository(connection).calibration(key)
        missing = [name for name in wanted if known is None or name not in known.metrics]
        if known is None or missing:
            made = await self._calibrate(key, found, missing, known)
            if made is None:
                return False
            known = made
        known = _held_to(known, self._own.evaluation_min_kappa)
        async with transaction(self._engine) as connection:
            await EvaluationRepository(connection).change(self._lease, judge=msgspec.to_builtins(known))
        return True

    async def _calibrate(
        self, key: str, found: LabelledSet, metrics: Sequence[str], known: Calibration | None
    ) -> Calibration | None:
        asked = questions(self._bench, self.key, found, metrics)
        judging = Judging(self._engine, self._lease, self._own, self._until, self._keep, insist=True)
        there = len(await judging.known(asked))
        async with transaction(self._engine) as connection:
            await EvaluationRepository(connection).enter(self._lease, "calibration", len(asked), there)
        answers, complete = await judging.ask(asked)
        if not complete:
            return None
        made = calibrated(
            answers, self._judge.model, self.version, found, metrics, self._own.evaluation_min_kappa, known
        )
        # A judge that was away for some of it is measured again by the next run.
        if not any(is_passing(answer.score) for answer in answers):
            async with transaction(self._engine) as connection:
                await EvaluationRepository(connection).put_calibration(key, made)
        return made

    async def _keep(
        self, repository: EvaluationRepository, answers: Sequence[Answer], kept: Sequence[Kept], spent: Spent
    ) -> None:
        """Answers about the labelled set are no results of the run, and what an earlier slice asked is counted already."""
        new = sum(not answer.spent.cached for answer in answers)
        await repository.keep(self._lease.tenant, kept)
        await repository.advance(self._lease, new, msgspec.structs.replace(spent, cached=0), counted=False)

    async def about(self, samples: Sequence[Sample], metrics: Sequence[str]) -> bool:
        """Ask what is not known yet of these samples. False when the time is over first."""
        ids = [sample.id for sample in samples]
        async with transaction(self._engine) as connection:
            known = await EvaluationRepository(connection).known(self._lease, ids)
        asked = [
            self._question(sample, metric)
            for sample in samples
            for metric in metrics
            if (sample.id, metric) not in known
        ]
        judging = Judging(self._engine, self._lease, self._own, self._until, self._store)
        _, complete = await judging.ask(asked)
        if complete:
            async with transaction(self._engine) as connection:
                await EvaluationRepository(connection).reached(self._lease, ids, 2)
        return complete

    def _question(self, sample: Sample, metric: str) -> Question:
        words = [getattr(sample, name) for name in Words.__struct_fields__ if name != "id"]
        key = key_of(metric, METRICS[metric].version, self.key, self._seed, words)
        return Question(key, sample.id, metric, lambda spent: self._bench.score(metric, sample, spent))

    async def _store(
        self, repository: EvaluationRepository, answers: Sequence[Answer], kept: Sequence[Kept], spent: Spent
    ) -> None:
        rows = [Row(answer.question.sample_id, answer.question.metric, answer.score) for answer in answers]
        await repository.store(self._lease, rows, spent, kept)


def _held_to(known: Calibration, needed: float) -> Calibration:
    """The calibration by the bound as it is set now."""
    metrics = {
        name: msgspec.structs.replace(one, may_gate=one.kappa_low >= needed) for name, one in known.metrics.items()
    }
    return msgspec.structs.replace(known, metrics=metrics, needed_kappa=needed)
