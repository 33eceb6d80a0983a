"""Playing a world through the public HTTP API of a running suite, one tenant per policy."""

import asyncio
import datetime as dt
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import numpy as np

from services.simulation.world import TRAITS, Visit, World, visits
from shared.errors import UnavailableError

START = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
CAP = 3  # of one offer to one person in a week
_AT_ONCE = 25
_YEAR = {"startDate": "2020-01-01T00:00:00Z", "endDate": "2099-01-01T00:00:00Z"}
_CONSENTS = {"personalize": {"content": {"val": "y"}}, "marketing": {"any": {"val": "y"}}}
_TOO_MANY, _ERROR = 429, 400
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
        self._api = api

    async def _ask(self, method: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        for _ in range(90):
            answer = await self._api.request(method, path, json=body)
            if answer.status_code != _TOO_MANY:
                break
            await asyncio.sleep(min(float(answer.headers.get("retry-after", "1")), 5.0))
        if answer.status_code >= _ERROR:
            message = f"{path} answered {answer.status_code}: {answer.text[:300]}"
            raise UnavailableError(message)
        return dict(answer.json())

    async def prepare(self, world: World, exploration: dict[str, Any]) -> None:
        """Offers, people, policy."""
        features = [{"field": f"profile.attributes.{name}"} for name in TRAITS]
        policy = {"relevance": False, "prior": 0.1, "features": features, "exploration": exploration,
                  "contact": {"caps": [{"scope": "offer", "window": "week", "limit": CAP}]}}  # fmt: skip
        await self._ask("PUT", "/v1/policy", policy)
        for offer in world.offers:
            await self._ask("PUT", f"/v1/offers/{offer}", {"offerId": offer, "name": offer, "category": offer, **_YEAR})

        async def put(n: int) -> None:
            values = {name: {"value": float(v)} for name, v in zip(TRAITS, world.traits[n], strict=True)}
            body = {"profileId": f"person-{n}", "consents": _CONSENTS, "attributes": values}
            await self._ask("PUT", f"/v1/profiles/person-{n}", body)

        for start in range(0, len(world.traits), _AT_ONCE):
            await asyncio.gather(*map(put, range(start, min(start + _AT_ONCE, len(world.traits)))))

    async def play(self, name: str, world: World, progress: Callable[[], None]) -> Played:
        """All days. A click is learnt from as soon as it is sent; at the end of a day the rest gets the default reward."""
        played = Played(name, [], [], [], dict.fromkeys(world.offers, 0), [0, 0], [0.0, 0.0])
        counts: dict[tuple[int, int, int], int] = {}
        await self.prepare(world, POLICIES[name])
        await self._ask("POST", "/v1/decisions", {"profileId": "person-0", "channel": "web", "limit": 1})
        await asyncio.sleep(0.5)  # the first decision with caps has the counters made
        for day in range(world.days):
            chances = world.chances(day)
            today: list[float] = [0.0, 0.0, 0.0]
            listed = visits(world, day)
            for start in range(0, len(listed), _AT_ONCE):
                await self._batch(world, day, listed[start : start + _AT_ONCE], chances, played, today, counts)
            await self._ask("POST", "/v1/outcomes/settle", {"asOf": (START + dt.timedelta(days=day + 3)).isoformat()})
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
            items = [item for proposition in answer["propositions"] for item in proposition["items"]]
            if not items:
                played.unanswered += 1
                continue
            offer = world.offers.index(items[0]["id"])
            clicked = visit.luck < chances[visit.person, offer]
            self._count(world, day, visit, offer, float(clicked), played, counts)
            today[0] += float(clicked)
            today[1] += float(chances[visit.person, offer])
            token, at = items[0]["characteristics"]["tokens"][0], _time(day, visit.second + 30).isoformat()
            kinds = ["display", *(["interact"] if clicked else [])]
            outcomes += [{"token": token, "kind": kind, "idempotencyKey": f"{kind}-{day}-{visit.person}", "time": at}
                         for kind in kinds]  # fmt: skip
        if outcomes:
            await self._ask("POST", "/v1/outcomes", {"outcomes": outcomes})

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
        return await self._ask("POST", "/v1/decisions", body)


def _time(day: int, second: int) -> dt.datetime:
    return START + dt.timedelta(days=day, seconds=second)
