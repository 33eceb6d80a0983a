"""The experiments service."""

from shared.clients.http import ServiceClient, segment
from shared.contracts.experiments import (
    ActiveAnswer,
    AssignAnswer,
    AssignRequest,
    Experiment,
    ExperimentList,
    HoldoutSettings,
    ObservationBatch,
    ObservationsStored,
    Readout,
)


class ExperimentsClient(ServiceClient):
    """Who is in which arm, and what came of it."""

    async def active(self) -> ActiveAnswer:
        """What runs now."""
        return await self.call("GET", "/active", ActiveAnswer)

    async def assign(self, request: AssignRequest) -> AssignAnswer:
        """A unit's arms."""
        return await self.call("POST", "/assignments", AssignAnswer, body=request, timeout=2.0)

    async def observe(self, batch: ObservationBatch) -> ObservationsStored:
        """Store observations; the same idempotency key twice counts once."""
        return await self.call("POST", "/observations", ObservationsStored, body=batch, timeout=30.0)

    async def put(self, experiment: Experiment) -> Experiment:
        """Create or change a draft."""
        path = f"/experiments/{segment(experiment.experiment_key)}"
        return await self.call("PUT", path, Experiment, body=experiment)

    async def get(self, key: str) -> Experiment:
        """One experiment."""
        return await self.call("GET", f"/experiments/{segment(key)}", Experiment)

    async def all(self) -> ExperimentList:
        """All experiments."""
        return await self.call("GET", "/experiments", ExperimentList)

    async def start(self, key: str) -> Experiment:
        """Give it its share of the layer."""
        return await self.call("POST", f"/experiments/{segment(key)}/start", Experiment)

    async def stop(self, key: str) -> Experiment:
        """End it."""
        return await self.call("POST", f"/experiments/{segment(key)}/stop", Experiment)

    async def readout(self, key: str) -> Readout:
        """What it says so far; `holdout` is the holdout's own."""
        return await self.call("GET", f"/experiments/{segment(key)}/readout", Readout, timeout=60.0)

    async def check(self, key: str) -> Readout:
        """Stop the arms whose guardrails broke; what it says so far."""
        return await self.call("POST", f"/experiments/{segment(key)}/check", Readout, timeout=60.0)

    async def erase(self, unit: str) -> int:
        """Delete a person's observations; how many there were."""
        return (await self.call("DELETE", f"/units/{segment(unit)}", dict[str, int]))["rows"]

    async def holdout(self) -> HoldoutSettings:
        """The holdout."""
        return await self.call("GET", "/holdout", HoldoutSettings)

    async def put_holdout(self, holdout: HoldoutSettings) -> HoldoutSettings:
        """Change the holdout."""
        return await self.call("PUT", "/holdout", HoldoutSettings, body=holdout)
