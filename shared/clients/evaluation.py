"""The evaluation service."""

from shared.clients.http import ServiceClient, segment
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


class EvaluationClient(ServiceClient):
    """What things are worth."""

    async def off_policy(self, request: OffPolicyRequest) -> OffPolicyAnswer:
        """The value of a policy from the log of another."""
        return await self.call("POST", "/off-policy", OffPolicyAnswer, body=request, timeout=900.0)

    async def start(self, request: EvaluationRequest) -> EvaluationRun:
        """Queue a run over stored copy."""
        return await self.call("POST", "/runs", EvaluationRun, body=request)

    async def runs(self, cursor: str | None = None, limit: int = 20) -> EvaluationRuns:
        """Runs, newest first."""
        return await self.call("GET", "/runs", EvaluationRuns, params={"cursor": cursor, "limit": limit}, timeout=30.0)

    async def run(self, run_id: str) -> EvaluationRun:
        """One run and how far it is."""
        return await self.call("GET", f"/runs/{segment(run_id)}", EvaluationRun, timeout=30.0)

    async def results(self, run_id: str, query: ResultQuery) -> EvaluationResults:
        """Results of a run in the order of sample and metric."""
        return await self.call("POST", f"/runs/{segment(run_id)}/results", EvaluationResults, body=query)

    async def cancel(self, run_id: str) -> EvaluationRun:
        """End a run."""
        return await self.call("POST", f"/runs/{segment(run_id)}/cancel", EvaluationRun, timeout=30.0)

    async def calibrations(self) -> CalibrationList:
        """Every judge that was calibrated."""
        return await self.call("GET", "/calibrations", CalibrationList)

    async def forget(self, request: ForgetResults) -> ResultsForgotten:
        """Delete what was found out about pieces of copy (erasure)."""
        return await self.call("POST", "/forget", ResultsForgotten, body=request)
