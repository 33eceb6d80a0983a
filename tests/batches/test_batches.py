"""A batch over the public API: who gets what, who shares a text, and counts that add up."""

import io
import json
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.batches import planner as planner_module
from services.batches.planner import Planner
from services.batches.runner import Runner
from services.batches.service import BatchService
from services.batches.settings import BatchesSettings
from services.batches.writing import Writer
from shared.context import CallContext, bound
from shared.settings import Settings
from tests.decisions.shop import CONSENTS, policy, put
from tests.generation.bad_server import BadServer
from tests.journeys.test_one_household import offer

OWN = BatchesSettings(batches_in_flight=60, batches_plan_people=20)
NO = {"marketing": {"any": {"val": "n"}}}


class Bell:
    def __init__(self) -> None:
        self.asked: list[Any] = []

    def send(self, payload: Any) -> str:
        self.asked.append(payload)
        return "id"


async def people(api: httpx.AsyncClient, buys: dict[str, str], **profile: Any) -> None:
    """Profiles by id with a product that each has bought every third day; "" for nothing."""
    for key in buys:
        body = {"profileId": key, "consents": CONSENTS, "attributes": {"firstName": {"value": "Ann"}}, **profile}
        await put(api, f"/v1/profiles/{key}", body)
    events = [
        {"eventId": f"{key}-{day}", "profileId": key, "type": "commerce.purchases", "category": category, "value": "2.00",
         "time": f"2026-01-{day:02d}T10:00:00Z", "sessionId": f"b{day}"}
        for key, category in buys.items() if category for day in range(1, 29, 3)
    ]  # fmt: skip
    for start in range(0, len(events), 1000):
        await api.post("/v1/events", json=events[start : start + 1000])
    await api.post("/v1/profiles/facts/refresh", json={})


@pytest.fixture
async def shop(suite: httpx.AsyncClient) -> httpx.AsyncClient:
    for category in ("yogurt", "bread"):
        await put(suite, f"/v1/offers/{category}", offer(category, category))
    await policy(suite, exploration={"kind": "none"}, learn=False)
    return suite


async def begin(api: httpx.AsyncClient, status: int = 202, **request: Any) -> dict[str, Any]:
    answer = await api.post("/v1/batches", json={"channels": ["email"], **request})
    assert answer.status_code == status, answer.text
    return dict(answer.json())


async def work_off(
    api: httpx.AsyncClient, engine: AsyncEngine, batch_id: str, own: BatchesSettings = OWN
) -> dict[str, Any]:
    """What workers do, in this process; the batch afterwards."""
    clients = api.host._clients  # type: ignore[attr-defined]
    bell = Bell()
    with bound(CallContext(tenant="acme", request_id="worker")):
        await Planner(engine, clients, own).plan("acme", batch_id)
        for _ in range(20):
            bell.asked.clear()
            async with engine.begin() as connection:  # the host asks workers too, and none is there
                await connection.execute(text("UPDATE batches.slot SET until = now()"))
            await BatchService(engine, bell, own).wake()  # type: ignore[arg-type]
            for payload in bell.asked:
                await Runner(engine, own, Writer(clients, own).write).run(payload.tenant, payload.slot, payload.asked)
            found = dict((await api.get(f"/v1/batches/{batch_id}")).json())
            if found["state"] != "running" or found["note"]:
                return found
    raise AssertionError(found)


async def items(api: httpx.AsyncClient, settings: Settings, batch_id: str, form: str = "jsonl") -> list[dict[str, Any]]:
    """The results; in this process they cannot be streamed, so past the door."""
    inner = {"x-atelier-internal-token": settings.internal_token, "x-atelier-tenant": "acme"}
    path = f"/_internal/batches/batches/{batch_id}/results"
    answer = await api.get(path, params={"format": form}, headers=inner)
    assert answer.status_code == 200, answer.text
    if form == "parquet":
        return list(pq.read_table(io.BytesIO(answer.content)).to_pylist())
    return [json.loads(line) for line in answer.text.splitlines()]


def add_up(counts: dict[str, Any]) -> bool:
    parts = counts["written"] + counts["template"] + sum(counts["withheld"].values()) + sum(counts["failed"].values())
    return bool(parts + counts["open"] == counts["items"])


async def test_people_of_whom_the_same_may_be_said_share_a_text_and_counts_add_up(
    shop: httpx.AsyncClient, engine: AsyncEngine, settings: Settings, model: BadServer
) -> None:
    await people(shop, {f"y{n:02}": "yogurt" for n in range(30)} | {f"b{n}": "bread" for n in range(4)} | {"new": ""})
    await people(shop, {"refuses": "yogurt"}, consents=NO)
    batch = await begin(shop, offerIds=["yogurt"], minimumGroup=10)
    assert (batch["state"], batch["counts"]["items"]) == ("planning", 0)
    done = await work_off(shop, engine, batch["batchId"])
    counts = done["counts"]
    assert (done["state"], counts["people"], counts["items"]) == ("done", 36, 36)
    assert add_up(counts)
    assert sum(counts["withheld"].values()) == 1
    assert counts["written"] == 35
    found = await items(shop, settings, batch["batchId"])
    texts = {item["profileId"]: item["textId"] for item in found}
    assert len({texts[f"y{n:02}"] for n in range(30)}) == 1
    assert len(set(texts.values()) - {None}) == 2  # one that says something of yogurt, one that says nothing of anybody
    assert texts["b0"] == texts["new"] != texts["y00"]
    assert counts["texts"] == 2
    assert counts["calls"] <= 4
    (refused,) = [item for item in found if item["status"] == "withheld"]
    assert refused["reason"].startswith("no consent for email")
    one = next(item for item in found if item["profileId"] == "y00")
    assert "Save $1.50 on yogurt." in one["sections"]["body"]
    assert one["sharedBy"] == 30
    assert one["provenance"]["aiGenerated"]
    shown = (await shop.get(f"/v1/decisions/{one['decisionId']}")).json()
    assert shown["profileId"] == "y00"
    outcome = {"outcomes": [{"token": one["token"], "kind": "interact", "idempotencyKey": "k"}]}
    assert (await shop.post("/v1/outcomes", json=outcome)).json()["stored"] == 1
    assert "pick up yogurt." in one["sections"]["body"]
    assert "pick up" not in next(item for item in found if item["profileId"] == "new")["sections"]["body"]
    assert not any(
        "yogurt often" in prompt or "3 days" in prompt for prompt in model.prompts
    )  # code tells it, no model sees it


async def test_a_group_that_is_too_small_gets_a_text_that_says_less(
    shop: httpx.AsyncClient, engine: AsyncEngine, settings: Settings
) -> None:
    await people(shop, {f"y{n}": "yogurt" for n in range(3)})
    for least, shared in ((3, True), (4, False)):
        batch = await begin(shop, offerIds=["yogurt"], minimumGroup=least)
        await work_off(shop, engine, batch["batchId"])
        found = await items(shop, settings, batch["batchId"])
        mark = any("profile.facts" in source for source in found[0]["provenance"]["sourceIds"])
        assert mark is shared
        assert {item["sharedBy"] for item in found} == {3}


async def test_without_sharing_everybody_has_a_text_of_their_own(
    shop: httpx.AsyncClient, engine: AsyncEngine, settings: Settings
) -> None:
    await people(shop, {"y0": "yogurt", "y1": "yogurt", "new": ""})
    batch = await begin(shop, offerIds=["yogurt"], share=False, keep=True)
    done = await work_off(shop, engine, batch["batchId"])
    assert done["counts"]["texts"] == 3
    kept = (await shop.get("/v1/copy")).json()["copies"]
    assert sorted(copy["personal"] for copy in kept) == [False, True, True]
    await shop.delete("/v1/profiles/y0")
    left = await items(shop, settings, batch["batchId"])
    assert {item["profileId"] for item in left} == {"y1", "new"}
    after = (await shop.get(f"/v1/batches/{batch['batchId']}")).json()["counts"]
    assert (after["erased"], after["items"]) == (1, 3)
    assert len((await shop.get("/v1/copy")).json()["copies"]) == 2


async def test_the_best_offers_of_each_person_in_parquet_as_in_lines_with_their_names(
    shop: httpx.AsyncClient, engine: AsyncEngine, settings: Settings
) -> None:
    await people(shop, {"y": "yogurt", "b": "bread"})
    batch = await begin(shop, best=1, channels=["email", "web"], minimumGroup=1, greeting=True)
    await work_off(shop, engine, batch["batchId"])
    lines = await items(shop, settings, batch["batchId"])
    assert {(item["profileId"], item["channel"], item["offerId"]) for item in lines} == {
        ("y", "email", "yogurt"), ("y", "web", "yogurt"), ("b", "email", "bread"), ("b", "web", "bread")
    }  # fmt: skip
    assert all(item["sections"]["body"].startswith("Ann, ") for item in lines)
    rows = await items(shop, settings, batch["batchId"], "parquet")
    assert [(row["item"], row["profileId"], row["body"], row["token"]) for row in rows] == [
        (item["item"], item["profileId"], item["sections"]["body"], item["token"]) for item in lines
    ]
    manifest = (await shop.get(f"/v1/batches/{batch['batchId']}/manifest")).json()
    assert manifest["models"] == {"smollm2-135m-instruct": 2, "template": 2}
    assert [file["rows"] for file in manifest["files"]] == [4, 4]


async def test_while_the_model_is_down_a_batch_waits_or_takes_the_template(
    shop: httpx.AsyncClient, engine: AsyncEngine, model: BadServer
) -> None:
    await people(shop, {"y": "yogurt"})
    model.mode = "500"
    waiting = await begin(shop, offerIds=["yogurt"])
    found = await work_off(shop, engine, waiting["batchId"])
    assert (found["state"], found["counts"]["open"]) == ("running", 1)
    assert found["note"].startswith("waits for the model: llm_unavailable")
    other = await begin(shop, offerIds=["yogurt"], whenModelDown="template")
    taken = await work_off(shop, engine, other["batchId"])
    assert (taken["state"], taken["counts"]["template"]) == ("done", 1)


async def test_a_model_that_answers_but_has_no_time_for_one_that_passes_is_not_waited_for(
    shop: httpx.AsyncClient, engine: AsyncEngine, settings: Settings, model: BadServer
) -> None:
    await people(shop, {"y": "yogurt"})
    model.texts, model.delay = (
        [json.dumps({"headline": "Yogurt at half price", "hook": "Enjoy yogurt, now 50% off."})],
        0.5,
    )
    batch = await begin(shop, offerIds=["yogurt"])
    found = await work_off(shop, engine, batch["batchId"], msgspec.structs.replace(OWN, batches_deadline_ms=1200))
    assert (found["state"], found["counts"]["template"]) == ("done", 1)
    assert (await items(shop, settings, batch["batchId"]))[0]["reason"] == "template_copy: deadline"


async def test_a_plan_that_was_cut_off_goes_on_where_it_was(
    shop: httpx.AsyncClient, engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    await people(shop, {f"p{n:02}": "" for n in range(50)})
    batch = await begin(shop, offerIds=["yogurt"])
    clients = shop.host._clients  # type: ignore[attr-defined]
    kept: Callable[..., Any] = Planner._page
    pages = 0

    async def dies(self: Planner, *arguments: Any) -> None:
        nonlocal pages
        pages += 1
        if pages == 2:
            raise RuntimeError("killed")
        await kept(self, *arguments)

    monkeypatch.setattr(planner_module.Planner, "_page", dies)
    with bound(CallContext(tenant="acme", request_id="worker")), pytest.raises(RuntimeError, match="killed"):
        await Planner(engine, clients, OWN).plan("acme", batch["batchId"])
    done = await work_off(shop, engine, batch["batchId"])
    assert (done["state"], done["counts"]["people"], done["counts"]["items"]) == ("done", 50, 50)


async def test_people_come_as_a_file_with_bad_lines_told(
    shop: httpx.AsyncClient, engine: AsyncEngine, settings: Settings
) -> None:
    await people(shop, {"y": "yogurt", "b": "bread"})
    batch = await begin(shop, offerIds=["yogurt"], fromFile=True)
    assert batch["state"] == "waiting"
    path = f"/v1/batches/{batch['batchId']}/audience"
    wrong = await shop.put(path, content=b"name,city\nx,y\n")
    assert (wrong.status_code, "no column profileId" in wrong.json()["detail"]) == (422, True)
    answer = await shop.put(path, content=b"profile_id,note\ny,\nb,\ny,again\nwith space,\nstranger,\n")
    taken = answer.json()
    assert (answer.status_code, taken["read"], taken["taken"], taken["duplicates"], taken["rejected"]) == (
        202,
        5,
        3,
        1,
        1,
    )
    assert (taken["errors"][0]["line"], taken["errors"][0]["field"]) == (5, "profileId")
    again = await shop.put(path, content=b"profileId\nz\n")
    assert again.status_code == 409
    done = await work_off(shop, engine, batch["batchId"])
    assert (done["counts"]["people"], done["counts"]["written"]) == (3, 2)
    found = await items(shop, settings, batch["batchId"])
    assert [item["profileId"] for item in found] == ["y", "b", "stranger"]


async def test_an_audience_is_asked_for_by_what_may_be_known(
    shop: httpx.AsyncClient, engine: AsyncEngine, settings: Settings
) -> None:
    await people(
        shop, {"y": "yogurt", "b": "bread"}, attributes={"segments": {"value": ["loyal"]}, "tier": {"value": "gold"}}
    )
    await people(shop, {"other": "yogurt"}, attributes={"segments": {"value": ["new"]}})
    await people(shop, {"silent": "yogurt"}, attributes={"segments": {"value": ["loyal"]}},
                 consents={"marketing": {"any": {"val": "y"}}})  # fmt: skip
    for audience, expected in (
        ({"segments": ["loyal"]}, {"y", "b"}), ({"excludedSegments": ["loyal"]}, {"other"}), ({"attributes": {"tier": ["gold", 3]}}, {"y", "b"}),
        ({"facts": ["favourite_category:yogurt"]}, {"y", "other"}), ({"segments": ["loyal"], "facts": ["favourite_category:bread"]}, {"b"}),
        ({}, {"y", "b", "other", "silent"}), ({"profileIds": ["b", "nobody"]}, {"b", "nobody"}),
    ):  # fmt: skip
        batch = await begin(shop, offerIds=["yogurt"], audience=audience)
        await work_off(shop, engine, batch["batchId"])
        assert {item["profileId"] for item in await items(shop, settings, batch["batchId"])} == expected, audience


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({}, "offerIds"), ({"offerIds": ["a"], "best": 1}, "offerIds"), ({"best": 0}, "best"), ({"best": 1, "channels": []}, "channels"),
        ({"best": 1, "channels": ["email", "email"]}, "channels"), ({"offerIds": ["a", "a"]}, "offerIds"),
        ({"best": 1, "priority": 10}, "priority"), ({"best": 1, "fromFile": True, "audience": {"profileIds": ["a"]}}, "audience"),
        ({"offerIds": [f"o{n}" for n in range(31)]}, "offerIds"),
    ],
)  # fmt: skip
async def test_a_request_that_makes_no_sense_is_told_by_field(
    shop: httpx.AsyncClient, request_: dict[str, Any], field: str
) -> None:
    refused = await begin(shop, 422, **request_)
    assert refused["errors"][0]["field"].startswith(field)


async def test_ended_batches_do_not_move_and_others_tenants_see_none(
    shop: httpx.AsyncClient, engine: AsyncEngine
) -> None:
    batch = await begin(shop, offerIds=["yogurt"])
    path = f"/v1/batches/{batch['batchId']}"
    other = shop.other  # type: ignore[attr-defined]
    assert (await shop.get(path, headers=other)).status_code == 404
    assert (await shop.post(f"{path}/moves", json={"to": "running"})).status_code == 409
    paused = (await shop.post(f"{path}/moves", json={"to": "paused", "priority": 9})).json()
    assert (paused["state"], (await shop.get("/v1/batches")).json()["batches"][0]["state"]) == ("paused", "paused")
    assert (await work_off(shop, engine, batch["batchId"]))["state"] == "paused"
    assert (await shop.post(f"{path}/moves", json={"to": "running"})).json()["state"] == "planning"
    done = await work_off(shop, engine, batch["batchId"])
    assert (done["state"], done["counts"]["items"]) == ("done", 0)  # nobody is there
    assert (await shop.post(f"{path}/moves", json={"to": "cancelled"})).status_code == 409
    assert (await shop.get("/v1/batches/none")).status_code == 404


def test_parquet_has_the_columns_of_its_schema() -> None:
    from services.batches.exporting import SCHEMA

    assert SCHEMA.field("sharedBy").type == pa.int64()
