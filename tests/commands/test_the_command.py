"""`atelier --help` and friends are product: every command explains itself, every mistake gets a sentence."""

import os
import subprocess
import sys

import pytest

from tests.conftest import ROOT

COMMANDS = (
    "up",
    "demo",
    "import",
    "status",
    "doctor",
    "keys",
    "serve",
    "worker",
    "beat",
    "migrate",
    "evaluate",
    "rollout",
)


def atelier(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if not k.endswith("_URL")} | environment | {"COLUMNS": "120"}
    return subprocess.run([sys.executable, "-m", "services", *arguments], cwd=ROOT, env=clean, capture_output=True, text=True,
                          check=False, timeout=300)  # fmt: skip


def test_help_lists_every_command() -> None:
    shown = atelier("--help").stdout
    assert all(f"  {name} " in shown for name in COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_a_help_of_its_own(name: str) -> None:
    shown = atelier(name, "--help")
    assert shown.returncode == 0
    assert len(shown.stdout.splitlines()) > 5


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("serve", "nonsense"), {"DATABASE_URL": "x", "REDIS_URL": "x", "INTERNAL_TOKEN": "x"}, "no service named 'nonsense'"),
        (("serve", "gateway"), {}, "DATABASE_URL is not set"),
        (("serve",), {"DATABASE_URL": "x", "REDIS_URL": "x", "INTERNAL_TOKEN": "change-me"}, "placeholder"),
        (("import", "profiles", "x.csv"), {"ATELIER_DATA": "build/nowhere"}, "no suite runs"),
        (("import", "people", "x.csv"), {}, "kind 'people' is unknown; there are profiles"),
        (("evaluate", "--gate", "claims are fine"), {}, "give METRIC>=NUMBER"),
        (("evaluate", "--metric", "luck"), {}, "Invalid enum value 'luck'"),
        (("status",), {"PORT": "eighty"}, "PORT='eighty' is not valid"),
        (("keys", "create", "Acme Inc"), {"DATABASE_URL": "postgresql://127.0.0.1:1/x", "REDIS_URL": "redis://127.0.0.1:1"}, "lower-case"),
    ],
)  # fmt: skip
def test_a_mistake_gets_a_sentence_and_no_traceback(
    arguments: tuple[str, ...], environment: dict[str, str], said: str
) -> None:
    done = atelier(*arguments, **environment)
    assert done.returncode == 1
    assert said in " ".join(done.stderr.split()), done.stderr
    assert "Traceback" not in done.stderr
