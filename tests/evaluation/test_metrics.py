"""Each metric on copy where the answer is known; a value is a number in [0, 1] or there is a reason why there is none."""

import datetime as dt
import math
from decimal import Decimal
from itertools import pairwise, permutations

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from services.evaluation import calibration, summaries
from services.evaluation.calibration import Labelled, agreement, kappa, labelled, position_bias
from services.evaluation.evidence import Evidence
from services.evaluation.metrics.attributes import attribute_recall
from services.evaluation.metrics.claims import claim_support
from services.evaluation.metrics.conformance import conformance
from services.evaluation.metrics.diversity import diversity
from services.evaluation.metrics.facts import no_forbidden_facts, personal_facts
from services.evaluation.metrics.images import image_match
from services.evaluation.metrics.registry import DETERMINISTIC, JUDGED, METRICS, plan
from services.evaluation.samples import Sample, chosen, record_lines, reference_of, sample_of
from services.evaluation.scores import Score, abstained, scored, similarity
from services.governance import checking
from shared.contracts.approval import Provenance, RequiredFact, StoredCopy
from shared.contracts.catalog import Brand, Condition, Discount, Offer
from shared.contracts.evaluation import Agreement, Calibration, Gate
from shared.contracts.generation import Material, Sections
from shared.contracts.profiles import Channel, Fact, ProfileContext

OFFER = Offer(
    offer_id="yogurt", name="Yogurt coupon", product_name="strawberry yogurt", category="dairy",
    discount=Discount(kind="amount", value=Decimal("1.50"), currency="USD"),
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), end_date=dt.datetime(2026, 7, 1, tzinfo=dt.UTC),
    conditions=[Condition(text="One coupon per household")], legal_text="No cash value.",
)  # fmt: skip
WHOLE = ("Enjoy strawberry yogurt in the morning.", "Save $1.50 on strawberry yogurt.", "Valid until June 30, 2026.",
         "One coupon per household.", "No cash value.")  # fmt: skip
OFTEN = Fact(
    name="favourite_category:yogurt",
    kind="category",
    value=0.3,
    text="Buys yogurt often",
    explanation="",
    subject="yogurt",
)
DOGS = Fact(
    name="favourite_category:dog food",
    kind="category",
    value=0.2,
    text="Buys dog food",
    explanation="",
    subject="dog food",
)


def sample(
    *lines: str, channel: Channel = "email", facts: tuple[Fact, ...] = (), personal: bool = False, offer: Offer = OFFER
) -> tuple[Sample, Evidence]:
    """A stored piece of copy of these lines, and governance's own report on it."""
    profile = ProfileContext(profile_id="anna", known=True, personalize=True, contactable=True, reason=None, locale="en-US",
                             time_zone="UTC", facts=list(facts))  # fmt: skip
    material = Material(profile=profile, offer=offer, brand=Brand(brand_id="default", name="Shop"))
    sections = Sections(headline=lines[0] if channel != "sms" else "", body=" ".join(lines[channel != "sms" :]))
    report = checking.of_one(material, sections, channel, "en-US")
    mark = Provenance(ai_generated=True, digital_source_type="compositeWithTrainedAlgorithmicMedia",
                      source_ids=[f"profile.facts.{fact.name}" for fact in facts])  # fmt: skip
    at = dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
    copy = StoredCopy(copy_id="c1", offer_id="yogurt", channel=channel, locale="en-US", sections=sections, state="live", revision=1,
                      authors=["generation"], source="model", provenance=mark, report=report, statement="", required_facts=[],
                      personal=personal, created_at=at, updated_at=at, material=material)  # fmt: skip
    made = sample_of(copy, material, None, lambda *, product: f"What about {product}?")
    return made, Evidence(report=report, current=record_lines(offer))


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (math.nan, "not_a_number"),
        (math.inf, "not_a_number"),
        (-1e-9, "out_of_range"),
        (1.0000001, "out_of_range"),
        (1e9, "out_of_range"),
        (None, "no_number"),
        (True, "no_number"),
        ("0.5", "no_number"),
        ([0.5], "no_number"),
    ],
)
def test_what_is_no_share_becomes_an_abstention(value: object, reason: str) -> None:
    assert scored(value) == Score(None, "abstained", reason)


@pytest.mark.parametrize("value", [0, 1, 0.25, np.float64(0.25)])
def test_a_share_stays_what_it_is(value: float) -> None:
    assert scored(value) == Score(float(value), "ok")


def test_a_negative_cosine_is_no_likeness_and_no_cosine_is_none() -> None:
    assert similarity(-0.2).value == 0
    assert similarity(1 + 1e-15).value == 1
    assert similarity(math.nan).reason == "not_a_number"


def test_claims_that_the_record_supports_are_counted() -> None:
    assert claim_support(*sample(*WHOLE)).value == 1
    wrong = sample(WHOLE[0], "Save $2.50 on strawberry yogurt.", *WHOLE[2:])
    assert 0 < (claim_support(*wrong).value or 0) < 1
    assert claim_support(*sample("Strawberry yogurt", "Nice with fruit.")).reason == "no_claims"
    made, _ = sample(*WHOLE)
    assert claim_support(made, Evidence(refused="invalid-input")) == Score(None, "error", "invalid-input")


@pytest.mark.parametrize(
    ("left_out", "lost"),
    [(0, 0), (1, 1), (2, 1), (3, 1), (4, 1)],
    ids=["hook", "discount", "end", "condition", "legal"],
)
def test_an_attribute_that_is_left_out_is_missed(left_out: int, lost: int) -> None:
    lines = [line for n, line in enumerate(WHOLE) if n != left_out]
    assert attribute_recall(*sample("For you", *lines)).value == pytest.approx(1 - lost / 5, abs=1e-8)


def test_a_channel_needs_what_it_has_room_for() -> None:
    assert attribute_recall(*sample("Strawberry yogurt", "Save $1.50 on strawberry yogurt.", channel="push")).value == 1
    assert attribute_recall(*sample("Yogurt", "Save $1.50 on yogurt.", channel="push")).value == 0.5


def test_a_minimum_spend_is_a_condition_told_by_its_figure() -> None:
    from shared.contracts.base import Money

    least = Condition(text="Minimum purchase applies", minimum_spend=Money(amount=Decimal("20.00"), currency="USD"))
    offer = Offer(**{name: getattr(OFFER, name) for name in OFFER.__struct_fields__} | {"conditions": [least]})
    said = sample(*WHOLE[:3], "On orders of $20 or more.", WHOLE[4], offer=offer)
    assert attribute_recall(*said).value == 1
    assert attribute_recall(*sample(*WHOLE[:3], "Really.", WHOLE[4], offer=offer)).value == 0.8


def test_conformance_is_passed_of_tested() -> None:
    good, bad = conformance(*sample(*WHOLE)), conformance(*sample("HURRY!!! " * 20, *WHOLE[1:]))
    assert good.value == 1
    assert 0 < (bad.value or 0) < 1


def test_given_facts_surface_or_do_not() -> None:
    assert personal_facts(*sample(*WHOLE, facts=(OFTEN,))).value == 1
    assert personal_facts(*sample(*WHOLE, facts=(OFTEN, DOGS))).value == 0.5
    assert personal_facts(*sample(*WHOLE)).reason == "no_facts"


def test_a_required_fact_counts_as_given_by_its_words() -> None:
    made, evidence = sample(*WHOLE)
    made.copy.required_facts = [RequiredFact(name="rhythm", text="Shops about every 9 days")]
    assert personal_facts(made, evidence).value == 0


@pytest.mark.parametrize(
    ("forbidden", "value"),
    [
        ([], 1),
        (["dog food"], 1),
        (["morning dew"], 1),
        (["mornings"], 0),
        (["strawberry yogurt"], 1),
        (["1.5"], 1),
        ([""], 1),
    ],
)
def test_a_forbidden_fact_is_found_unless_the_record_says_the_same(forbidden: list[str], value: float) -> None:
    made, evidence = sample(*WHOLE, personal=True)
    evidence.forbidden = forbidden
    assert no_forbidden_facts(made, evidence).value == value


def test_copy_for_nobody_can_leak_nothing() -> None:
    assert no_forbidden_facts(*sample(*WHOLE)).reason == "no_person"


@pytest.mark.parametrize(
    ("image", "score"),
    [(0.3, Score(0.75, "ok")), (0.41, Score(1.0, "ok")), (-0.1, Score(0.0, "ok")), (math.nan, abstained("not_a_number")),
     ("image_model_unfit", abstained("image_model_unfit")), (None, abstained("no_image"))],
)  # fmt: skip
def test_a_picture_matches_by_clipscore_or_nobody_can_say(image: float | str | None, score: Score) -> None:
    made, _ = sample(*WHOLE)
    assert image_match(made, Evidence(image=image)) == score


def test_diversity_of_known_texts() -> None:
    texts = ["yogurt for you", "yogurt for you", "coffee at night", "tea"]
    scores, figures = diversity(texts)
    assert [score.value for score in scores] == [0, 0, 1, 1]
    assert figures["distinct2"] == pytest.approx(4 / 6)
    assert figures["meanDistance"] == pytest.approx(1 - 1 / 6)
    assert diversity(["alone"])[0] == [abstained("too_few_samples")]
    assert diversity([]) == ([], {})
    assert [score.value for score in diversity(["", "", "x"])[0]] == [1, 1, 1]


def test_diversity_in_blocks_is_the_plain_one(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    texts = [" ".join(random.choice(list("abcdefg"), 9)) for _ in range(40)]
    whole = diversity(texts)
    monkeypatch.setattr("services.evaluation.metrics.diversity._ROWS", 7)
    assert diversity(texts) == whole
    rows = []
    for text in texts:
        said = text.split()
        terms = [*said, *pairwise(said)]
        rows.append({term: terms.count(term) for term in terms})
    norm = [math.sqrt(sum(v * v for v in row.values())) for row in rows]
    for n, row in enumerate(rows):
        best = max(
            sum(v * other.get(k, 0) for k, v in row.items()) / norm[n] / norm[m]
            for m, other in enumerate(rows)
            if m != n
        )
        assert whole[0][n].value == pytest.approx(1 - best, abs=1e-8)


def test_the_same_seed_draws_the_same_samples_in_whatever_order_they_come() -> None:
    ids = [f"c{n}" for n in range(9)]
    assert len({tuple(chosen(order, 4, 7)) for order in list(permutations(ids))[::5000]}) == 1
    assert chosen(ids, 4, 7) != chosen(ids, 4, 8)
    assert chosen(ids, 100, 7) == sorted(ids)


def test_a_reference_is_by_a_person_approved_newest_of_the_same_channel_and_for_nobody() -> None:
    mine, _ = sample(*WHOLE)
    copy = mine.copy

    def other(key: str, **changes: object) -> StoredCopy:
        made = {name: getattr(copy, name) for name in copy.__struct_fields__}
        return StoredCopy(**{**made, "copy_id": key, "revision": 2, **changes})  # type: ignore[arg-type]

    later = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
    fit = [other("a"), other("b", updated_at=later)]
    unfit = [other("c", state="draft"), other("d", revision=1), other("e", personal=True), other("f", channel="web"),
             other("g", locale="de"), other("h", offer_id="tea"), other("c1")]  # fmt: skip
    assert reference_of(copy, unfit) is None
    assert reference_of(copy, [*unfit, *fit]) is fit[1]


def test_record_lines_say_what_the_record_says() -> None:
    assert record_lines(OFFER) == [
        "Offer: Yogurt coupon", "Product: strawberry yogurt", "Category: dairy", "Discount: 1.50 USD off",
        "Valid from: January 1, 2026", "Valid until: June 30, 2026", "Condition: One coupon per household",
        "Legal text: No cash value.",
    ]  # fmt: skip


def test_every_metric_is_registered_and_a_plan_has_what_was_asked_for() -> None:
    assert set(METRICS) == {*DETERMINISTIC, *JUDGED}
    assert plan([], judge=False).names == DETERMINISTIC
    assert set(plan([], judge=True).names) == set(METRICS)
    some = plan(["diversity", "verdict", "claim_support"], judge=True)
    assert (some.alone, some.together, some.judged) == (("claim_support",), True, ("verdict",))


# Calibration.

YES, NO, NONE = Score(1.0, "ok"), Score(0.4, "ok"), abstained("timeout")


def test_kappa_is_sklearns() -> None:
    random = np.random.default_rng(2)
    for _ in range(50):
        truth, judged = random.integers(0, 2, 30), random.integers(0, 3, 30)
        assert kappa(truth[None], judged[None])[0] == pytest.approx(cohen_kappa_score(truth, judged), abs=1e-12)
    assert kappa(np.ones((1, 5), int), np.ones((1, 5), int))[0] == 0


def test_a_perfect_judge_may_gate_and_a_constant_or_silent_one_may_not() -> None:
    labels = [True, False] * 20
    told = [YES if label else NO for label in labels]
    perfect = agreement(labels, told, told, 0.6)
    assert (perfect.agreement, perfect.kappa, perfect.retest, perfect.may_gate) == (1, 1, 1, True)
    constant = agreement(labels, [YES] * 40, [YES] * 40, 0.6)
    assert (constant.agreement, constant.kappa, constant.may_gate) == (0.5, 0, False)
    silent = agreement(labels, [NONE] * 40, told, 0.6)
    assert (silent.agreement, silent.abstained, silent.retest, silent.may_gate) == (0, {"timeout": 40}, 0, False)


def test_an_interval_that_reaches_below_the_bound_does_not_gate() -> None:
    labels = [True, False] * 10
    told = [YES if label else NO for label in labels[:-3]] + [YES, NO, YES]
    made = agreement(labels, told, told, 0.6)
    assert made.kappa > 0.6 > made.kappa_low
    assert not made.may_gate


def test_position_bias_is_the_share_of_pairs_that_change_with_their_order() -> None:
    first, second = Score(1.0, "ok"), Score(0.0, "ok")
    assert position_bias([first] * 4, [second] * 4) == (0.0, {})  # the right one, wherever it stands
    assert position_bias([second] * 4, [first] * 4) == (0.0, {})  # consistently the wrong one
    assert position_bias([first] * 4, [first] * 4) == (1.0, {})
    assert position_bias([first, first, NONE], [second, first, first]) == (0.5, {"timeout": 1})
    assert position_bias([NONE], [first]) == (None, {"timeout": 1})


def test_the_labelled_set_is_what_its_readme_says() -> None:
    found = labelled()
    assert (len(found.items), sum(not item.faithful for item in found.items), len(found.pairs)) == (84, 40, 33)
    assert len({item.id for item in found.items}) == 84
    assert len({item.text for item in found.items}) == 84
    some = labelled(12)
    assert (len(some.items), sum(item.faithful for item in some.items), len(some.pairs)) == (12, 6, 4)
    assert some.version != found.version


def test_the_checker_that_serves_agrees_with_the_labels_it_can_read() -> None:
    """A sanity check of the labels themselves: figures that a rule can read."""
    swaps = {item.id.rsplit("-", 1)[0]: item for item in labelled().items if item.id.endswith("wrong")}
    texts = {item.id.rsplit("-", 1)[0]: item for item in labelled().items if item.id.endswith("right")}
    assert len(swaps) == len(texts) == 33
    for key, wrong in swaps.items():
        right: Labelled = texts[key]
        assert wrong.text != right.text
        assert wrong.record == right.record


# Reports.


def judge(low: float) -> Calibration:
    one = Agreement(
        items=80, abstained={}, agreement=0.9, kappa=0.8, kappa_low=low, kappa_high=0.9, retest=1, may_gate=low >= 0.6
    )
    return Calibration(model="m", version="", set_version="", needed_kappa=0.6, metrics={"verdict": one}, pairs=0, pairs_abstained={},
                       position_bias=None, created_at=dt.datetime.now(dt.UTC))  # fmt: skip


def test_a_summary_counts_values_abstentions_errors_and_bases() -> None:
    rows = [
        ("verdict", scored(1.0, "person")),
        ("verdict", scored(0.0)),
        ("verdict", NONE),
        ("verdict", Score(None, "error", "KeyError")),
    ]
    made = summaries.summarise(["verdict", "faithfulness"], rows, judge(0.7), 3)
    assert (made[0].mean, made[0].n, made[0].abstained, made[0].errors, made[0].basis) == (
        0.5,
        2,
        {"timeout": 1},
        {"KeyError": 1},
        {"person": 1},
    )
    assert (made[0].low, made[0].high, made[0].gates) == (0, 1, True)
    assert (made[1].mean, made[1].low, made[1].n, made[1].gates) == (None, None, 0, False)
    assert made == summaries.summarise(["verdict", "faithfulness"], rows, judge(0.7), 3)


def test_gates_hold_or_not_or_say_nothing() -> None:
    rows = [("claim_support", scored(0.9)), ("verdict", scored(0.2))]
    names = ["claim_support", "rouge_score", "verdict"]
    wanted = [Gate(metric="claim_support", threshold=0.9), Gate(metric="claim_support", op=">", threshold=0.9),
              Gate(metric="rouge_score", op="<=", threshold=0.5), Gate(metric="verdict", threshold=0.5)]  # fmt: skip
    weak = summaries.gates(wanted, summaries.summarise(names, rows, judge(0.5), 0))  # type: ignore[arg-type]
    assert [one.passed for one in weak] == [True, False, False, None]
    assert "kappa" in (weak[3].note or "")
    strong = summaries.gates(wanted, summaries.summarise(names, rows, judge(0.7), 0))  # type: ignore[arg-type]
    assert strong[3].passed is False
    assert summaries.gates(wanted, summaries.summarise(names, rows, None, 0))[3].passed is None  # type: ignore[arg-type]


def test_the_interval_narrows_with_more_samples() -> None:
    few, many = summaries.interval([0.0, 1.0] * 5, 0), summaries.interval([0.0, 1.0] * 500, 0)
    assert few[1] - few[0] > 3 * (many[1] - many[0])
    assert calibration.CALIBRATED == ("verdict", "faithfulness")
