"""The real vLLM: an adapter is loaded while it runs, changes the words, and goes again."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import msgspec
import pytest

from evals import writing
from services.generation import rendering
from services.generation.errors import AdapterMissingError
from services.generation.llm import ChatModel
from services.generation.prompts import Library
from services.generation.service import CopyWriter
from services.generation.settings import GenerationSettings
from services.governance.service import CheckService
from services.training.lora import Tuner
from shared.clients.governance import GovernanceClient
from shared.context import CallContext, bound
from shared.contracts.generation import Copy, WriteRequest
from shared.settings import Settings
from shared.stack.engine import DEFAULT_MODEL, MAX_RANK, AdapterRefusedError, load_adapter, unload_adapter
from tests.conftest import model_server
from tests.generation.test_writing import PERSON, material

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900, func_only=True)]
NAME = "acme.copy.v1"
LIBRARY = Library(Path("prompts"))
NOBODY = msgspec.structs.replace(PERSON, known=False, personalize=False, facts=[], first_name=None)
OWN = GenerationSettings(
    generation_temperature=0.0, generation_candidates=1, generation_repairs=0, generation_adapters=f"acme={NAME}"
)


def adapter(base: Path, folder: Path, rank: int) -> Path:
    """An adapter of the served model with random weights: it says something else, nothing better."""
    import torch

    tuner = Tuner(str(base), DEFAULT_MODEL, rank=rank, seed=5, threads=1)
    with torch.no_grad():
        for weight in tuner.model.parameters():
            if weight.requires_grad:
                weight.normal_(std=0.04)
    folder.mkdir()
    for name, data in tuner.files().items():
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def adapters_url(engine_models: Path) -> Iterator[str]:
    with model_server(engine_models, adapters=1) as url:
        yield url


@pytest.fixture(scope="module")
def folder(engine_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapter(engine_models / DEFAULT_MODEL, tmp_path_factory.mktemp("adapter") / "a", 8)


async def said(model: ChatModel, name: str) -> str:
    """The model's own words about yogurt, the likeliest ones."""
    prompt = LIBRARY.prompts["offer_copy"]
    asked = rendering.render(prompt, material(profile=NOBODY), [], "")
    schema = prompt.schema("yogurt")
    answers = await model.complete(asked, schema, seed=1, candidates=1, seconds=100, adapter=name)
    return answers.candidates[0].text


async def written(model: ChatModel) -> Copy:
    writer = CopyWriter(model, LIBRARY, OWN, cast(GovernanceClient, CheckService()))
    with bound(CallContext(tenant="acme", request_id="test")):
        return await writer.write(WriteRequest(material=material(profile=NOBODY), seed=1, deadline_ms=100_000))


async def test_an_adapter_is_loaded_hot_changes_the_words_and_goes_again(adapters_url: str, folder: Path) -> None:
    model = ChatModel(Settings(llm_base_url=adapters_url), OWN)
    try:
        before = await said(model, "")
        missing = await written(model)
        assert missing.degraded[0].startswith(f"adapter_missing: the model server does not have {NAME}")
        assert "+" not in missing.variants[0].model_version
        load_adapter(adapters_url, NAME, folder)
        load_adapter(adapters_url, NAME, folder)  # loaded already: nothing happens
        changed = await said(model, NAME)
        assert changed != before
        assert await said(model, "") == before
        # Both in one batch: without a free place beside the adapter's, the CPU kernels speak for everybody with the adapter.
        together = await asyncio.gather(*(said(model, name) for name in (NAME, "") * 4))
        assert together == [changed, before] * 4
        with_it = await written(model)
        assert not [reason for reason in with_it.degraded if "adapter" in reason]
        assert with_it.variants[0].model_version in {f"{DEFAULT_MODEL}+{NAME}", "template"}
        unload_adapter(adapters_url, NAME)
        with pytest.raises(AdapterMissingError):
            await said(model, NAME)
        assert await said(model, "") == before
    finally:
        await model.close()


async def test_log_probabilities_of_prompts_do_not_end_a_server_that_takes_adapters(
    adapters_url: str, folder: Path
) -> None:
    settings = Settings(llm_base_url=adapters_url)
    model = ChatModel(settings, OWN)
    load_adapter(adapters_url, NAME, folder)
    try:
        texts = [f"You pick up yogurt {'again and ' * n}again." for n in range(5)]
        asked = asyncio.to_thread(writing.surprises, settings, texts)
        found, *words = await asyncio.gather(asked, *(said(model, NAME) for _ in range(4)))
        assert all(isinstance(one, float) and one > 0 for one in found)
        assert len(set(words)) == 1
    finally:
        unload_adapter(adapters_url, NAME)
        await model.close()


def test_what_the_server_does_not_take_is_said(adapters_url: str, engine_models: Path, tmp_path: Path) -> None:
    high = adapter(engine_models / DEFAULT_MODEL, tmp_path / "high", 2 * MAX_RANK)
    with pytest.raises(AdapterRefusedError, match=f"rank {2 * MAX_RANK} is greater"):
        load_adapter(adapters_url, "high", high)
    with pytest.raises(AdapterRefusedError, match="No adapter found"):
        load_adapter(adapters_url, "nowhere", tmp_path / "nowhere")
    with pytest.raises(AdapterRefusedError, match="404"):
        unload_adapter(adapters_url, "nowhere")
    with pytest.raises(AdapterRefusedError, match="does not answer"):
        load_adapter("http://127.0.0.1:9/v1", "high", high)
