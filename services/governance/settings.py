"""Settings of governance."""

from typing import Annotated

import msgspec

from shared.settings import describe


class GovernanceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How approved copy is watched."""

    governance_recheck_seconds: Annotated[
        float, describe("Seconds between looks for copy whose offer changed since it was checked")
    ] = 30.0
