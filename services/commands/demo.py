"""`demo`: a real grocer's year, imported, embedded, and turned into one checked offer a household."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Annotated, Any, cast

import httpx
import msgspec
import typer

from services.commands.context import console, explained
from services.commands.importing import Importer, show
from services.commands.keys import with_keys
from services.commands.serving import suite, tend_until_stopped
from services.demo.figures import household_figures
from services.demo.shop import ShopFiles, prepare_shop, read_assets, read_offers
from services.demo.state import DemoState, files
from services.demo.story import Pick, pick_households
from services.demo.table import Shown, card, summary
from services.gateway.keys import SCOPES
from shared.clients.tasks import TaskSender, create_celery
from shared.contracts.decisions import DecisionRecord
from shared.contracts.generation import GenerateAnswer
from shared.contracts.imports import ImportKind
from shared.contracts.profiles import ProfileContext
from shared.contracts.tasks import IndexUsers, RefreshFacts, TaskPayload
from shared.errors import AtelierError
from shared.progress import Report, console_progress
from shared.settings import Settings
from shared.stack.run_folder import RunFolder
from shared.stack.supervisor import Stack

TENANT = "demo"
_CHANNEL = "email"
_SEED = 7
_DEADLINE_MS = 60_000
_AT_ONCE = 4
_POLL_SECONDS = 0.3
_TASK_SECONDS = 900.0


class DemoError(AtelierError):
    """A step of the demo failed; the message says which and where to look."""

    title = "Demo failed"


def demo(
    once: Annotated[bool, typer.Option("--once", help="Stop when the offers are written.")] = False,  # noqa: FBT002
    households: Annotated[int, typer.Option(min=1, help="How many households to show, at most.")] = 16,
) -> None:
    """Import a real grocer's year, embed it, write one checked offer for each of 16 households, then keep serving.

    The first run fetches pictures and converts the chat model; later runs resume and re-embed only what changed.
    """
    began = time.perf_counter()
    with explained(), suite() as (stack, stopped):
        with console_progress(console) as report, ThreadPoolExecutor(1) as pool:
            converting = pool.submit(prepare_shop, stack.settings.atelier_data, report)
            stack.start(report)
            shop = converting.result()
            key = _key(stack.settings)
            _fill(stack.settings, shop, key, report)
            picks = pick_households(household_figures(shop))[:households]
            stack.wait_for_engine()
        if stack.engine_problem:
            console.print(f"[yellow]no model: {stack.engine_problem}; approved copy is shown instead[/]")
        _tell(stack, shop, key, picks, began)
        if not once:
            console.print("Ctrl-C stops everything.", style="dim")
            tend_until_stopped(stack, stopped)


def _key(settings: Settings) -> str:
    """The demo's own API key, made once a data folder."""
    folder = RunFolder(settings.atelier_data)
    path = folder.path / "demo-key"
    if path.exists():
        with _api(settings, path.read_text().strip()) as api:
            if api.get("/v1/offers", params={"limit": 1}).status_code == httpx.codes.OK:
                return path.read_text().strip()
    key = with_keys(settings, lambda keys: keys.create(TENANT, list(SCOPES)))
    folder.keep_secret("demo-key", key)
    return key


def _api(settings: Settings, key: str) -> httpx.Client:
    headers = {"authorization": f"Bearer {key}"}
    return httpx.Client(base_url=settings.self_url, headers=headers, timeout=_DEADLINE_MS / 1000 + 30)


def _fill(settings: Settings, shop: ShopFiles, key: str, report: Report) -> None:
    """Import what is not in yet, then facts and vectors of people."""
    state = DemoState(settings.atelier_data)
    with _api(settings, key) as api:
        if not api.get("/v1/profiles", params={"limit": 1}).json().get("profiles"):
            state.forget()
    importer = Importer(settings, TENANT)
    jobs = {
        kind: importer.start(cast(ImportKind, kind), files(shop)[kind], follow=False,
                             images=shop.images if kind == "assets" else None)
        for kind in state.missing(shop)
    }  # fmt: skip
    for kind, job in jobs.items():
        done = importer.follow(job, report)
        state.imported(kind, shop)
        if done.report and done.report.rejected:
            show(done)
    if state.facts_are_old():
        tasks = TaskSender(create_celery(settings.redis_url))
        _wait(tasks, RefreshFacts(tenant=TENANT, follow=False), "facts of every household", report)
        _wait(tasks, IndexUsers(tenant=TENANT), "embed households", report)
        state.refreshed()


def _wait(tasks: TaskSender, payload: TaskPayload, step: str, report: Report) -> Any:
    report(step, 0, 0)
    task = tasks.send(payload)
    deadline = time.monotonic() + _TASK_SECONDS
    while time.monotonic() < deadline:
        state, result = tasks.state(task)
        if state == "SUCCESS":
            report(step, 1, 1)
            return result
        if state == "FAILURE":
            message = f"{step}: {type(result).__name__}: {result}; see the log of the worker"
            raise DemoError(message)
        time.sleep(_POLL_SECONDS)
    message = f"{step}: not done within {_TASK_SECONDS:.0f} s; see the log of the worker"
    raise DemoError(message)


def _tell(stack: Stack, shop: ShopFiles, key: str, picks: list[Pick], began: float) -> None:
    offers = {offer.offer_id: offer for offer in read_offers(shop)}
    assets = {asset.asset_id: asset for asset in read_assets(shop)}
    rows: list[Shown] = []
    first = 0.0
    for number, row in enumerate(_written(stack.settings, key, picks), start=1):
        first = first or time.perf_counter() - began
        rows.append(row)
        console.print(card(number, row, offers, assets))
    console.print(summary(rows, shop.conversion.refusals))
    total = time.perf_counter() - began
    console.print(f" first offer {first:.0f} s after the start, all after {total:.0f} s", style="dim")
    url = stack.settings.self_url
    console.print(f"\nNext, open [bold]{url}/docs[/] and authorize with the demo's key: {key}", soft_wrap=True)
    console.print(f"or: curl -s {url}/v1/generate/ranked -H 'Authorization: Bearer {key}' "
                  f"-H 'Content-Type: application/json' -d '{{\"profileId\": \"{picks[0].profile_id}\"}}'",
                  soft_wrap=True)  # fmt: skip


def _written(settings: Settings, key: str, picks: list[Pick]) -> Iterator[Shown]:
    """The rows in the order of the picks, each as soon as it and those before it are there."""
    with _api(settings, key) as api, ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from pool.map(lambda pick: _one(api, pick), picks)


def _one(api: httpx.Client, pick: Pick) -> Shown:
    started = time.perf_counter()
    asked = {"profileId": pick.profile_id, "limit": 1, "channel": _CHANNEL, "seed": _SEED, "deadlineMs": _DEADLINE_MS}
    answer = _decoded(api.post("/v1/generate/ranked", json=asked), GenerateAnswer)
    seconds = time.perf_counter() - started
    known = _decoded(api.post(f"/v1/profiles/{pick.profile_id}/context", json={"channel": _CHANNEL}), ProfileContext)
    reasons: list[str] = []
    if answer.decision_id:
        record = _decoded(api.get(f"/v1/decisions/{answer.decision_id}"), DecisionRecord)
        reasons = [reason for pick in record.picks for reason in pick.reasons]
    facts = [fact.text for fact in known.facts]
    # What decided comes first; the other facts in their own order.
    return Shown(pick=pick, facts=sorted(facts, key=lambda text: text not in reasons), answer=answer, seconds=seconds)


def _decoded(response: httpx.Response, kind: type[Any]) -> Any:
    if response.is_error:
        message = f"{response.request.url.path} answered {response.status_code}: {response.text[:300]}"
        raise DemoError(message)
    return msgspec.json.decode(response.content, type=kind)
