"""The training service."""

from shared.clients.http import ServiceClient, segment
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

    async def rollout_plan(self, model_key: str) -> RolloutPlan:
        """How versions of a model go live."""
        return await self.call("GET", f"/models/{segment(model_key)}/rollout-plan", RolloutPlan)

    async def put_rollout_plan(self, plan: RolloutPlan) -> RolloutPlan:
        """Store how versions of a model go live."""
        return await self.call("PUT", f"/models/{segment(plan.model_key)}/rollout-plan", RolloutPlan, body=plan)

    async def rollout(self, model_key: str) -> RolloutState:
        """The newest roll-out of a model with its history."""
        return await self.call("GET", f"/models/{segment(model_key)}/rollout", RolloutState)

    async def propose(self, model_key: str, asked: ProposeVersion) -> RolloutState:
        """Start the roll-out of a version, in shadow."""
        return await self.call("POST", f"/models/{segment(model_key)}/rollout", RolloutState, body=asked)

    async def approve(self, model_key: str, asked: ApproveRollout) -> RolloutState:
        """Agree that a version goes on to its canary, or live."""
        return await self.call("POST", f"/models/{segment(model_key)}/rollout/approve", RolloutState, body=asked)

    async def roll_back(self, model_key: str, asked: RollBack) -> RolloutState:
        """End a roll-out: what was live before decides again."""
        return await self.call("POST", f"/models/{segment(model_key)}/rollout/rollback", RolloutState, body=asked)

    async def monitors(self) -> MonitorList:
        """All monitors."""
        return await self.call("GET", "/monitors", MonitorList)

    async def put_monitor(self, monitor: Monitor) -> MonitorState:
        """Store a model's monitor."""
        return await self.call("PUT", f"/monitors/{segment(monitor.model_key)}", MonitorState, body=monitor)

    async def monitor(self, model_key: str) -> MonitorState:
        """A model's monitor."""
        return await self.call("GET", f"/monitors/{segment(model_key)}", MonitorState)

    async def delete_monitor(self, model_key: str) -> None:
        """Watch no longer."""
        await self.call("DELETE", f"/monitors/{segment(model_key)}", type(None))

    async def check_monitor(self, model_key: str) -> MonitorState:
        """Queue a check."""
        return await self.call("POST", f"/monitors/{segment(model_key)}/check", MonitorState)

    async def drift_reports(self, model_key: str, cursor: str | None = None, limit: int = 50) -> DriftReports:
        """Reports, newest first."""
        return await self.call("GET", f"/monitors/{segment(model_key)}/reports", DriftReports,
                               params={"cursor": cursor, "limit": limit})  # fmt: skip

    async def loop_events(self, model_key: str, cursor: str | None = None, limit: int = 50) -> LoopEvents:
        """What followed, newest first."""
        return await self.call("GET", f"/monitors/{segment(model_key)}/events", LoopEvents,
                               params={"cursor": cursor, "limit": limit})  # fmt: skip
