"""Settings of decisions."""

from typing import Annotated

import msgspec

from shared.settings import describe


class DecisionsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long the catalog may be remembered, and how long a leaf may take on the decision path."""

    decisions_catalog_seconds: Annotated[float, describe("Seconds for which active offers are kept in memory")] = 5.0
    decisions_leaf_ms: Annotated[int, describe("Milliseconds a leaf service may take on the decision path")] = 1500
    decisions_max_offers: Annotated[int, describe("Most offers of one tenant that are considered in a decision")] = 500
