"""One slice of a run: select, score each sample, score all together, calibrate the judge, ask it, close."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.evaluation import calibration, reporting
from services.evaluation.gathering import Gatherer
from services.evaluation.metrics.registry import CORPUS, METRICS, parts_of, plan
from services.evaluation.prompts import JudgePrompts
from services.evaluation.repository import EvaluationRepository, Lease, Row
from services.evaluation.samples import Sample, chosen
from services.evaluation.scores import failed
from services.evaluation.settings import EvaluationSettings
from shared.clients.bundle import Clients
from shared.contracts.evaluation import EvaluationRequest
from shared.db.engine import transaction
from shared.settings import Settings

_CHUNK = 50
_IDS = 5000


class Slice:
    """A worker's turn on a run; `notes` say what a reader of the run should know."""

    def __init__(
        self, engine: AsyncEngine, clients: Clients, settings: Settings, own: EvaluationSettings, lease: Lease,
        row: dict[str, Any],
    ) -> None:  # fmt: skip
        self._engine = engine
        self._clients = clients
        self._settings = settings
        self._own = own
        self._lease = lease
        self._row = row
        self._request = msgspec.convert(row["request"], EvaluationRequest)
        self._plan = plan(self._request.metrics, judge=self._request.judge)
        self._prompts = JudgePrompts(own.prompts_dir)
        self._gatherer = Gatherer(clients, self._prompts.question)
        self._until = time.monotonic() + own.evaluation_slice_seconds
        self.notes = list(row["notes"])

    async def work(self) -> bool:
        """Go on until the run has ended (True) or the time is over (False: it may be released to the next one).

        Raises:
            LeaseLostError: it was cancelled, or another worker has it.
            UnavailableError: a service does not answer.
        """
        if self._row["samples"] is None:
            await self._select()
        over = await self._alone()
        if over:
            await self._together()
        if over and self._plan.judged:
            over = await self._judged()
        if over:
            await reporting.close(self._engine, self._lease, self.notes)
        return over

    async def _select(self) -> None:
        found = [key async for key in self._gatherer.ids(self._request)]
        ids = chosen(found, self._request.limit, self._request.seed)
        if len(found) > len(ids):
            self.notes.append(f"{len(ids)} of {len(found)} pieces of copy were drawn")
        async with transaction(self._engine) as connection:
            repository = EvaluationRepository(connection)
            for start in range(0, len(ids), _IDS):
                await repository.add_samples(self._lease, ids[start : start + _IDS])
            total = len(ids) * len(self._plan.names)
            await repository.change(self._lease, samples=len(ids), total=total, notes=self.notes)

    async def _enter(self, stage: str, *, below: int, units: int) -> None:
        """Begin a stage, or go on with it: `units` a sample."""
        async with transaction(self._engine) as connection:
            repository = EvaluationRepository(connection)
            total = len(await repository.samples(self._lease)) * units
            done = total - len(await repository.samples(self._lease, below=below)) * units
            await repository.enter(self._lease, stage, total, done)

    async def _pending(self, below: int) -> list[str]:
        async with transaction(self._engine) as connection:
            return await EvaluationRepository(connection).samples(self._lease, below=below, limit=_CHUNK)

    async def _present(self, ids: Sequence[str]) -> list[Sample]:
        """These samples; the ones that are gone are dropped from the run."""
        samples = await self._gatherer.samples(ids)
        await self._drop(set(ids) - {sample.id for sample in samples})
        return samples

    async def _drop(self, gone: set[str]) -> None:
        if gone:
            async with transaction(self._engine) as connection:
                await EvaluationRepository(connection).drop(self._lease, sorted(gone))

    async def _alone(self) -> bool:
        """The metrics of each sample alone. False when the time is over first."""
        names = self._plan.alone
        if not names:
            return True
        await self._enter("deterministic", below=1, units=len(names))
        pending = await self._pending(1)
        while pending:
            samples = await self._present(pending)
            rows = await self._scored(samples)
            async with transaction(self._engine) as connection:
                repository = EvaluationRepository(connection)
                await repository.store(self._lease, rows)
                await repository.reached(self._lease, pending, 1)
            pending = await self._pending(1)
            if pending and time.monotonic() > self._until:
                return False
        return True

    async def _scored(self, samples: Sequence[Sample]) -> list[Row]:
        rows = []
        evidence = await self._gatherer.evidence(samples, parts_of(self._plan.alone))
        for sample, known in zip(samples, evidence, strict=True):
            for name in self._plan.alone:
                try:
                    ours = METRICS[name].score
                    score = ours(sample, known) if ours else await _theirs(name)(sample, known)
                except Exception as error:
                    score = failed(type(error).__name__)
                rows.append(Row(sample.id, name, score))
            await asyncio.sleep(0)  # whether the run was cancelled is looked at in between
        return rows

    async def _together(self) -> None:
        """The metrics of all samples together, in one piece."""
        if not self._plan.together:
            return
        async with transaction(self._engine) as connection:
            repository = EvaluationRepository(connection)
            ids = await repository.samples(self._lease)
            if len({key for key, metric in await repository.known(self._lease, ids) if metric == CORPUS}) == len(ids):
                return
            await repository.enter(self._lease, "corpus", len(ids), 0)
        from services.evaluation.metrics.diversity import diversity

        texts = await self._gatherer.texts(ids)
        await self._drop(set(ids) - set(texts))
        scores, figures = await asyncio.to_thread(diversity, list(texts.values()))
        rows = [Row(key, CORPUS, score) for key, score in zip(texts, scores, strict=True)]
        async with transaction(self._engine) as connection:
            repository = EvaluationRepository(connection)
            await repository.store(self._lease, rows)
            await repository.change(self._lease, figures=figures)

    async def _judged(self) -> bool:
        """The judge: calibrated first, then asked about every sample. False when the time is over first."""
        from services.evaluation.asking import GAVE_UP, Asking

        found = calibration.labelled(self._own.evaluation_calibration_items)
        asking = Asking(self._engine, self._clients, self._settings, self._own, self._lease, self._prompts,
                        self._request.seed, self._until)  # fmt: skip
        async with asking:
            if GAVE_UP in self.notes:
                asking.give_up()
            if not await asking.calibrated(self._plan.judged, found, self._row["judge"]):
                return False
            await self._enter("judge", below=2, units=len(self._plan.judged))
            over = True
            pending = await self._pending(2)
            while over and pending:
                over = await asking.about(await self._present(pending), self._plan.judged)
                pending = await self._pending(2)
                over = over and not (pending and time.monotonic() > self._until)
            self.notes += [note for note in asking.notes if note not in self.notes]
        return over


def _theirs(name: str) -> Any:
    """RAGAS's metric of this name; RAGAS is imported now, if it was not before."""
    from services.evaluation.metrics.references import SCORERS

    return SCORERS[name]
