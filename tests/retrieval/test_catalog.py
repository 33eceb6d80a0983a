"""Offers, assets, brands and pictures over HTTP, on a real Postgres and the real index."""

import datetime as dt
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from services.retrieval.app import create_app
from services.retrieval.catalog import (
    activity,
    asset_content_hash,
    asset_payload,
    is_active,
    locale_matches,
    offer_content_hash,
    offer_payload,
    offer_text,
    rights_expired,
)
from services.retrieval.validation import check
from shared.clients.retrieval import RetrievalClient
from shared.context import TENANT_HEADER, CallContext, bound
from shared.contracts.catalog import Asset, AssetRights, Offer
from shared.settings import Settings
from tests.retrieval import nasty
from tests.rooms import TENANT, clients_of, serving

OTHER = {TENANT_HEADER: "rival"}
PERCENT = {"kind": "percent", "value": "20"}


@pytest.fixture
async def room(settings: Settings, clean_database: str, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    own = msgspec.structs.replace(settings, atelier_data=tmp_path, max_body_bytes=200_000, max_image_bytes=500_000)
    (settings.atelier_data / "models").mkdir(exist_ok=True)
    (tmp_path / "models").symlink_to(settings.atelier_data.resolve() / "models")
    async with clients_of(own) as clients, serving(create_app(own, clients), own) as client:
        yield client


@contextmanager
def calling(room: httpx.AsyncClient, settings: Settings) -> Iterator[RetrievalClient]:
    """The suite's own client, as every other room uses it."""
    with bound(CallContext(tenant=TENANT, request_id="test")):
        yield RetrievalClient("retrieval", room, settings.internal_token)


def offer(**fields: Any) -> dict[str, Any]:
    base = {"offerId": "milk-20", "name": "Milk week", "productName": "Whole milk", "category": "dairy",
            "startDate": "2026-05-01T00:00:00Z", "endDate": "2026-06-01T00:00:00Z", "discount": PERCENT}  # fmt: skip
    return base | fields


def record(**fields: Any) -> Offer:
    return msgspec.convert(offer(**fields), Offer)


def asset(**fields: Any) -> dict[str, Any]:
    return {"assetId": "glass", "name": "Glass of milk", "altText": "A glass of milk on a table"} | fields


async def put_offer(room: httpx.AsyncClient, **fields: Any) -> httpx.Response:
    body = offer(**fields)
    return await room.put(f"/offers/{body['offerId']}", json=body)


async def put_picture(room: httpx.AsyncClient, data: bytes, asset_id: str = "glass") -> httpx.Response:
    return await room.put(f"/assets/{asset_id}/image", content=data, headers={"content-type": "image/png"})


def problem(answer: httpx.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    told: dict[str, Any] = answer.json()
    return told


# What is active, when


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-03-29T00:59:59+01:00", "not_started"),
        ("2026-03-29T01:00:00+01:00", "active"),
        ("2026-03-29T03:00:00+02:00", "active"),  # the same hour named after the clocks changed
        ("2026-03-28T19:00:00-05:00", "active"),
        ("2026-03-29T23:59:59.999999+00:00", "active"),
        ("2026-03-30T00:00:00+00:00", "expired"),
        ("2026-03-30T09:00:00+09:00", "expired"),
    ],
)
def test_an_offer_is_active_from_its_start_until_just_before_its_end_in_any_zone(at: str, expected: str) -> None:
    made = record(startDate="2026-03-29T00:00:00Z", endDate="2026-03-30T02:00:00+02:00", timeZone="Europe/Berlin")
    instant = dt.datetime.fromisoformat(at)
    assert activity(made, instant) == expected
    assert is_active(made, instant) == (expected == "active")


def test_a_naive_instant_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="time zone"):
        activity(record(), dt.datetime(2026, 5, 2))


def test_rights_end_at_their_instant() -> None:
    ends = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
    shown = Asset(asset_id="a", name="a", rights=AssetRights(expires=ends))
    assert rights_expired(shown, ends)
    assert not rights_expired(shown, ends - dt.timedelta(microseconds=1))
    assert not rights_expired(Asset(asset_id="a", name="a"), ends)
    assert asset_payload(TENANT, shown)["end"] == ends.timestamp()


# What is embedded, what is filtered by


def test_what_is_embedded_says_each_thing_once_and_no_dates() -> None:
    made = record(name="Whole milk", productBrand="Dale's", description="Fresh  every day.", tags=["breakfast"])
    assert offer_text(made) == "Whole milk. Dale's Whole milk. dairy. Fresh every day. 20% off. breakfast"


def test_only_what_is_embedded_changes_the_content_hash() -> None:
    first = offer_content_hash(record())
    assert (
        offer_content_hash(record(endDate="2026-07-01T00:00:00Z", priority=9, legalText="While stocks last")) == first
    )
    assert offer_content_hash(record(productName="Skimmed milk")) != first
    shown = Asset(asset_id="a", name="a")
    assert asset_content_hash(shown, None) != asset_content_hash(shown, "f" * 64)


def test_the_payload_filters_by_instant_and_says_for_all_explicitly() -> None:
    payload = offer_payload(TENANT, record(locales=["en_US"], startDate="2026-05-01T02:00:00+02:00"))
    assert payload["start"] == dt.datetime(2026, 5, 1, tzinfo=dt.UTC).timestamp()
    assert (payload["channels"], payload["locales"], payload["tenant"]) == (["*"], ["en-us"], TENANT)


def test_a_locale_is_admitted_by_its_prefixes() -> None:
    assert locale_matches("zh_Hant-TW") == ["*", "zh-hant-tw", "zh-hant", "zh"]


# What an offer must be


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"endDate": "2026-05-01T00:00:00Z"}, "endDate"),
        ({"endDate": "2026-05-01T01:00:00+02:00"}, "endDate"),
        ({"startDate": "0001-01-01T00:00:00+14:00"}, "startDate"),
        ({"endDate": "9999-12-31T23:59:59-12:00"}, "endDate"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
        ({"timeZone": "../../etc/passwd"}, "timeZone"),
        ({"timeZone": "America"}, "timeZone"),
        ({"discount": {"kind": "percent"}}, "discount.value"),
        ({"discount": {"kind": "percent", "value": "0"}}, "discount.value"),
        ({"discount": {"kind": "percent", "value": "100.01"}}, "discount.value"),
        ({"discount": {"kind": "percent", "value": "-5"}}, "discount.value"),
        ({"discount": {"kind": "percent", "value": "NaN"}}, "discount.value"),
        ({"discount": {"kind": "amount", "value": "2"}}, "discount.currency"),
        ({"discount": {"kind": "amount", "value": "0", "currency": "USD"}}, "discount.value"),
        ({"discount": {"kind": "amount", "value": "1E+99999", "currency": "USD"}}, "discount.value"),
        ({"discount": {"kind": "amount", "value": "0.00001", "currency": "USD"}}, "discount.value"),
        ({"discount": {"kind": "fixed_price", "currency": "USD"}}, "discount.value"),
        ({"discount": {"kind": "fixed_price", "value": "1", "currency": "XXZ"}}, "discount.currency"),
        ({"discount": {"kind": "multi_buy", "value": "5", "currency": "USD"}}, "discount.buyQuantity"),
        ({"discount": {"kind": "multi_buy", "buyQuantity": 3}}, "discount.value"),
        ({"discount": {"kind": "free_item", "buyQuantity": 2}}, "discount.getQuantity"),
        ({"discount": {"kind": "free_shipping", "value": "5"}}, "discount.value"),
        ({"price": {"amount": "-1", "currency": "USD"}}, "price.amount"),
        ({"price": {"amount": "1", "currency": "ZZZ"}}, "price.currency"),
        ({"price": {"amount": "9", "currency": "EUR"}, "discount": {"kind": "amount", "value": "1", "currency": "USD"}},
         "discount.currency"),
        ({"price": {"amount": "9", "currency": "EUR"},
          "conditions": [{"text": "From $5", "minimumSpend": {"amount": "5", "currency": "USD"}}]},
         "conditions[0].minimumSpend.currency"),
        ({"conditions": [{"text": "From 0", "minimumQuantity": 0}]}, "conditions[0].minimumQuantity"),
        ({"name": "Milk\u0000"}, "name"),
        ({"description": "bell \u0007"}, "description"),
        ({"tags": ["fine", "esc \u001b[31m"]}, "tags[1]"),
        ({"attributes": {"key\u0000": "x"}}, "attributes"),
        ({"attributes": {"huge": 1e300}}, "attributes.huge"),
        ({"attributes": {f"a{i}": i for i in range(101)}}, "attributes"),
        ({"assetIds": [f"a{i}" for i in range(101)]}, "assetIds"),
        ({"name": "   "}, "name"),
    ],
)  # fmt: skip
def test_a_wrong_offer_is_refused_by_field(fields: dict[str, Any], field: str) -> None:
    errors = check(record(**fields))[1]
    assert field in [error.field for error in errors], errors
    assert all(error.message and error.given for error in errors)


REFUSED_OFFERS: list[tuple[dict[str, Any], str]] = [
    ({"channels": ["pigeon"]}, "channels[0]"),
    ({"locales": ["not a locale"]}, "locales[0]"),
    ({"name": "x" * 10_000}, "name"),
    ({"name": ""}, "name"),
    ({"startDate": "2026-05-01T00:00:00"}, "startDate"),
    ({"price": {"amount": "1", "currency": "dollars"}}, "price.currency"),
    ({"discount": PERCENT | {"value": "a lot"}}, "discount.value"),
    ({"prise": "2"}, "body"),
    ({"timeZone": "Nowhere"}, "timeZone"),
]


async def test_a_refused_offer_is_not_stored(room: httpx.AsyncClient) -> None:
    for fields, field in REFUSED_OFFERS:
        told = problem(await put_offer(room, **fields), 422)
        assert field in [error["field"] for error in told["errors"]], told["errors"]
        assert len(told["detail"]) < 2000
        assert (await room.get("/offers/milk-20")).status_code == 404


RIGHT: list[dict[str, Any]] = [
    {"discount": {"kind": "percent", "value": "100"}},
    {"discount": {"kind": "percent", "value": 0.5}},
    {"discount": {"kind": "fixed_price", "value": "0", "currency": "USD"}},
    {"discount": {"kind": "multi_buy", "value": "5", "currency": "JPY", "buyQuantity": 3}},
    {"discount": {"kind": "free_item", "buyQuantity": 2, "getQuantity": 1}},
    {"discount": {"kind": "free_shipping"}},
    {"timeZone": "Asia/Kathmandu", "startDate": "2026-05-01T00:00:00+05:45"},
    {"name": "Crème brûlée \U0001f36e \u0645\u0631\u062d\u0628\u0627", "description": "two\nlines\tand a tab"},
    {"endDate": "9999-12-31T23:59:59Z"},
]


async def test_right_offers_come_back_as_they_were_put(room: httpx.AsyncClient) -> None:
    for fields in RIGHT:
        put = await put_offer(room, **fields)
        assert put.status_code == 200, put.text
        assert (await room.get("/offers/milk-20")).json() == put.json()
        assert msgspec.json.decode(put.content, type=Offer) == record(**fields)


async def test_all_faults_are_named_at_once(room: httpx.AsyncClient) -> None:
    told = problem(await put_offer(room, timeZone="Nowhere", endDate="2026-04-01T00:00:00Z", name=" "), 422)
    assert {error["field"] for error in told["errors"]} == {"timeZone", "endDate", "name"}
    zone = next(error for error in told["errors"] if error["field"] == "timeZone")
    assert (zone["given"], zone["allowed"]) == ("Nowhere", "an IANA name such as Europe/Berlin")


def test_a_long_wrong_value_is_quoted_in_short() -> None:
    made = record(description="x" * 4999 + "\0")
    assert len(check(made)[1][0].given or "") < 200


async def test_expired_and_future_offers_are_stored_and_readable(room: httpx.AsyncClient) -> None:
    dates = {"old": ("2020-01-01", "2020-02-01"), "new": ("2090-01-01", "2090-02-01")}
    for key, (start, end) in dates.items():
        made = {"offerId": key, "startDate": f"{start}T00:00:00Z", "endDate": f"{end}T00:00:00Z"}
        assert (await put_offer(room, **made)).status_code == 200
    assert (await room.get("/offers/old")).json()["offerId"] == "old"
    assert (await room.get("/offers/new")).json()["offerId"] == "new"


async def test_an_offer_without_a_picture_or_with_an_unknown_one_is_stored(room: httpx.AsyncClient) -> None:
    assert (await put_offer(room, assetIds=[])).status_code == 200
    assert (await put_offer(room, assetIds=["never-seen"])).json()["assetIds"] == ["never-seen"]


async def test_path_and_body_must_name_the_same_id(room: httpx.AsyncClient) -> None:
    told = problem(await room.put("/offers/other", json=offer()), 409)
    assert "'other'" in told["detail"]
    assert "'milk-20'" in told["detail"]


async def test_a_body_that_is_no_offer_is_refused(room: httpx.AsyncClient) -> None:
    for body in (b"{", b"[]", b"null", b'"text"', b"{}", b'{"name": "\xff\xfe"}', b'{"na\xffme": "x"}', b"\xff"):
        answer = await room.put("/offers/milk-20", content=body, headers={"content-type": "application/json"})
        assert answer.status_code in {400, 422}, (body, answer.text)


async def test_an_oversized_body_is_refused(room: httpx.AsyncClient) -> None:
    problem(await put_offer(room, attributes={"a": "x" * 300_000}), 413)


# Reading


@pytest.mark.parametrize("kind", ["offers", "assets", "brands"])
async def test_unknown_and_impossible_ids_are_not_found(room: httpx.AsyncClient, kind: str) -> None:
    for key in ("nobody", "%00", "%ff%fe", "x" * 300, "a%20b", "%F0%9F%A5%9B"):
        problem(await room.get(f"/{kind}/{key}"), 404)
        if kind != "brands":
            problem(await room.delete(f"/{kind}/{key}"), 404)


async def test_another_tenants_ids_are_not_found(room: httpx.AsyncClient) -> None:
    await put_offer(room)
    await room.put("/assets/glass", json=asset())
    await put_picture(room, nasty.photo())
    await room.put("/brands/dale", json={"brandId": "dale", "name": "Dale's"})
    for path in ("/offers/milk-20", "/assets/glass", "/assets/glass/image", "/brands/dale"):
        assert (await room.get(path)).status_code == 200
        problem(await room.get(path, headers=OTHER), 404)
    for path in ("/offers/milk-20", "/assets/glass"):
        problem(await room.delete(path, headers=OTHER), 404)
        assert (await room.get(path)).status_code == 200
    theirs = await room.post("/offers/query", json={"offerIds": ["milk-20"]}, headers=OTHER)
    assert theirs.json() == {"offers": []}
    assert (await room.get("/offers", headers=OTHER)).json()["offers"] == []
    problem(await room.put("/assets/glass/image", content=nasty.photo(), headers=OTHER), 404)


async def test_pages_hold_every_offer_once_in_order(room: httpx.AsyncClient) -> None:
    keys = ["B", "a", "b-1", "b-10", "b-2", "\u00e4"]
    for key in keys:
        await put_offer(room, offerId=key)
    seen, cursor, sizes = [], None, []
    while True:
        page = (await room.get("/offers", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))).json()
        seen += [made["offerId"] for made in page["offers"]]
        sizes.append(len(page["offers"]))
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == sorted(keys)
    assert sizes == [2, 2, 2]


async def test_foreign_cursors_and_page_sizes_out_of_range_are_refused(room: httpx.AsyncClient) -> None:
    for kind in ("offers", "assets"):
        for cursor in ("!!", "AA==", "AA", "w6", "/w", "x" * 5000):
            problem(await room.get(f"/{kind}", params={"cursor": cursor}), 422)
        for limit in ("0", "-1", "501", "many"):
            problem(await room.get(f"/{kind}", params={"limit": limit}), 422)


async def test_offers_are_answered_in_the_order_asked_for(room: httpx.AsyncClient, settings: Settings) -> None:
    for key in ("a", "b", "c"):
        await put_offer(room, offerId=key)
    answer = await room.post("/offers/query", json={"offerIds": ["c", "nobody", "a", "c"]})
    assert [made["offerId"] for made in answer.json()["offers"]] == ["c", "a"]
    problem(await room.post("/offers/query", json={"offerIds": []}), 422)
    with calling(room, settings) as client:
        assert (await client.offer("b")).offer_id == "b"


async def test_a_removed_offer_is_gone_and_removing_it_again_says_so(room: httpx.AsyncClient) -> None:
    await put_offer(room)
    assert (await room.delete("/offers/milk-20")).status_code == 204
    problem(await room.get("/offers/milk-20"), 404)
    problem(await room.delete("/offers/milk-20"), 404)


async def test_the_default_brand_always_answers_and_can_be_replaced(room: httpx.AsyncClient) -> None:
    assert (await room.get("/brands/default")).json()["brandId"] == "default"
    mine = {"brandId": "default", "name": "Corner shop", "voice": "Warm", "wordsToAvoid": ["cheap"]}
    assert (await room.put("/brands/default", json=mine)).status_code == 200
    assert (await room.get("/brands/default")).json()["name"] == "Corner shop"
    problem(await room.put("/brands/default", json=mine | {"name": "\u0000"}), 422)


# Assets and their pictures


async def test_a_picture_is_kept_with_its_size_and_served_to_be_cached(
    room: httpx.AsyncClient, settings: Settings
) -> None:
    made = (await room.put("/assets/glass", json=asset())).json()
    assert (made["imageStatus"], made["contentHash"]) == ("missing", None)
    with calling(room, settings) as client:
        stored = await client.put_image("glass", nasty.photo(64, 48))
        data, media_type = await client.image("glass")
    assert (stored.image_status, stored.width, stored.height, stored.mime_type) == ("ok", 64, 48, "image/webp")
    assert nasty.opened(data).size == (64, 48)
    assert media_type == "image/webp"
    served = await room.get("/assets/glass/image")
    assert served.headers["etag"] == f'"{stored.content_hash}"'
    assert served.headers["x-content-type-options"] == "nosniff"
    assert "immutable" not in served.headers["cache-control"]
    named = await room.get("/assets/glass/image", params={"v": str(stored.content_hash)})
    assert "immutable" in named.headers["cache-control"]
    again = await room.get("/assets/glass/image", headers={"if-none-match": served.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_an_asset_without_a_picture_has_none_to_show(room: httpx.AsyncClient) -> None:
    await room.put("/assets/glass", json=asset())
    assert problem(await room.get("/assets/glass/image"), 404)["code"] == "missing-image"
    problem(await put_picture(room, nasty.photo(), "nobody"), 404)


async def test_a_new_record_keeps_the_picture_and_a_new_picture_the_record(
    room: httpx.AsyncClient, tmp_path: Path
) -> None:
    await room.put("/assets/glass", json=asset())
    first = (await put_picture(room, nasty.photo(colour="red"))).json()["contentHash"]
    renamed = (await room.put("/assets/glass", json=asset(name="Renamed"))).json()
    assert (renamed["name"], renamed["contentHash"]) == ("Renamed", first)
    second = (await put_picture(room, nasty.photo(colour="blue"))).json()
    assert second["name"] == "Renamed"
    assert second["contentHash"] != first
    assert [path.stem for path in (tmp_path / "assets").rglob("*.webp")] == [second["contentHash"]]


async def test_a_picture_shown_by_two_assets_goes_with_the_last_one(room: httpx.AsyncClient, tmp_path: Path) -> None:
    for key in ("glass", "jug"):
        await room.put(f"/assets/{key}", json=asset(assetId=key))
        await put_picture(room, nasty.photo(), key)
    assert len(list((tmp_path / "assets").rglob("*.webp"))) == 1
    await room.delete("/assets/glass")
    assert (await room.get("/assets/jug/image")).status_code == 200
    await room.delete("/assets/jug")
    assert list((tmp_path / "assets").rglob("*.webp")) == []


REFUSED_PICTURES: list[tuple[bytes, int]] = [
    (b"", 422),
    (b"no picture", 422),
    (nasty.png(60_000, 60_000), 413),
    (nasty.photo()[:-30], 422),
    (nasty.svg("<script>alert(1)</script>"), 422),
    (b"\0" * 600_000, 413),
]


async def test_a_refused_picture_leaves_the_asset_as_it_was(room: httpx.AsyncClient) -> None:
    await room.put("/assets/glass", json=asset())
    before = (await put_picture(room, nasty.photo())).json()
    for data, status in REFUSED_PICTURES:
        told = problem(await put_picture(room, data), status)
        assert told["detail"]
        assert (await room.get("/assets/glass")).json() == before


async def test_a_stream_of_bytes_without_a_length_is_cut_at_the_limit(room: httpx.AsyncClient) -> None:
    await room.put("/assets/glass", json=asset())

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"\0" * 100_000

    answer = await room.put("/assets/glass/image", content=endless(), headers={"content-type": "image/png"})
    problem(answer, 413)


WRONG_ASSETS: list[tuple[dict[str, Any], str]] = [
    ({"uri": "javascript:alert(1)"}, "uri"),
    ({"uri": "file:///etc/passwd"}, "uri"),
    ({"uri": "http://[::1"}, "uri"),
    ({"name": "\u0000"}, "name"),
    ({"name": "x" * 10_000}, "name"),
    ({"altText": "x" * 6000}, "altText"),
    ({"rights": {"expires": "2026-01-01"}}, "rights.expires"),
]


async def test_a_wrong_asset_is_refused_by_field(room: httpx.AsyncClient) -> None:
    for fields, field in WRONG_ASSETS:
        told = problem(await room.put("/assets/glass", json=asset(**fields)), 422)
        assert field in [error["field"] for error in told["errors"]], told["errors"]
    problem(await room.get("/assets/glass"), 404)


async def test_assets_come_in_pages(room: httpx.AsyncClient) -> None:
    for key in ("a", "b", "c"):
        await room.put(f"/assets/{key}", json=asset(assetId=key))
    first = (await room.get("/assets", params={"limit": 2})).json()
    rest = (await room.get("/assets", params={"limit": 2, "cursor": first["cursor"]})).json()
    assert [made["assetId"] for made in first["assets"] + rest["assets"]] == ["a", "b", "c"]
    assert rest["cursor"] is None
