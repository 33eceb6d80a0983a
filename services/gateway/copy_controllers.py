"""The public API of copy: written, edited, approved, published, retired."""

from typing import Annotated

from litestar import Controller, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, Parameter, QueryParameter

from shared.clients.bundle import Clients
from shared.contracts.approval import (
    CopyPage,
    CopyQuery,
    CopyState,
    EditCopy,
    MoveCopy,
    RecheckCopy,
    Rechecked,
    StoredCopy,
    WrittenCopy,
)

Limit = Annotated[int, Parameter(ge=1, le=500)]
StateQuery = Annotated[CopyState | None, QueryParameter(name="state")]
OfferQuery = Annotated[str | None, QueryParameter(name="offerId", min_length=1, max_length=200)]


class CopyRoutes(Controller):
    """Copy on its way to being seen: draft, checked, approved or rejected, live, retired."""

    path = "/v1/copy"
    tags = ["copy"]
    opt = {"scope": "copy"}

    @post("/", status_code=201)
    async def write(self, data: JSONBody[WrittenCopy], clients: NamedDependency[Clients]) -> StoredCopy:
        """Store what a person wrote, checked at once: `checked` when it passes, else `draft` with what is wrong."""
        return await clients.governance.write(data)

    @get("/")
    async def page(
        self,
        clients: NamedDependency[Clients],
        cursor: FromQuery[str | None] = None,
        limit: Limit = 100,
        standing: StateQuery = None,
        offer_id: OfferQuery = None,
    ) -> CopyPage:
        """Stored copy in the order of its ids."""
        query = CopyQuery(cursor=cursor, limit=limit, states=[standing] if standing else [],
                          offer_ids=[offer_id] if offer_id else [])  # fmt: skip
        return await clients.governance.copies(query)

    @get("/{copy_id:str}")
    async def one(self, copy_id: FromPath[str], clients: NamedDependency[Clients]) -> StoredCopy:
        """One piece of copy: its checks, where it comes from, who did what with it."""
        return await clients.governance.copy(copy_id)

    @put("/{copy_id:str}")
    async def edit(
        self, copy_id: FromPath[str], data: JSONBody[EditCopy], clients: NamedDependency[Clients]
    ) -> StoredCopy:
        """Change the text of a revision; it is checked anew and approved no more."""
        return await clients.governance.edit(copy_id, data)

    @post("/{copy_id:str}/moves", status_code=200, opt={"scope": "approve"})
    async def move(
        self, copy_id: FromPath[str], data: JSONBody[MoveCopy], clients: NamedDependency[Clients]
    ) -> StoredCopy:
        """Approve, reject, publish or retire the text of a revision. Only what is live is served by decisions."""
        return await clients.governance.move(copy_id, data)

    @post("/recheck", status_code=200)
    async def recheck(self, data: JSONBody[RecheckCopy], clients: NamedDependency[Clients]) -> Rechecked:
        """Check what stands against what the offers say now; by itself this happens soon after an offer changed."""
        return await clients.governance.recheck(data)
