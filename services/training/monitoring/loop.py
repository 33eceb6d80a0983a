"""From an alarm, or a schedule, to a verdict: retrain, compare, accept or refuse. Every step is a record; live is never touched."""

import datetime as dt
from typing import Any

import msgspec
import structlog
import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from services.training.errors import (
    AlreadyRollingError,
    AlreadyTrainingError,
    NoRolloutError,
    UnknownJobError,
    UnknownModelError,
    WrongStageError,
)
from services.training.monitor_repository import Kept, MonitorRepository
from services.training.monitoring import comparing, reading
from services.training.moving import now
from services.training.repository import RUNNING
from services.training.rolling import RolloutService
from services.training.service import TrainingService
from shared.clients.bundle import Clients
from shared.contracts.monitoring import LoopEvent, LoopStep
from shared.contracts.rollouts import ProposeVersion
from shared.contracts.training import Figure, ModelCard, MoveStage, TrainingJob, TrainingRequest, Trigger
from shared.db.engine import transaction
from shared.errors import AtelierError

BY = "monitor"
_REASON = 1000
_INSTANT = dt.timedelta(microseconds=1)

log = structlog.get_logger()


class RetrainingLoop:
    """What follows from reports."""

    def __init__(self, engine: AsyncEngine, clients: Clients, training: TrainingService) -> None:
        self._engine = engine
        self._clients = clients
        self._training = training

    async def note(self, tenant: str, model_key: str, step: LoopStep, reason: str, *, report_id: str | None = None,
                   job_id: str | None = None, version: int | None = None, figures: list[Figure] | None = None) -> None:  # fmt: skip
        """Record a step."""
        event = LoopEvent(event_id=str(uuid_utils.uuid7()), model_key=model_key, time=now(), step=step, reason=reason[:_REASON],
                          report_id=report_id, job_id=job_id, version=version, figures=figures or [])  # fmt: skip
        async with transaction(self._engine) as connection:
            await MonitorRepository(connection).add_event(tenant, event)
        said = log.warning if step in {"alarm", "refused", "failed"} else log.info
        said(f"training.loop_{step}", model_key=model_key, reason=event.reason, job_id=job_id, version=version)

    async def retrain(self, tenant: str, kept: Kept, trigger: Trigger, report_id: str) -> None:
        """Submit the monitor's training, unless one was a short while ago or is under way."""
        monitor, state = kept.monitor, kept.state
        key, moment = monitor.model_key, now()
        if monitor.training is None:
            return
        if state.last_retrained_at and moment - state.last_retrained_at < dt.timedelta(hours=monitor.minimum_hours):
            reason = f"the last retraining was {state.last_retrained_at.isoformat()}, less than {monitor.minimum_hours:g} hours ago"
            await self.note(tenant, key, "held", reason, report_id=report_id)
            return
        if state.job_id and not await self._step_aside(tenant, kept, state.job_id, report_id):
            return
        request = _moved(monitor.training, trigger, moment)
        try:
            job = await self._training.submit(tenant, request)
        except AlreadyTrainingError as error:
            await self.note(tenant, key, "held", error.detail, report_id=report_id)
            return
        async with transaction(self._engine) as connection:
            await MonitorRepository(connection).change(
                tenant, key, job_id=job.job_id, report_id=report_id, last_retrained_at=moment
            )
        await self.note(tenant, key, "job", f"retraining by {trigger}", report_id=report_id, job_id=job.job_id)

    async def _step_aside(self, tenant: str, kept: Kept, job_id: str, report_id: str) -> bool:
        """May another retraining begin? A version that still waits to be compared makes room for the next one."""
        job = await self._job(tenant, job_id)
        if job and job.state in RUNNING:
            await self.note(
                tenant, kept.monitor.model_key, "held", f"job {job_id} is under way", report_id=report_id, job_id=job_id
            )
            return False
        if job and job.version is not None:
            await self._refuse(tenant, kept, job, "it could not be compared before the next retraining", [])
        return True

    async def follow(self, tenant: str, kept: Kept) -> None:
        """Carry on what was submitted: when its job has ended, compare what came of it with what decides."""
        if not kept.state.job_id:
            return
        key = kept.monitor.model_key
        job = await self._job(tenant, kept.state.job_id)
        if job is None:
            await self._settle(tenant, key)
        elif job.state not in RUNNING and job.version is None:
            await self.note(
                tenant,
                key,
                "failed",
                job.problem or f"the job is {job.state}",
                report_id=kept.report_id,
                job_id=job.job_id,
            )
            await self._settle(tenant, key)
        elif job.version is not None:
            try:
                await self._judge(tenant, kept, job, job.version)
            except UnknownModelError as error:
                await self.note(tenant, key, "failed", error.detail, report_id=kept.report_id, job_id=job.job_id)
                await self._settle(tenant, key)
            except AtelierError as error:
                await self._wait(tenant, kept, job, f"{error.title}: {error.detail}")

    async def _judge(self, tenant: str, kept: Kept, job: TrainingJob, version: int) -> None:
        card = (await self._training.card(tenant, job.model_key, version)).card
        if not card.lineage.scorer_id:
            await self._refuse(
                tenant, kept, job, "; ".join(card.limits) or "decisions have no scorer of it", card.figures
            )
            return
        against, other = await self._champion(tenant, job.model_key, version)
        pair = await self._paired(kept, card, other)
        baseline = "" if card.beats_baseline else f"it does not beat its baseline, {card.baseline}"
        if pair.objection and not baseline:
            await self._wait(tenant, kept, job, pair.objection)
            return
        if pair.objection:
            await self._refuse(tenant, kept, job, baseline, card.figures)
            return
        found = comparing.compare(pair)
        worse = f"it is surely worse than {against} by {', '.join(found.worse)}" if found.worse else ""
        said = worse or f"not surely worse than {against}"
        await self._told(tenant, kept, job, "compared", said, found.figures)
        if worse or baseline:
            await self._refuse(tenant, kept, job, "; ".join(filter(None, (worse, baseline))), found.figures)
            return
        await self._told(tenant, kept, job, "accepted", said, found.figures)
        await self._settle(tenant, job.model_key)
        await self.on_accepted(tenant, job.model_key, version)

    async def _told(
        self, tenant: str, kept: Kept, job: TrainingJob, step: LoopStep, reason: str, figures: list[Figure]
    ) -> None:
        """Record a step of a job and its version."""
        await self.note(
            tenant, job.model_key, step, reason, report_id=kept.report_id, job_id=job.job_id, version=job.version, figures=figures
        )  # fmt: skip

    async def on_accepted(self, tenant: str, model_key: str, version: int) -> None:
        """A challenger that stands is rolled out by the model's plan; without one it stays an apprentice."""
        asked = ProposeVersion(version=version, by=BY, reason="accepted after retraining")
        try:
            await RolloutService(self._engine, self._clients).propose(tenant, model_key, asked)
        except NoRolloutError:
            return  # without a plan somebody has to say how it goes on
        except (AlreadyRollingError, WrongStageError) as error:
            await self.note(tenant, model_key, "held", f"not rolled out: {error.detail}", version=version)
        else:
            await self.note(tenant, model_key, "proposed", "its roll-out begins in shadow", version=version)

    async def _champion(self, tenant: str, model_key: str, version: int) -> tuple[str, ModelCard | None]:
        """What the new version is held against: the live one, else the policy as it decided."""
        versions = (await self._training.versions(tenant, model_key)).versions
        live = next((one.version for one in versions if one.stage == "live" and one.version != version), None)
        if live is None:
            return "the policy that decided", None
        card = (await self._training.card(tenant, model_key, live)).card
        return (f"version {live}", card) if card.lineage.scorer_id else ("the policy that decided", None)

    async def _paired(self, kept: Kept, card: ModelCard, other: ModelCard | None) -> comparing.Pair:
        """Both asked about the newest decisions that neither learnt from and whose rewards are settled."""
        policy = await self._clients.decisions.policy()
        end = now() - dt.timedelta(seconds=policy.reward.wait_seconds)
        learnt = [one.data.learnt_until or one.data.end for one in (card, other) if one is not None]
        start = max((at for at in learnt if at is not None), default=end) + _INSTANT
        if start >= end:
            return comparing.paired([], [])
        most = kept.monitor.sample
        new, old = [await reading.between(self._clients, start, end, most, _under(one)) for one in (card, other)]
        return comparing.paired(new.rows, old.rows)

    async def _refuse(self, tenant: str, kept: Kept, job: TrainingJob, reason: str, figures: list[Figure]) -> None:
        """Retire the version with the reason; where a person has moved it meanwhile, it stays there and the record says so."""
        assert job.version is not None  # noqa: S101  (who calls knows)
        try:
            move = MoveStage(to="retired", by=BY, reason=f"refused: {reason}"[:_REASON])
            one = await self._training.version(tenant, job.model_key, job.version)
            if one.stage == "apprentice":
                await self._training.move(tenant, job.model_key, job.version, move)
            else:
                reason += f"; it stays {one.stage}, where somebody put it"
        except WrongStageError as error:
            reason += f"; {error.detail}"
        await self._told(tenant, kept, job, "refused", reason, figures)
        await self._settle(tenant, job.model_key)

    async def _wait(self, tenant: str, kept: Kept, job: TrainingJob, reason: str) -> None:
        """It is looked at again with the next check; the same reason is told once."""
        async with transaction(self._engine) as connection:
            told = await MonitorRepository(connection).waits_already(
                tenant, job.model_key, job.job_id, reason[:_REASON]
            )
        if not told:
            await self._told(tenant, kept, job, "waiting", reason, [])

    async def _settle(self, tenant: str, model_key: str) -> None:
        async with transaction(self._engine) as connection:
            await MonitorRepository(connection).change(tenant, model_key, job_id=None, report_id=None)

    async def _job(self, tenant: str, job_id: str) -> TrainingJob | None:
        try:
            return await self._training.job(tenant, job_id)
        except UnknownJobError:
            return None


def _under(card: ModelCard | None) -> dict[str, Any]:
    """The change of the policy under which a version is asked; none where the policy is as it decided."""
    return {"scorer": card.lineage.scorer_id, "learn": False} if card else {}


def _moved(request: TrainingRequest, trigger: Trigger, end: dt.datetime) -> TrainingRequest:
    """With a window of the same length that ends now; without a start it takes in all there is."""
    data = request.dataset
    length = data.end - data.start if data.start and data.end else None
    dataset = msgspec.structs.replace(data, start=end - length if length else data.start, end=end)
    return msgspec.structs.replace(request, trigger=trigger, dataset=dataset, requested_by=BY)
