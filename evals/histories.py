"""From events to what may be used about people, by the very functions that serve: stored in a real Postgres, aggregated by the
events service's queries, turned into facts by the profiles service's rules, read through consent.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from services.events.service import EventService
from services.profiles import facts as rules
from services.profiles import usable
from services.profiles.sensitive import exclude_tags
from shared.contracts.events import ActivityRequest, Event, PurchaseActivity
from shared.contracts.profiles import Channel, Profile, ProfileContext
from shared.db.engine import create_engine
from shared.db.migrate import upgrade

_TENANT = "evals"
_BATCH = 5000


@contextmanager
def _database() -> Iterator[str]:
    """A Postgres of this run alone, with the events service's tables."""
    from shared.stack.postgres import Postgres

    folder = Path(tempfile.mkdtemp(prefix="atl-"))
    server = Postgres(folder / "pg")
    try:
        upgrade("events", server.url)
        yield server.url
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


def activities(events: Sequence[Event], profile_ids: Sequence[str]) -> dict[str, PurchaseActivity]:
    """What the events service says of each person's purchases; a person without any is not in it."""
    with _database() as url:
        return asyncio.run(_activities(url, events, profile_ids))


async def _activities(url: str, events: Sequence[Event], profile_ids: Sequence[str]) -> dict[str, PurchaseActivity]:
    engine = create_engine(url, pool_size=2)
    service = EventService(engine)
    for start in range(0, len(events), _BATCH):
        await service.store(_TENANT, list(events[start : start + _BATCH]))
    answer = await service.activity(_TENANT, ActivityRequest(profile_ids=list(profile_ids)))
    await engine.dispose()
    return {activity.profile_id: activity for activity in answer.activities}


def context(
    profile: Profile, activity: PurchaseActivity | None, events: Sequence[Event], channel: Channel
) -> ProfileContext:
    """What the conductor hands to the writer about a person, as of the newest of all the events."""
    facts = rules.compute(activity, profile.attributes, max(event.time for event in events))
    bought = [category.category for category in activity.categories] if activity else []
    found = usable.known(profile, facts, exclude_tags(bought), channel)
    # As decisions does: what only eligibility may see stays behind.
    found.attributes, found.exclude_tags = {}, []
    return found
