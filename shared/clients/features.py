"""The features service."""

from shared.clients.http import ServiceClient, segment
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


class FeaturesClient(ServiceClient):
    """Numbers about people and offers, over windows of events."""

    async def views(self) -> ViewsAnswer:
        """The views, and what serves."""
        return await self.call("GET", "/views", ViewsAnswer)

    async def put_views(self, views: FeatureViews) -> ViewsAnswer:
        """Replace the views and compute them."""
        return await self.call("PUT", "/views", ViewsAnswer, body=views)

    async def materialise(self, request: MaterialiseRequest) -> FeatureRun:
        """Queue a computation of everything."""
        return await self.call("POST", "/runs", FeatureRun, body=request)

    async def run(self, run_id: str) -> FeatureRun:
        """How far a computation is."""
        return await self.call("GET", f"/runs/{segment(run_id)}", FeatureRun)

    async def online(self, query: OnlineQuery) -> OnlineAnswer:
        """The features of entities as of a moment. Whether they may be used is the profile context's to say."""
        return await self.call("POST", "/online", OnlineAnswer, body=query, timeout=3.0)

    async def frame(self, request: FrameRequest) -> FrameAnswer:
        """The features of labelled moments, as a file on the disk that services share."""
        return await self.call("POST", "/frames", FrameAnswer, body=request, timeout=1800.0)

    async def erase(self, profile_id: str) -> FeaturesErased:
        """Remove a person's features."""
        return await self.call("DELETE", f"/profiles/{segment(profile_id)}/features", FeaturesErased)
