"""The room with its real stores: a simulated tenant's log becomes a model that decisions load; what breaks leaves the live one."""

import asyncio
import datetime as dt
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import numpy as np
import pytest

from services.training.assembly import assemble
from services.training.errors import (
    AlreadyTrainingError,
    DamagedModelError,
    RegistryDownError,
    UnknownJobError,
    UnknownModelError,
    WrongStageError,
)
from services.training.registry import Registry
from services.training.service import TrainingService
from services.training.trained import Order, Trained
from shared.clients.bundle import Clients
from shared.clients.http import RemoteProblemError
from shared.clients.tasks import TaskSender, create_celery
from shared.context import CallContext, bound
from shared.contracts.base import Problem
from shared.contracts.policies import ScorerModel
from shared.contracts.training import Dataset, DataStamp, Figure, MoveStage, TrainingJob, TrainingRequest
from shared.db.engine import create_engine
from shared.errors import InvalidInputError, UnavailableError
from shared.settings import Settings
from tests.decisions.shop import decide, ids, items, offer, person, policy, stock

PEOPLE, ROUNDS = 40, 8
# Every tree sees who is asked and what is shown: taste is in both together, and the search would leave one of them out.
TREES = {"learner": "trees", "min_data_in_leaf": 10, "rounds": 60, "feature_fraction": 1.0}
REQUEST = TrainingRequest(
    model_key="clicks", objective="propensity", trials=2, seed=1, requested_by="ida", parameters=TREES
)


@asynccontextmanager
async def made(settings: Settings, clients: Clients) -> AsyncIterator[TrainingService]:
    engine = create_engine(settings.database_url, pool_size=4)
    with bound(CallContext(tenant="acme", request_id="test")):
        yield assemble(settings, engine, clients, TaskSender(create_celery(settings.redis_url)))
    await engine.dispose()


@pytest.fixture
async def training(settings: Settings, clean_database: str, tmp_path: Path) -> AsyncIterator[TrainingService]:
    """The service with its stores; the others of the suite do not answer."""
    assert clean_database == settings.database_url
    own = msgspec.structs.replace(settings, atelier_data=tmp_path, decisions_url="http://127.0.0.1:1")
    async with Clients(own) as clients, made(own, clients) as service:
        yield service


@pytest.fixture
async def whole(suite: httpx.AsyncClient) -> AsyncIterator[TrainingService]:
    """The service within the whole suite."""
    clients = suite.host._clients  # type: ignore[attr-defined]
    async with made(clients._settings, clients) as service:
        yield service


async def play(api: httpx.AsyncClient) -> None:
    """People below the mean age click on shoes, people above on hats; nobody cares for socks. Offers are shown at random."""
    await stock(api, offer("hat"), offer("shoe"), offer("sock"))
    await policy(api, exploration={"kind": "uniform"}, features=[{"field": "profile.attributes.age"}])
    draw = np.random.default_rng(5)
    ages = draw.normal(size=PEOPLE)
    for n, age in enumerate(ages):
        await person(api, f"p{n}", age=float(age))
    begin = dt.datetime.now(dt.UTC) - dt.timedelta(days=10)
    outcomes: list[dict[str, Any]] = []
    for turn in range(ROUNDS):
        at = begin + dt.timedelta(hours=12 * turn)
        found = await asyncio.gather(
            *(decide(api, f"p{n}", limit=1, at=(at + dt.timedelta(minutes=n)).isoformat()) for n in range(PEOPLE))
        )
        for n, answer in enumerate(found):
            taste = "shoe" if ages[n] < 0 else "hat"
            if draw.random() < (0.8 if ids(answer) == [taste] else 0.05):
                token = items(answer)[0]["characteristics"]["tokens"][0]
                outcomes.append(
                    {
                        "token": token,
                        "kind": "interact",
                        "idempotencyKey": f"{turn}-{n}",
                        "time": (at + dt.timedelta(hours=1)).isoformat(),
                    }
                )
    for start in range(0, len(outcomes), 500):
        answer = await api.post("/v1/outcomes", json={"outcomes": outcomes[start : start + 500]})
        assert answer.json()["rejected"] == 0, answer.text


async def done(training: TrainingService, request: TrainingRequest = REQUEST) -> TrainingJob:
    job = await training.submit("acme", request)
    assert job.state == "pending"
    return await training.run("acme", job.job_id)


async def test_a_tenants_log_becomes_a_model_that_decisions_load_hot(
    suite: httpx.AsyncClient, whole: TrainingService
) -> None:
    training = whole
    empty = await done(training)
    assert empty.state == "failed"
    assert "can be learnt from" in (empty.problem or "")
    await play(suite)
    job = await done(training)
    assert (job.state, job.problem, job.version) == ("success", None, 1)
    answer = await training.card("acme", "clicks", 1)
    card = answer.card
    assert card.beats_baseline, card.figures
    assert card.figures[0].value > 0.75
    line = card.lineage
    assert (line.version, line.scorer_id, line.model_name) == (1, "clicks.v1", "acme.clicks")
    assert line.data_hash == card.data.hash
    assert "# clicks, version 1" in answer.markdown
    assert msgspec.json.decode(msgspec.json.encode(card), type=type(card)) == card
    # The scorer decides by what it learnt as soon as a policy names it.
    await policy(
        suite,
        scorer=line.scorer_id,
        learn=False,
        exploration={"kind": "none"},
        features=[{"field": "profile.attributes.age"}],
    )
    await person(suite, "young", age=-1.5)
    await person(suite, "old", age=1.5)
    young, old = await decide(suite, "young", limit=1), await decide(suite, "old", limit=1)
    assert (ids(young), ids(old)) == (["shoe"], ["hat"])
    assert young["modelVersion"].startswith("clicks.v1@")
    # Again: the same data and seed make the same model, as the next version.
    second = await done(training)
    assert second.version == 2
    versions = (await training.versions("acme", "clicks")).versions
    assert [one.version for one in versions] == [2, 1]
    assert versions[0].model_hash == versions[1].model_hash
    listed = (await suite.get("/v1/models")).json()["models"]
    assert listed == [{"modelKey": "clicks", "objective": "propensity", "currentlyDeployedModel": None, "newestVersion": 2,
                       "lastTrainingJob": "success"}]  # fmt: skip
    other = await suite.get("/v1/models", headers=suite.other)  # type: ignore[attr-defined]
    assert other.json()["models"] == []
    assert (await suite.get("/v1/models/clicks/versions/1/card", headers=suite.other)).status_code == 404  # type: ignore[attr-defined]
    await bandit(training)
    assert await scorers(suite) == {"clicks.v1", "clicks.v2", "policy.v1"}, "the candidate is gone"
    asked = await suite.post("/v1/training-jobs", json={"modelKey": "later", "objective": "propensity"})
    assert (asked.status_code, asked.json()["state"]) == (201, "pending")
    stopped = await suite.post(f"/v1/training-jobs/{asked.json()['jobId']}/cancel")
    assert stopped.json()["state"] == "cancelled"


async def scorers(suite: httpx.AsyncClient) -> set[str]:
    """What decisions could load, by the refusal of what they cannot."""
    answer = await suite.put("/v1/policy", json={"scorer": "none of them"})
    assert answer.status_code == 422
    return set(answer.json()["errors"][0]["allowed"].split(", ")) - {"prior"}


async def bandit(training: TrainingService) -> None:
    """On the same log: a policy that ranks by the model is surely better than showing at random."""
    job = await done(
        training,
        TrainingRequest(model_key="policy", objective="bandit", trials=0, seed=1, parameters=TREES),
    )
    assert (job.state, job.problem) == ("success", None)
    card = (await training.card("acme", "policy", 1)).card
    assert card.beats_baseline, card.notes
    assert card.parameters["exploration"]["kind"] != "the live policy"
    values = [figure for figure in card.figures if figure.name.startswith("value_")]
    assert values
    assert all(figure.low is not None for figure in values)


async def test_one_job_a_model_at_a_time_and_it_can_be_cancelled(
    training: TrainingService,
) -> None:
    first = await training.submit("acme", REQUEST)
    with pytest.raises(AlreadyTrainingError, match=first.job_id):
        await training.submit("acme", REQUEST)
    await training.submit("globex", REQUEST)  # another tenant's model of the same name
    assert (await training.cancel("acme", first.job_id)).state == "cancelled"
    assert (await training.run("acme", first.job_id)).state == "cancelled"
    assert (await training.submit("acme", REQUEST)).state == "pending"
    with pytest.raises(UnknownJobError):
        await training.job("globex", first.job_id)


async def test_a_running_job_stops_at_its_next_step(training: TrainingService, monkeypatch: pytest.MonkeyPatch) -> None:
    from services.training import plans, service

    started = asyncio.Event()
    loop = asyncio.get_running_loop()

    async def plan(*_: object) -> Any:
        def endless(told: Any) -> Trained:
            loop.call_soon_threadsafe(started.set)
            for n in range(10_000):
                told("fit", n, 10_000)
                import time

                time.sleep(0.01)
            raise AssertionError("nobody stopped it")

        return endless

    monkeypatch.setattr(plans, "plan", plan)
    monkeypatch.setattr(service, "_WATCH_SECONDS", 0.1)
    job = await training.submit("acme", REQUEST)
    running = asyncio.create_task(training.run("acme", job.job_id))
    await started.wait()
    again = await training.run("acme", job.job_id)  # delivered twice: the second one leaves it alone
    assert again.state == "in progress"
    await training.cancel("acme", job.job_id)
    assert (await asyncio.wait_for(running, 10)).state == "cancelled"


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (
            TrainingRequest(model_key="m", objective="bandit", dataset=Dataset(source="cdnow")),
            "does not learn from 'cdnow'",
        ),
        (
            TrainingRequest(model_key="m", objective="uplift", dataset=Dataset(source="table", path="/etc/passwd")),
            "not over HTTP",
        ),
        (
            TrainingRequest(
                model_key="m", objective="uplift", dataset=Dataset(source="synthetic-uplift", options={"rows": 10**12})
            ),
            "a whole number from 200 to 1e",
        ),
        (
            TrainingRequest(model_key="m", objective="propensity", parameters={"forcedsplits_filename": "/etc/passwd"}),
            "there are learner, C, learning_rate",
        ),
    ],
)
async def test_what_cannot_be_trained_over_http_is_refused(
    training: TrainingService, request_: TrainingRequest, said: str
) -> None:
    with pytest.raises(InvalidInputError, match=said):
        await training.submit("acme", request_)


def small(text: bytes = b"weights") -> Trained:
    stamp = DataStamp(name="made", hash="0" * 64, rows=100, columns=2)
    return Trained(algorithm="none", data=stamp, files={"model.txt": text}, figures=[Figure(name="area_under_curve", value=0.7)],
                   beats_baseline=True, baseline="nothing", parameters={"C": 1.0})  # fmt: skip


SMALL = msgspec.structs.replace(REQUEST, model_key="weights")


async def registered(training: TrainingService, text: bytes = b"weights", scorer: ScorerModel | None = None) -> int:
    trained = msgspec.structs.replace(small(text), scorer=scorer)
    return await training.register("acme", SMALL, Order(tenant="acme", model_key="weights"), trained)


async def move(training: TrainingService, number: int, *stages: str) -> None:
    for stage in stages:
        await training.move(
            "acme", "weights", number, msgspec.convert({"to": stage, "by": "ida", "reason": "test"}, MoveStage)
        )


async def test_one_version_is_live_and_a_rollback_is_one_step(training: TrainingService) -> None:
    one, two = await registered(training), await registered(training, b"other")
    with pytest.raises(WrongStageError, match="from apprentice a version goes to shadow, retired, not to live"):
        await move(training, one, "live")
    await move(training, one, "shadow", "canary", "live")
    await move(training, two, "shadow", "canary", "live")
    assert [v.stage for v in (await training.versions("acme", "weights")).versions] == ["live", "retired"]
    await move(training, one, "live")
    found = await training.version("acme", "weights", one)
    assert [step.after for step in found.history] == ["apprentice", "shadow", "canary", "live", "retired", "live"]
    assert (await training.version("acme", "weights", two)).stage == "retired"


async def test_a_registry_that_is_down_is_a_clear_error_and_the_live_model_stays(
    training: TrainingService, tmp_path: Path
) -> None:
    live = await registered(training)
    await move(training, live, "shadow", "canary", "live")
    training._registry = Registry("postgresql+psycopg://postgres@127.0.0.1:1/nowhere", tmp_path)
    job = await done(training)
    assert job.state == "failed"
    assert "registry does not answer" in (job.problem or "")
    with pytest.raises(RegistryDownError, match="What is live stays"):
        await registered(training)
    assert not list(tmp_path.glob("acme/**/model.txt"))
    assert (await training.version("acme", "weights", live)).stage == "live"


async def test_while_decisions_are_down_nothing_is_kept(
    training: TrainingService, monkeypatch: pytest.MonkeyPatch
) -> None:
    scorer = ScorerModel(model_id="unversioned", kind="linear", body={})
    with pytest.raises(UnavailableError):
        await registered(training, scorer=scorer)
    assert not list(training._registry.folder.glob("acme/**/model.txt"))
    with pytest.raises(UnknownModelError):
        await training.versions("acme", "weights")
    monkeypatch.setattr(training._clients.decisions, "put_scorer", refuse)
    number = await registered(training, scorer=scorer)
    card = (await training.card("acme", "weights", number)).card
    assert card.lineage.scorer_id == ""
    assert card.limits == ["decisions do not load it: reads spend, which nothing provides"]


async def refuse(_: ScorerModel) -> ScorerModel:
    raise RemoteProblemError(
        Problem(type="", title="Bad model", status=422, detail="reads spend, which nothing provides", code="bad")
    )


async def test_a_full_disk_leaves_no_half_version(training: TrainingService, monkeypatch: pytest.MonkeyPatch) -> None:
    live = await registered(training)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(RegistryDownError, match="No space left on device"):
            await registered(training)
    assert [v.version for v in (await training.versions("acme", "weights")).versions] == [live]
    assert not list(training._registry.folder.glob(".staged-*"))
    assert await registered(training) == live + 1


async def test_a_corrupt_model_file_is_told_and_never_used(training: TrainingService) -> None:
    number = await registered(training)
    assert await training.files("acme", "weights", number) == {"model.txt": b"weights"}
    run_id = (await training.card("acme", "weights", number)).card.lineage.run_id
    place = training._registry.folder / "acme" / "weights" / run_id
    (place / "model.txt").write_bytes(b"weighty")
    with pytest.raises(DamagedModelError, match=r"model\.txt is not what was stored"):
        await training.files("acme", "weights", number)
    shutil.rmtree(place)
    with pytest.raises(DamagedModelError, match="cannot be read"):
        await training.files("acme", "weights", number)
