"""The facade that content systems know from Adobe's Edge Network: fetch propositions, send display and clicks back."""

from typing import Annotated

from litestar import Controller, post
from litestar.di import NamedDependency
from litestar.params import JSONBody, QueryParameter

from services.gateway import edge_facade
from shared.clients.bundle import Clients
from shared.context import current
from shared.contracts.edge import InteractAnswer, InteractRequest


class EdgeRoutes(Controller):
    """Adobe Edge Network server API."""

    path = "/ee/v2"
    tags = ["facades"]
    opt = {"scope": "decide"}

    @post("/interact", status_code=200)
    async def interact(
        self,
        data: JSONBody[InteractRequest],
        clients: NamedDependency[Clients],
        data_stream_id: Annotated[str | None, QueryParameter(name="dataStreamId", max_length=200)] = None,
        request_id: Annotated[str | None, QueryParameter(name="requestId", max_length=200)] = None,
    ) -> InteractAnswer:
        """Propositions for the asked scopes; display, interact and dismiss events with tokens are recorded, and what of
        them was refused is in `warnings`.
        """
        del data_stream_id  # the tenant comes from the key
        context = current()
        answer = InteractAnswer(request_id=request_id or (context.request_id if context else ""), handle=[])
        if edge_facade.is_outcome(data):
            ingested = await clients.events.ingest(edge_facade.as_event(data, answer.request_id))
            answer.warnings = edge_facade.warnings(ingested)
        asked = edge_facade.as_request(data)
        if asked is not None:
            decision = await clients.decisions.decide(asked)
            answer.handle = edge_facade.handles(decision)
        return answer
