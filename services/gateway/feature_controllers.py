"""The public API of features: views as data, and their computation."""

from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from shared.clients.bundle import Clients
from shared.contracts.features import FeatureRun, FeatureViews, MaterialiseRequest, ViewsAnswer


class FeatureRoutes(Controller):
    """Numbers about people and offers, counted over windows of events."""

    path = "/v1/features"
    tags = ["features"]
    opt = {"scope": "policies"}

    @get("/views")
    async def views(self, clients: NamedDependency[Clients]) -> ViewsAnswer:
        """The views as stored, and the features that serve now."""
        return await clients.features.views()

    @put("/views")
    async def put_views(self, data: JSONBody[FeatureViews], clients: NamedDependency[Clients]) -> ViewsAnswer:
        """Replace the views and compute them from all events; the ones before serve until that is done."""
        return await clients.features.put_views(data)

    @post("/runs", status_code=202)
    async def materialise(self, data: JSONBody[MaterialiseRequest], clients: NamedDependency[Clients]) -> FeatureRun:
        """Compute everybody's features anew from all events."""
        return await clients.features.materialise(data)

    @get("/runs/{run_id:str}")
    async def run(self, run_id: FromPath[str], clients: NamedDependency[Clients]) -> FeatureRun:
        """How far a computation is."""
        return await clients.features.run(run_id)
