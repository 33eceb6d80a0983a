"""The learning loop end to end, as a customer sees it: drift, alarm, retraining, comparison, shadow, canary, live.

Nothing is looked up that the public API does not tell. What decides is real: this module only makes visits, stores a monitor and a
plan, agrees where the plan asks for a person, and waits.
"""

import datetime as dt
import math
from typing import Any

import msgspec

from services.simulation.api import FEATURES, Api
from services.simulation.story import Story
from services.simulation.traffic import Traffic
from services.simulation.waiting import MODEL, PERSON, Waiting
from services.simulation.world import TRAITS, World, make_world
from shared.errors import UnavailableError

MOVED = "thrift"
_TREES = {"learner": "trees", "num_leaves": 15, "min_data_in_leaf": 15, "rounds": 200, "feature_fraction": 1.0,
          "learning_rate": 0.05, "lambda_l2": 2.0}  # fmt: skip
_TRAINING = {"modelKey": MODEL, "objective": "propensity", "trials": 0, "seed": 1, "parameters": _TREES,
             "requestedBy": PERSON}  # fmt: skip
_CLICKS = 100  # recorded ones, for a version to be learnt from lies: fewer are refused
_COLUMNS = [*({"name": f"profile.attributes.{name}", "kind": "number"} for name in TRAITS),
            {"name": "prediction", "kind": "number"}, {"name": "reward", "kind": "category"}]  # fmt: skip


class Given(msgspec.Struct, kw_only=True):
    """How a run is made. `visits`: of one stretch: what a version learns from, what the reference is; `window`: what a check tests.
    `shift`: by how many standard deviations a trait moves; `again`: seconds between two looks of the shadow gate.
    """

    seed: int
    people: int
    offers: int
    visits: int
    window: int
    rate: float
    patience: float
    bad: bool
    epsilon: float = 0.3
    shift: float = 0.8
    shares: tuple[float, float] = (0.3, 0.6)
    share_seconds: int = 5
    again: int = 5

    def world(self) -> World:
        """Two phases with other tastes."""
        return make_world(self.seed, people=self.people, offers=self.offers, days=2)


class Loop:
    """One run for one tenant."""

    def __init__(self, api: Api, given: Given, story: Story) -> None:
        self._api = api
        self._given = given
        self._story = story
        self.traffic = Traffic(api, given.world(), given.rate)
        self._wait = Waiting(api, self.traffic, story, given.patience)
        self._calm_seconds = 0.0

    async def play(self) -> None:
        """All of it.

        Raises:
            UnavailableError: a step did not come in time, or another one came; said in a sentence.
        """
        await self._api.put_offers(self.traffic.world)
        await self._api.put_people(self.traffic.world)
        await self._policy(scorer="prior", epsilon=1.0)
        async with self.traffic.going():
            await self._first()
            await self._watched()
            await self._drifts()
            await self._rolled_out()
            await self._calm_again()
            if self._given.bad:
                await self._stopped()

    def _tell(self, name: str, said: str) -> None:
        self._story.tell(self.traffic.at, name, said)

    async def _policy(self, scorer: str, epsilon: float) -> None:
        policy = {"relevance": False, "learn": False, "prior": 0.1, "scorer": scorer, "features": FEATURES,
                  "exploration": {"kind": "epsilon", "epsilon": epsilon},
                  "reward": {"objective": "interact", "waitSeconds": 1}}  # fmt: skip
        await self._api.ask("PUT", "/v1/policy", policy)

    async def _stretch(self, name: str, count: int) -> tuple[str, str]:
        """So many visits; from when to when."""
        self.traffic.stretch = name
        begin = dt.datetime.now(dt.UTC)
        await self.traffic.more(count)
        return begin.isoformat(), dt.datetime.now(dt.UTC).isoformat()

    async def _first(self) -> None:
        """Everything is shown alike; what came of it makes version 1, which goes live by hand: there is no plan yet."""
        await self._stretch("all alike", self._given.visits)
        version = await self._wait.trained(_TRAINING)
        for stage in ("shadow", "canary", "live"):
            move = {"to": stage, "by": PERSON, "reason": "the first version"}
            await self._api.ask("POST", f"/v1/models/{MODEL}/versions/{version}/stage", move)
        await self._policy(scorer=MODEL, epsilon=self._given.epsilon)
        self._tell("version 1 live", "by hand: nothing was live before it")

    async def _watched(self) -> None:
        """A stretch under version 1 is the reference; what comes then is no drift."""
        began = self.traffic.at
        start, end = await self._stretch("calm", self._given.visits)
        self._calm_seconds = self.traffic.at - began
        await self._watch(start, end)
        await self._api.ask("PUT", f"/v1/models/{MODEL}/rollout-plan", self._plan())
        await self.traffic.more(self._given.window)
        await self._wait.calm("check before the drift")

    async def _watch(self, start: str, end: str) -> None:
        """A retraining learns from as long a window as the reference is: before the alarm nobody knows when drift began."""
        span = {"start": start, "end": end}
        monitor = {"modelKey": MODEL, "columns": _COLUMNS, "window": {"rows": self._given.window}, "reference": span,
                   "alpha": 0.001, "onAlarm": "retrain", "minimumHours": 0.5, "everyMinutes": 60,
                   "training": {**_TRAINING, "dataset": {"source": "decisions", **span}}}  # fmt: skip
        await self._api.ask("PUT", f"/v1/monitors/{MODEL}", monitor)

    def _plan(self) -> dict[str, Any]:
        given = self._given
        shadow = {"leastDecisions": max(given.visits // 2, 100), "mostDecisions": max(given.visits, 100), "valueDrop": 0.2,
                  "calibrationError": 0.1, "scoringMs": 25, "againSeconds": given.again}  # fmt: skip
        canary = [{"share": share, "leastSeconds": given.share_seconds, "leastDecisions": max(given.visits // 10, 1)}
                  for share in given.shares]  # fmt: skip
        return {"modelKey": MODEL, "shadow": shadow, "canary": canary, "guardrails": {"calibrationError": 0.2},
                "approvalsCanary": 1, "approvalsLive": 1}  # fmt: skip

    async def _drifts(self) -> None:
        """People change and so do their tastes, right after a check; the next one sees it."""
        async with self.traffic.still():
            world = self.traffic.world.moved(MOVED, self._given.shift)
            await self._api.put_people(world)
            self.traffic.become(world, 1)
            self._story.drift = self.traffic.at
            self._tell("drift", f"tastes are dealt anew, everybody's {MOVED} rises by {self._given.shift:g}")
        drifted = self.traffic.at
        await self._stretch("drifted", self._given.visits)
        # As long as the reference, which is what a retraining learns from: a faster stretch would leave older tastes in it.
        while self.traffic.at < drifted + self._calm_seconds:
            await self.traffic.more(1)
        await self._wait.alarmed()

    async def _rolled_out(self) -> None:
        await self._wait.loop_step("accepted")
        await self._wait.loop_step("proposed")
        await self._wait.rolled_out("share raised")
        self.traffic.stretch = "canary"
        await self._wait.rolled_out("went live")
        self.traffic.stretch = "retrained"

    async def _calm_again(self) -> None:
        """The new version's own traffic is the reference from now on."""
        await self.traffic.more(
            math.ceil(self._given.visits / 4)
        )  # decisions in other processes hear of it within seconds
        start, end = await self._stretch("retrained", math.ceil(self._given.visits / 2))
        await self._watch(start, end)
        await self.traffic.more(self._given.window)
        await self._wait.calm("check after the roll-out")

    async def _stopped(self) -> None:
        """Somebody records lies; who learns from them may be proposed, but does not go live."""
        self.traffic.poison(True)
        start, _ = await self._stretch("lies recorded", self._given.visits)
        while sum(one.clicked for one in self.traffic.seen if one.stretch == "lies recorded") < _CLICKS:
            await self.traffic.more(1)
        end = dt.datetime.now(dt.UTC).isoformat()
        self.traffic.poison(False)
        self.traffic.stretch = "honest again"
        before = len(self.traffic.seen)
        version = await self._wait.trained(
            {**_TRAINING, "dataset": {"source": "decisions", "start": start, "end": end}}
        )
        # The gate looks at the newest decisions: by then they are honest ones.
        await self.traffic.more(max(self._given.visits - (len(self.traffic.seen) - before), 0))
        await self._api.ask(
            "POST", f"/v1/models/{MODEL}/rollout", {"version": version, "by": PERSON, "reason": "by hand"}
        )
        await self._wait.stopped(version)
        live = await self._api.ask("GET", "/v1/models")
        deployed = next(one for one in live["models"] if one["modelKey"] == MODEL)["currentlyDeployedModel"]
        if deployed == version:
            message = f"version {version}, which learnt from lies, is live"
            raise UnavailableError(message)
        self._tell("still live", f"version {deployed}")
