"""Settings of the gateway."""

from typing import Annotated

import msgspec

from shared.settings import describe


class GatewaySettings(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of the public door."""

    gateway_requests_per_minute: Annotated[int, describe("Requests a minute that one API key may make")] = 6000
    gateway_idempotency_hours: Annotated[int, describe("Hours for which answers are kept by idempotency key")] = 24
    gateway_key_cache_seconds: Annotated[float, describe("Seconds until a revoked key stops working everywhere")] = 5.0
