"""The use cases of training: queue a job, run it, stop it; know every version, its card and where it stands."""

import asyncio
import datetime as dt

import structlog
import uuid_utils
from sqlalchemy.ext.asyncio import AsyncEngine

from services.training import plans
from services.training.alone import alone
from services.training.errors import (
    AlreadyTrainingError,
    StoppedError,
    UnknownJobError,
)
from services.training.keeping import ModelKeeper, now
from services.training.progress import Ticket
from services.training.registry import Registry
from services.training.repository import TrainingRepository
from services.training.settings import TrainingSettings
from services.training.trained import Order, Trained
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender
from shared.contracts.base import FieldError
from shared.contracts.tasks import RunTraining
from shared.contracts.training import (
    TrainingJob,
    TrainingJobs,
    TrainingRequest,
)
from shared.db.engine import transaction
from shared.errors import AtelierError, InvalidInputError

_WATCH_SECONDS = 1.0

log = structlog.get_logger()


class TrainingService(ModelKeeper):
    """Trains models as jobs, and keeps their versions."""

    def __init__(
        self, engine: AsyncEngine, registry: Registry, clients: Clients, tasks: TaskSender, own: TrainingSettings
    ) -> None:
        super().__init__(engine, registry, clients)
        self._tasks = tasks
        self._own = own

    async def submit(self, tenant: str, request: TrainingRequest) -> TrainingJob:
        """Queue a job.

        Raises:
            AlreadyTrainingError: a job of this model waits or runs.
            InvalidInputError: this objective cannot learn from this source, or the source is a file.
        """
        plans.check(request)
        if request.dataset.source == "table":
            message = "dataset.source: a table is trained on by the command `atelier train`, not over HTTP"
            raise InvalidInputError(
                message, errors=[FieldError(field="dataset.source", message="is for the command only", given="table")]
            )
        moment = now()
        made = TrainingJob(
            job_id=str(uuid_utils.uuid7()), model_key=request.model_key, objective=request.objective, trigger=request.trigger,
            state="pending", created_at=moment, updated_at=moment, request=request,
        )  # fmt: skip
        async with transaction(self._engine) as connection:
            repository = TrainingRepository(connection)
            await repository.lose_silent(
                tenant, request.model_key, moment - dt.timedelta(seconds=self._own.training_stale_seconds)
            )
            if not await repository.add_job(tenant, made):
                other = await repository.running(tenant, request.model_key)
                message = (
                    f"model {request.model_key!r} is being trained already by job {other.job_id if other else '?'}"
                )
                raise AlreadyTrainingError(message)
        self._tasks.send(RunTraining(tenant=tenant, job_id=made.job_id))
        return made

    async def job(self, tenant: str, job_id: str) -> TrainingJob:
        """One job.

        Raises:
            UnknownJobError: this tenant has none of this id.
        """
        async with transaction(self._engine) as connection:
            found = await TrainingRepository(connection).job(tenant, job_id)
        if found is None:
            message = f"No training job {job_id[:80]!r}."
            raise UnknownJobError(message)
        return found

    async def jobs(self, tenant: str, cursor: str | None, limit: int) -> TrainingJobs:
        """Jobs, newest first."""
        async with transaction(self._engine) as connection:
            found = await TrainingRepository(connection).jobs(tenant, cursor, limit)
        return TrainingJobs(jobs=found, cursor=found[-1].job_id if len(found) == limit else None)

    async def cancel(self, tenant: str, job_id: str) -> TrainingJob:
        """Stop a job; one that has ended stays as it is. A running one stops at its next step.

        Raises:
            UnknownJobError: this tenant has none of this id.
        """
        await self.job(tenant, job_id)
        async with transaction(self._engine) as connection:
            await TrainingRepository(connection).change_job(tenant, job_id, state="cancelled", problem="cancelled")
        return await self.job(tenant, job_id)

    async def run(self, tenant: str, job_id: str) -> TrainingJob:
        """Do a job: gather data, train, register, hand the scorer to decisions. What is live is never touched.

        A job whose worker was killed is done again by the next one; while another works on it nothing happens.
        """
        async with alone(self._engine, job_id) as mine:
            if mine and await self._change(tenant, job_id, state="in progress", step="start") == "in progress":
                await self._run(tenant, job_id)
        return await self.job(tenant, job_id)

    async def _run(self, tenant: str, job_id: str) -> None:
        request = (await self.job(tenant, job_id)).request
        try:
            version = await self._trained(tenant, job_id, request)
            await self._change(tenant, job_id, state="success", step="done", version=version)
        except StoppedError:
            log.info("training.cancelled", job_id=job_id)
        except AtelierError as error:
            await self._change(tenant, job_id, state="failed", problem=error.detail)
        except Exception as error:
            log.error("training.failed", job_id=job_id, exc_info=error)
            await self._change(
                tenant, job_id, state="failed", problem=f"it stopped: {type(error).__name__}: {error}"[:500]
            )

    async def _trained(self, tenant: str, job_id: str, request: TrainingRequest) -> int:
        await asyncio.to_thread(self._registry.ping)  # before the work, not after it
        order = Order(tenant=tenant, model_key=request.model_key, seed=request.seed, trials=request.trials,
                      threads=self._own.training_threads, parameters=request.parameters)  # fmt: skip
        ticket = Ticket()
        work = asyncio.create_task(self._worked(request, order, ticket))
        while not work.done():
            await asyncio.wait({work}, timeout=_WATCH_SECONDS)
            state = await self._change(tenant, job_id, step=ticket.step, done=ticket.done, total=ticket.total)
            ticket.stop = state == "cancelled"
        trained = await work
        if ticket.stop:
            raise StoppedError("register")
        return await self.register(tenant, request, order, trained)

    async def _worked(self, request: TrainingRequest, order: Order, ticket: Ticket) -> Trained:
        ticket("data", 0, 1)
        train = await plans.plan(request, order, self._clients)
        return await asyncio.to_thread(train, ticket)

    async def _change(self, tenant: str, job_id: str, **values: object) -> str:
        async with transaction(self._engine) as connection:
            return await TrainingRepository(connection).change_job(tenant, job_id, **values)
