"""Online features: what was accepted counts at once, exactly once, and as the definitions say."""

import datetime as dt
from typing import Any

from shared.contracts.features import FeatureView
from tests.features.suite import Suite, until

BUY = {"type": "commerce.purchases"}
VIEWS = [
    FeatureView(name="buys", where=BUY, windows=["1h", "7d", "lifetime"]),
    FeatureView(name="spend", where=BUY, aggregate="sum", of="value", windows=["7d"]),
    FeatureView(name="since_buy", where=BUY, aggregate="recency", windows=["lifetime"]),
    FeatureView(name="offer_buys", entity="offer", where=BUY, windows=["7d"]),
]


def bought(n: int, person: str = "anna", ago: dt.timedelta = dt.timedelta(minutes=1), **more: Any) -> dict[str, Any]:
    time = (dt.datetime.now(dt.UTC) - ago).isoformat()
    return {"eventId": f"e-{person}-{n}", "profileId": person, "time": time, "value": "2.50", "currency": "USD",
            **BUY, **more}  # fmt: skip


async def seen(suite: Suite, person: str, name: str, count: float) -> bool:
    found = await suite.online(person)
    return bool(found) and found[0][name] == count


async def test_an_event_counts_as_soon_as_it_was_accepted(suite: Suite) -> None:
    await suite.put_views(VIEWS)
    await suite.send(bought(1))
    await suite.compute()
    assert (await suite.online("anna"))[0]["buys_7d"] == 1
    await suite.send(bought(2), bought(3, ago=dt.timedelta(hours=2)), bought(4, offerId="o1"))
    await until(lambda: seen(suite, "anna", "buys_7d", 4))
    anna, nobody = await suite.online("anna", "nobody")
    assert anna["buys_1h"] == 3
    assert anna["spend_7d"] == 10.0
    assert 0 < anna["since_buy_lifetime"] < 1
    assert nobody == {"buys_1h": 0, "buys_7d": 0, "buys_lifetime": 0, "spend_7d": 0, "since_buy_lifetime": 9999}
    assert await suite.online("o1", entity="offer") == [{"offer_buys_7d": 1}]
