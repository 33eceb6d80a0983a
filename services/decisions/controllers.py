"""HTTP in, contract out."""

from litestar import Controller, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from services.decisions.copywriting import CopyService
from services.decisions.service import DecisionService
from shared.context import tenant
from shared.contracts.decisions import DecisionRecord, DecisionRequest, MaterialAnswer, MaterialRequest, Proposition
from shared.contracts.generation import GenerateAnswer, GenerateRequest, RankedRequest


class DecisionController(Controller):
    """Deciding; no language model."""

    @post("/decide", status_code=200)
    async def decide(self, data: DecisionRequest, decisions: NamedDependency[DecisionService]) -> Proposition:
        """Pick offers for a person."""
        return await decisions.decide(tenant(), data)

    @get("/decisions/{decision_id:str}")
    async def record(self, decision_id: FromPath[str], decisions: NamedDependency[DecisionService]) -> DecisionRecord:
        """A logged decision."""
        return await decisions.record(tenant(), decision_id)


class CopyController(Controller):
    """Words for decisions."""

    @post("/material", status_code=200)
    async def material(self, data: MaterialRequest, copywriting: NamedDependency[CopyService]) -> MaterialAnswer:
        """What the writer may use."""
        return await copywriting.material(tenant(), data)

    @post("/generate", status_code=200)
    async def generate(self, data: GenerateRequest, copywriting: NamedDependency[CopyService]) -> GenerateAnswer:
        """Copy for named offers."""
        return await copywriting.generate(tenant(), data)

    @post("/generate/ranked", status_code=200)
    async def generate_ranked(self, data: RankedRequest, copywriting: NamedDependency[CopyService]) -> GenerateAnswer:
        """Decide, then write."""
        return await copywriting.generate_ranked(tenant(), data)
