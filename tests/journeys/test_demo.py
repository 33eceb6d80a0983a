"""`make demo`: a real grocer's year becomes checked offers through the real vLLM; a second run resumes; nothing is left running."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from shared.stack.valkey import free_port
from tests.conftest import ROOT

pytestmark = [pytest.mark.engine, pytest.mark.timeout(1200)]
STEPS = ("fetch", "convert purchases", "import events.parquet", "facts of every household", "embed households")


def demo(folder: Path, **own: str) -> str:
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_URL")}
    environment = clean | own | {"ATELIER_DATA": str(folder), "PORT": str(free_port()), "COLUMNS": "130"}
    done = subprocess.run([sys.executable, "-m", "services", "demo", "--once"], cwd=ROOT, env=environment, capture_output=True,
                          text=True, check=False, timeout=1100)  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(folder) in " ".join(p.info["cmdline"] or [])]
    return done.stdout


def written(shown: str) -> tuple[int, ...]:
    """Households, offers, offers in the model's own words."""
    totals = re.search(r"(\d+) households.*?(\d+) offers written, (\d+) by the model", " ".join(shown.split()))
    assert totals, shown[-2000:]
    return tuple(map(int, totals.groups()))


@pytest.fixture(scope="module")
def folder(engine_models: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="atl-demo-") as made:
        (Path(made) / "models").mkdir()
        (Path(made) / "models" / "smollm2-135m-instruct").symlink_to(engine_models / "smollm2-135m-instruct")
        yield Path(made)


@pytest.fixture(scope="module")
def first_run(folder: Path) -> str:
    return demo(folder)


def test_at_least_twelve_households_get_an_offer_whose_every_claim_is_supported(first_run: str) -> None:
    assert all(step in first_run for step in STEPS)
    claims = re.search(r"(\d+) of (\d+) claims match the record\n The data", first_run)
    assert claims, first_run[-2000:]
    households, offers, by_model = written(first_run)
    assert min(households, offers) >= 12
    assert by_model >= 0.6 * offers
    assert claims.group(1) == claims.group(2) != "0"


def test_consents_are_kept_on_stage(first_run: str) -> None:
    cards = re.split(r"╭─", first_run)
    refused = next(card for card in cards if "No e-mail" in card.splitlines()[0])
    assert "nothing was sent" in refused
    unnamed = next(card for card in cards if "No personalisation" in card.splitlines()[0])
    assert "headline" in unnamed
    assert "•" not in unnamed


def test_a_second_run_resumes_and_takes_the_model_server_that_it_is_given(
    first_run: str, folder: Path, engine_url: str
) -> None:
    log = folder / "logs" / "vllm.log"
    before = log.stat().st_size
    again = demo(folder, LLM_BASE_URL=engine_url)
    assert not any(step in again for step in STEPS)
    _, offers, by_model = written(again)
    assert by_model >= 0.6 * offers
    assert log.stat().st_size == before
