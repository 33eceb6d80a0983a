"""From rankings to metrics, tables and cases. Pure but for the thumbnails."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from evals import statistics
from evals.retrieval.measures import TOP, ndcg, recall
from evals.retrieval.pictures import thumbnail
from evals.retrieval.sets import GallerySet, Query, share
from evals.retrieval.systems import HYBRID, TASKS
from evals.runs import Case, Metric, Shown, mean_of

Ranked = Mapping[str, Mapping[str, list[str]]]
PLACES = (1, 5, 10)
ALL = "all sets"
_SHOWN = 5
_CASES = 2


class Outcome(msgspec.Struct, kw_only=True):
    """What a task found in a set: system -> query -> ids."""

    task: str
    data: GallerySet
    ranked: dict[str, dict[str, list[str]]]
    pictures: Path
    thumbnails: Path

    @property
    def queries(self) -> dict[str, Query]:
        """The asked queries by id."""
        asked = next(iter(self.ranked.values()))
        return {query.id: query for query in self.data.asked[self.task] if query.id in asked}

    def gains(self, system: str) -> dict[str, float]:
        """nDCG@10 by query; the key names the set, so that sets can be pooled."""
        return {f"{self.data.name}/{key}": ndcg(self.ranked[system][key], query.relevant)
                for key, query in self.queries.items()}  # fmt: skip


def parts(outcome: Outcome) -> list[str]:
    """The systems that search by one vector."""
    return [system.name for system in TASKS[outcome.task][2] if system.part and system.name in outcome.ranked]


def metrics(task: str, outcomes: list[Outcome], seed: int) -> Iterator[Metric]:
    """Everything of one task: pooled figures and differences, then the tables by set."""
    pooled = _pooled(outcomes)
    slug = f"{task}_ndcg10"
    for system, gains in pooled.items():
        yield mean_of(f"{slug}_{_slug(system)}", gains, seed)
    names = [name for name in parts(outcomes[0]) if name in pooled]
    if HYBRID in pooled and len(names) > 1:
        for name in names:
            yield _difference(f"{task}_hybrid_minus_{_slug(name)}", pooled[HYBRID], pooled[name], seed)
    yield from _tables(task, outcomes, pooled, seed)


def _pooled(outcomes: list[Outcome]) -> dict[str, dict[str, float]]:
    """System -> gains over all sets, of the systems that every set has."""
    common = [name for name in outcomes[0].ranked if all(name in outcome.ranked for outcome in outcomes)]
    return {name: {k: v for outcome in outcomes for k, v in outcome.gains(name).items()} for name in common}


def _difference(name: str, after: dict[str, float], before: dict[str, float], seed: int, note: str = "") -> Metric:
    """The paired difference of two systems on the same queries, with its interval."""
    keys = sorted(after)
    value, low, high = statistics.paired_interval([after[k] for k in keys], [before[k] for k in keys], seed)
    by_case = {key: after[key] - before[key] for key in keys}
    return Metric(name=name, value=value, low=low, high=high, n=len(keys), by_case=by_case, note=note, signed=True)


def _tables(task: str, outcomes: list[Outcome], pooled: Mapping[str, dict[str, float]], seed: int) -> Iterator[Metric]:
    """nDCG@10 of every set and system with the differences, then R@k."""
    place = _Places(TASKS[task][0], outcomes)
    rows = [(outcome.data.name, {name: outcome.gains(name) for name in outcome.ranked}) for outcome in outcomes]
    if len(outcomes) > 1:
        rows.append((ALL, dict(pooled)))
    for row, gains in rows:
        for system, by_case in gains.items():
            made = mean_of(f"{task}_ndcg10_{_slug(row)}_{_slug(system)}", by_case, seed)
            yield place.put(made, "nDCG@10", row, system)
        names = [name for name in parts(outcomes[0]) if name in gains]
        if HYBRID in gains and len(names) > 1:
            best = max(names, key=lambda name: sum(gains[name].values()))
            made = _difference(f"{task}_ndcg10_{_slug(row)}_hybrid_minus_best_part", gains[HYBRID], gains[best], seed,
                               note=f"best part: {best}")  # fmt: skip
            yield place.put(made, "nDCG@10", row, "hybrid minus best part")
    for k in PLACES:
        for outcome in outcomes:
            for system, found in outcome.ranked.items():
                by_case = {key: recall(found[key], query.relevant, k) for key, query in outcome.queries.items()}
                made = mean_of(f"{task}_r{k}_{_slug(outcome.data.name)}_{_slug(system)}", by_case, seed)
                yield place.put(made, f"R@{k}", outcome.data.name, system)


class _Places:
    """Where a figure of a task stands: a table a measure; one table for all measures where there is one set or one system."""

    def __init__(self, title: str, outcomes: list[Outcome]) -> None:
        self._title = title
        self._one_set = outcomes[0].data.name if len(outcomes) == 1 else ""
        self._one_system = all(len(outcome.ranked) == 1 for outcome in outcomes)

    def put(self, metric: Metric, measure: str, data: str, system: str) -> Metric:
        """The metric at its place, without its cases: pooled metrics carry them already."""
        if self._one_set:
            table, row, column = f"{self._title}: {self._one_set}", system, measure
        elif self._one_system:
            table, row, column = self._title, data, measure
        else:
            table, row, column = f"{self._title}: {measure}", data, system
        among = "" if metric.signed else f"{data} {measure}"
        return msgspec.structs.replace(metric, by_case={}, table=table, row=row, column=column, among=among)


def _slug(text: str) -> str:
    return text.replace(" ", "_")


def cases(outcome: Outcome) -> tuple[list[Case], list[Case]]:
    """(worst, best): where the right answers stand lowest, first those where one part alone did better; and the reverse."""
    system = HYBRID if HYBRID in outcome.ranked else next(iter(outcome.ranked))
    gains = outcome.gains(system)
    others = [outcome.gains(name) for name in parts(outcome) if name != system]
    alone = {key: max((other[key] for other in others), default=0.0) for key in gains}
    order = sorted(outcome.queries, key=lambda key: share(f"shown:{key}"))
    name = outcome.data.name
    lost = sorted(order, key=lambda key: gains[f"{name}/{key}"] - alone[f"{name}/{key}"])
    won = sorted(order, key=lambda key: alone[f"{name}/{key}"] - gains[f"{name}/{key}"])
    lowest = sorted(lost, key=lambda key: gains[f"{name}/{key}"])[:_CASES]
    highest = sorted(won, key=lambda key: -gains[f"{name}/{key}"])[:_CASES]
    return ([_case(outcome, system, key, gains[f"{name}/{key}"], alone[f"{name}/{key}"]) for key in lowest],
            [_case(outcome, system, key, gains[f"{name}/{key}"], alone[f"{name}/{key}"]) for key in highest])  # fmt: skip


def _case(outcome: Outcome, system: str, key: str, value: float, alone: float) -> Case:
    query, data = outcome.queries[key], outcome.data
    names = {asset.asset_id: asset.name for asset in data.assets} | {
        offer.offer_id: offer.name for offer in data.offers
    }
    people = {person.profile_id: person.text for person in data.people}
    asked = (
        query.text or people.get(query.person, "") or (f"like {names[query.example]}" if query.example else "a picture")
    )
    pictures = []
    if query.picture is not None or query.example:
        own = data.pictures.get(query.example) if query.example else outcome.pictures / f"{query.id}.webp"
        pictures.append(Shown(label="asked", image=thumbnail(own, outcome.thumbnails)))
    for hit in outcome.ranked[system][key][:_SHOWN]:
        image = thumbnail(data.pictures.get(hit), outcome.thumbnails)
        pictures.append(Shown(label=names.get(hit, hit), image=image, right=hit in query.relevant))
    if not any(shown.right for shown in pictures):
        pictures += _missed(outcome, query, names)
    right = ", ".join(sorted({names.get(one, one) for one in query.relevant})[:_SHOWN])
    more = len(query.relevant) - _SHOWN
    note = f"nDCG@{TOP} {value:.2f}" + (f", best part alone {alone:.2f}" if len(parts(outcome)) > 1 else "")
    return Case(id=f"{data.name}/{query.id}", value=value, text=asked, pictures=pictures,
                note=f"{note}; right: {right}{f' and {more} more' if more > 0 else ''}")  # fmt: skip


def _missed(outcome: Outcome, query: Query, names: Mapping[str, str]) -> list[Shown]:
    """The first right answer, for whoever sees only wrong ones."""
    key = min(query.relevant)
    image = thumbnail(outcome.data.pictures.get(key), outcome.thumbnails)
    return [Shown(label=f"right: {names.get(key, key)}", image=image)] if image else []
