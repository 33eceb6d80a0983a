"""The house keeps its order: names, sizes, imports, documented settings, a README that is true."""

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import msgspec
import pytest

import services
import shared.settings
from benchmarks import report

ROOT = Path(__file__).resolve().parents[2]
ROOMS = (
    "gateway",
    "decisions",
    "profiles",
    "retrieval",
    "generation",
    "events",
    "experiments",
    "evaluation",
    "governance",
    "batches",
    "features",
    "training",
)
FIXED_TOP_LEVEL = {"pyproject.toml", "services", "shared", "prompts", "evals", "tests", "compose.yaml", "README.md"}
MAX_LINES = 400
MAX_FUNCTION_LINES = 60


def python_files(*tops: str) -> Iterator[Path]:
    for top in tops:
        yield from sorted((ROOT / top).rglob("*.py"))


def tracked_files() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return listed.splitlines()


def settings_structs() -> list[type[msgspec.Struct]]:
    found = [shared.settings.Settings]
    for module in pkgutil.walk_packages(services.__path__, "services."):
        if module.name.endswith(".settings"):
            loaded = importlib.import_module(module.name)
            found += [
                value
                for value in vars(loaded).values()
                if isinstance(value, type) and issubclass(value, msgspec.Struct) and value.__module__ == module.name
            ]
    return found


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_has_the_same_files(room: str) -> None:
    folder = ROOT / "services" / room
    for name in ("README.md", "app.py", "controllers.py", "service.py", "errors.py"):
        assert (folder / name).is_file(), f"services/{room} has no {name}"
    if (folder / "models.py").exists():
        assert (folder / "repository.py").is_file()
        assert list((folder / "migrations" / "versions").glob("*.py"))


@pytest.mark.parametrize("room", ROOMS)
def test_room_readmes_are_three_to_twenty_lines(room: str) -> None:
    lines = [line for line in (ROOT / "services" / room / "README.md").read_text().splitlines() if line.strip()]
    assert 3 <= len(lines) <= 20


def test_import_rules_hold() -> None:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout


def test_vendor_clients_stay_in_their_rooms() -> None:
    allowed = {
        "qdrant_client": ("services/retrieval/",),
        "qdrant_edge": ("services/retrieval/",),
        "openai": ("services/generation/", "services/evaluation/judge.py", "shared/clients/"),
        "celery": ("services/worker.py", "services/beat.py", "shared/clients/", "/tasks.py"),
        "redis": ("shared/", "services/gateway/", "services/decisions/", "services/profiles/", "services/features/"),
    }
    for path in python_files("services", "shared"):
        place = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                rooms = allowed.get(name.split(".")[0])
                assert rooms is None or any(room in place for room in rooms), f"{place} imports {name}"


def test_files_and_functions_stay_short() -> None:
    for path in python_files("services", "shared"):
        text = path.read_text()
        assert len(text.splitlines()) <= MAX_LINES, f"{path.relative_to(ROOT)} is too long"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno
                assert length <= MAX_FUNCTION_LINES, f"{path.relative_to(ROOT)}:{node.lineno} {node.name} is too long"


def test_nothing_reads_the_environment_but_settings() -> None:
    for path in python_files("services"):
        place = path.relative_to(ROOT).as_posix()
        if place.startswith("services/commands/") or place == "services/__main__.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            reads = isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
            reads = reads and isinstance(node.value, ast.Name) and node.value.id == "os"
            stores = reads and "setdefault" in path.read_text()
            assert not reads or stores, f"{place} reads os.environ; use shared.settings.read_env"


def test_every_setting_is_documented() -> None:
    page = (ROOT / "docs" / "settings.md").read_text()
    for struct in settings_structs():
        hints = get_type_hints(struct, include_extras=True)
        for field in msgspec.structs.fields(struct):
            meta = getattr(hints[field.name], "__metadata__", ())
            described = next((m.description for m in meta if isinstance(m, msgspec.Meta) and m.description), None)
            assert described, f"{struct.__name__}.{field.name} has no description"
            assert f"`{field.name.upper()}`" in page, f"docs/settings.md lacks {field.name.upper()}"


def test_the_readme_tree_is_the_tree() -> None:
    readme = (ROOT / "README.md").read_text()
    block = re.search(r"<!-- tree -->\s*```\n(.*?)```", readme, re.DOTALL)
    assert block, "README.md has no tree block"
    listed = {line.split()[0].rstrip("/") for line in block.group(1).splitlines() if line.strip()}
    files = tracked_files()
    top = {name.split("/")[0] for name in files}
    rooms = {
        "/".join(name.split("/")[:2])
        for name in files
        if name.startswith(("services/", "shared/")) and name.count("/") > 1
    }
    hidden = {".gitignore", ".dockerignore", ".ci", ".github", "services", "shared"}
    assert listed == (top | rooms) - hidden | {"services", "shared"}


def test_the_fixed_top_level_is_there() -> None:
    assert {name.split("/")[0] for name in tracked_files()} >= FIXED_TOP_LEVEL


def test_nothing_of_a_developers_machine_is_in_the_repository() -> None:
    private = re.compile(r"(?<![\w.])/(?:opt/wheels|work/(?:main|shared)|root/\.)")
    for name in tracked_files():
        path = ROOT / name
        if path.suffix in {".py", ".md", ".yaml", ".toml", ".txt", ".json", ".sh"} and path != Path(__file__):
            assert not private.search(path.read_text(errors="replace")), f"{name} names a path of one machine"


def test_the_readmes_figures_are_the_measured_ones() -> None:
    assert report.table() in report.in_readme()
