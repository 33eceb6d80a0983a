"""Adapters of the chat model: what may be learnt from, that the loss is that of whole prompts, and that training teaches."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from services.training import bounds, lessons, plans
from services.training.errors import BadDataError
from services.training.lessons import Example, Message
from services.training.lora import Tuner
from services.training.sources import approved_copy
from services.training.trained import Order
from services.training.trainers import copy
from shared.contracts.training import Dataset, TrainingRequest
from shared.errors import InvalidInputError
from shared.torchvision_guard import ensure_torchvision

GOODS = ["milk", "bread", "eggs", "rice", "tea", "soap", "corn", "fish", "ham", "plums", "jam", "salt"]


def answer(headline: str, hook: str) -> str:
    return json.dumps({"headline": headline, "hook": hook})


def example(product: str, hook: str, *, approved: bool = True, prompt: str = "") -> Example:
    asked = prompt or f"You write short shop messages.\nProduct: {product}\nAnswer:"
    return Example(product, (Message("user", asked),), answer(f"Your {product}", hook), approved)


def taught() -> list[Example]:
    """Approved answers speak of the table, rejected ones shout."""
    found = []
    for product in GOODS:
        found += [example(product, f"Bring {product} to the table {when}.") for when in ("today", "tonight", "soon")]
        found += [example(product, f"Wow {product} wow wow {when}.", approved=False) for when in ("now", "quick")]
    return found


def refused(given: list[Example], match: str) -> None:
    with pytest.raises(BadDataError, match=match):
        lessons.examine(given, 0)


def test_too_few_answers_or_offers_are_refused() -> None:
    refused([], "0 different approved answers")
    refused(taught()[:10], "different approved answers about 2 offers")
    few_offers = [example("milk", f"Pour milk over your {what}.") for what in "abcdefghijklmnopqrstuvwxyz"]
    refused(few_offers, "26 different approved answers about 1 offers")
    refused([one for one in taught() if not one.approved], "0 different approved answers")


def test_duplicates_are_left_out_and_refused_when_they_are_most() -> None:
    found = lessons.examine([*taught(), *taught()[:5]], 0)
    assert found.examples == lessons.examine(taught(), 0).examples
    assert found.notes == ("5 duplicates left out",)
    refused(taught() * 3, "duplicates")


def test_an_answer_both_approved_and_rejected_is_refused() -> None:
    one = taught()[0]
    refused([*taught(), Example(one.subject, one.messages, one.answer, approved=False)], "both approved and rejected")


@pytest.mark.parametrize(
    ("hook", "match"),
    [
        ("Write to ann.smith@example.com about milk.", "e-mail"),
        ("Call 555 010 9999 about your milk.", "telephone"),
        ("See https://x.example for milk.", "link"),
        ("Save 20 percent on milk.", "figure"),
    ],
)
def test_what_looks_like_a_customers_data_is_refused(hook: str, match: str) -> None:
    refused([*taught(), example("milk", hook)], match)


def test_a_prompt_with_an_address_and_an_answer_of_another_form_are_refused() -> None:
    refused([*taught(), example("milk", "Bring milk home.", prompt="Write to ann@example.com. Answer:")], "e-mail")
    message = (Message("user", "Product: milk"),)
    for said in ("Bring milk home.", "{}", "[]", '{"headline": ""}', "{" * 2000):
        refused([*taught(), Example("milk", message, said, approved=True)], "not a JSON object")


def test_offers_held_back_are_not_learnt_from_and_pairs_share_a_question() -> None:
    found = lessons.examine(taught(), 3)
    own, held = found.approved(held=False), found.approved(held=True)
    assert {one.subject for one in own}.isdisjoint({one.subject for one in held})
    assert len(found.held) == 3
    for better, worse in [*found.pairs(held=False), *found.pairs(held=True)]:
        assert (better.messages, better.approved, worse.approved) == (worse.messages, True, False)
    assert len(found.pairs(held=False)) == 18
    assert lessons.examine(list(reversed(taught())), 3) == found
    assert lessons.examine(taught(), 4).held != found.held


def test_parameters_of_copy_are_bounded() -> None:
    for name, value in [("rank", 17), ("rank", 2.5), ("epochs", -1), ("beta", 0), ("rate", 1), ("lora_path", "/etc")]:
        with pytest.raises(InvalidInputError, match=name):
            bounds.check(TrainingRequest(model_key="copy", objective="copy", dataset=Dataset(source="approved-copy"),
                                         parameters={name: value}))  # fmt: skip
    with pytest.raises(InvalidInputError, match="does not learn from"):
        plans.check(TrainingRequest(model_key="copy", objective="copy", dataset=Dataset(source="decisions")))


def test_a_file_of_answers_is_read_and_its_faults_are_named(tmp_path: Path) -> None:
    file = tmp_path / "lessons.csv"
    file.write_text("subject,prompt,answer,approved\nmilk,Product: milk,{},yes\nmilk,Product: milk,[],no\n")
    assert [one.approved for one in approved_copy.of_file(file)] == [True, False]
    file.write_text("subject,prompt,answer,approved\nmilk,Product: milk,{},perhaps\n")
    with pytest.raises(BadDataError, match="perhaps"):
        approved_copy.of_file(file)
    file.write_text("subject,prompt,answer\nmilk,Product: milk,{}\n")
    with pytest.raises(BadDataError, match="approved"):
        approved_copy.of_file(file)


@pytest.fixture(scope="module")
def small_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A chat model of the real architecture, two thin layers, random weights."""
    ensure_torchvision()
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("model")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    special = ["<|im_start|>", "<|im_end|>"]
    made.train_from_iterator(
        [one.answer + one.messages[0].content for one in taught()],
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
        ),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token=special[1])
    tokenizer.chat_template = (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=64, intermediate_size=128, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=512)  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    yield str(folder)
    torch.set_num_threads(1)


def whole_prompt_likelihood(tuner: Tuner, one: Example) -> Any:
    """By definition: one sequence, no shared beginning, no padding."""
    import torch

    prompt, said = tuner.tokens(one)
    logits = tuner.model(input_ids=torch.tensor([[*prompt, *said]])).logits[0]
    told = logits.log_softmax(-1)[len(prompt) - 1 : -1]
    return told.gather(-1, torch.tensor(said)[:, None]).sum()


def test_the_shared_beginning_changes_neither_the_loss_nor_its_gradient(small_model: str) -> None:
    import torch

    tuner = Tuner(small_model, "small", rank=4, seed=1, threads=1)
    given = [taught()[0], taught()[8], taught()[24]]
    weights = [weight for weight in tuner.model.parameters() if weight.requires_grad]
    with torch.no_grad():
        for weight in weights:
            weight.add_(torch.randn_like(weight) * 0.05)
    total, count = tuner.likelihoods(given)
    total.sum().backward()
    gradients = [weight.grad.clone() for weight in weights]
    tuner.model.zero_grad()
    expected = torch.stack([whole_prompt_likelihood(tuner, one) for one in given])
    expected.sum().backward()
    assert torch.allclose(total, expected, atol=1e-3)
    assert count.tolist() == [len(tuner.tokens(one)[1]) for one in given]
    assert max(float((a - b.grad).abs().max()) for a, b in zip(gradients, weights, strict=True)) < 1e-3


def test_training_makes_approved_answers_likelier_and_is_the_same_each_time(small_model: str) -> None:
    found = lessons.examine(taught(), 0)
    order = Order(
        tenant="acme",
        model_key="copy",
        parameters={"epochs": 8, "rate": 1e-2, "rank": 4, "preference_epochs": 3, "preference_rate": 5e-3},
    )
    steps: list[str] = []
    made = copy.train("made", found, small_model, "small", order, lambda step, *_: steps.append(step))
    figures = {one.name: one for one in made.figures}
    assert figures["perplexity"].value < 0.7 * float(figures["perplexity"].baseline or 0)
    assert figures["preference_accuracy"].value == 1
    assert made.beats_baseline
    assert list(dict.fromkeys(steps)) == ["load", "approved", "preferred"]
    assert set(made.files) == {"adapter_config.json", "adapter_model.safetensors"}
    assert json.loads(made.files["adapter_config.json"])["base_model_name_or_path"] == "small"
    assert copy.train("made", found, small_model, "small", order, lambda *_: None).hash == made.hash


def test_preference_tuning_sets_approved_and_rejected_answers_apart(small_model: str) -> None:
    found = lessons.examine(taught(), 0)
    pairs = found.pairs(held=False)
    tuner = Tuner(small_model, "small", rank=4, seed=0, threads=1)

    def margin() -> float:
        better, worse = (tuner.measure([pair[side] for pair in pairs], 8, adapted=True)[0] for side in (0, 1))
        return float(np.mean(better - worse))

    before = margin()
    tuner.prefer(pairs, beta=0.1, epochs=3, batch=8, rate=5e-3, seed=0, told=lambda *_: None)
    assert margin() > before + 2
