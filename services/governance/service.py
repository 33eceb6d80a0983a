"""The use case of governance: is this copy fit to be seen?"""

from services.governance import checking
from shared.contracts.governance import CheckAnswer, CheckRequest


class CheckService:
    """Checks copy."""

    async def check(self, request: CheckRequest) -> CheckAnswer:
        """One report a draft; what the record says is read once for all of them."""
        return CheckAnswer(reports=checking.reports(request))
