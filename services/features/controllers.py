"""HTTP in, contract out."""

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from services.features.service import FeatureService
from shared.context import tenant
from shared.contracts.features import (
    FeatureRun,
    FeaturesErased,
    FeatureViews,
    FrameAnswer,
    FrameRequest,
    MaterialiseRequest,
    OnlineAnswer,
    OnlineQuery,
    ViewsAnswer,
)


class FeatureController(Controller):
    """Views, values, frames."""

    @get("/views")
    async def views(self, features: NamedDependency[FeatureService]) -> ViewsAnswer:
        """The views, and what serves."""
        return await features.views(tenant())

    @put("/views")
    async def put_views(self, data: JSONBody[FeatureViews], features: NamedDependency[FeatureService]) -> ViewsAnswer:
        """Replace the views and compute them."""
        return await features.put_views(tenant(), data)

    @post("/runs", status_code=202)
    async def materialise(
        self, data: JSONBody[MaterialiseRequest], features: NamedDependency[FeatureService]
    ) -> FeatureRun:
        """Compute everything."""
        return await features.materialise(tenant(), data)

    @get("/runs/{run_id:str}")
    async def run(self, run_id: FromPath[str], features: NamedDependency[FeatureService]) -> FeatureRun:
        """How far a computation is."""
        return await features.run(tenant(), run_id)

    @post("/online", status_code=200)
    async def online(self, data: JSONBody[OnlineQuery], features: NamedDependency[FeatureService]) -> OnlineAnswer:
        """The features of entities."""
        return await features.online(tenant(), data)

    @post("/frames", status_code=200)
    async def frame(self, data: JSONBody[FrameRequest], features: NamedDependency[FeatureService]) -> FrameAnswer:
        """The features of labelled moments."""
        return await features.frame(tenant(), data)

    @delete("/profiles/{profile_id:str}/features", status_code=200)
    async def erase(self, profile_id: FromPath[str], features: NamedDependency[FeatureService]) -> FeaturesErased:
        """Remove a person's features."""
        return FeaturesErased(keys=await features.erase(tenant(), profile_id))
