"""HTTP in, contract out."""

from typing import Annotated

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, Parameter, QueryParameter
from litestar.response import Stream

from services.batches.service import BatchService
from shared.context import tenant
from shared.contracts.batches import (
    Batch,
    BatchAudience,
    BatchErased,
    BatchMove,
    BatchPage,
    BatchRequest,
    Manifest,
    ResultFormat,
)

MEDIA_TYPES = {"jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet"}


class BatchController(Controller):
    """Batches."""

    @post("/batches", status_code=202)
    async def create(self, data: JSONBody[BatchRequest], batches: NamedDependency[BatchService]) -> Batch:
        """Begin a batch."""
        return await batches.create(tenant(), data)

    @get("/batches")
    async def page(
        self,
        batches: NamedDependency[BatchService],
        cursor: FromQuery[str | None] = None,
        limit: Annotated[int, Parameter(ge=1, le=100)] = 20,
    ) -> BatchPage:
        """Batches, newest first."""
        return await batches.page(tenant(), cursor, limit)

    @get("/batches/{batch_id:str}")
    async def one(self, batch_id: FromPath[str], batches: NamedDependency[BatchService]) -> Batch:
        """How far a batch is."""
        return await batches.get(tenant(), batch_id)

    @post("/batches/{batch_id:str}/audience", status_code=202)
    async def audience(
        self, batch_id: FromPath[str], data: JSONBody[BatchAudience], batches: NamedDependency[BatchService]
    ) -> Batch:
        """The people of a batch that waits for them."""
        return await batches.audience(tenant(), batch_id, data)

    @post("/batches/{batch_id:str}/moves", status_code=200)
    async def move(
        self, batch_id: FromPath[str], data: JSONBody[BatchMove], batches: NamedDependency[BatchService]
    ) -> Batch:
        """Pause, resume, cancel, or change the priority."""
        return await batches.move(tenant(), batch_id, data)

    @get("/batches/{batch_id:str}/manifest")
    async def manifest(self, batch_id: FromPath[str], batches: NamedDependency[BatchService]) -> Manifest:
        """What it made."""
        return await batches.manifest(tenant(), batch_id)

    @get("/batches/{batch_id:str}/results")
    async def results(
        self,
        batch_id: FromPath[str],
        batches: NamedDependency[BatchService],
        form: Annotated[ResultFormat, QueryParameter(name="format")] = "jsonl",
    ) -> Stream:
        """The items."""
        return Stream(await batches.results(tenant(), batch_id, form), media_type=MEDIA_TYPES[form])

    @delete("/profiles/{profile_id:str}/items", status_code=200)
    async def erase(self, profile_id: FromPath[str], batches: NamedDependency[BatchService]) -> BatchErased:
        """Erase a person's items."""
        return BatchErased(rows=await batches.erase(tenant(), profile_id))
