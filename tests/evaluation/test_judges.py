"""Judges: calibrated before they are believed, asked once, given up when they are away, and harmless whatever they say."""

import asyncio
import json
from collections import Counter
from typing import Any

import httpx
import msgspec
import openai
import pytest

from services.evaluation import judge as judges
from services.evaluation import runner
from services.evaluation.asking import GAVE_UP
from services.evaluation.judge import Judge, JudgeError, tightened
from services.evaluation.metrics.registry import JUDGED
from services.evaluation.settings import EvaluationSettings
from services.evaluation.spending import Spent
from shared.settings import Settings
from tests.evaluation.copybook import kept, many, results, words, worked
from tests.evaluation.judge_server import Garbage, JudgeServer, Reply, agreeable, asked, http, perfect

pytestmark = pytest.mark.timeout(900)
JUDGE = {"evaluation_judge_model": "m", "evaluation_judge_concurrency": 32, "evaluation_judge_seconds": 20.0,
         "evaluation_calibration_items": 24}  # fmt: skip


async def judged(
    api: httpx.AsyncClient, settings: Settings, url: str, own: dict[str, Any] | None = None, **request: Any
) -> dict[str, Any]:
    """A run with a judge, done."""
    started = await api.post("/v1/evaluations", json={"judge": True, **request})
    assert started.status_code == 201, started.text
    run = started.json()["runId"]
    made = msgspec.convert({**JUDGE, "evaluation_judge_base_url": url, **(own or {})}, EvaluationSettings)
    await worked(api, settings, run, made)
    found = dict((await api.get(f"/v1/evaluations/{run}")).json())
    assert found["state"] == "done", found["problem"]
    return found


def summary(run: dict[str, Any], metric: str) -> dict[str, Any]:
    return dict(next(one for one in run["summaries"] if one["metric"] == metric))


async def test_a_garbage_judge_leaves_no_nan_nothing_out_of_range_and_a_reason_for_every_abstention(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    await many(shop, 1000)
    async with JudgeServer(Garbage(seed=5, hang=3.0)).running() as server:
        own = {"evaluation_judge_seconds": 1.0, "evaluation_calibration_items": 6, "evaluation_judge_give_up": 10_000}
        run = await judged(shop, settings, server.url, own, metrics=list(JUDGED), limit=1000)
    assert server.calls > 4000
    found = await results(shop, run["runId"], limit=1000)
    assert len(found) == 1000 * len(JUDGED)
    for one in found:
        assert (one["value"] is None) == (one["status"] == "abstained") == bool(one["reason"])
        assert one["value"] is None or 0.0 <= one["value"] <= 1.0
    for name in JUDGED:
        mine = summary(run, name)
        told = Counter(one["reason"] for one in found if one["metric"] == name and one["reason"])
        assert mine["abstained"] == dict(told)
        assert mine["n"] + sum(mine["abstained"].values()) == 1000
        assert (mine["errors"], mine["gates"]) == ({}, False)
    reasons = {one["reason"] for one in found}
    assert {"timeout", "unreachable", "http_500", "http_429", "too_long", "truncated", "empty_answer", "invalid_answer",
            "invalid_response", "verdict_out_of_range"} <= reasons  # fmt: skip
    assert summary(run, "verdict")["n"] > 50  # a right answer among the nonsense is taken


async def test_a_judge_that_knows_the_labels_may_gate_and_is_asked_once(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    await many(shop, 5)
    gates = [{"metric": "verdict", "threshold": 0.9}, {"metric": "context_precision", "threshold": 0.9}]
    async with JudgeServer(perfect).running() as server:
        first = await judged(shop, settings, server.url, metrics=list(JUDGED), gates=gates, seed=3)
        calls = server.calls
        again = await judged(shop, settings, server.url, metrics=list(JUDGED), gates=gates, seed=3)
        assert server.calls == calls
    assert first["cost"]["calls"] == calls
    assert (first["cost"]["promptTokens"], first["cost"]["completionTokens"]) == (100 * calls, 10 * calls)
    assert (again["cost"]["calls"], again["cost"]["cached"], again["cost"]["seconds"]) == (0, 4 * 5, 0)
    same = ("summaries", "gates", "figures", "judge")
    assert [json.dumps(first[key]) for key in same] == [json.dumps(again[key]) for key in same]
    assert json.dumps(await results(shop, first["runId"])) == json.dumps(await results(shop, again["runId"]))
    for name in ("verdict", "faithfulness"):
        one = first["judge"]["metrics"][name]
        assert (one["items"], one["kappa"], one["agreement"], one["retest"], one["mayGate"]) == (24, 1, 1, 1, True)
        assert summary(first, name)["gates"]
    assert first["judge"]["positionBias"] == 0
    assert [gate["passed"] for gate in first["gates"]] == [True, None]
    assert "not calibrated" in first["gates"][1]["note"]
    listed = (await shop.get("/v1/evaluations/calibrations")).json()["calibrations"]
    assert [one["model"] for one in listed] == ["m"]


async def test_a_judge_that_agrees_with_everything_is_shown_and_cannot_gate(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    await many(shop, 3)
    gates = [{"metric": "verdict", "threshold": 0.9}]
    async with JudgeServer(agreeable).running() as server:
        run = await judged(shop, settings, server.url, metrics=["verdict"], gates=gates)
    one = run["judge"]["metrics"]["verdict"]
    assert (one["agreement"], one["kappa"], one["mayGate"], run["judge"]["positionBias"]) == (0.5, 0, False, 1)
    assert (summary(run, "verdict")["mean"], summary(run, "verdict")["gates"]) == (1, False)
    assert run["gates"][0]["passed"] is None
    assert "kappa is 0.00" in run["gates"][0]["note"]
    assert "faithfulness" not in run["judge"]["metrics"]


async def test_other_weights_under_the_same_name_are_asked_and_calibrated_anew(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    await many(shop, 2)
    async with JudgeServer(perfect).running() as server:
        await judged(shop, settings, server.url, metrics=["verdict"])
        calls = server.calls
        await judged(shop, settings, server.url, {"evaluation_judge_version": "2"}, metrics=["verdict"])
        assert server.calls == 2 * calls
        stricter = await judged(shop, settings, server.url, {"evaluation_min_kappa": 1.1}, metrics=["verdict"])
        assert server.calls == 2 * calls
    assert not summary(stricter, "verdict")["gates"]


async def test_a_judge_that_is_away_is_given_up_soon_and_asked_again_by_the_next_run(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    await many(shop, 40)
    async with JudgeServer(lambda _: Reply(raw=http(b"{}", "503 Busy"))).running() as server:
        run = await judged(shop, settings, server.url, {"evaluation_judge_give_up": 10}, metrics=["verdict"])
        assert server.calls < 10 + 32
    assert run["notes"] == [GAVE_UP]
    assert summary(run, "verdict")["abstained"] == {"judge_unavailable": 40}
    assert (await shop.get("/v1/evaluations/calibrations")).json()["calibrations"] == []
    async with JudgeServer(perfect).running() as server:
        back = await judged(shop, settings, server.url, metrics=["verdict"])
    assert summary(back, "verdict")["n"] == 40


async def test_a_judge_that_is_too_slow_for_its_deadline_does_not_keep_a_run_for_ever(
    shop: httpx.AsyncClient, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Looked at all the time, a run must not be taken for lost when its worker lets go of it.
    monkeypatch.setattr(runner, "_LOOK_SECONDS", 0.001)
    await many(shop, 5)
    slow = {"evaluation_judge_seconds": 0.05, "evaluation_slice_seconds": 0.001, "evaluation_judge_concurrency": 3,
            "evaluation_judge_give_up": 10_000, "evaluation_calibration_items": 6}  # fmt: skip
    async with JudgeServer(lambda _: Reply("", seconds=9.0)).running() as server:
        run = await asyncio.wait_for(judged(shop, settings, server.url, slow, metrics=["verdict"]), 60)
        assert server.calls <= run["cost"]["calls"] == 2 * 6 + 2 * 2 + 5
    assert summary(run, "verdict")["abstained"] == {"timeout": 5}
    assert run["judge"]["metrics"]["verdict"]["abstained"] == {"timeout": 6}
    assert (await shop.get("/v1/evaluations/calibrations")).json()["calibrations"] == []


async def test_against_a_persons_text_the_judge_says_what_was_recalled(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    ids = await kept(shop, [("yogurt", words("yogurt", 1)), ("coffee", words("coffee", 1))])
    said = words("yogurt", 2)
    body = {"copyId": "by-ida", "offerId": "yogurt", "channel": "email", "locale": "en-US", "by": "ida",
            "sections": {"headline": said.headline, "body": said.body.replace(" and 2 other ideas", "")}}  # fmt: skip
    assert (await shop.post("/v1/copy", json=body)).status_code == 201
    moved = await shop.post("/v1/copy/by-ida/moves", json={"to": "approved", "by": "bo", "revision": 1})
    assert moved.status_code == 200, moved.text
    async with JudgeServer(perfect).running() as server:
        run = await judged(shop, settings, server.url, metrics=["context_recall", "context_precision"])
    assert summary(run, "context_recall")["abstained"] == {"no_reference_by_a_person": 2}
    found = {(one["sampleId"], one["metric"]): one for one in await results(shop, run["runId"])}
    assert (found[ids[0], "context_recall"]["value"], found[ids[0], "context_recall"]["basis"]) == (1, "person")
    assert found[ids[0], "context_precision"]["basis"] == "person"
    assert found[ids[1], "context_precision"]["basis"] == "record"
    assert run["judge"] is None  # neither of them has labels


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (Reply("x" * 30_000), "too_long"),
        (Reply("x" * 300_000), "too_long"),
        (Reply('{"a"', ended="length"), "truncated"),
        (Reply(""), "empty_answer"),
        (Reply(7), "empty_answer"),
        (Reply(raw=http(b"<html/>", kind="text/html")), "invalid_response"),
        (Reply(raw=http(b'{"choices": []}')), "invalid_response"),
        (Reply(raw=http(b"{}", "418 Teapot")), "http_418"),
        (Reply(raw=b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", close=True), "unreachable"),
        (Reply("{}", seconds=5.0), "timeout"),
    ],
)
async def test_a_failed_call_has_a_class_of_reasons_and_its_cost(reply: Reply, reason: str) -> None:
    async with JudgeServer(lambda _: reply).running() as server:
        own = EvaluationSettings(evaluation_judge_base_url=server.url, evaluation_judge_seconds=0.5)
        async with Judge(Settings(), own) as judge:
            spent = Spent()
            with pytest.raises(JudgeError) as failure:
                await judge.ask("Well?", {}, 0, spent)
    assert failure.value.reason == reason
    assert (spent.calls, spent.seconds > 0) == (1, True)


async def test_what_the_judge_is_sent_is_a_bounded_question(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> Reply:
        seen.append(request)
        return Reply("{}")

    async with JudgeServer(answer).running() as server:
        own = EvaluationSettings(
            evaluation_judge_base_url=server.url, evaluation_judge_model="big", evaluation_judge_max_tokens=77
        )
        async with Judge(Settings(llm_model="small"), own) as judge:
            await judge.ask("Well?", {"type": "object", "properties": {}}, 9, Spent())
    request = seen[0]
    assert (request["model"], request["seed"], request["temperature"], request["max_tokens"]) == ("big", 9, 0.0, 77)
    assert request["response_format"]["json_schema"]["strict"]
    assert asked({"response_format": {"json_schema": {"schema": {"properties": {"faithful": {}}}}}}) == "faithful"


def test_a_schema_is_closed_bounded_and_binary_where_it_should_be() -> None:
    row = {"type": "object", "properties": {"verdict": {"type": "integer"}, "reason": {"type": "string"}}}
    made = tightened(
        {
            "$defs": {"Row": row},
            "type": "object",
            "properties": {"rows": {"type": "array", "items": {"$ref": "#/$defs/Row"}}},
        }
    )
    assert made["$defs"]["Row"]["properties"]["verdict"]["enum"] == [0, 1]
    assert made["$defs"]["Row"]["additionalProperties"] is False
    assert made["$defs"]["Row"]["properties"]["reason"]["maxLength"] > 0
    assert made["properties"]["rows"]["maxItems"] > 0


def test_an_unknown_failure_is_an_invalid_response() -> None:
    assert judges.reason_of(KeyError("choices")) == "invalid_response"
    assert judges.reason_of(openai.OpenAIError("odd")) == "invalid_response"


def test_the_price_is_by_the_settings() -> None:
    spent = Spent(calls=3, prompt_tokens=2_000_000, completion_tokens=100_000)
    assert spent.price(EvaluationSettings()) is None
    assert spent.price(EvaluationSettings(evaluation_price_input=2.0, evaluation_price_output=10.0)) == 5.0
