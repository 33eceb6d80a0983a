"""The text model is converted for OpenVINO, says what it says on torch, and nobody is told of it."""

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT

PROBE = """
import asyncio, sys
from pathlib import Path
from services.retrieval.text_embedding import TextModel, default_model_path
async def vectors(engine):
    model = TextModel(default_model_path(), Path(sys.argv[1]), engine)
    return model.engine, await model.embed(["fresh yogurt", "A coupon for ice cream, until Sunday."])
(fast, ours), (_, reference) = (asyncio.run(vectors(engine)) for engine in ("openvino", "torch"))
print(fast, bool((ours * reference).sum(1).min() > 0.99), sys.modules.get("openvino_telemetry"))
"""


def test_the_model_is_converted_once_for_the_same_vectors_and_nobody_is_told(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    # As on a customer's machine: in CI the converter says nothing of its own accord.
    clean = {k: v for k, v in os.environ.items() if k not in {"CI", "GITHUB_ACTIONS"}} | {"HOME": str(home)}
    shown = subprocess.run([sys.executable, "-W", "ignore", "-c", PROBE, str(tmp_path / "models")], cwd=ROOT, env=clean,
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert shown.stdout.split() == ["openvino", "True", "None"], shown.stderr
    assert (next((tmp_path / "models").iterdir()) / "model.xml").exists()
    assert list(home.iterdir()) == []
