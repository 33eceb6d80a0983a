"""HTTP in, contract out."""

from typing import Annotated

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from services.evaluation.run_service import RunService
from services.evaluation.service import EvaluationService
from shared.context import tenant
from shared.contracts.evaluation import (
    CalibrationList,
    EvaluationRequest,
    EvaluationResults,
    EvaluationRun,
    EvaluationRuns,
    ForgetResults,
    OffPolicyAnswer,
    OffPolicyRequest,
    ResultQuery,
    ResultsForgotten,
)


class EvaluationController(Controller):
    """Evaluation."""

    @post("/off-policy", status_code=200)
    async def off_policy(
        self, data: JSONBody[OffPolicyRequest], evaluation: NamedDependency[EvaluationService]
    ) -> OffPolicyAnswer:
        """The value of a policy from the log."""
        return await evaluation.off_policy(data)


class RunController(Controller):
    """Runs over stored copy."""

    @post("/runs")
    async def create(self, data: JSONBody[EvaluationRequest], runs: NamedDependency[RunService]) -> EvaluationRun:
        """Queue a run."""
        return await runs.create(tenant(), data)

    @get("/runs")
    async def page(
        self,
        runs: NamedDependency[RunService],
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, QueryParameter(name="limit", ge=1, le=100)] = 20,
    ) -> EvaluationRuns:
        """Runs, newest first."""
        return await runs.page(tenant(), cursor, limit)

    @get("/runs/{run_id:str}")
    async def one(self, run_id: FromPath[str], runs: NamedDependency[RunService]) -> EvaluationRun:
        """One run."""
        return await runs.get(tenant(), run_id)

    @post("/runs/{run_id:str}/results", status_code=200)
    async def results(
        self, run_id: FromPath[str], data: JSONBody[ResultQuery], runs: NamedDependency[RunService]
    ) -> EvaluationResults:
        """Results of a run."""
        return await runs.results(tenant(), run_id, data)

    @post("/runs/{run_id:str}/cancel", status_code=200)
    async def cancel(self, run_id: FromPath[str], runs: NamedDependency[RunService]) -> EvaluationRun:
        """End a run."""
        return await runs.cancel(tenant(), run_id)

    @get("/calibrations")
    async def calibrations(self, runs: NamedDependency[RunService]) -> CalibrationList:
        """Every judge that was calibrated."""
        return await runs.calibrations()

    @post("/forget", status_code=200)
    async def forget(self, data: JSONBody[ForgetResults], runs: NamedDependency[RunService]) -> ResultsForgotten:
        """Delete what was found out about pieces of copy."""
        return await runs.forget(tenant(), data)
