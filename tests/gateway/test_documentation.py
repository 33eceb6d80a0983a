"""The OpenAPI document is true: its examples work, its errors are what comes, and the page shows it."""

from typing import Any

import httpx
import pytest


@pytest.fixture
async def document(suite: httpx.AsyncClient) -> dict[str, Any]:
    return dict((await suite.get("/docs/openapi.json")).json())


def operations(document: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(f"{method.upper()} {path}", op) for path, item in document["paths"].items() for method, op in item.items()]


async def test_every_body_has_an_example_and_every_operation_says_how_it_fails(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        for media_type, media in content.items():
            assert media_type != "application/json" or media["examples"], f"{name} has no example"
        for status in ("401", "422", "429"):
            assert "application/problem+json" in operation["responses"][status]["content"], name
        assert len(operation["summary"]) > 8, name


async def test_what_comes_on_an_error_is_what_the_document_says(
    suite: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    answer = await suite.post("/v1/decisions", json={"profileId": "x", "limit": 400})
    schema = document["components"]["schemas"]["Problem"]
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert set(schema["required"]) <= set(answer.json()) <= set(schema["properties"])
    assert answer.json()["errors"][0]["field"] == "limit"


async def test_the_bare_address_leads_to_the_page(suite: httpx.AsyncClient) -> None:
    answer = await suite.get("/", follow_redirects=True)
    assert answer.status_code == 200
    assert "swagger" in answer.text.lower()
