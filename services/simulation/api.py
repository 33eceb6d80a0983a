"""The public HTTP API of a running suite, as the simulator calls it."""

import asyncio
from typing import Any

import httpx

from services.simulation.world import TRAITS, World
from shared.errors import UnavailableError

AT_ONCE = 25
FEATURES = [{"field": f"profile.attributes.{name}"} for name in TRAITS]
_YEAR = {"startDate": "2020-01-01T00:00:00Z", "endDate": "2099-01-01T00:00:00Z"}
_CONSENTS = {"personalize": {"content": {"val": "y"}}, "marketing": {"any": {"val": "y"}}}
_TOO_MANY, _ERROR = 429, 400


class Api:
    """One tenant's door.

    Args:
        http: a client of the suite's public address with an API key of the tenant.
    """

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What the suite answers; where the key has asked too often, it is waited as long as it says.

        Raises:
            UnavailableError: it refuses.
        """
        for _ in range(90):
            answer = await self._http.request(method, path, json=body)
            if answer.status_code != _TOO_MANY:
                break
            await asyncio.sleep(min(float(answer.headers.get("retry-after", "1")), 5.0))
        if answer.status_code >= _ERROR:
            message = f"{path} answered {answer.status_code}: {answer.text[:300]}"
            raise UnavailableError(message)
        return dict(answer.json())

    async def put_offers(self, world: World) -> None:
        """The world's offers, each a category of its own."""
        for offer in world.offers:
            await self.ask("PUT", f"/v1/offers/{offer}", {"offerId": offer, "name": offer, "category": offer, **_YEAR})

    async def put_people(self, world: World) -> None:
        """Everybody with the traits they have now."""

        async def put(n: int) -> None:
            values = {name: {"value": float(v)} for name, v in zip(TRAITS, world.traits[n], strict=True)}
            body = {"profileId": f"person-{n}", "consents": _CONSENTS, "attributes": values}
            await self.ask("PUT", f"/v1/profiles/person-{n}", body)

        for start in range(0, len(world.traits), AT_ONCE):
            await asyncio.gather(*map(put, range(start, min(start + AT_ONCE, len(world.traits)))))


def shown(answer: dict[str, Any]) -> tuple[str, str] | None:
    """(offer, token) of the first item of a decision; None where nothing was proposed."""
    items = [item for proposition in answer["propositions"] for item in proposition["items"]]
    return (items[0]["id"], items[0]["characteristics"]["tokens"][0]) if items else None
