"""The training service."""

from shared.clients.http import ServiceClient, segment
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


class TrainingClient(ServiceClient):
    """Makes models and knows every version of them."""

    async def train(self, request: TrainingRequest) -> TrainingJob:
        """Queue a training job; one at a time for a model."""
        return await self.call("POST", "/training-jobs", TrainingJob, body=request)

    async def jobs(self, cursor: str | None = None, limit: int = 50) -> TrainingJobs:
        """Jobs, newest first."""
        return await self.call("GET", "/training-jobs", TrainingJobs, params={"cursor": cursor, "limit": limit})

    async def job(self, job_id: str) -> TrainingJob:
        """One job."""
        return await self.call("GET", f"/training-jobs/{segment(job_id)}", TrainingJob)

    async def cancel(self, job_id: str) -> TrainingJob:
        """Stop a job that waits or runs."""
        return await self.call("POST", f"/training-jobs/{segment(job_id)}/cancel", TrainingJob)

    async def models(self) -> ModelList:
        """All models."""
        return await self.call("GET", "/models", ModelList)

    async def versions(self, model_key: str) -> ModelVersions:
        """All versions of a model."""
        return await self.call("GET", f"/models/{segment(model_key)}/versions", ModelVersions)

    async def version(self, model_key: str, version: int) -> ModelVersion:
        """One version with its history."""
        return await self.call("GET", f"/models/{segment(model_key)}/versions/{version}", ModelVersion)

    async def card(self, model_key: str, version: int) -> CardAnswer:
        """A version's model card."""
        return await self.call("GET", f"/models/{segment(model_key)}/versions/{version}/card", CardAnswer)

    async def move(self, model_key: str, version: int, move: MoveStage) -> ModelVersion:
        """Move a version to another stage."""
        return await self.call(
            "POST", f"/models/{segment(model_key)}/versions/{version}/stage", ModelVersion, body=move
        )
