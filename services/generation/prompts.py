"""Prompts and templates are files with front matter, read once at start and rendered in a sandbox."""

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

from services.generation.errors import PromptError

# Names that stand in a pattern as they are, and what `{word}` becomes: a space and a word without capitals or digits.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 '&,.%-]*")
_PLAIN_WORD = r" (a|[a-z][a-z']{1,13})"


class Shot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer shown to the model: what was said of the product, and the two lines for it."""

    said: str
    headline: str
    hook: str


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field of the answer: most characters, and the pattern it follows ("" for none), see `Prompt.schema`."""

    max: int
    pattern: str = ""


class PromptHead(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The front matter of a prompt.

    `inputs` go in, `output` comes out, `example` is one worked example, `shots` are the
    answers that the prompt shows the model.
    """

    name: str
    version: int
    purpose: str
    inputs: list[str]
    output: dict[str, Output]
    example: dict[str, Any]
    shots: list[Shot] = []


class Templates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Approved copy with slots."""

    name: str
    version: int
    cta: dict[str, str]
    offer_line: dict[str, str]
    validity: str
    headline: dict[str, str]
    hook: dict[str, str]


class Prompt:
    """One prompt file."""

    def __init__(self, path: Path) -> None:
        text = path.read_text(encoding="utf-8")
        try:
            _, head, body = text.split("---\n", 2)
            self.head = msgspec.yaml.decode(head, type=PromptHead)
            environment = ImmutableSandboxedEnvironment(
                undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
            )
            self._template = environment.from_string(body)
        except (ValueError, msgspec.DecodeError, TemplateError) as error:
            message = f"{path.name}: {error}"
            raise PromptError(message) from error
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        self.version = f"{self.head.name}@{self.head.version}-{digest}"

    def render(self, **inputs: Any) -> str:
        """The prompt's text.

        Raises:
            PromptError: an input is missing or unknown.
        """
        if set(inputs) != set(self.head.inputs):
            message = f"{self.head.name} takes {sorted(self.head.inputs)}, got {sorted(inputs)}"
            raise PromptError(message)
        return self._template.render(shots=self.head.shots, **inputs).strip()

    def shown(self) -> list[str]:
        """Every line that the prompt or its example shows: an answer that repeats one is an echo."""
        example = self.head.example["output"]
        return [
            example["headline"],
            example["hook"],
            *(t for shot in self.head.shots for t in (shot.headline, shot.hook)),
        ]

    def schema(self, product: str) -> dict[str, Any]:
        """The JSON schema of an answer about `product`: its fields' patterns, else their lengths."""
        fields = {name: _field(output, product) for name, output in self.head.output.items()}
        return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _field(output: Output, product: str) -> dict[str, Any]:
    if not output.pattern or not _PLAIN.fullmatch(product):
        return {"type": "string", "minLength": 8, "maxLength": output.max}
    name = product.replace(".", r"\.")
    pattern = output.pattern.replace("{Product}", name[0].upper() + name[1:]).replace("{product}", name)
    return {"type": "string", "pattern": f"^{pattern.replace('{word}', _PLAIN_WORD)}$"}


class Library:
    """All prompts of a folder, and its approved templates."""

    def __init__(self, folder: Path) -> None:
        self.prompts = {path.stem: Prompt(path) for path in sorted(folder.glob("*.md"))}
        path = folder / "templates" / "offer.yaml"
        try:
            raw = path.read_bytes()
            self.templates = msgspec.yaml.decode(raw, type=Templates)
        except (OSError, msgspec.DecodeError) as error:
            message = f"{path}: {error}"
            raise PromptError(message) from error
        digest = hashlib.sha256(raw).hexdigest()[:8]
        self.template_version = f"{self.templates.name}@{self.templates.version}-{digest}"
        if "offer_copy" not in self.prompts:
            message = f"{folder} has no offer_copy.md"
            raise PromptError(message)
