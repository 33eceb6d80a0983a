"""One check of a monitor: read the windows, test the columns, take the new rewards. What goes wrong is in the report."""

import asyncio
import datetime as dt

import msgspec
import structlog
import uuid_utils

from services.training.drift.report import window_report
from services.training.keeping import ModelKeeper
from services.training.monitor_repository import Kept
from services.training.monitoring import columns, reading, stream
from services.training.monitoring.columns import Goods
from services.training.monitoring.stream import RewardStream
from services.training.moving import now
from services.training.sources.decision_log import catalog
from shared.clients.bundle import Clients
from shared.contracts.decisions import LogRow
from shared.contracts.monitoring import Asked, DriftReport, Monitor, ReadWindow
from shared.contracts.training import Stage
from shared.errors import AtelierError, NotFoundError

_LEAST = 20
_STREAM_MOST = 50_000
_INSTANT = dt.timedelta(microseconds=1)
_PREFERRED: tuple[Stage, ...] = ("live", "canary", "shadow", "apprentice")

log = structlog.get_logger()


class CannotTestError(Exception):
    """There is nothing to test; the message says why."""


class Checked(msgspec.Struct):
    """A report, and where the stream of rewards stands after it. `behind`: there are rewards left that are settled."""

    report: DriftReport
    stream: RewardStream | None
    behind: bool = False


class Checker:
    """Checks monitors; it changes nothing."""

    def __init__(self, clients: Clients, keeper: ModelKeeper) -> None:
        self._clients = clients
        self._keeper = keeper

    async def check(self, tenant: str, kept: Kept, asked: Asked) -> Checked:
        """A report, whatever happens."""
        moment = now()
        report = DriftReport(report_id=str(uuid_utils.uuid7()), model_key=kept.monitor.model_key, time=moment, asked=asked,
                             verdict="not tested", said="")  # fmt: skip
        checked = Checked(report, kept.stream)
        try:
            await self._fill(tenant, kept, checked)
        except CannotTestError as error:
            report.problem = str(error)
        except AtelierError as error:
            report.problem = f"{error.title}: {error.detail}"
        except Exception as error:
            log.error("training.monitor_failed", model_key=report.model_key, exc_info=error)
            report.problem = f"it stopped: {type(error).__name__}: {error}"[:500]
        _conclude(report)
        return checked

    async def _fill(self, tenant: str, kept: Kept, checked: Checked) -> None:
        monitor, report = kept.monitor, checked.report
        policy = await self._clients.decisions.policy()
        ripe = report.time - dt.timedelta(seconds=policy.reward.wait_seconds)
        report.reference = reference = await self._reference(tenant, monitor)
        before = await reading.between(self._clients, reference.start, reference.end, monitor.sample)
        reference.rows, reference.share = len(before.decisions), before.share
        if not before.rows:
            raise CannotTestError("the log has no decision of the reference's window (any more)")
        await self._stream(monitor, checked, before, ripe)
        report.current, current = await self._current(monitor, reference.end, report.time)
        if set(current.spaces) - set(before.spaces):
            report.notes.append(
                "the policy's features were changed between the windows: inputs that are scaled anew have moved"
            )
        for called, rows in (("in the reference", before), ("since then in the window", current)):
            if len(rows.decisions) < _LEAST:
                raise CannotTestError(f"{len(rows.decisions)} decisions {called}; {_LEAST} are needed")
        goods = await self._goods(monitor, ripe)
        reference_window, current_window = (
            columns.window(rows.decisions, rows.spaces, monitor.columns, goods) for rows in (before, current)
        )
        kinds = {column.name: column.kind for column in monitor.columns}
        report.window = await asyncio.to_thread(
            lambda: window_report(reference_window, current_window, kinds, alpha=monitor.alpha, floors=monitor.floors)
        )

    async def _reference(self, tenant: str, monitor: Monitor) -> ReadWindow:
        if monitor.reference:
            return ReadWindow(start=monitor.reference.start, end=monitor.reference.end)
        try:
            versions = (await self._keeper.versions(tenant, monitor.model_key)).versions
        except NotFoundError:
            versions = []
        ranked = sorted(
            (one for one in versions if one.stage in _PREFERRED), key=lambda one: _PREFERRED.index(one.stage)
        )
        if not ranked:
            raise CannotTestError("there is no version of the model (that is not retired), and no fixed reference")
        data = (await self._keeper.card(tenant, monitor.model_key, ranked[0].version)).card.data
        if data.start is None or data.end is None:
            raise CannotTestError(
                f"version {ranked[0].version} does not say of when its data are; give a fixed reference"
            )
        return ReadWindow(start=data.start, end=data.end + _INSTANT, version=ranked[0].version)

    async def _current(
        self, monitor: Monitor, since: dt.datetime, until: dt.datetime
    ) -> tuple[ReadWindow, reading.Rows]:
        """The window in question: never a decision of the reference."""
        if monitor.window.hours is not None:
            start = max(since, until - dt.timedelta(hours=monitor.window.hours))
            found = (
                await reading.between(self._clients, start, until, monitor.sample) if start < until else reading.Rows()
            )
        else:
            start, count = since, min(monitor.window.rows or monitor.sample, monitor.sample)
            found = await reading.newest(self._clients, start, until, count) if start < until else reading.Rows()
            start = found.rows[0].time if found.rows else start
        return ReadWindow(start=start, end=until, rows=len(found.decisions), share=found.share), found

    async def _stream(self, monitor: Monitor, checked: Checked, before: reading.Rows, ripe: dt.datetime) -> None:
        if monitor.stream_delta is None or checked.report.reference is None:
            return
        one = checked.stream or stream.begin(before.rows, monitor.stream_delta, checked.report.reference.end)
        rows: list[LogRow] = []
        if one.until < ripe:
            rows, complete = await reading.stretch(self._clients, one.until, ripe, _STREAM_MOST)
            checked.behind = not complete
        moved = msgspec.convert(msgspec.to_builtins(one), RewardStream)  # what fails later must not have moved it
        checked.report.stream = await asyncio.to_thread(moved.take, rows)
        checked.stream = moved

    async def _goods(self, monitor: Monitor, ripe: dt.datetime) -> Goods:
        names = {column.name for column in monitor.columns}
        offers = await catalog(self._clients) if any(name.startswith("offer.") for name in names) else {}
        vectors = await reading.vectors(self._clients, offers) if columns.EMBEDDED in names else {}
        return Goods(offers, vectors, ripe)


def _conclude(report: DriftReport) -> None:
    """Verdict and sentence of what was found."""
    said = []
    if report.window:
        said.append(report.window.said)
    if report.stream and report.stream.alarm:
        change = next(one for one in report.stream.changes if one.alarm)
        said.append(f"mean reward changed from {change.before:.4g} to {change.after:.4g}")
    if report.problem:
        said.append(report.problem)
    report.said = "; ".join(said) or "nothing was asked for"
    tested = report.window is not None and len(report.window.untested) < len(report.window.findings)
    alarms = (report.window is not None and report.window.alarm, report.stream is not None and report.stream.alarm)
    report.verdict = "drift" if any(alarms) else "no drift" if tested else "not tested"
