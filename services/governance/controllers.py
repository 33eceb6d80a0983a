"""HTTP in, contract out."""

from litestar import Controller, delete, get, post, put
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from services.governance.copy_service import CopyService
from services.governance.service import CheckService
from shared.context import tenant
from shared.contracts.approval import (
    CopyErased,
    CopyPage,
    CopyQuery,
    EditCopy,
    GeneratedCopies,
    LiveCopies,
    MoveCopy,
    RecheckCopy,
    Rechecked,
    StoredCopy,
    WrittenCopy,
)
from shared.contracts.governance import CheckAnswer, CheckRequest


class CheckController(Controller):
    """Checks."""

    @post("/checks", status_code=200)
    async def check(self, data: JSONBody[CheckRequest], checking: NamedDependency[CheckService]) -> CheckAnswer:
        """What is wrong with these drafts."""
        return await checking.check(data)


class CopyController(Controller):
    """Copy on its way to being seen."""

    @post("/copy/generated", status_code=200)
    async def keep(self, data: JSONBody[GeneratedCopies], copies: NamedDependency[CopyService]) -> CopyPage:
        """Keep what generation wrote."""
        return await copies.keep(tenant(), data)

    @post("/copy", status_code=201)
    async def write(self, data: JSONBody[WrittenCopy], copies: NamedDependency[CopyService]) -> StoredCopy:
        """Keep what a person wrote."""
        return await copies.write(tenant(), data)

    @post("/copy/query", status_code=200)
    async def page(self, data: JSONBody[CopyQuery], copies: NamedDependency[CopyService]) -> CopyPage:
        """Copy that meets every condition."""
        return await copies.page(tenant(), data)

    @post("/copy/recheck", status_code=200)
    async def recheck(self, data: JSONBody[RecheckCopy], copies: NamedDependency[CopyService]) -> Rechecked:
        """Check what stands against what the offers say now."""
        return await copies.recheck(tenant(), data)

    @get("/copy/live")
    async def live(self, copies: NamedDependency[CopyService], version: FromQuery[str] = "") -> LiveCopies:
        """All that is live, when `version` is not the present one."""
        return await copies.live(tenant(), version)

    @get("/copy/{copy_id:str}")
    async def one(self, copy_id: FromPath[str], copies: NamedDependency[CopyService]) -> StoredCopy:
        """One piece with its material and history."""
        return await copies.get(tenant(), copy_id)

    @put("/copy/{copy_id:str}")
    async def edit(
        self, copy_id: FromPath[str], data: JSONBody[EditCopy], copies: NamedDependency[CopyService]
    ) -> StoredCopy:
        """Change a text."""
        return await copies.edit(tenant(), copy_id, data)

    @post("/copy/{copy_id:str}/moves", status_code=200)
    async def move(
        self, copy_id: FromPath[str], data: JSONBody[MoveCopy], copies: NamedDependency[CopyService]
    ) -> StoredCopy:
        """Approve, reject, publish or retire."""
        return await copies.move(tenant(), copy_id, data)

    @delete("/profiles/{profile_id:str}/copy", status_code=200)
    async def erase(self, profile_id: FromPath[str], copies: NamedDependency[CopyService]) -> CopyErased:
        """Erase what was written for a person."""
        return CopyErased(rows=await copies.erase(tenant(), profile_id))
