"""The public API of evaluations."""

from typing import Annotated, Literal

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from shared.clients.bundle import Clients
from shared.contracts.evaluation import (
    CalibrationList,
    EvaluationRequest,
    EvaluationResults,
    EvaluationRun,
    EvaluationRuns,
    MetricName,
    ResultQuery,
)


class EvaluationRunRoutes(Controller):
    """Stored copy judged by metrics: deterministic ones, RAGAS, a calibrated judge."""

    path = "/v1/evaluations"
    tags = ["evaluations"]
    opt = {"scope": "evaluations"}

    @post("/")
    async def start(self, data: JSONBody[EvaluationRequest], clients: NamedDependency[Clients]) -> EvaluationRun:
        """Queue a run over stored copy; follow it by its `runId`."""
        return await clients.evaluation.start(data)

    @get("/")
    async def page(
        self,
        clients: NamedDependency[Clients],
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, QueryParameter(name="limit", ge=1, le=100)] = 20,
    ) -> EvaluationRuns:
        """Runs, newest first."""
        return await clients.evaluation.runs(cursor, limit)

    @get("/calibrations")
    async def calibrations(self, clients: NamedDependency[Clients]) -> CalibrationList:
        """How every judge did on the labelled set."""
        return await clients.evaluation.calibrations()

    @get("/{run_id:str}")
    async def one(self, run_id: FromPath[str], clients: NamedDependency[Clients]) -> EvaluationRun:
        """One run: state, progress, cost, summaries, gates."""
        return await clients.evaluation.run(run_id)

    @get("/{run_id:str}/results")
    async def results(
        self,
        run_id: FromPath[str],
        clients: NamedDependency[Clients],
        metric: FromQuery[MetricName | None] = None,
        status: FromQuery[Literal["ok", "abstained", "error"] | None] = None,
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, QueryParameter(name="limit", ge=1, le=1000)] = 200,
    ) -> EvaluationResults:
        """Every result in the order of sample and metric, the ones without a value with their reason."""
        query = ResultQuery(metric=metric, status=status, cursor=cursor, limit=limit)
        return await clients.evaluation.results(run_id, query)

    @post("/{run_id:str}/cancel", status_code=200)
    async def cancel(self, run_id: FromPath[str], clients: NamedDependency[Clients]) -> EvaluationRun:
        """End a run within a second; what it found so far stays."""
        return await clients.evaluation.cancel(run_id)
