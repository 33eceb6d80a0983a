"""HTTP in, contract out."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, Parameter

from services.training.service import TrainingService
from shared.context import tenant
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
    async def submit(self, data: TrainingRequest, training: NamedDependency[TrainingService]) -> TrainingJob:
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
        data: MoveStage,
        training: NamedDependency[TrainingService],
    ) -> ModelVersion:
        """Move a version to another stage."""
        return await training.move(tenant(), model_key, number, data)
