"""A small shop for decision tests, over the public API of a running suite."""

from typing import Any

import httpx

from shared.context import CallContext, bound
from shared.contracts.approval import GeneratedCopies, GeneratedCopy, Provenance
from shared.contracts.catalog import Brand, OffersQuery
from shared.contracts.generation import Material, Sections, Usage
from shared.contracts.profiles import ProfileContext

YEAR = {"startDate": "2020-01-01T00:00:00Z", "endDate": "2099-01-01T00:00:00Z"}
CONSENTS = {"personalize": {"content": {"val": "y"}}, "marketing": {"any": {"val": "y"}}}


def offer(key: str, **more: Any) -> dict[str, Any]:
    return {"offerId": key, "name": key, "category": key, **YEAR, **more}


async def put(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.put(path, json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def stock(api: httpx.AsyncClient, *offers: dict[str, Any]) -> None:
    for body in offers:
        await put(api, f"/v1/offers/{body['offerId']}", body)


async def person(api: httpx.AsyncClient, key: str, **attributes: Any) -> None:
    values = {name: {"value": value} for name, value in attributes.items()}
    body = {"profileId": key, "consents": CONSENTS, "attributes": values}
    await put(api, f"/v1/profiles/{key}", body)


async def policy(api: httpx.AsyncClient, **changes: Any) -> dict[str, Any]:
    return await put(api, "/v1/policy", {"relevance": False, **changes})


async def decide(api: httpx.AsyncClient, key: str, **more: Any) -> dict[str, Any]:
    answer = await api.post("/v1/decisions", json={"profileId": key, "channel": "web", **more})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def items(decision: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for proposition in decision["propositions"] for item in proposition["items"]]


def ids(decision: dict[str, Any]) -> list[str]:
    return [item["id"] for item in items(decision)]


async def outcome(api: httpx.AsyncClient, token: str, kind: str, key: str, **more: Any) -> dict[str, Any]:
    body = {"outcomes": [{"token": token, "kind": kind, "idempotencyKey": key, **more}]}
    answer = await api.post("/v1/outcomes", json=body)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def publish(api: httpx.AsyncClient, offer_id: str, prompt_version: str, headline: str) -> str:
    """Live copy as generation would have written it with a version of a prompt; its id."""
    host = api.host  # type: ignore[attr-defined]
    nobody = ProfileContext(profile_id="nobody", known=False, personalize=False, contactable=True, reason=None, locale="en",
                            time_zone="UTC")  # fmt: skip
    with bound(CallContext(tenant="acme", request_id="publish")):
        offers = await host._clients.retrieval.offers_by_id(OffersQuery(offer_ids=[offer_id]))
        material = Material(profile=nobody, offer=offers.offers[0], brand=Brand(brand_id="default", name="Shop"))
        mark = Provenance(ai_generated=True, digital_source_type="compositeWithTrainedAlgorithmicMedia",
                          prompt_version=prompt_version)  # fmt: skip
        made = GeneratedCopy(material=material, channel="web", locale="en", sections=Sections(headline=headline), source="model",
                             provenance=mark, usage=Usage(), personal=False)  # fmt: skip
        key = (await host._clients.governance.keep(GeneratedCopies(copies=[made]))).copies[0].copy_id
    for to in ("approved", "live"):
        answer = await api.post(f"/v1/copy/{key}/moves", json={"to": to, "by": "ida", "revision": 1})
        assert answer.status_code == 200, answer.text
    return str(key)
