"""A low-rank adapter of a chat model (LoRA, Hu et al. 2021): fine-tuned on approved answers, then by preference of approved over
rejected ones (DPO, Rafailov et al. 2023). Adapter and its files by peft; the loop is ours, because all prompts of a tenant begin
alike: what they share is computed once a step, with its gradients, and the answers of the batch go on from there. The loss is
exactly that of whole prompts, at about a fifth of the work on a CPU.
"""

import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from services.training.errors import NeedsExtraError
from services.training.lessons import Example
from shared.stack.engine import ADAPTED
from shared.torchvision_guard import ensure_torchvision

FloatArray = npt.NDArray[np.float64]
Pair = tuple[Example, Example]
_CONFIG, _WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class Tuner:
    """A frozen chat model with an adapter on all its linear layers.

    Args:
        base: folder of the chat model, or its name on the hub.
        name: what the adapter's file calls the model.
        rank: of the adapter; its scale is two.
        seed: of its start.
        threads: of torch.

    Raises:
        NeedsExtraError: the extra `lora` is not installed.
    """

    def __init__(self, base: str, name: str, *, rank: int, seed: int, threads: int) -> None:
        try:
            ensure_torchvision()
            import peft
            import torch
            from transformers import AutoModelForCausalLM, AutoTokenizer
        except ImportError as error:
            raise NeedsExtraError("an adapter of the chat model needs the extra 'lora' (peft)") from error
        torch.set_num_threads(threads)
        torch.manual_seed(seed)
        self._torch, self._name = torch, name
        self.tokenizer: Any = AutoTokenizer.from_pretrained(base)
        model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
        wanted = peft.LoraConfig(
            r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules=list(ADAPTED), task_type="CAUSAL_LM"
        )
        self.model: Any = peft.get_peft_model(model, wanted)

    def tokens(self, example: Example) -> tuple[list[int], list[int]]:
        """(prompt, answer) as the server reads and writes them: the model's chat template, the answer with its end."""
        chat = [{"role": one.role, "content": one.content} for one in example.messages]
        text = self.tokenizer.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        prompt = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        answer = self.tokenizer(example.answer, add_special_tokens=False)["input_ids"]
        return list(prompt), [*answer, self.tokenizer.eos_token_id]

    def likelihoods(self, examples: Sequence[Example]) -> tuple[Any, Any]:
        """(log-likelihood, tokens) of each answer given its prompt, as tensors (n,); with gradients where they are wanted."""
        torch = self._torch
        read = [self.tokens(one) for one in examples]
        shared = _common([prompt for prompt, _ in read])
        past = None
        if shared:
            start = torch.tensor([read[0][0][:shared]])
            past = self.model(input_ids=start, use_cache=True, logits_to_keep=1).past_key_values
            past.batch_repeat_interleave(len(read))
        rest = [[*prompt[shared:], *answer] for prompt, answer in read]
        longest = max(map(len, rest))
        ids = torch.tensor([[*one, *[0] * (longest - len(one))] for one in rest])
        mask = torch.tensor([[1] * (shared + len(one)) + [0] * (longest - len(one)) for one in rest])
        first = (
            min(len(prompt) for prompt, _ in read) - shared - 1
        )  # the position that foretells the first answer token
        kept = torch.arange(first, longest - 1)
        logits = self.model(input_ids=ids, attention_mask=mask, past_key_values=past, logits_to_keep=kept).logits
        told = logits.log_softmax(-1).gather(-1, ids[:, first + 1 :, None])[..., 0]
        place = torch.arange(first + 1, longest)[None, :]
        begins = torch.tensor([len(prompt) - shared for prompt, _ in read])[:, None]
        ends = torch.tensor([len(one) for one in rest])[:, None]
        own = (place >= begins) & (place < ends)
        return (told * own).sum(-1), own.sum(-1)

    def measure(self, examples: Sequence[Example], batch: int, *, adapted: bool) -> tuple[FloatArray, FloatArray]:
        """(log-likelihood, tokens) of every answer, (n,); with the adapter or without it."""
        found: list[tuple[float, float]] = []
        self.model.eval()
        with self._torch.no_grad():
            for part in _parts(examples, batch):
                if adapted:
                    total, count = self.likelihoods(part)
                else:
                    with self.model.disable_adapter():
                        total, count = self.likelihoods(part)
                found += zip(total.tolist(), count.tolist(), strict=True)
        values = np.array(found, dtype=np.float64).reshape(-1, 2)
        return values[:, 0], values[:, 1]

    def imitate(
        self,
        examples: Sequence[Example],
        *,
        epochs: int,
        batch: int,
        rate: float,
        seed: int,
        told: Callable[[int, int], None],
    ) -> None:
        """Supervised fine-tuning: mean negative log-likelihood a token of the answers alone."""

        def loss(chosen: list[int]) -> Any:
            total, count = self.likelihoods([examples[k] for k in chosen])
            return -total.sum() / count.sum()

        self._descend(len(examples), loss, epochs=epochs, batch=batch, rate=rate, seed=seed, told=told)

    def prefer(
        self, pairs: Sequence[Pair], *, beta: float, epochs: int, batch: int, rate: float, seed: int, told: Callable[[int, int], None]
    ) -> None:  # fmt: skip
        """Direct preference optimisation: -log sigmoid of beta times how much further apart than now the answers are.

        Args:
            pairs: (approved, rejected) answers to the same question.
            beta: how tightly it is held to where it starts (the fine-tuned model).
            epochs: passes over the pairs.
            batch: pairs a step, half of the answers that a step of `imitate` takes.
            rate: Adam's.
            seed: of the order.
            told: hears every step.
        """
        sides = [self.measure([pair[side] for pair in pairs], batch, adapted=True)[0] for side in (0, 1)]
        before = self._torch.tensor(sides[0] - sides[1], dtype=self._torch.float32)

        def loss(chosen: list[int]) -> Any:
            n = len(chosen)
            total, _ = self.likelihoods([*(pairs[k][0] for k in chosen), *(pairs[k][1] for k in chosen)])
            apart = total[:n] - total[n:] - before[chosen]
            return -self._torch.nn.functional.logsigmoid(beta * apart).mean()

        half = max(1, batch // 2)
        self._descend(len(pairs), loss, epochs=epochs, batch=half, rate=rate, seed=seed + 1, told=told)

    def _descend(
        self, n: int, loss: Callable[[list[int]], Any], *, epochs: int, batch: int, rate: float, seed: int,
        told: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        """AdamW with a linearly falling rate, over seeded orders of n things."""
        steps = epochs * math.ceil(n / batch)
        if not steps:
            return
        torch, draw, done = self._torch, np.random.default_rng(seed), 0
        weights = [weight for weight in self.model.parameters() if weight.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=rate, weight_decay=0.0)
        falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 - step / (steps + 1))
        self.model.train()
        for _ in range(epochs):
            order = draw.permutation(n).tolist()
            for part in _parts(order, batch):
                loss(part).backward()
                torch.nn.utils.clip_grad_norm_(weights, 1.0)
                optimizer.step()
                optimizer.zero_grad()
                falling.step()
                done += 1
                told(done, steps)

    def files(self) -> dict[str, bytes]:
        """The adapter as peft stores it and vLLM loads it; nothing in it depends on the machine."""
        with tempfile.TemporaryDirectory(prefix="atl-") as folder:
            self.model.save_pretrained(folder)
            config = msgspec.json.decode((Path(folder) / _CONFIG).read_bytes())
            weights = (Path(folder) / _WEIGHTS).read_bytes()
        config |= {"base_model_name_or_path": self._name, "target_modules": sorted(config["target_modules"])}
        return {_CONFIG: msgspec.json.format(msgspec.json.encode(config, order="sorted"), indent=1), _WEIGHTS: weights}


def _common(prompts: Sequence[list[int]]) -> int:
    """How many tokens all begin with; each keeps one of its own at least."""
    shortest = min(map(len, prompts)) - 1
    return next((k for k in range(shortest) if len({prompt[k] for prompt in prompts}) > 1), max(shortest, 0))


def _parts(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    for start in range(0, len(items), size):
        yield list(items[start : start + size])
