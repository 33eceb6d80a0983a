"""Approved copy as decisions sees it: read again only when it changed, kept when governance is down."""

from shared.clients.governance import GovernanceClient
from shared.contracts.approval import LiveCopies, LiveCopy
from shared.errors import UnavailableError


class ApprovedCopy:
    """Reads live copy through governance."""

    def __init__(self, governance: GovernanceClient, seconds: float) -> None:
        self._governance = governance
        self._seconds = seconds
        self._known: dict[str, LiveCopies] = {}

    async def of(self, tenant: str) -> tuple[list[LiveCopy], list[str]]:
        """All live copy of the tenant; as last seen, with a reason, when governance does not answer."""
        known = self._known.get(tenant)
        try:
            found = await self._governance.live(known.version if known else "", self._seconds)
        except UnavailableError:
            seen = known.copies or [] if known else []
            return seen, ["governance_unavailable: approved copy as last seen"]
        if found.copies is not None:
            self._known[tenant] = known = found
        return (known.copies or [] if known else []), []
