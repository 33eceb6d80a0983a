"""Lessons of a tenant's own: what was approved and rejected by people, asked as generation asks, nothing written for one person."""

import json

import httpx

from services.governance.keeping import impersonal
from services.training.sources import approved_copy
from shared.clients.bundle import Clients
from shared.context import CallContext, bound
from shared.contracts.approval import GeneratedCopies, GeneratedCopy, MoveCopy, provenance_of
from shared.contracts.generation import WriteRequest
from tests.decisions.shop import offer, stock
from tests.generation.bad_server import BadServer

YOGURT = offer("yogurt", productName="yogurt", discount={"kind": "amount", "value": "2", "currency": "USD"})
HOOKS = ["You will enjoy this creamy yogurt with your breakfast.", "Treat yourself to yogurt and a quiet morning at home.",
         "You will enjoy this creamy yogurt with your lunch."]  # fmt: skip


async def kept(clients: Clients, server: BadServer, hook: str, *, personal: bool = False) -> str:
    """Written by the model, checked and kept; its id."""
    found = (await clients.retrieval.offers(None, 10)).offers[0]
    material = impersonal(found, await clients.retrieval.brand(found.brand_id), "en-US")
    server.texts = [json.dumps({"headline": "Fresh yogurt for your mornings", "hook": hook})]
    variant = (await clients.generation.write(WriteRequest(material=material, deadline_ms=8000))).variants[0]
    assert variant.source == "model"
    piece = GeneratedCopy(material=material, channel="email", locale="en-US", sections=variant.sections, source="model",
                          provenance=provenance_of(variant), usage=variant.usage, personal=personal)  # fmt: skip
    return (await clients.governance.keep(GeneratedCopies(copies=[piece]))).copies[0].copy_id


async def test_approved_and_rejected_copy_become_examples_and_personal_copy_does_not(
    suite: httpx.AsyncClient, model: BadServer
) -> None:
    await stock(suite, YOGURT)
    clients: Clients = suite.host._clients  # type: ignore[attr-defined]
    with bound(CallContext(tenant="acme", request_id="test")):
        good, bad = await kept(clients, model, HOOKS[0]), await kept(clients, model, HOOKS[1])
        personal = await kept(clients, model, HOOKS[2], personal=True)
        asked = model.messages[-1]
        await clients.governance.move(good, MoveCopy(to="approved", by="ida", revision=1))
        await clients.governance.move(bad, MoveCopy(to="rejected", by="ida", revision=1, reason="dull"))
        await clients.governance.move(personal, MoveCopy(to="approved", by="ida", revision=1))
        examples, notes = await approved_copy.of_governance(clients)
    told = {json.loads(one.answer)["hook"]: one for one in examples}
    assert {hook: one.approved for hook, one in told.items()} == {HOOKS[0]: True, HOOKS[1]: False}
    assert {one.subject for one in examples} == {"yogurt"}
    assert all([{"role": m.role, "content": m.content} for m in one.messages] == asked for one in examples)
    assert notes == ["1 pieces that speak of a reader left out"]
    with bound(CallContext(tenant="globex", request_id="test")):
        assert await approved_copy.of_governance(clients) == ([], [])
