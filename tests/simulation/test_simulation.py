"""The simulator: its worlds are seeded and drift, and it plays them through the real API."""

import httpx
import numpy as np

from services.simulation import report
from services.simulation.driver import Driver, Played
from services.simulation.world import make_world, visits


def test_a_seed_is_a_world_and_tastes_change_half_way() -> None:
    one, two = (make_world(3, people=80, offers=20, days=6) for _ in range(2))
    assert np.array_equal(one.chances(1), two.chances(1))
    assert visits(one, 2) == visits(two, 2)
    assert np.array_equal(one.chances(1), one.chances(2))
    assert not np.allclose(one.chances(2), one.chances(3))
    awake = one.chances(1)[np.ix_(~one.dog, one.pushy)]
    assert one.chances(1)[np.ix_(one.dog, one.pushy)].mean() < awake.mean()


async def test_a_small_population_plays_through_the_api(suite: httpx.AsyncClient) -> None:
    world = make_world(5, people=30, offers=4, days=5)
    days: list[int] = []
    played = await Driver(suite).play("squarecb", world, lambda: days.append(1))
    assert len(days) == 5
    found = report.figures(played)
    assert (found["decisions"], found["cap_violations"], found["unanswered"]) == (150, 0, 0)
    assert 0 < found["share_of_oracle"] <= 1
    assert sum(played.shown.values()) == 150
    assert played.regret >= 0


def test_wins_count_the_worlds_in_which_exploring_paid() -> None:
    def got(policy: str, clicks: float) -> Played:
        return Played(policy, [clicks], [clicks], [9.0], {}, [1, 1], [0.0, 0.0])

    seeds = [{"squarecb": got("squarecb", 5), "greedy": got("greedy", g)} for g in (3, 4, 6)]
    assert report.wins(seeds, "squarecb", "greedy") == 2
