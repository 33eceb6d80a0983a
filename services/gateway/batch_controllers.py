"""The public API of batches: copy for an audience, watched, paused, cancelled, fetched."""

import asyncio
import tempfile
from pathlib import Path
from typing import Annotated, Any

from litestar import Controller, Request, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, Parameter, QueryParameter
from litestar.response import Stream

from services.gateway.audience import People, read_people
from services.gateway.streaming import begun
from shared.clients.bundle import Clients
from shared.contracts.batches import (
    AudienceTaken,
    Batch,
    BatchMove,
    BatchPage,
    BatchRequest,
    Manifest,
    ResultFormat,
)
from shared.contracts.imports import ImportFormat
from shared.settings import Settings
from shared.web.body import write_body

Limit = Annotated[int, Parameter(ge=1, le=100)]
AudienceFormat = Annotated[ImportFormat, QueryParameter(name="format")]
Form = Annotated[ResultFormat, QueryParameter(name="format")]
_MEDIA_TYPES = {"jsonl": "application/jsonl", "parquet": "application/vnd.apache.parquet"}


class BatchRoutes(Controller):
    """Copy for whole audiences."""

    path = "/v1/batches"
    tags = ["batches"]
    opt = {"scope": "batches"}

    @post("/", status_code=202)
    async def create(self, data: JSONBody[BatchRequest], clients: NamedDependency[Clients]) -> Batch:
        """Begin a batch; with `fromFile` it waits for `PUT /v1/batches/{batchId}/audience`."""
        return await clients.batches.create(data)

    @get("/")
    async def page(
        self, clients: NamedDependency[Clients], cursor: FromQuery[str | None] = None, limit: Limit = 20
    ) -> BatchPage:
        """Batches, newest first."""
        return await clients.batches.page(cursor, limit)

    @get("/{batch_id:str}")
    async def one(self, batch_id: FromPath[str], clients: NamedDependency[Clients]) -> Batch:
        """How far a batch is: counts, rate, time left."""
        return await clients.batches.get(batch_id)

    @put(
        "/{batch_id:str}/audience",
        status_code=202,
        opt={"scope": "batches", "streams": True},
        request_max_body_size=None,
    )
    async def audience(
        self, batch_id: FromPath[str], request: Request[Any, Any, Any], clients: NamedDependency[Clients],
        settings: NamedDependency[Settings], form: AudienceFormat = "csv",
    ) -> AudienceTaken:  # fmt: skip
        """The people, as a raw CSV, JSONL or Parquet file with the column profileId; the batch then begins by itself."""
        with tempfile.TemporaryDirectory(prefix="atelier-audience-") as folder:
            path = Path(folder) / f"audience.{form}"
            await write_body(request.stream(), path, settings.max_import_bytes)
            people: People = await asyncio.to_thread(read_people, path, form)
        batch = await clients.batches.audience(batch_id, people.profile_ids)
        return AudienceTaken(batch=batch, read=people.read, taken=len(people.profile_ids), duplicates=people.duplicates,
                             rejected=people.rejected, errors=people.errors)  # fmt: skip

    @post("/{batch_id:str}/moves", status_code=200)
    async def move(
        self, batch_id: FromPath[str], data: JSONBody[BatchMove], clients: NamedDependency[Clients]
    ) -> Batch:
        """Pause, resume, cancel, or change the priority; workers notice within a second."""
        return await clients.batches.move(batch_id, data)

    @get("/{batch_id:str}/manifest")
    async def manifest(self, batch_id: FromPath[str], clients: NamedDependency[Clients]) -> Manifest:
        """What a batch made: counts that add up, versions, where the results are."""
        return await clients.batches.manifest(batch_id)

    @get("/{batch_id:str}/results", opt={"scope": "batches", "streams": True})
    async def results(self, batch_id: FromPath[str], clients: NamedDependency[Clients], form: Form = "jsonl") -> Stream:
        """The items, as JSON lines or a Parquet file."""
        return Stream(await begun(clients.batches.results(batch_id, form)), media_type=_MEDIA_TYPES[form])
