"""People from the database for decisions, many in one query.

A query for one person costs a decision several times what the decision does itself. So while one query is under way,
whoever else is asked for waits and goes with the next; with nobody else about, a person is read at once.
"""

import asyncio
import contextvars

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from services.profiles.online import Online, OnlineProfiles
from services.profiles.repository import ProfileRepository
from shared.db.engine import transaction
from shared.errors import UnavailableError

_MOST = 200
_SECONDS = 5.0
_Key = tuple[str, str]


class PeopleReader:
    """Reads people that are not kept online, and keeps them there.

    Args:
        engine: the database.
        online: where who was read is kept.
    """

    def __init__(self, engine: AsyncEngine, online: OnlineProfiles) -> None:
        self._engine = engine
        self._online = online
        self._waiting: dict[_Key, asyncio.Future[Online | None]] = {}
        self._work: asyncio.Task[None] | None = None

    async def read(self, tenant: str, profile_id: str) -> Online | None:
        """The person as the database has them after this call began; None for somebody unknown.

        Raises:
            UnavailableError: the database did not answer within 5 seconds.
            OSError, sqlalchemy.exc.DBAPIError: it answered with an error.
        """
        wanted = self._waiting.get((tenant, profile_id))
        if wanted is None:
            wanted = self._waiting[tenant, profile_id] = asyncio.get_running_loop().create_future()
        if self._work is None:
            # Whose request starts the work does not matter to those who wait after it.
            self._work = asyncio.create_task(self._run(), context=contextvars.Context())
        return await asyncio.shield(wanted)

    async def _run(self) -> None:
        try:
            while self._waiting:
                tenant = next(iter(self._waiting))[0]
                ids = [profile_id for of, profile_id in self._waiting if of == tenant][:_MOST]
                # Taken out before the query begins: who asks from here on may know of a change that it does not see.
                await self._answer(tenant, {profile_id: self._waiting.pop((tenant, profile_id)) for profile_id in ids})
        finally:
            self._work = None

    async def _answer(self, tenant: str, wanted: dict[str, "asyncio.Future[Online | None]"]) -> None:
        try:
            async with asyncio.timeout(_SECONDS):
                found = await self._load(tenant, list(wanted))
                await self._online.fill(tenant, found.values())
        except TimeoutError:
            _fail(wanted, UnavailableError("The database does not answer; try again.", retry_after=1))
        except msgspec.MsgspecError as error:  # one row is damaged: it is nobody else's trouble
            if len(wanted) == 1:
                _fail(wanted, error)
                return
            for profile_id, future in wanted.items():
                await self._answer(tenant, {profile_id: future})
        except Exception as error:
            _fail(wanted, error)
        else:
            for profile_id, future in wanted.items():
                future.set_result(found.get(profile_id))

    async def _load(self, tenant: str, ids: list[str]) -> dict[str, Online]:
        async with transaction(self._engine) as connection:
            repository = ProfileRepository(connection)
            profiles = await repository.get_many(tenant, ids)
            facts = await repository.facts(tenant, list(profiles))
        return {key: Online(profile, facts.get(key)) for key, profile in profiles.items()}


def _fail(wanted: dict[str, "asyncio.Future[Online | None]"], error: Exception) -> None:
    for future in wanted.values():
        future.set_exception(error)
        future.exception()  # seen here: everybody who waited for it may have given up
