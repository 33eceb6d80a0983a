"""Visits that go on in the background, and what the simulator alone knows of each: the true chance of a click."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec

from services.simulation.api import Api, shown
from services.simulation.world import Visit, World, upside_down, visits

_TOGETHER = 10


class Seen(msgspec.Struct, frozen=True):
    """One visit. `at`: seconds since the traffic began; `model`: the version that answered; `expected`, `best`: true chances of a
    click on what was shown and on the best offer.
    """

    at: float
    stretch: str
    model: str
    expected: float
    best: float
    clicked: bool


class Traffic:
    """Everybody of a world comes again and again, so many a second, as long as the suite keeps up.

    Args:
        api: of the tenant.
        world: who comes; its second phase begins with `become`.
        rate: visits a second.
    """

    def __init__(self, api: Api, world: World, rate: float) -> None:
        self._api = api
        self._rate = rate
        self._still = asyncio.Lock()
        self._begun = time.monotonic()
        self._poisoned = False
        self.seen: list[Seen] = []
        self.stretch = ""
        self.become(world, 0)

    @property
    def at(self) -> float:
        """Seconds since the traffic began."""
        return time.monotonic() - self._begun

    def become(self, world: World, phase: int) -> None:
        """From now on people are of this world, in its first (0) or second (1) phase."""
        self.world = world
        self._truth = world.chances(0 if phase == 0 else world.days)

    def poison(self, on: bool) -> None:  # noqa: FBT001  (a switch)
        """Record lies: clicks as if everybody liked best what they like least, at the same rate over all offers."""
        self._poisoned = on

    @asynccontextmanager
    async def going(self) -> AsyncIterator[None]:
        """Visits come while the block runs; what went wrong with them is raised by `more` and `alive`."""
        self._task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            self._task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._task

    @asynccontextmanager
    async def still(self) -> AsyncIterator[None]:
        """Nobody comes while the block runs."""
        async with self._still:
            yield

    def alive(self) -> None:
        """Raise what ended the visits, if anything did."""
        if self._task.done():
            self._task.result()

    async def more(self, count: int) -> None:
        """Wait until so many more people have come."""
        wanted = len(self.seen) + count
        while len(self.seen) < wanted:
            self.alive()
            await asyncio.sleep(0.05)

    async def _run(self) -> None:
        turn = 0
        while True:
            everybody = visits(self.world, turn)
            for start in range(0, len(everybody), _TOGETHER):
                due = time.monotonic() + _TOGETHER / self._rate
                async with self._still:
                    await self._visit(turn, everybody[start : start + _TOGETHER])
                await asyncio.sleep(max(due - time.monotonic(), 0.0))
            turn += 1

    async def _visit(self, turn: int, some: list[Visit]) -> None:
        answers = await asyncio.gather(*(self._decide(visit) for visit in some))
        recorded = upside_down(self._truth) if self._poisoned else self._truth
        outcomes: list[dict[str, Any]] = []
        for visit, answer in zip(some, answers, strict=True):
            found = shown(answer)
            if found is None:
                continue
            offer, chances = self.world.offers.index(found[0]), self._truth[visit.person]
            clicked = bool(visit.luck < recorded[visit.person, offer])
            if clicked:
                key = f"interact-{turn}-{visit.person}"
                outcomes.append({"token": found[1], "kind": "interact", "idempotencyKey": key})
            model = str(answer["modelVersion"]).partition("@")[0]
            self.seen.append(
                Seen(self.at, self.stretch, model, float(chances[offer]), float(chances.max()), clicked)
            )  # fmt: skip
        if outcomes:
            await self._api.ask("POST", "/v1/outcomes", {"outcomes": outcomes})

    async def _decide(self, visit: Visit) -> dict[str, Any]:
        body = {"profileId": f"person-{visit.person}", "channel": "web", "limit": 1}
        return await self._api.ask("POST", "/v1/decisions", body)
