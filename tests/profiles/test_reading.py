"""People who are not kept online yet: read many at once, each as they are now, and nobody's trouble is another's."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import msgspec
import pytest
from sqlalchemy import event, text
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profiles import reading
from services.profiles.importing import create_sink
from services.profiles.online import OnlineProfiles
from services.profiles.reading import PeopleReader
from shared.contracts.profiles import ProfileUpsert
from shared.db.engine import transaction
from shared.errors import UnavailableError
from shared.settings import Settings

PEOPLE = [f"p{n}" for n in range(60)]


@pytest.fixture
async def reader(engine: AsyncEngine, settings: Settings) -> AsyncIterator[PeopleReader]:
    """A reader of sixty people of acme, of whom p7 lives elsewhere for another tenant."""
    for tenant, locale in (("acme", "en-US"), ("other", "de-DE")):
        rows = [ProfileUpsert(profile_id=key, locale=locale) for key in PEOPLE]
        await create_sink("profiles", engine, settings, tenant).write(rows)
    online = OnlineProfiles(settings.redis_url)
    await online._redis.flushdb()  # the tombstones of the import
    yield PeopleReader(engine, online)
    await online.close()


@contextmanager
def statements(engine: AsyncEngine) -> Iterator[list[str]]:
    """What is asked of the tables meanwhile."""
    asked: list[str] = []

    def note(_c: object, _k: object, statement: str, *_rest: object) -> None:
        asked.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield asked
    event.remove(engine.sync_engine, "before_cursor_execute", note)


@asynccontextmanager
async def busy(engine: AsyncEngine) -> AsyncIterator[None]:
    """Queries of profiles wait until the block ends."""
    async with transaction(engine) as connection:
        await connection.execute(text("LOCK TABLE profiles.profile IN ACCESS EXCLUSIVE MODE"))
        yield


async def test_who_is_asked_for_during_a_query_goes_with_the_next_one(
    engine: AsyncEngine, reader: PeopleReader
) -> None:
    with statements(engine) as asked:
        async with busy(engine):
            asked.clear()
            reads = [asyncio.create_task(reader.read("acme", key)) for key in PEOPLE for _ in range(2)]
            reads.append(asyncio.create_task(reader.read("other", "p7")))
            await asyncio.sleep(0.2)
        found = await asyncio.gather(*reads)
    assert [one.profile.profile_id for one in found if one] == [key for key in PEOPLE for _ in range(2)] + ["p7"]
    assert {one.profile.locale for one in found[:-1] if one} == {"en-US"}
    assert found[-1]
    assert found[-1].profile.locale == "de-DE"
    assert len(asked) <= 3 * 3  # profile, identity, fact: for the first person, for all others, for the other tenant


async def test_alone_a_person_is_read_at_once_and_kept_and_a_stranger_is_nobody(reader: PeopleReader) -> None:
    assert await reader.read("acme", "nobody") is None
    assert await reader._online.get("acme", "p1") is None
    found = await reader.read("acme", "p1")
    assert found
    assert await reader._online.get("acme", "p1") == found


async def test_who_asks_after_a_change_sees_it_though_an_older_query_is_under_way(
    engine: AsyncEngine, reader: PeopleReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, go = asyncio.Event(), asyncio.Event()
    load = reader._load

    async def slow(tenant: str, ids: list[str]) -> object:
        found = await load(tenant, ids)
        seen.set()
        await go.wait()
        return found

    monkeypatch.setattr(reader, "_load", slow)
    before = asyncio.create_task(reader.read("acme", "p1"))
    await seen.wait()
    async with transaction(engine) as connection:
        await reader._online.drop("acme", ["p1"])
        await connection.execute(text("UPDATE profiles.profile SET locale = 'fr-FR' WHERE profile_id = 'p1'"))
    after = asyncio.create_task(reader.read("acme", "p1"))
    await asyncio.sleep(0)
    go.set()
    old, new = await before, await after
    assert old
    assert old.profile.locale == "en-US"
    assert new
    assert new.profile.locale == "fr-FR"
    assert await reader._online.get("acme", "p1") is None  # the tombstone stands: the older value was not put there


async def test_a_damaged_row_is_its_own_trouble_only(engine: AsyncEngine, reader: PeopleReader) -> None:
    async with transaction(engine) as connection:
        await connection.execute(text("UPDATE profiles.profile SET consents = '[1]' WHERE profile_id = 'p5'"))
    async with busy(engine):
        reads = [asyncio.create_task(reader.read("acme", key)) for key in PEOPLE]
        await asyncio.sleep(0.2)
    found = await asyncio.gather(*reads, return_exceptions=True)
    assert [type(one) for n, one in enumerate(found) if n != 5] == [type(found[0])] * 59
    assert isinstance(found[5], msgspec.ValidationError)


async def test_somebody_who_gives_up_takes_nobody_along(engine: AsyncEngine, reader: PeopleReader) -> None:
    async with busy(engine):
        first, second = (asyncio.create_task(reader.read("acme", "p1")) for _ in range(2))
        await asyncio.sleep(0.05)
        first.cancel()
    found = await second
    assert found
    assert found.profile.profile_id == "p1"
    assert first.cancelled()


async def test_a_database_that_hangs_is_an_error_in_time_and_the_next_read_works(
    engine: AsyncEngine, reader: PeopleReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "_SECONDS", 0.3)
    async with busy(engine):
        found = await asyncio.gather(*(reader.read("acme", key) for key in PEOPLE[:9]), return_exceptions=True)
    assert {type(one) for one in found} == {UnavailableError}
    assert await reader.read("acme", "p1")
