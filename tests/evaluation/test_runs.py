"""Runs over stored copy: what is measured, that nothing is lost, done twice, kept too long, or shown to others."""

import asyncio
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from services.evaluation.errors import BadEvaluationError
from services.evaluation.metrics.registry import DETERMINISTIC
from services.evaluation.repository import EvaluationRepository, Lease, Row
from services.evaluation.run_service import RunService
from services.evaluation.runner import Runner
from services.evaluation.scores import scored
from services.evaluation.settings import EvaluationSettings
from shared.clients.tasks import TaskSender, create_celery
from shared.context import CallContext, bound
from shared.contracts.evaluation import EvaluationRequest
from shared.contracts.profiles import Fact
from shared.db.engine import create_engine, transaction
from shared.settings import Settings
from tests.evaluation.copybook import clients_of, kept, many, offer, person, results, stock, words, worked
from tests.evaluation.judge_server import JudgeServer, Reply, perfect
from tests.rooms import clients_of as rooms

pytestmark = pytest.mark.timeout(900)
QUICK = ["claim_support", "attribute_recall", "diversity"]


async def start(api: httpx.AsyncClient, **request: Any) -> str:
    answer = await api.post("/v1/evaluations", json=request)
    assert answer.status_code == 201, answer.text
    assert answer.json()["state"] == "queued"
    return str(answer.json()["runId"])


async def shown(api: httpx.AsyncClient, run: str) -> dict[str, Any]:
    return dict((await api.get(f"/v1/evaluations/{run}")).json())


async def report(api: httpx.AsyncClient, run: str) -> str:
    """What must be the same for the same seed."""
    found = await shown(api, run)
    return json.dumps([found["summaries"], found["figures"], found["gates"], await results(api, run)])


async def test_every_metric_says_something_about_every_sample(shop: httpx.AsyncClient, settings: Settings) -> None:
    good = await many(shop, 20)
    wrong = await kept(shop, [("yogurt", words("yogurt", 3, price="9.50"))])
    gates = [{"metric": "attribute_recall", "threshold": 0.9}, {"metric": "claim_support", "threshold": 0.999}]
    run = await start(shop, gates=gates)
    assert await worked(shop, settings, run) == 1
    found = await shown(shop, run)
    assert (found["state"], found["problem"], found["judge"]) == ("done", None, None), found["problem"]
    assert [one["metric"] for one in found["summaries"]] == list(DETERMINISTIC)
    for one in found["summaries"]:
        assert one["n"] + sum(one["abstained"].values()) == 21, one
        assert not one["errors"]
        assert one["gates"]
        assert one["mean"] is None or one["low"] <= one["mean"] <= one["high"]
    by_name = {one["metric"]: one for one in found["summaries"]}
    assert by_name["personal_facts"]["abstained"] == {"no_facts": 21}
    assert by_name["no_forbidden_facts"]["abstained"] == {"no_person": 21}
    assert by_name["image_match"]["abstained"] == {"no_image": 21}
    assert by_name["rouge_score"]["basis"] == {"record": 21}
    assert {"distinct2", "meanDistance"} == set(found["figures"])
    assert [gate["passed"] for gate in found["gates"]] == [True, False]
    assert found["progress"]["done"] == found["progress"]["total"] == 21 * len(DETERMINISTIC)
    assert found["cost"]["calls"] == 0
    values = {one["sampleId"]: one["value"] for one in await results(shop, run, metric="claim_support", limit=4)}
    assert set(values) == {*good, *wrong}
    assert values[wrong[0]] == min(values.values())


async def test_the_same_seed_makes_the_same_report_to_the_byte(shop: httpx.AsyncClient, settings: Settings) -> None:
    await many(shop, 12)
    runs = [
        await start(shop, limit=8, seed=seed, metrics=[*QUICK, "rouge_score", "semantic_similarity"])
        for seed in (4, 4, 5)
    ]
    for run in runs:
        await worked(shop, settings, run)
    reports = [await report(shop, run) for run in runs]
    assert reports[0] == reports[1]
    drawn = [{one["sampleId"] for one in await results(shop, run)} for run in runs]
    assert len(drawn[0]) == len(drawn[2]) == 8
    assert drawn[0] != drawn[2]
    assert (await shown(shop, runs[0]))["notes"] == ["8 of 12 pieces of copy were drawn"]


async def test_only_the_copy_that_was_asked_for_is_looked_at(shop: httpx.AsyncClient, settings: Settings) -> None:
    old = await kept(
        shop, [("yogurt", words("yogurt", 1)), ("coffee", words("coffee", 1))], prompt_version="offer_copy@1"
    )
    new = await kept(shop, [("yogurt", words("yogurt", 2))])
    for wanted, ids in (
        ({"promptVersion": "offer_copy@1"}, old), ({"offerIds": ["yogurt"]}, [old[0], new[0]]), ({"states": ["live"]}, []),
        ({"since": "2098-01-01T00:00:00Z"}, []), ({"states": ["checked", "draft"], "offerIds": ["coffee"]}, [old[1]]),
    ):  # fmt: skip
        run = await start(shop, metrics=["claim_support"], **wanted)
        await worked(shop, settings, run)
        assert {one["sampleId"] for one in await results(shop, run)} == set(ids), wanted
    assert (await shown(shop, run))["state"] == "done"


async def test_a_persons_approved_text_is_the_reference_and_is_compared_with_the_record_itself(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    ids = await kept(shop, [("yogurt", words("yogurt", 1)), ("coffee", words("coffee", 1))])
    said = words("yogurt", 2)
    body = {"copyId": "by-ida", "offerId": "yogurt", "channel": "email", "locale": "en-US", "by": "ida",
            "sections": {"subject": said.subject, "headline": said.headline, "body": said.body}}  # fmt: skip
    body["sections"]["body"] = said.body.replace(" and 2 other ideas", "")  # type: ignore[index]
    assert (await shop.post("/v1/copy", json=body)).status_code == 201
    moved = await shop.post("/v1/copy/by-ida/moves", json={"to": "approved", "by": "bo", "revision": 1})
    assert moved.status_code == 200, moved.text
    run = await start(shop, metrics=["rouge_score", "non_llm_context_recall"])
    await worked(shop, settings, run)
    found = {one["sampleId"]: one for one in await results(shop, run, metric="rouge_score")}
    assert {key: one["basis"] for key, one in found.items()} == {ids[0]: "person", ids[1]: "record", "by-ida": "record"}
    assert found[ids[0]]["value"] > found[ids[1]]["value"]
    assert next(one for one in (await shown(shop, run))["summaries"] if one["metric"] == "rouge_score")["basis"] == {
        "person": 1,
        "record": 2,
    }


async def test_a_changed_offer_shows_in_what_the_writer_was_given(shop: httpx.AsyncClient, settings: Settings) -> None:
    await kept(shop, [("yogurt", words("yogurt", 1))])
    changed = offer("yogurt", price="3.00", conditions=[{"text": "Only for members of the breakfast club"}])
    assert (await shop.put("/v1/offers/yogurt", json=changed)).status_code == 200
    run = await start(shop, metrics=["non_llm_context_recall"])
    await worked(shop, settings, run)
    assert 0 < (await results(shop, run))[0]["value"] < 1
    await stock(shop, ["yogurt"])


async def test_a_sensitive_fact_that_surfaces_is_a_leak(shop: httpx.AsyncClient, settings: Settings) -> None:
    yes = {"personalize": {"content": {"val": "y"}}, "marketing": {"any": {"val": "y"}}}
    assert (await shop.put("/v1/profiles/hh-1", json={"profileId": "hh-1", "consents": yes})).status_code == 200
    events = [{"eventId": f"e{n}", "profileId": "hh-1", "type": "commerce.purchases", "time": f"2026-0{1 + n // 4}-{3 + 7 * (n % 4):02d}T10:00:00Z",
               "category": "yogurt", "productName": "yogurt", "quantity": 1, "value": "34.2", "currency": "USD", "sessionId": f"s{n}"}
              for n in range(12)]  # fmt: skip
    assert (await shop.post("/v1/events", json=events)).status_code == 200
    await shop.post("/v1/profiles/facts/refresh", json={"profileIds": ["hh-1"]})
    facts: list[dict[str, Any]] = (await shop.get("/v1/profiles/hh-1/facts")).json()
    assert any(fact["sensitive"] and fact["value"] == 34.2 for fact in facts)
    often = Fact(
        name="favourite_category:yogurt",
        kind="category",
        value=0.3,
        text="Buys yogurt often",
        explanation="",
        subject="yogurt",
    )
    plain, telling = words("yogurt", 1), words("yogurt", 2)
    telling.body = "As you spend 34.20 a basket, yogurt is for you. " + telling.body
    ids = await kept(shop, [("yogurt", plain), ("yogurt", telling)], profile=person("hh-1", [often]), used=[often])
    run = await start(shop, metrics=["no_forbidden_facts", "personal_facts"])
    await worked(shop, settings, run)
    found = {(one["sampleId"], one["metric"]): one["value"] for one in await results(shop, run)}
    assert [found[key, "no_forbidden_facts"] for key in ids] == [1, 0]
    assert [found[key, "personal_facts"] for key in ids] == [1, 1]


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"metrics": ["verdict"]}, "metrics"),
    ({"metrics": ["luck"]}, "metrics[0]"),
    ({"limit": 0}, "limit"),
    ({"seed": -1}, "seed"),
    ({"gates": [{"metric": "verdict", "threshold": 0.5}]}, "gates"),
    ({"metrics": ["rouge_score"], "gates": [{"metric": "diversity", "threshold": 0.5}]}, "gates"),
    ({"gates": [{"metric": "diversity", "threshold": 7}]}, "gates[0].threshold"),
    ({"states": ["lost"]}, "states[0]"),
    ({"nonsense": 1}, "nonsense"),
]


async def test_a_run_that_cannot_be_is_refused_by_its_field(shop: httpx.AsyncClient) -> None:
    for body, field in REFUSED:
        answer = await shop.post("/v1/evaluations", json=body)
        assert answer.status_code == 422, (body, answer.text)
        assert field in json.dumps(answer.json()["errors"]), (body, answer.text)


async def test_a_judge_that_is_not_configured_is_refused(shop: httpx.AsyncClient, settings: Settings) -> None:
    service = RunService(create_engine(settings.database_url), clients_of(shop).governance,
                         TaskSender(create_celery(settings.redis_url)), settings, EvaluationSettings())  # fmt: skip
    with pytest.raises(BadEvaluationError, match="no judge is configured"):
        await service.create("acme", EvaluationRequest(judge=True))


async def test_runs_are_listed_newest_first_and_only_to_their_tenant(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    runs = [await start(shop, metrics=["claim_support"]) for _ in range(3)]
    page = (await shop.get("/v1/evaluations", params={"limit": 2})).json()
    rest = (await shop.get("/v1/evaluations", params={"limit": 2, "cursor": page["cursor"]})).json()
    assert [one["runId"] for one in page["runs"] + rest["runs"]] == runs[::-1]
    assert rest["cursor"] is None
    other = shop.other  # type: ignore[attr-defined]
    assert (await shop.get("/v1/evaluations", headers=other)).json()["runs"] == []
    for path in (f"/v1/evaluations/{runs[0]}", f"/v1/evaluations/{runs[0]}/results", "/v1/evaluations/none"):
        assert (await shop.get(path, headers=other)).status_code == 404
    assert (await shop.post(f"/v1/evaluations/{runs[0]}/cancel", headers=other)).status_code == 404
    for cursor in ("yesterday", "\x00", "a~"):
        assert (await shop.get("/v1/evaluations", params={"cursor": cursor})).status_code == 422
    assert (await shop.get(f"/v1/evaluations/{runs[0]}/results", params={"cursor": "x"})).status_code == 422
    assert (await shop.get(f"/v1/evaluations/{runs[0]}/results", params={"metric": "luck"})).status_code in {400, 422}


async def test_a_run_that_goes_back_into_the_queue_all_the_time_ends_with_the_same_report(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    await many(shop, 120)
    whole, sliced = [await start(shop, metrics=QUICK) for _ in range(2)]
    assert await worked(shop, settings, whole) == 1
    turns = 0
    engine = create_engine(settings.database_url, pool_size=2)
    turn: int | None = 0
    while turn is not None:
        turns += 1
        # A worker that has time for one chunk only.
        own = EvaluationSettings(evaluation_slice_seconds=0.0001)
        with bound(CallContext(tenant="acme", request_id="slice")):
            turn = await asyncio.wait_for(
                Runner(engine, clients_of(shop), settings, own).work("acme", sliced, turn), 30
            )
        if turns == 1:
            assert (await shown(shop, sliced))["state"] == "running"
        own = EvaluationSettings()
        if turns == 2:
            break
    await worked(shop, settings, sliced, turn=turn or 0)
    await engine.dispose()
    assert await report(shop, whole) == await report(shop, sliced)


async def test_of_two_workers_one_works_and_the_task_of_an_old_turn_leaves(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    await many(shop, 60)
    run = await start(shop, metrics=["claim_support"])
    engine = create_engine(settings.database_url, pool_size=4)
    runner = Runner(engine, clients_of(shop), settings, EvaluationSettings())
    with bound(CallContext(tenant="acme", request_id="two")):
        both = await asyncio.gather(runner.work("acme", run, 0), runner.work("acme", run, 0))
        assert both == [None, None]
        assert await runner.work("acme", run, 1) is None
    await engine.dispose()
    found = await shown(shop, run)
    assert (found["state"], found["progress"]["done"]) == ("done", 60)


async def test_a_service_that_is_away_is_waited_for_and_given_up_after_five_times(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    ids = await many(shop, 3)
    patient, hopeless = [await start(shop, metrics=["claim_support"]) for _ in range(2)]
    engine = create_engine(settings.database_url, pool_size=2)
    async with rooms(settings, *()) as nobody:
        alone = Runner(engine, nobody, settings, EvaluationSettings())
        with bound(CallContext(tenant="acme", request_id="alone")):
            assert await alone.work("acme", patient, 0) is None
            for turn in range(5):
                assert (await shown(shop, hopeless))["state"] in {"queued", "running"}
                assert await alone.work("acme", hopeless, turn) is None
    failed = await shown(shop, hopeless)
    assert (failed["state"], failed["problem"]) == ("failed", "The governance service does not answer (ConnectError).")
    assert (await shown(shop, patient))["problem"] == failed["problem"]
    await worked(shop, settings, patient, turn=1)
    await engine.dispose()
    done = await shown(shop, patient)
    assert (done["state"], done["problem"], done["summaries"][0]["n"]) == ("done", None, len(ids))


async def test_a_run_nobody_works_on_is_queued_again(shop: httpx.AsyncClient, settings: Settings) -> None:
    await many(shop, 3)
    run = await start(shop, metrics=["claim_support"])
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        # A worker took it and died.
        connection.execute(
            "UPDATE evaluation.run SET state = 'running', turn = 1, lease = 'dead', heartbeat = now() - interval '1 minute'"
        )
    engine = create_engine(settings.database_url, pool_size=2)
    sent: list[Any] = []

    class Tasks:
        def send(self, payload: Any) -> str:
            sent.append(payload)
            return ""

    service = RunService(engine, clients_of(shop).governance, Tasks(), settings, EvaluationSettings())  # type: ignore[arg-type]
    await service.tend()
    await service.tend()
    assert [(one.run_id, one.turn) for one in sent] == [(run, 1)]
    await worked(shop, settings, run, turn=1)
    assert (await shown(shop, run))["state"] == "done"
    await service.tend()
    assert len(sent) == 1
    await engine.dispose()


async def test_cancelling_ends_a_run_at_once_with_its_calls_in_flight(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    await many(shop, 6)
    waiting = await start(shop, metrics=["claim_support"])
    assert (await shop.post(f"/v1/evaluations/{waiting}/cancel")).json()["state"] == "cancelled"
    assert await worked(shop, settings, waiting) == 1
    assert await results(shop, waiting) == []
    async with JudgeServer(lambda _: Reply("", seconds=30.0)).running() as server:
        own = EvaluationSettings(
            evaluation_judge_base_url=server.url, evaluation_judge_model="m", evaluation_calibration_items=4
        )
        run = await start(shop, judge=True, metrics=["claim_support", "verdict"])
        work = asyncio.create_task(worked(shop, settings, run, own))
        await server.asked(4)
        cancelled = await shop.post(f"/v1/evaluations/{run}/cancel")
        began = time.perf_counter()
        assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
        assert await asyncio.wait_for(work, 5) == 1
        assert time.perf_counter() - began < 1.0
    found = await shown(shop, run)
    assert (found["state"], found["summaries"][0]["n"], found["summaries"][1]["n"]) == ("cancelled", 6, 0)
    assert found["summaries"][0]["low"] is not None
    assert (await shop.post(f"/v1/evaluations/{run}/cancel")).status_code == 200
    done = await start(shop, metrics=["claim_support"])
    await worked(shop, settings, done)
    assert (await shop.post(f"/v1/evaluations/{done}/cancel")).status_code == 409


async def test_what_was_found_out_about_an_erased_person_is_gone_from_every_run(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    yes = {"personalize": {"content": {"val": "y"}}, "marketing": {"any": {"val": "y"}}}
    assert (await shop.put("/v1/profiles/hh-2", json={"profileId": "hh-2", "consents": yes})).status_code == 200
    often = Fact(
        name="favourite_category:yogurt",
        kind="category",
        value=0.3,
        text="Buys yogurt often",
        explanation="",
        subject="yogurt",
    )
    mine = await kept(shop, [("yogurt", words("yogurt", 1))], profile=person("hh-2", [often]), used=[often])
    others = await many(shop, 3)
    async with JudgeServer(perfect).running() as server:
        own = EvaluationSettings(
            evaluation_judge_base_url=server.url, evaluation_judge_model="m", evaluation_calibration_items=4
        )
        run = await start(shop, judge=True, metrics=["claim_support", "verdict"])
        await worked(shop, settings, run, own)
    assert (await shown(shop, run))["summaries"][0]["n"] == 4
    gone = await shop.delete("/v1/profiles/hh-2")
    assert gone.json()["rows"]["copy"] == 1, gone.text
    found = await shown(shop, run)
    assert [one["n"] for one in found["summaries"]] == [3, 3]
    assert {one["sampleId"] for one in await results(shop, run)} == set(others)
    with psycopg.connect(settings.database_url) as connection:
        for table in ("result", "sample", "cache"):
            query = f"SELECT count(*) FROM evaluation.{table} WHERE sample_id = %s"
            assert connection.execute(query, (mine[0],)).fetchone() == (0,), table  # type: ignore[arg-type]


async def test_the_sweep_finds_what_nobody_told_of(shop: httpx.AsyncClient, settings: Settings) -> None:
    ids = await many(shop, 4)
    run = await start(shop, metrics=["claim_support"])
    await worked(shop, settings, run)
    with psycopg.connect(settings.database_url, autocommit=True) as connection:
        connection.execute("DELETE FROM governance.step WHERE copy_id = %s", (ids[0],))
        connection.execute("DELETE FROM governance.copy WHERE copy_id = %s", (ids[0],))
    engine = create_engine(settings.database_url, pool_size=2)
    tasks = TaskSender(create_celery(settings.redis_url))
    await RunService(engine, clients_of(shop).governance, tasks, settings, EvaluationSettings()).sweep()
    await engine.dispose()
    assert {one["sampleId"] for one in await results(shop, run)} == set(ids[1:])


async def test_nothing_is_stored_about_copy_that_was_forgotten_meanwhile(
    shop: httpx.AsyncClient, settings: Settings
) -> None:
    engine = create_engine(settings.database_url, pool_size=2)
    run = await start(shop, metrics=["claim_support"])
    lease = Lease("acme", run, "me")
    async with transaction(engine) as connection:
        repository = EvaluationRepository(connection)
        assert await repository.take(lease, 0, 20.0)
        await repository.add_samples(lease, ["a", "b"])
    async with transaction(engine) as connection:
        await EvaluationRepository(connection).forget("acme", ["a"])
    async with transaction(engine) as connection:
        await EvaluationRepository(connection).store(
            lease, [Row("a", "claim_support", scored(1.0)), Row("b", "claim_support", scored(1.0))]
        )
    await engine.dispose()
    assert [one["sampleId"] for one in await results(shop, run)] == ["b"]


async def test_postgres_itself_keeps_no_value_outside_the_range(shop: httpx.AsyncClient, settings: Settings) -> None:
    run = await start(shop, metrics=["claim_support"])
    for value, status in (("'NaN'", "ok"), ("1.5", "ok"), ("-0.1", "ok"), ("NULL", "ok"), ("0.5", "abstained")):
        with psycopg.connect(settings.database_url) as connection, pytest.raises(psycopg.errors.CheckViolation):
            connection.execute(
                f"INSERT INTO evaluation.result VALUES ('acme', '{run}', 's', 'm', {value}, '{status}', NULL, NULL)"  # type: ignore[arg-type]
            )


PROBE = """
import services.host, services.worker, sys
print([m for m in ("ragas", "langchain", "datasets") if m in sys.modules])
import asyncio, requests
def refuse(*_, **__): raise SystemExit("it called home")
requests.post = refuse
from ragas.dataset_schema import SingleTurnSample
from services.evaluation.metrics.references import _RECALL
from ragas._analytics import do_not_track
sample = SingleTurnSample(retrieved_contexts=["a b"], reference_contexts=["a b"])
print(asyncio.run(_RECALL.single_turn_ascore(sample)), do_not_track())
"""


def test_services_and_workers_start_without_ragas_which_tells_nobody_and_writes_no_id(tmp_path: Path) -> None:
    """RAGAS takes seconds and 200 MB: only a worker that needs it imports it."""
    clean = {k: v for k, v in os.environ.items() if k != "RAGAS_DO_NOT_TRACK"} | {"HOME": str(tmp_path)}
    shown = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROBE], env=clean, capture_output=True, text=True, check=False
    )
    assert shown.stdout.splitlines() == ["[]", "1.0 True"], shown.stderr
    assert not list(tmp_path.rglob("uuid.json"))
