"""The governance service."""

from shared.clients.http import ServiceClient, segment
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


class GovernanceClient(ServiceClient):
    """Is this copy fit to be seen, and who said so?"""

    async def check(self, request: CheckRequest) -> CheckAnswer:
        """A report for each draft."""
        return await self.call("POST", "/checks", CheckAnswer, body=request, timeout=5.0)

    async def keep(self, copies: GeneratedCopies) -> CopyPage:
        """Keep what generation wrote; the same text twice is kept once."""
        return await self.call("POST", "/copy/generated", CopyPage, body=copies, timeout=30.0)

    async def write(self, written: WrittenCopy) -> StoredCopy:
        """Keep what a person wrote, checked."""
        return await self.call("POST", "/copy", StoredCopy, body=written)

    async def copies(self, query: CopyQuery) -> CopyPage:
        """Copy that meets every condition."""
        return await self.call("POST", "/copy/query", CopyPage, body=query, timeout=30.0)

    async def copy(self, copy_id: str) -> StoredCopy:
        """One piece with its material and history."""
        return await self.call("GET", f"/copy/{segment(copy_id)}", StoredCopy)

    async def edit(self, copy_id: str, edit: EditCopy) -> StoredCopy:
        """Change a text; it is checked anew and approved no more."""
        return await self.call("PUT", f"/copy/{segment(copy_id)}", StoredCopy, body=edit)

    async def move(self, copy_id: str, move: MoveCopy) -> StoredCopy:
        """Approve, reject, publish or retire."""
        return await self.call("POST", f"/copy/{segment(copy_id)}/moves", StoredCopy, body=move)

    async def recheck(self, wanted: RecheckCopy) -> Rechecked:
        """Check what stands against what the offers say now."""
        return await self.call("POST", "/copy/recheck", Rechecked, body=wanted, timeout=300.0)

    async def live(self, version: str, seconds: float) -> LiveCopies:
        """All that is live, when `version` is not the present one."""
        return await self.call("GET", "/copy/live", LiveCopies, params={"version": version}, timeout=seconds)

    async def erase(self, profile_id: str) -> CopyErased:
        """Erase what was written for a person; how many pieces there were."""
        return await self.call("DELETE", f"/profiles/{segment(profile_id)}/copy", CopyErased)
