"""HTTP in, contract out: imports."""

from typing import Any

from litestar import Controller, Request, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.response import File

from services.gateway.import_service import ImportService
from shared.context import tenant
from shared.contracts.imports import ImportJob, ImportRequest


class ImportRoutes(Controller):
    """Files in: CSV, JSONL, Parquet of profiles, events, offers, assets, brands (docs/data-formats.md)."""

    path = "/v1/imports"
    tags = ["imports"]
    opt = {"scope": "imports"}

    @post("/", status_code=201)
    async def announce(self, data: JSONBody[ImportRequest], imports: NamedDependency[ImportService]) -> ImportJob:
        """Announce a file; then send it as the raw body of `PUT /v1/imports/{jobId}/file`."""
        return imports.announce(tenant(), data)

    @put("/{job_id:str}/file", status_code=202, opt={"scope": "imports", "streams": True}, request_max_body_size=None)
    async def upload(
        self, job_id: FromPath[str], request: Request[Any, Any, Any], imports: NamedDependency[ImportService]
    ) -> ImportJob:
        """The file, streamed; the import starts when it has arrived whole."""
        return await imports.upload(tenant(), job_id, request.stream())

    @get("/{job_id:str}")
    async def one(self, job_id: FromPath[str], imports: NamedDependency[ImportService]) -> ImportJob:
        """How far it is; its counts when it is done."""
        return imports.one(tenant(), job_id)

    @get("/{job_id:str}/rejects")
    async def rejects(self, job_id: FromPath[str], imports: NamedDependency[ImportService]) -> File:
        """Every refused row with line, field and reason, as JSONL."""
        return File(
            imports.rejects(tenant(), job_id), media_type="application/jsonl", filename=f"{job_id}.rejects.jsonl"
        )
