"""Stored copy for tests of evaluation: offers in the catalog, copy kept by governance as generation would have it kept."""

from collections.abc import Sequence
from typing import Any

import httpx

from services.evaluation.runner import Runner
from services.evaluation.settings import EvaluationSettings
from shared.clients.bundle import Clients
from shared.context import CallContext, bound
from shared.contracts.approval import GeneratedCopies, GeneratedCopy, Provenance, RequiredFact
from shared.contracts.catalog import OffersQuery
from shared.contracts.generation import Material, Sections, Usage
from shared.contracts.profiles import Channel, Fact, ProfileContext
from shared.db.engine import create_engine
from shared.settings import Settings

PRODUCTS = ("yogurt", "coffee", "green tea", "rye bread", "orange juice")
MORNINGS = (
    "for slow mornings",
    "for the whole family",
    "on the table",
    "with friends",
    "after a long walk",
    "for a quiet hour",
)


def offer(product: str, *, price: str = "1.50", **more: Any) -> dict[str, Any]:
    return {
        "offerId": product.replace(" ", "-"), "name": f"{product} coupon", "productName": product, "category": product,
        "discount": {"kind": "amount", "value": price, "currency": "USD"}, "startDate": "2026-01-01T00:00:00Z",
        "endDate": "2099-07-01T00:00:00Z", "conditions": [{"text": "One coupon per household", "maximumUses": 1}],
        "legalText": "No cash value.", **more,
    }  # fmt: skip


async def stock(api: httpx.AsyncClient, products: Sequence[str] = PRODUCTS) -> None:
    for product in products:
        answer = await api.put(f"/v1/offers/{product.replace(' ', '-')}", json=offer(product))
        assert answer.status_code == 200, answer.text


def clients_of(api: httpx.AsyncClient) -> Clients:
    found: Clients = api.host._clients  # type: ignore[attr-defined]
    return found


def person(profile_id: str, facts: Sequence[Fact] = ()) -> ProfileContext:
    return ProfileContext(profile_id=profile_id, known=True, personalize=True, contactable=True, reason=None, locale="en",
                          time_zone="UTC", facts=list(facts))  # fmt: skip


def words(product: str, n: int = 0, *, price: str = "1.50") -> Sections:
    """Copy that says all that an e-mail needs."""
    head = f"{product.capitalize()} {MORNINGS[n % len(MORNINGS)]}"
    body = (f"Enjoy {product} {MORNINGS[(n + 1) % len(MORNINGS)]} and {n % 97} other ideas. Save ${price} on {product}. "
            "Valid until June 30, 2099. One coupon per household. No cash value.")  # fmt: skip
    return Sections(
        subject=head, preheader=f"Save ${price} on {product}", headline=head, body=body, cta="Get the coupon"
    )


async def kept(
    api: httpx.AsyncClient, made: Sequence[tuple[str, Sections]], *, profile: ProfileContext | None = None,
    channel: Channel = "email", prompt_version: str = "offer_copy@2", used: Sequence[Fact] = (),
) -> list[str]:  # fmt: skip
    """Keep (offer, text) pieces; their ids in order."""
    clients = clients_of(api)
    ids: list[str] = []
    with bound(CallContext(tenant="acme", request_id="keep")):
        wanted = sorted({key for key, _ in made})
        offers = {o.offer_id: o for o in (await clients.retrieval.offers_by_id(OffersQuery(offer_ids=wanted))).offers}
        brand = await clients.retrieval.brand("default")
        for start in range(0, len(made), 500):
            copies = [
                GeneratedCopy(
                    material=Material(profile=profile or person("nobody"), offer=offers[key], brand=brand), channel=channel,
                    locale="en-US", sections=sections, source="model", usage=Usage(), personal=profile is not None,
                    facts=[RequiredFact(name=fact.name, text=fact.text) for fact in used],
                    provenance=Provenance(
                        ai_generated=True, digital_source_type="compositeWithTrainedAlgorithmicMedia",
                        prompt_version=prompt_version,
                        source_ids=[f"offer:{key}", *(f"profile.facts.{fact.name}" for fact in used)],
                    ),
                )
                for key, sections in made[start : start + 500]
            ]  # fmt: skip
            ids += [copy.copy_id for copy in (await clients.governance.keep(GeneratedCopies(copies=copies))).copies]
    return ids


async def many(api: httpx.AsyncClient, count: int) -> list[str]:
    """`count` different pieces of copy about the stocked offers."""
    made = [(PRODUCTS[n % 5].replace(" ", "-"), words(PRODUCTS[n % 5], n)) for n in range(count)]
    return await kept(api, made)


async def results(api: httpx.AsyncClient, run: str, **query: Any) -> list[dict[str, Any]]:
    """All results of a run, page by page."""
    found: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = await api.get(f"/v1/evaluations/{run}/results", params=query | ({"cursor": cursor} if cursor else {}))
        assert page.status_code == 200, page.text
        found += page.json()["results"]
        cursor = page.json()["cursor"]
        if cursor is None:
            return found


async def worked(
    api: httpx.AsyncClient, settings: Settings, run_id: str, own: EvaluationSettings | None = None, *, turn: int = 0
) -> int:
    """Do what a worker does until the run has ended; the number of turns it took."""
    engine = create_engine(settings.database_url, pool_size=4)
    runner = Runner(engine, clients_of(api), settings, own or EvaluationSettings())
    turns = 0
    try:
        with bound(CallContext(tenant="acme", request_id="work")):
            following: int | None = turn
            while following is not None:
                turns += 1
                following = await runner.work("acme", run_id, following)
    finally:
        await engine.dispose()
    return turns
