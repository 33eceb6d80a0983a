"""Which views serve for a tenant, and which are being computed: what the scripts keep in Redis, as plans. Pure."""

import datetime as dt
from functools import lru_cache

import msgspec

from services.features.plan import Plan, compile_plan
from shared.contracts.features import FeatureView

WAITING = "waiting"


class Snapshot(msgspec.Struct, frozen=True):
    """What a database snapshot holds, as Postgres writes it (xmin:xmax:running)."""

    below: int = 0
    end: int = 0
    running: frozenset[int] = frozenset()

    def holds(self, transaction: int) -> bool:
        """Does the snapshot hold what this transaction stored?"""
        return transaction < self.below or (transaction < self.end and transaction not in self.running)


@lru_cache(maxsize=1000)
def snapshot(text: str) -> Snapshot:
    """A snapshot out of its text; "" holds nothing."""
    if not text:
        return Snapshot()
    below, end, running = text.split(":")
    return Snapshot(int(below), int(end), frozenset(int(part) for part in running.split(",") if part))


@lru_cache(maxsize=200)
def _plan(views: bytes) -> tuple[list[FeatureView], Plan]:
    found = msgspec.json.decode(views, type=list[FeatureView])
    return found, compile_plan(found)


class Epoch(msgspec.Struct, frozen=True):
    """One computation of all features: its number, plan, and the snapshot that it began with."""

    number: int
    plan: Plan
    views: list[FeatureView]
    snapshot: Snapshot


class TenantState(msgspec.Struct, frozen=True):
    """What serves and what is being computed. `waiting`: the new one's snapshot is not known yet; `began_at`: epoch
    seconds at which the computation of what serves began.
    """

    token: str = ""
    live: Epoch | None = None
    building: Epoch | None = None
    waiting: bool = False
    computed_at: dt.datetime | None = None
    began_at: float = 0.0


def _epoch(found: dict[bytes, bytes], number: bytes, prefix: str) -> Epoch | None:
    if number not in found:
        return None
    views, plan = _plan(found[f"{prefix}views".encode()])
    text = found.get(f"{prefix}snapshot".encode(), b"").decode()
    return Epoch(int(found[number]), plan, views, snapshot(text))


def state_of(found: dict[bytes, bytes]) -> TenantState:
    """The state out of the hash that the scripts keep."""
    if not found:
        return TenantState()
    token = found.get(b"token", b"").decode()
    at = found.get(b"computed_at")
    return TenantState(
        token=token, live=_epoch(found, b"live", ""), building=_epoch(found, b"building", "building_"),
        waiting=token.endswith(f"|{WAITING}"),
        began_at=float(found.get(b"began_at", b"0")),
        computed_at=dt.datetime.fromtimestamp(int(at) / 1000, dt.UTC) if at else None,
    )  # fmt: skip
