"""The wiring of training."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from litestar import Litestar

from services.training.assembly import assemble, watch
from services.training.controllers import JobController, ModelController, RolloutController
from services.training.monitor_controllers import MonitorController
from services.training.rolling import RolloutService
from services.training.settings import TrainingSettings
from shared.clients.bundle import Clients
from shared.clients.tasks import TaskSender, create_celery
from shared.settings import Settings, read_env
from shared.web.app import build_app
from shared.web.background import background, every
from shared.web.database import Database
from shared.web.edge import Edge

_COUNT_SECONDS = 15.0


def create_app(settings: Settings, clients: Clients) -> Edge:
    """The training app; it reads the log through decisions, hands scorers to it and says which of them decide."""
    database = Database(settings)
    tasks = TaskSender(create_celery(settings.redis_url))
    training = assemble(settings, database.engine, clients, tasks)
    monitors = watch(training, database.engine, clients, tasks)
    rollouts = RolloutService(database.engine, clients)
    seconds, failed = read_env(TrainingSettings).training_rollout_seconds, "training.rollouts_failed"
    guarding, judging = asyncio.Lock(), asyncio.Lock()

    async def guard() -> None:
        await rollouts.look_everywhere(["canary"])

    async def judge() -> None:
        await rollouts.look_everywhere(["shadow"])

    @asynccontextmanager
    async def running(_: Litestar) -> AsyncIterator[None]:
        # Asking a version about thousands of decisions takes a while: no guardrail waits for it.
        works = [every(seconds, guard, failed, guarding), every(seconds, judge, failed, judging),
                 every(_COUNT_SECONDS, monitors.count, "training.count_failed")]  # fmt: skip
        async with background(*works, quiet=[guarding, judging]):
            yield

    return build_app(
        "training",
        settings,
        [JobController, ModelController, RolloutController, MonitorController],
        dependencies={"training": training, "rollouts": rollouts, "monitors": monitors},
        lifespan=[database.lifespan, running],
        required={"database": database.check},
    )
