"""Pipelines: the same file makes the same model twice, a gate that fails is refused, pinned data must be these data."""

import asyncio
from pathlib import Path

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from services.__main__ import app
from services.training import gates, pipelines, plans
from services.training.errors import BadPipelineError, GateFailedError, OtherDataError
from services.training.frames import Frame
from services.training.gates import Gate
from services.training.sources import complete_journey
from services.training.trained import Order, Trained

FILE = """
modelKey: campaign
objective: uplift
dataset: {source: synthetic-uplift, options: {rows: 2000}}
seed: 3
parameters: {learner: t}
gates:
  - {figure: qini, beatsBaseline: true}
"""


def run(pipeline: pipelines.Pipeline) -> Trained:
    request = pipeline.request("test")
    order = Order(
        tenant="acme",
        model_key=request.model_key,
        seed=request.seed,
        trials=request.trials,
        parameters=request.parameters,
    )
    train = asyncio.run(plans.plan(request, order, None))
    return train(lambda *_: None)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "campaign.yaml"
    path.write_text(FILE)
    return path


def test_the_same_file_makes_the_same_model_twice(file: Path) -> None:
    one, two = run(pipelines.read(file)), run(pipelines.read(file))
    assert one.hash == two.hash
    assert one.figures == two.figures
    other = run(msgspec.structs.replace(pipelines.read(file), seed=4))
    assert other.hash != one.hash


def test_other_data_than_the_pinned_ones_are_refused(file: Path) -> None:
    pipeline = pipelines.read(file)
    good = run(pipeline).data.hash
    pipeline.dataset.hash = good[:16]
    assert run(pipeline).data.hash == good
    pipeline.dataset.hash = "0" * 16
    with pytest.raises(OtherDataError, match=f"the data are {good[:16]}, pinned is 0000"):
        run(pipeline)


def test_a_last_bit_of_another_processor_is_no_other_data_and_a_digit_that_counts_is() -> None:
    draw = np.random.default_rng(5)
    x = np.log1p(draw.random((400, 30)) * 100)
    frame = Frame(name="made", columns=[f"c{n}" for n in range(30)], x=x, y=np.zeros(400), time=np.arange(400.0),
                  entity=np.arange(400).astype(str), test=np.zeros(400, dtype=bool))  # fmt: skip
    other = msgspec.structs.replace(frame, x=np.nextafter(x, draw.choice((-np.inf, np.inf), x.shape)))
    assert (other.x != x).all()
    assert other.hash == frame.hash
    x = x.copy()
    x[3, 7] *= 1 + 1e-6
    assert msgspec.structs.replace(frame, x=x).hash != frame.hash


def test_the_pinned_grocer_is_the_same_on_this_machine_whatever_its_threads_do_first() -> None:
    assert complete_journey.frame(3).hash.startswith(pipelines.read(Path("redemption")).dataset.hash)


def test_a_gate_that_fails_is_refused_with_the_figure(file: Path) -> None:
    made = run(pipelines.read(file))
    gates.insist(gates.judge(made, [Gate(figure="qini", beats_baseline=True)]))
    for gate, said in (
        (Gate(figure="qini", at_least=0.9), "at least 0.9 is needed"), (Gate(figure="qini", at_most=-1.0), "at most -1 is allowed"),
        (Gate(figure="charm"), "was not measured"), (Gate(figure="true_gain", at_least=0.0, of="interval"), "has no interval"),
    ):  # fmt: skip
        with pytest.raises(GateFailedError, match=said):
            gates.insist(gates.judge(made, [gate]))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("modelKey: m", "missing required field `objective`"),
        (FILE + "\nspeed: 3", "unknown field `speed`"),
        ("a: [", "while parsing"),
    ],
)
def test_a_file_that_is_no_pipeline_is_refused_with_the_field(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(BadPipelineError, match=said):
        pipelines.read(path)
    with pytest.raises(BadPipelineError, match="the repository has redemption, synthetic-uplift"):
        pipelines.read(tmp_path / "nowhere.yaml")


def test_every_pipeline_of_the_repository_can_be_read() -> None:
    for path in pipelines.FOLDER.glob("*.yaml"):
        plans.check(pipelines.read(path).request("test"))


def test_the_command_keeps_files_and_card_and_ends_with_1_at_a_failed_gate(file: Path, tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["train", "--pipeline", str(file), "--out", str(tmp_path / "kept")])
    assert done.exit_code == 0, done.output
    assert "gate qini: passed" in done.output
    card = (tmp_path / "kept" / "card.md").read_text()
    assert "## Figures" in card
    assert "ranking by propensity" in card
    assert (tmp_path / "kept" / "treated.txt").exists()
    file.write_text(FILE.replace("beatsBaseline: true", "atLeast: 5"))
    failed = runner.invoke(app, ["train", "--pipeline", str(file)])
    assert failed.exit_code == 1
    assert "refused" in failed.output
