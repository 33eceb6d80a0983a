"""One connection to Redis for all requests: everybody gets their own answer, and a fault has an end."""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator

import pytest
import redis.asyncio as redis
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from redis.exceptions import AuthenticationError, DataError, NoScriptError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.clients.redis_shared import SharedRedis
from shared.clients.redis_store import connect_shared
from shared.stack.valkey import Valkey


@pytest.fixture
async def client(redis_url: str) -> AsyncIterator[SharedRedis]:
    """A client with an empty Redis."""
    made = connect_shared(redis_url, 2.0)
    await made.flushdb()
    yield made
    await made.aclose()


@pytest.fixture
async def other(redis_url: str) -> AsyncIterator[redis.Redis]:
    """Redis as somebody else sees it."""
    made = redis.from_url(redis_url)
    yield made
    await made.aclose()


async def connections(other: redis.Redis) -> set[str]:
    """The server's numbers of all: those of tests before may end meanwhile."""
    return {one["id"] for one in await other.client_list()}


async def test_a_thousand_at_once_get_their_own_answers_over_one_connection(
    client: SharedRedis, other: redis.Redis
) -> None:
    before = await connections(other)
    await asyncio.gather(*(client.set(f"k{n}", n) for n in range(1000)))
    found = await asyncio.gather(*(client.get(f"k{n}") for n in range(1000)))
    assert [int(value) for value in found] == list(range(1000))
    assert await connections(other) - before == set()


@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
async def test_whoever_gives_up_or_is_refused_leaves_the_others_answers_alone(client: SharedRedis, seed: int) -> None:
    draw = random.Random(seed)
    await client.set("text", "no number")

    async def one(n: int) -> None:
        kind = draw.randrange(4)
        await asyncio.sleep(draw.random() * 0.003)
        if kind == 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(client.get("text"), draw.random() * 0.001)
        elif kind == 1:
            with pytest.raises(ResponseError, match="not an integer"):
                await client.incr("text")
        elif kind == 2:
            with pytest.raises(DataError):
                await client.set("wrong", object())  # type: ignore[arg-type]
        else:
            assert await client.echo(f"{n}") == f"{n}".encode()

    await asyncio.gather(*(one(n) for n in range(60)))


async def test_answers_are_read_as_redis_py_reads_them(client: SharedRedis, other: redis.Redis) -> None:
    await client.hset("h", mapping={"a": 1, "b": 2})
    assert await client.hgetall("h") == await other.hgetall("h") == {b"a": b"1", b"b": b"2"}
    assert (await client.info("server"))["run_id"] == (await other.info("server"))["run_id"]
    assert await client.set("k", 1, nx=True) is True
    assert await client.set("k", 1, nx=True) is None
    script = await client.script_load("return {KEYS[1], ARGV[1]}")
    assert await client.evalsha(script, 1, "k", b"\x00\xff") == [b"k", b"\x00\xff"]
    with pytest.raises(NoScriptError):
        await client.evalsha("0" * 40, 0)
    async with client.pipeline() as pipe:
        assert await pipe.incr("k").incr("k").execute() == [2, 3]


async def test_a_server_that_hangs_costs_one_deadline_and_the_next_command_has_a_connection_of_its_own(
    client: SharedRedis, other: redis.Redis
) -> None:
    client.seconds = 0.3
    await client.ping()
    await other.client_pause(900)
    began = time.monotonic()
    found = await asyncio.gather(*(client.incr("n") for _ in range(20)), return_exceptions=True)
    assert time.monotonic() - began < 0.8
    assert {type(error) for error in found} <= {RedisTimeoutError, RedisConnectionError}
    assert RedisTimeoutError in {type(error) for error in found}
    await asyncio.sleep(1.0)
    assert await client.echo("back") == b"back"  # and not the answer of one of those


async def test_a_connection_that_breaks_fails_what_is_under_way_and_is_made_anew(
    client: SharedRedis, other: redis.Redis
) -> None:
    assert await client.client_setname("shared")
    await other.client_pause(300, all=False)  # writes wait
    waiting = [asyncio.create_task(client.incr("n")) for _ in range(5)]
    await asyncio.sleep(0.05)
    mine = next(one["id"] for one in await other.client_list() if one["name"] == "shared")
    await other.client_kill_filter(_id=mine)
    found = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(error) for error in found} == {RedisConnectionError}
    assert await client.ping()


async def test_a_password_and_a_database_of_the_address_hold(client: SharedRedis, other: redis.Redis) -> None:
    await other.acl_setuser("somebody", enabled=True, passwords=["+secret"], categories=["+@all"], keys=["*"])
    host, port = (other.connection_pool.connection_kwargs[key] for key in ("host", "port"))
    named = connect_shared(f"redis://somebody:secret@{host}:{port}/7", 2.0)
    assert await named.acl_whoami() == "somebody"
    await named.set("where", 7)
    assert await client.get("where") is None
    await named.delete("where")
    await named.aclose()
    wrong = connect_shared(f"redis://somebody:wrong@{host}:{port}/7", 2.0)
    with pytest.raises(AuthenticationError):
        await wrong.ping()
    await wrong.aclose()
    await other.acl_deluser("somebody")


async def test_a_server_that_is_gone_is_an_error_and_one_that_comes_back_is_found(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("valkey")
    server = Valkey(folder)
    client = connect_shared(server.url, 2.0)
    assert await client.ping()
    server.stop()
    for _ in range(3):
        with pytest.raises(RedisConnectionError):
            await client.ping()
    server = Valkey(folder, port=server.port)
    assert await client.ping()
    await client.aclose()
    server.stop()


async def test_a_closed_client_leaves_no_task_and_no_connection(redis_url: str, other: redis.Redis) -> None:
    before, tasks = await connections(other), len(asyncio.all_tasks())
    client = connect_shared(redis_url, 2.0)
    await client.ping()
    await client.aclose()
    await asyncio.sleep(0.05)
    assert len(asyncio.all_tasks()) == tasks
    assert await connections(other) - before == set()
