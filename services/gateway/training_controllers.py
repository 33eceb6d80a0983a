"""The public API of models: train one, follow the job, read versions and cards, watch for drift."""

from typing import Annotated

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, Parameter

from services.gateway.paths import same
from shared.clients.bundle import Clients
from shared.contracts.monitoring import DriftReports, LoopEvents, Monitor, MonitorList, MonitorState
from shared.contracts.rollouts import ApproveRollout, ProposeVersion, RollBack, RolloutPlan, RolloutState
from shared.contracts.training import (
    CardAnswer,
    ModelList,
    ModelVersion,
    ModelVersions,
    MoveStage,
    TrainingJob,
    TrainingJobs,
    TrainingRequest,
)


class TrainingRoutes(Controller):
    """Models: trained as jobs, kept as versions with a card each."""

    path = "/v1"
    tags = ["models"]
    opt = {"scope": "models"}

    @post("/training-jobs", status_code=201)
    async def train(self, data: JSONBody[TrainingRequest], clients: NamedDependency[Clients]) -> TrainingJob:
        """Queue a training job; one at a time for a model. What is live stays until a version is moved there."""
        return await clients.training.train(data)

    @get("/training-jobs")
    async def jobs(
        self,
        clients: NamedDependency[Clients],
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, Parameter(ge=1, le=200)] = 50,
    ) -> TrainingJobs:
        """Training jobs, newest first."""
        return await clients.training.jobs(cursor, limit)

    @get("/training-jobs/{job_id:str}")
    async def job(self, job_id: FromPath[str], clients: NamedDependency[Clients]) -> TrainingJob:
        """One training job: its state, its step, why it failed, the version it made."""
        return await clients.training.job(job_id)

    @post("/training-jobs/{job_id:str}/cancel", status_code=200)
    async def cancel(self, job_id: FromPath[str], clients: NamedDependency[Clients]) -> TrainingJob:
        """Stop a training job that waits or runs."""
        return await clients.training.cancel(job_id)

    @get("/models")
    async def models(self, clients: NamedDependency[Clients]) -> ModelList:
        """All models: the currently deployed version, the newest, the last training job."""
        return await clients.training.models()

    @get("/models/{model_key:str}/versions")
    async def versions(self, model_key: FromPath[str], clients: NamedDependency[Clients]) -> ModelVersions:
        """All versions of a model, newest first."""
        return await clients.training.versions(model_key)

    @get("/models/{model_key:str}/versions/{number:int}")
    async def version(
        self, model_key: FromPath[str], number: FromPath[int], clients: NamedDependency[Clients]
    ) -> ModelVersion:
        """One version: its stage and who moved it there, its figures beside those of a simple rule."""
        return await clients.training.version(model_key, number)

    @post("/models/{model_key:str}/versions/{number:int}/stage", status_code=200)
    async def move(
        self,
        model_key: FromPath[str],
        number: FromPath[int],
        data: JSONBody[MoveStage],
        clients: NamedDependency[Clients],
    ) -> ModelVersion:
        """Move a version by hand. To canary or live only while the model has no plan; to retired ends its roll-out."""
        return await clients.training.move(model_key, number, data)

    @get("/models/{model_key:str}/versions/{number:int}/card")
    async def card(
        self, model_key: FromPath[str], number: FromPath[int], clients: NamedDependency[Clients]
    ) -> CardAnswer:
        """A version's model card, as data and as Markdown."""
        return await clients.training.card(model_key, number)

    @get("/models/{model_key:str}/rollout-plan")
    async def rollout_plan(self, model_key: FromPath[str], clients: NamedDependency[Clients]) -> RolloutPlan:
        """How versions of a model go live: gates, shares of traffic, guardrails, approvals."""
        return await clients.training.rollout_plan(model_key)

    @put("/models/{model_key:str}/rollout-plan")
    async def put_rollout_plan(
        self, model_key: FromPath[str], data: JSONBody[RolloutPlan], clients: NamedDependency[Clients]
    ) -> RolloutPlan:
        """Store how versions of a model go live; a roll-out in motion keeps the plan it began with."""
        same(model_key, data.model_key)
        return await clients.training.put_rollout_plan(data)

    @get("/models/{model_key:str}/rollout")
    async def rollout(self, model_key: FromPath[str], clients: NamedDependency[Clients]) -> RolloutState:
        """The newest roll-out of a model: where it stands, what it waits for, every step with its figures."""
        return await clients.training.rollout(model_key)

    @post("/models/{model_key:str}/rollout", status_code=201)
    async def propose(
        self, model_key: FromPath[str], data: JSONBody[ProposeVersion], clients: NamedDependency[Clients]
    ) -> RolloutState:
        """Start the roll-out of a version: it is asked about the log first, then decides for shares of the people."""
        return await clients.training.propose(model_key, data)

    @post("/models/{model_key:str}/rollout/approve", status_code=200)
    async def approve(
        self, model_key: FromPath[str], data: JSONBody[ApproveRollout], clients: NamedDependency[Clients]
    ) -> RolloutState:
        """Agree that a version goes on to its canary, or live; the same person twice counts once."""
        return await clients.training.approve(model_key, data)

    @post("/models/{model_key:str}/rollout/rollback", status_code=200)
    async def roll_back(
        self, model_key: FromPath[str], data: JSONBody[RollBack], clients: NamedDependency[Clients]
    ) -> RolloutState:
        """End a roll-out: what was live before it decides again, at once."""
        return await clients.training.roll_back(model_key, data)


class MonitorRoutes(Controller):
    """What is watched of models, what was found, and what followed."""

    path = "/v1/monitors"
    tags = ["models"]
    opt = {"scope": "models"}

    @get()
    async def monitors(self, clients: NamedDependency[Clients]) -> MonitorList:
        """All monitors: what is watched of which model, when it is looked at next, how many alarms there were."""
        return await clients.training.monitors()

    @put("/{model_key:str}")
    async def put_monitor(
        self, model_key: FromPath[str], data: JSONBody[Monitor], clients: NamedDependency[Clients]
    ) -> MonitorState:
        """Watch a model: which columns, against which reference, and what follows from an alarm. The first check is due at once."""
        same(model_key, data.model_key)
        return await clients.training.put_monitor(data)

    @get("/{model_key:str}")
    async def monitor(self, model_key: FromPath[str], clients: NamedDependency[Clients]) -> MonitorState:
        """A model's monitor."""
        return await clients.training.monitor(model_key)

    @delete("/{model_key:str}")
    async def delete_monitor(self, model_key: FromPath[str], clients: NamedDependency[Clients]) -> None:
        """Watch a model no longer; its reports and steps stay."""
        await clients.training.delete_monitor(model_key)

    @post("/{model_key:str}/check", status_code=202)
    async def check(self, model_key: FromPath[str], clients: NamedDependency[Clients]) -> MonitorState:
        """Queue a check now; its report is the next one."""
        return await clients.training.check_monitor(model_key)

    @get("/{model_key:str}/reports")
    async def reports(
        self,
        model_key: FromPath[str],
        clients: NamedDependency[Clients],
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, Parameter(ge=1, le=200)] = 50,
    ) -> DriftReports:
        """Drift reports of a model, newest first: every check has one, with figures or with why there are none."""
        return await clients.training.drift_reports(model_key, cursor, limit)

    @get("/{model_key:str}/events")
    async def events(
        self,
        model_key: FromPath[str],
        clients: NamedDependency[Clients],
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, Parameter(ge=1, le=200)] = 50,
    ) -> LoopEvents:
        """What followed from reports and schedules, newest first: alarm, job, compared, accepted or refused."""
        return await clients.training.loop_events(model_key, cursor, limit)
