"""The decisions service: the conductor."""

from shared.clients.http import ServiceClient, segment
from shared.contracts.decisions import (
    DecisionRecord,
    DecisionRequest,
    MaterialAnswer,
    MaterialRequest,
    Proposition,
)
from shared.contracts.generation import GenerateAnswer, GenerateRequest, RankedRequest


class DecisionsClient(ServiceClient):
    """What to say to whom; and, off the decision path, the words for it."""

    async def decide(self, request: DecisionRequest) -> Proposition:
        """Pick offers. No language model is called."""
        return await self.call("POST", "/decide", Proposition, body=request)

    async def record(self, decision_id: str) -> DecisionRecord:
        """A logged decision."""
        return await self.call("GET", f"/decisions/{segment(decision_id)}", DecisionRecord)

    async def material(self, request: MaterialRequest) -> MaterialAnswer:
        """What the writer needs, consent applied."""
        return await self.call("POST", "/material", MaterialAnswer, body=request)

    async def generate(self, request: GenerateRequest) -> GenerateAnswer:
        """Copy for named offers."""
        return await self.call(
            "POST", "/generate", GenerateAnswer, body=request, timeout=request.deadline_ms / 1000 + 10.0
        )

    async def generate_ranked(self, request: RankedRequest) -> GenerateAnswer:
        """Decide, then write copy for each picked offer."""
        return await self.call(
            "POST",
            "/generate/ranked",
            GenerateAnswer,
            body=request,
            timeout=request.deadline_ms / 1000 + 10.0,
        )
