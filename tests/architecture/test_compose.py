"""compose.yaml is the production shape: Docker Compose itself accepts it, and it matches the code."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.host import ALL, INTERNAL, NAMES, PLACEHOLDER_TOKEN
from shared.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(sys.executable).with_name("docker-compose")


@pytest.fixture(scope="module")
def composed() -> dict[str, Any]:
    done = subprocess.run(
        [str(BINARY), "config", "--format", "json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(msgspec.json.decode(done.stdout))


def test_every_service_has_an_entry_and_runs_under_its_name(composed: dict[str, Any]) -> None:
    services = composed["services"]
    for name in set(NAMES) - {ALL}:
        assert services[name]["command"] == ["serve", name]
    assert {"postgres", "redis", "qdrant", "vllm", "worker", "beat", "migrate"} <= set(services)
    assert services["beat"]["deploy"]["replicas"] == 2


def test_everything_that_runs_on_has_a_health_check_and_a_pinned_image(composed: dict[str, Any]) -> None:
    for name, service in composed["services"].items():
        assert name == "migrate" or service["healthcheck"]["test"], name
        assert not service["image"].endswith(":latest")
        assert ":" in service["image"], name


def test_nothing_that_runs_beside_us_calls_home(composed: dict[str, Any]) -> None:
    assert composed["services"]["qdrant"]["environment"]["QDRANT__TELEMETRY_DISABLED"] == "true"
    assert composed["services"]["vllm"]["environment"]["VLLM_NO_USAGE_STATS"] == "1"


def test_only_the_gateway_is_reachable_from_outside(composed: dict[str, Any]) -> None:
    assert [name for name, service in composed["services"].items() if service.get("ports")] == ["gateway"]


def test_the_environment_names_settings_that_exist_and_every_service_url(composed: dict[str, Any]) -> None:
    known = {field.name.upper() for field in msgspec.structs.fields(Settings)}
    environment = composed["services"]["gateway"]["environment"]
    assert set(environment) <= known
    assert {f"{name.upper()}_URL" for name in INTERNAL} <= set(environment)
    assert environment["INTERNAL_TOKEN"] == PLACEHOLDER_TOKEN
