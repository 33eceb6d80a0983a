"""HTTP in, contract out."""

from typing import Annotated

from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, Parameter

from services.training.rolling import RolloutService
from services.training.service import TrainingService
from shared.context import tenant
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


class JobController(Controller):
    """Training jobs."""

    @post("/training-jobs", status_code=202)
    async def submit(self, data: JSONBody[TrainingRequest], training: NamedDependency[TrainingService]) -> TrainingJob:
        """Queue a job."""
        return await training.submit(tenant(), data)

    @get("/training-jobs")
    async def jobs(
        self,
        training: NamedDependency[TrainingService],
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, Parameter(ge=1, le=200)] = 50,
    ) -> TrainingJobs:
        """Jobs, newest first."""
        return await training.jobs(tenant(), cursor, limit)

    @get("/training-jobs/{job_id:str}")
    async def job(self, job_id: FromPath[str], training: NamedDependency[TrainingService]) -> TrainingJob:
        """One job."""
        return await training.job(tenant(), job_id)

    @post("/training-jobs/{job_id:str}/cancel", status_code=200)
    async def cancel(self, job_id: FromPath[str], training: NamedDependency[TrainingService]) -> TrainingJob:
        """Stop a job."""
        return await training.cancel(tenant(), job_id)


class ModelController(Controller):
    """Models and their versions."""

    @get("/models")
    async def models(self, training: NamedDependency[TrainingService]) -> ModelList:
        """All models."""
        return await training.models(tenant())

    @get("/models/{model_key:str}/versions")
    async def versions(self, model_key: FromPath[str], training: NamedDependency[TrainingService]) -> ModelVersions:
        """All versions of a model."""
        return await training.versions(tenant(), model_key)

    @get("/models/{model_key:str}/versions/{number:int}")
    async def version(
        self, model_key: FromPath[str], number: FromPath[int], training: NamedDependency[TrainingService]
    ) -> ModelVersion:
        """One version."""
        return await training.version(tenant(), model_key, number)

    @get("/models/{model_key:str}/versions/{number:int}/card")
    async def card(
        self, model_key: FromPath[str], number: FromPath[int], training: NamedDependency[TrainingService]
    ) -> CardAnswer:
        """A version's card."""
        return await training.card(tenant(), model_key, number)

    @post("/models/{model_key:str}/versions/{number:int}/stage", status_code=200)
    async def move(
        self,
        model_key: FromPath[str],
        number: FromPath[int],
        data: JSONBody[MoveStage],
        training: NamedDependency[TrainingService],
    ) -> ModelVersion:
        """Move a version to another stage."""
        return await training.move(tenant(), model_key, number, data)


class RolloutController(Controller):
    """Roll-outs of versions."""

    @get("/models/{model_key:str}/rollout-plan")
    async def plan(self, model_key: FromPath[str], rollouts: NamedDependency[RolloutService]) -> RolloutPlan:
        """How versions go live."""
        return await rollouts.plan(tenant(), model_key)

    @put("/models/{model_key:str}/rollout-plan")
    async def put_plan(
        self, model_key: FromPath[str], data: JSONBody[RolloutPlan], rollouts: NamedDependency[RolloutService]
    ) -> RolloutPlan:
        """Store how versions go live."""
        del model_key
        return await rollouts.put_plan(tenant(), data)

    @get("/models/{model_key:str}/rollout")
    async def state(self, model_key: FromPath[str], rollouts: NamedDependency[RolloutService]) -> RolloutState:
        """The newest roll-out."""
        return await rollouts.state(tenant(), model_key)

    @post("/models/{model_key:str}/rollout", status_code=200)
    async def propose(
        self, model_key: FromPath[str], data: JSONBody[ProposeVersion], rollouts: NamedDependency[RolloutService]
    ) -> RolloutState:
        """Start the roll-out of a version."""
        return await rollouts.propose(tenant(), model_key, data)

    @post("/models/{model_key:str}/rollout/approve", status_code=200)
    async def approve(
        self, model_key: FromPath[str], data: JSONBody[ApproveRollout], rollouts: NamedDependency[RolloutService]
    ) -> RolloutState:
        """Agree that it goes on."""
        return await rollouts.approve(tenant(), model_key, data)

    @post("/models/{model_key:str}/rollout/rollback", status_code=200)
    async def roll_back(
        self, model_key: FromPath[str], data: JSONBody[RollBack], rollouts: NamedDependency[RolloutService]
    ) -> RolloutState:
        """Go back."""
        return await rollouts.roll_back(tenant(), model_key, data)
