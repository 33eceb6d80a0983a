"""HTTP in, contract out."""

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from services.experiments.service import ExperimentService
from shared.context import tenant
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


class ExperimentController(Controller):
    """Experiments and the holdout."""

    @get("/active")
    async def active(self, experiments: NamedDependency[ExperimentService]) -> ActiveAnswer:
        """What runs now."""
        return await experiments.active(tenant())

    @post("/assignments", status_code=200)
    async def assign(
        self, data: JSONBody[AssignRequest], experiments: NamedDependency[ExperimentService]
    ) -> AssignAnswer:
        """A unit's arms."""
        return await experiments.asked(data)

    @post("/observations", status_code=200)
    async def observe(
        self, data: JSONBody[ObservationBatch], experiments: NamedDependency[ExperimentService]
    ) -> ObservationsStored:
        """Store observations."""
        return await experiments.observe(tenant(), data.observations)

    @get("/experiments")
    async def page(self, experiments: NamedDependency[ExperimentService]) -> ExperimentList:
        """All experiments."""
        return ExperimentList(experiments=await experiments.all(tenant()))

    @put("/experiments/{key:str}")
    async def put_one(
        self, key: FromPath[str], data: JSONBody[Experiment], experiments: NamedDependency[ExperimentService]
    ) -> Experiment:
        """Create or change a draft."""
        return await experiments.put(tenant(), key, data)

    @get("/experiments/{key:str}")
    async def one(self, key: FromPath[str], experiments: NamedDependency[ExperimentService]) -> Experiment:
        """One experiment."""
        return await experiments.get(tenant(), key)

    @post("/experiments/{key:str}/start", status_code=200)
    async def start(self, key: FromPath[str], experiments: NamedDependency[ExperimentService]) -> Experiment:
        """Start a draft."""
        return await experiments.start(tenant(), key)

    @post("/experiments/{key:str}/stop", status_code=200)
    async def stop(self, key: FromPath[str], experiments: NamedDependency[ExperimentService]) -> Experiment:
        """End an experiment."""
        return await experiments.stop(tenant(), key)

    @get("/experiments/{key:str}/readout")
    async def readout(self, key: FromPath[str], experiments: NamedDependency[ExperimentService]) -> Readout:
        """What it says so far."""
        return await experiments.readout(tenant(), key)

    @post("/experiments/{key:str}/check", status_code=200)
    async def check(self, key: FromPath[str], experiments: NamedDependency[ExperimentService]) -> Readout:
        """Stop arms whose guardrails broke."""
        return await experiments.check(tenant(), key)

    @get("/holdout")
    async def holdout(self, experiments: NamedDependency[ExperimentService]) -> HoldoutSettings:
        """The holdout."""
        return await experiments.holdout(tenant())

    @put("/holdout")
    async def put_holdout(
        self, data: JSONBody[HoldoutSettings], experiments: NamedDependency[ExperimentService]
    ) -> HoldoutSettings:
        """Change the holdout."""
        return await experiments.put_holdout(tenant(), data)

    @delete("/units/{unit:str}", status_code=200)
    async def erase(self, unit: FromPath[str], experiments: NamedDependency[ExperimentService]) -> dict[str, int]:
        """Erase a person's observations."""
        return {"rows": await experiments.erase(tenant(), unit)}
