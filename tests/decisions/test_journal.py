"""The journal writes whatever comes; what it cannot write is set aside and seen, and stops nothing."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from services.decisions import records
from services.decisions.journal import Journal
from services.decisions.repository import DecisionRepository
from services.decisions.stream import STREAM
from shared.stack.valkey import Valkey
from tests.decisions.conftest import settled
from tests.decisions.shop import decide, items, offer, outcome, person, policy, stock


def journal_of(api: httpx.AsyncClient) -> Journal:
    found: Journal = api.host.apps["decisions"].litestar.dependencies["decisions"].dependency()._journal  # type: ignore[attr-defined]
    return found


async def empty(journal: Journal) -> None:
    for _ in range(200):
        if (await journal._stream.waiting())[0] == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(await journal._stream.waiting())


async def test_after_an_error_nobody_thought_of_everything_is_written(
    suite: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stock(suite, offer("a"))
    add, errors = DecisionRepository.add, [psycopg.OperationalError("gone"), ZeroDivisionError("a bug"), KeyError("x")]

    async def failing(self: DecisionRepository, rows: Any, **more: Any) -> None:
        if errors:
            raise errors.pop()
        await add(self, rows, **more)

    monkeypatch.setattr(DecisionRepository, "add", failing)
    made = [await decide(suite, f"p{n}") for n in range(3)]
    await empty(journal_of(suite))
    assert not errors
    assert [(await suite.get(f"/v1/decisions/{one['id']}")).status_code for one in made] == [200] * 3


async def test_an_entry_that_cannot_be_written_is_set_aside_and_the_others_are_written(
    suite: httpx.AsyncClient, clean_database: str
) -> None:
    await stock(suite, offer("a"))
    journal = journal_of(suite)
    store = journal._stream._redis
    for body in (b"\x81not an entry", b""):
        await store.xadd(STREAM, {"t": "acme", "e": body})
    made = [await decide(suite, f"p{n}") for n in range(3)]
    await store.xadd(STREAM, {"t": "acme", "e": await _unwritable(journal, made[0]["id"])})
    await empty(journal)
    assert [(await suite.get(f"/v1/decisions/{one['id']}")).status_code for one in made] == [200] * 3
    with psycopg.connect(clean_database) as connection:
        rows = connection.execute("SELECT tenant, entry FROM decisions.set_aside ORDER BY key").fetchall()
    assert [(tenant, entry) for tenant, entry in rows if tenant == "acme"][:2] == [
        ("acme", b"\x81not an entry"),
        ("acme", b""),
    ]
    assert len(rows) == 3


async def _unwritable(journal: Journal, decision_id: str) -> bytes:
    """The decision of somebody with a NUL in their id, which no text of Postgres holds."""
    entry = (await journal.entries("acme", [decision_id]))[decision_id]
    entry.id, entry.inputs.person.profile_id = "other", "a\0b"
    return records.encode(entry)


async def test_what_waits_is_seen_in_health_and_metrics(
    suite: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stock(suite, offer("a"))
    journal = journal_of(suite)

    async def stuck(*_: Any) -> int:
        raise RuntimeError("nothing is written today")

    monkeypatch.setattr(journal, "_write", stuck)
    monkeypatch.setattr("services.decisions.journal._LATE_SECONDS", 0.01)
    await decide(suite, "anna")
    await asyncio.sleep(0.05)
    assert "1 decisions wait to be written" in await journal.check()
    for _ in range(100):
        lines = (await suite.get("/metrics")).text.splitlines()
        if "atelier_decisions_journal_waiting 1.0" in lines:
            break
        await asyncio.sleep(0.05)
    else:
        raise AssertionError("the metric does not say so")


async def test_a_redis_that_loses_its_stream_loses_what_was_not_journalled_and_nothing_else(
    shop: httpx.AsyncClient,
    own_valkey: Valkey,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    journal = journal_of(shop)
    written = await decide(shop, "anna", limit=1)
    await empty(journal)

    seen = asyncio.Event()

    async def stuck(taken: list[Any]) -> int:
        if taken:
            seen.set()
        await asyncio.sleep(0.05)
        return 0

    monkeypatch.setattr(journal, "_write", stuck)
    lost = await decide(shop, "anna", limit=1)
    assert lost["degraded"] == []
    await asyncio.wait_for(seen.wait(), 5)  # else it would be read from the socket of the dead server, and written
    own_valkey.stop()
    monkeypatch.undo()
    direct = await decide(shop, "anna", limit=1)
    again = Valkey(tmp_path / "empty", port=own_valkey.port)
    try:
        found = [(await shop.get(f"/v1/decisions/{one['id']}")).status_code for one in (written, lost, direct)]
        assert found == [200, 404, 200]
        answer = await outcome(shop, items(lost)[0]["characteristics"]["tokens"][0], "display", "k")
        assert "not in the log" in answer["errors"][0]["message"]
        # The cap of two was used twice; one use is lost with the stream: this is the limit that the docs state.
        assert await settled(shop) == 1
    finally:
        again.stop()


async def test_exposures_that_experiments_did_not_take_hold_up_no_decision_and_are_told_later(
    suite: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.decisions.test_outcomes import room, start, until

    await stock(suite, offer("a"))
    await policy(suite)
    await person(suite, "anna")
    await start(suite)
    effects = room(suite, "decisions", "rewarding")._effects
    observe = effects._observer._experiments.observe

    async def hangs(*_: Any) -> None:
        await asyncio.sleep(60)

    monkeypatch.setattr("services.decisions.observing._SECONDS", 0.05)
    monkeypatch.setattr(effects._observer._experiments, "observe", hangs)
    made = await decide(suite, "anna")
    await empty(journal_of(suite))
    assert (await suite.get(f"/v1/decisions/{made['id']}")).status_code == 200
    monkeypatch.setattr(effects._observer._experiments, "observe", observe)

    async def told() -> bool:
        found = (await suite.get("/v1/experiments/e/readout")).json()
        return sum(found["srm"]["observed"].values()) == 1

    await until(told)
