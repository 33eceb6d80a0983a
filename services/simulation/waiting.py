"""Waiting for the steps of the loop as the API tells them, each told once as it comes; agreeing where a plan asks for a person."""

import asyncio
import datetime as dt
import time
from collections.abc import Awaitable, Callable
from typing import Any

from services.simulation.api import Api
from services.simulation.story import Story
from services.simulation.traffic import Traffic
from shared.errors import UnavailableError

MODEL = "clicks"
PERSON = "Ada of the simulator"
_POLL, _ASK_AGAIN = 0.5, 10.0
_ENDS = {"refused", "failed"}
_OVER = {"rejected", "rolled back"}
_GATES = {"approvals for canary": "canary", "approvals for live": "live"}


class Waiting:
    """Follows one model.

    Args:
        api: of the tenant.
        traffic: goes on meanwhile.
        story: is told every step.
        patience: seconds that one step may take.
    """

    def __init__(self, api: Api, traffic: Traffic, story: Story, patience: float) -> None:
        self._api = api
        self._traffic = traffic
        self._story = story
        self._patience = patience
        self._told: set[str] = set()
        self._since = ""
        self._steps: dict[str, dict[str, Any]] = {}

    def _tell(self, name: str, said: str) -> None:
        self._story.tell(self._traffic.at, name, said)

    async def _until(self, name: str, done: Callable[[], Awaitable[bool]], why: Callable[[], str] = lambda: "") -> None:
        """Raises UnavailableError where it is not done in time."""
        end = time.monotonic() + self._patience
        while not await done():
            self._traffic.alive()
            if time.monotonic() > end:
                message = f"{name} did not come within {self._patience:g} s" + (f": {why()}" if why() else "")
                raise UnavailableError(message)
            await asyncio.sleep(_POLL)

    async def trained(self, request: dict[str, Any]) -> int:
        """Submit a job and wait for its version."""
        job = await self._api.ask("POST", "/v1/training-jobs", request)

        async def ended() -> bool:
            job.update(await self._api.ask("GET", f"/v1/training-jobs/{job['jobId']}"))
            return job["state"] not in {"pending", "in progress"}

        await self._until("a trained version", ended, lambda: f"the job is {job['state']}")
        if job["state"] != "success":
            message = f"training {job['state']}: {job['problem']}"
            raise UnavailableError(message)
        version = int(job["version"])
        made = await self._api.ask("GET", f"/v1/models/{MODEL}/versions/{version}")
        area = next(one for one in made["figures"] if one["name"] == "area_under_curve")
        self._tell(
            f"version {version} trained",
            f"area under the curve {area['value']:.3f}, {area['baseline']:.3f} of the simple rule",
        )
        return version

    async def _checked(self, name: str) -> dict[str, Any]:
        """Ask for a check and wait for its report."""
        asked, last = dt.datetime.now(dt.UTC), 0.0
        report: dict[str, Any] = {}

        async def there() -> bool:
            nonlocal last
            newest = await self._api.ask("GET", f"/v1/monitors/{MODEL}/reports?limit=1")
            for one in newest["reports"]:
                report.update(one)
            fresh = bool(report) and dt.datetime.fromisoformat(report["time"]) > asked
            if fresh and report["verdict"] != "not tested":
                return True
            if time.monotonic() - last > _ASK_AGAIN:  # another check may have been under way
                last = time.monotonic()
                await self._api.ask("POST", f"/v1/monitors/{MODEL}/check")
            return False

        await self._until(name, there, lambda: str(report.get("said", "no report")))
        return report

    async def calm(self, name: str) -> None:
        """A check that must find nothing."""
        report = await self._checked(name)
        if report["verdict"] != "no drift":
            message = f"{name}: {report['said']}, but nothing had changed"
            raise UnavailableError(message)
        self._tell(name, f"no drift in {report['current']['rows']} decisions")

    async def alarmed(self) -> None:
        """A check that must find something, and the retraining that follows."""
        self._since = dt.datetime.now(dt.UTC).isoformat()
        report = await self._checked("a report after the drift")
        if report["verdict"] != "drift":
            message = f"the check after the drift found none: {report['said']}"
            raise UnavailableError(message)
        await self.loop_step("alarm")
        await self.loop_step("job")

    async def loop_step(self, name: str) -> None:
        """A step of the monitor's loop after the drift; whatever else comes is told too."""
        last = time.monotonic()

        async def there() -> bool:
            nonlocal last
            page = await self._api.ask("GET", f"/v1/monitors/{MODEL}/events?limit=100")
            for event in reversed(page["events"]):
                if event["time"] > self._since:
                    self._heard(event)
            if name not in self._steps and "waiting" in self._steps and time.monotonic() - last > _ASK_AGAIN:
                last = time.monotonic()
                await self._api.ask("POST", f"/v1/monitors/{MODEL}/check")
            return name in self._steps

        await self._until(name, there)

    def _heard(self, event: dict[str, Any]) -> None:
        if event["eventId"] in self._told:
            return
        self._told.add(event["eventId"])
        self._steps[event["step"]] = event
        figure = next((one for one in event["figures"] if one["name"] == "log_loss_difference"), None)
        by = f"; log loss {figure['value']:+.4f} ({figure['low']:+.4f} to {figure['high']:+.4f})" if figure else ""
        self._tell(event["step"], event["reason"] + (by if event["step"] == "compared" else ""))
        if event["step"] in _ENDS:
            message = f"the retraining was {event['step']}: {event['reason']}"
            raise UnavailableError(message)

    async def _state(self) -> dict[str, Any]:
        """Where the roll-out stands; its new steps are told, and agreed to where a person is asked for."""
        state = await self._api.ask("GET", f"/v1/models/{MODEL}/rollout")
        for step in state["history"]:
            key = f"{state['number']}/{step['number']}"
            if key not in self._told:
                self._told.add(key)
                share = f" to {step['share']:.0%}" if step["action"] == "share raised" else ""
                name = (
                    step["action"] + share
                    if step["action"] != "approved"
                    else f"{step['reason'].partition(':')[0]} approved"
                )
                self._tell(
                    name, f"version {state['version']}: {step['reason'] or 'its roll-out begins'}{_figures(step)}"
                )
        gate = next((gate for said, gate in _GATES.items() if state["waiting"].startswith(said)), None)
        if gate and not any(one["gate"] == gate for one in state["approvals"]):
            await self._api.ask("POST", f"/v1/models/{MODEL}/rollout/approve", {"gate": gate, "by": PERSON})
        return state

    async def rolled_out(self, action: str) -> None:
        """A step of the roll-out that goes on."""
        state: dict[str, Any] = {}

        async def there() -> bool:
            state.update(await self._state())
            if state["phase"] in _OVER:
                message = f"the retrained version was {state['phase']}: {state['history'][-1]['reason']}"
                raise UnavailableError(message)
            return any(step["action"] == action for step in state["history"])

        await self._until(f"'{action}'", there, lambda: f"{state['phase']}, waiting for {state['waiting']}")

    async def stopped(self, version: int) -> None:
        """The roll-out of a version that must not go live."""
        state: dict[str, Any] = {}

        async def there() -> bool:
            state.update(await self._state())
            if state["phase"] == "live":
                message = f"version {version}, which learnt from lies, went live"
                raise UnavailableError(message)
            return state["phase"] in _OVER

        await self._until(
            "the end of the bad version", there, lambda: f"{state['phase']}, waiting for {state['waiting']}"
        )


def _figures(step: dict[str, Any]) -> str:
    """What the gate or the guardrails went by, short; of a step that failed its reason says it."""
    if step["action"] in _OVER:
        return ""
    found = [f"{one['name']} {one['value']:.3g}" for one in step["figures"] if one["value"] is not None]
    return f" ({', '.join(found)})" if found else ""
