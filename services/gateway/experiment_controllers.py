"""The public API of experiments."""

from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from services.gateway.paths import same
from shared.clients.bundle import Clients
from shared.contracts.experiments import (
    Experiment,
    ExperimentList,
    HoldoutSettings,
    ObservationBatch,
    ObservationsStored,
    Readout,
)


class ExperimentRoutes(Controller):
    """Experiments, the holdout, readouts that may be looked at any time."""

    path = "/v1"
    tags = ["experiments"]
    opt = {"scope": "experiments"}

    @get("/experiments")
    async def page(self, clients: NamedDependency[Clients]) -> ExperimentList:
        """All experiments."""
        return await clients.experiments.all()

    @put("/experiments/{key:str}")
    async def put_one(
        self, key: FromPath[str], data: JSONBody[Experiment], clients: NamedDependency[Clients]
    ) -> Experiment:
        """Create or change a draft."""
        same(key, data.experiment_key)
        return await clients.experiments.put(data)

    @get("/experiments/{key:str}")
    async def one(self, key: FromPath[str], clients: NamedDependency[Clients]) -> Experiment:
        """One experiment."""
        return await clients.experiments.get(key)

    @post("/experiments/{key:str}/start", status_code=200)
    async def start(self, key: FromPath[str], clients: NamedDependency[Clients]) -> Experiment:
        """Start a draft: it gets its part of the layer and keeps it."""
        return await clients.experiments.start(key)

    @post("/experiments/{key:str}/stop", status_code=200)
    async def stop(self, key: FromPath[str], clients: NamedDependency[Clients]) -> Experiment:
        """End an experiment."""
        return await clients.experiments.stop(key)

    @get("/experiments/{key:str}/readout")
    async def readout(self, key: FromPath[str], clients: NamedDependency[Clients]) -> Readout:
        """What it says so far; the key `holdout` is the holdout's own readout."""
        return await clients.experiments.readout(key)

    @post("/observations", status_code=200)
    async def observe(self, data: JSONBody[ObservationBatch], clients: NamedDependency[Clients]) -> ObservationsStored:
        """Metrics from outside, and covariates from before the experiment (CUPED)."""
        return await clients.experiments.observe(data)

    @get("/holdout")
    async def holdout(self, clients: NamedDependency[Clients]) -> HoldoutSettings:
        """Who gets the baseline, always."""
        return await clients.experiments.holdout()

    @put("/holdout")
    async def put_holdout(self, data: JSONBody[HoldoutSettings], clients: NamedDependency[Clients]) -> HoldoutSettings:
        """Change the holdout; growing it keeps everybody in it who was."""
        return await clients.experiments.put_holdout(data)
