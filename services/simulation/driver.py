"""Playing a world through the public HTTP API of a running suite, one tenant per policy."""

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import numpy as np

from services.simulation.api import AT_ONCE, FEATURES, Api, shown
from services.simulation.world import Visit, World, visits

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
CAP = 3  # of one offer to one person in a week
POLICIES: dict[str, dict[str, Any]] = {
    "squarecb": {"kind": "squarecb", "gamma": 20.0},
    "thompson": {"kind": "thompson", "scale": 0.3, "epsilon": 0.02},
    "epsilon": {"kind": "epsilon", "epsilon": 0.1},
    "greedy": {"kind": "none"},
    "random": {"kind": "uniform"},
}


class Played(msgspec.Struct):
    """What one policy got: clicks and the best possible a day, counts by group, sleeping dogs woken, caps broken."""

    policy: str
    reward: list[float]
    expected: list[float]
    oracle: list[float]
    shown: dict[str, int]
    group_shown: list[int]
    group_clicks: list[float]
    dogs_woken: int = 0
    cap_violations: int = 0
    unanswered: int = 0

    @property
    def regret(self) -> float:
        """Expected clicks that the oracle would have had more."""
        return sum(self.oracle) - sum(self.expected)


class Driver:
    """Drives one tenant.

    Args:
        api: a client of the suite's public address with an API key of the tenant.
    """

    def __init__(self, api: httpx.AsyncClient) -> None:
        self._api = Api(api)

    async def prepare(self, world: World, exploration: dict[str, Any]) -> None:
        """Offers, people, policy."""
        policy = {"relevance": False, "prior": 0.1, "features": FEATURES, "exploration": exploration,
                  "contact": {"caps": [{"scope": "offer", "window": "week", "limit": CAP}]}}  # fmt: skip
        await self._api.ask("PUT", "/v1/policy", policy)
        await self._api.put_offers(world)
        await self._api.put_people(world)

    async def play(self, name: str, world: World, progress: Callable[[], None]) -> Played:
        """All days. A click is learnt from as soon as it is sent; at the end of a day the rest gets the default reward."""
        played = Played(name, [], [], [], dict.fromkeys(world.offers, 0), [0, 0], [0.0, 0.0])
        counts: dict[tuple[int, int, int], int] = {}
        await self.prepare(world, POLICIES[name])
        await self._api.ask("POST", "/v1/decisions", {"profileId": "person-0", "channel": "web", "limit": 1})
        await asyncio.sleep(0.5)  # the first decision with caps has the counters made
        for day in range(world.days):
            chances = world.chances(day)
            today: list[float] = [0.0, 0.0, 0.0]
            listed = visits(world, day)
            for start in range(0, len(listed), AT_ONCE):
                await self._batch(world, day, listed[start : start + AT_ONCE], chances, played, today, counts)
            await self._api.ask(
                "POST", "/v1/outcomes/settle", {"asOf": (START + dt.timedelta(days=day + 3)).isoformat()}
            )
            played.reward.append(today[0])
            played.expected.append(today[1])
            played.oracle.append(today[2])
            progress()
        return played

    async def _batch(
        self, world: World, day: int, batch: list[Visit], chances: Any, played: Played, today: list[float],
        counts: dict[tuple[int, int, int], int],
    ) -> None:  # fmt: skip
        answers = await asyncio.gather(*(self._decide(day, visit) for visit in batch))
        outcomes: list[dict[str, Any]] = []
        for visit, answer in zip(batch, answers, strict=True):
            best = float(np.max(chances[visit.person]))
            today[2] += best
            found = shown(answer)
            if found is None:
                played.unanswered += 1
                continue
            offer, token = world.offers.index(found[0]), found[1]
            clicked = visit.luck < chances[visit.person, offer]
            self._count(world, day, visit, offer, float(clicked), played, counts)
            today[0] += float(clicked)
            today[1] += float(chances[visit.person, offer])
            at = _time(day, visit.second + 30).isoformat()
            kinds = ["display", *(["interact"] if clicked else [])]
            outcomes += [{"token": token, "kind": kind, "idempotencyKey": f"{kind}-{day}-{visit.person}", "time": at}
                         for kind in kinds]  # fmt: skip
        if outcomes:
            await self._api.ask("POST", "/v1/outcomes", {"outcomes": outcomes})

    @staticmethod
    def _count(
        world: World, day: int, visit: Visit, offer: int, clicked: float, played: Played,
        counts: dict[tuple[int, int, int], int],
    ) -> None:  # fmt: skip
        played.shown[world.offers[offer]] += 1
        group = int(world.group[visit.person])
        played.group_shown[group] += 1
        played.group_clicks[group] += clicked
        played.dogs_woken += int(world.dog[visit.person] and world.pushy[offer])
        week = (visit.person, offer, _time(day, 0).isocalendar().week)
        counts[week] = counts.get(week, 0) + 1
        played.cap_violations += counts[week] > CAP

    async def _decide(self, day: int, visit: Visit) -> dict[str, Any]:
        body = {"profileId": f"person-{visit.person}", "channel": "web", "limit": 1,
                "at": _time(day, visit.second).isoformat()}  # fmt: skip
        return await self._api.ask("POST", "/v1/decisions", body)


def _time(day: int, second: int) -> dt.datetime:
    return START + dt.timedelta(days=day, seconds=second)
