"""The writer's prompt and its approved templates, read once at start."""

import hashlib
import re
from pathlib import Path
from typing import Any

import msgspec

from shared.prompts import Head, PromptError, PromptFile

# Names that stand in a pattern as they are, and what `{word}` becomes: a space and a word without capitals or digits.
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9 '&,.%-]*")
_PLAIN_WORD = r" (a|[a-z][a-z']{1,13})"


class Shot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An answer shown to the model: what was said of the product, and the two lines for it."""

    said: str
    headline: str
    hook: str


class Output(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One field of the answer: most characters, and the pattern it follows ("" for none), see `Prompt.schema`.

    `personal` is the pattern where something may be said of the reader; "" for the same one.
    """

    max: int
    pattern: str = ""
    personal: str = ""


class PromptHead(Head, frozen=True, forbid_unknown_fields=True):
    """The front matter of a prompt.

    `inputs` go in, `output` comes out, `example` is one worked example, `shots` are the
    answers that the prompt shows the model. `leads` and `sentences` are how each kind of fact is told, see `personal`.
    """

    output: dict[str, Output]
    example: dict[str, Any]
    shots: list[Shot] = msgspec.field(default_factory=list)
    leads: dict[str, list[str]] = msgspec.field(default_factory=dict)
    sentences: dict[str, list[str]] = msgspec.field(default_factory=dict)


class Templates(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Approved copy with slots."""

    name: str
    version: int
    cta: dict[str, str]
    offer_line: dict[str, str]
    validity: str
    headline: dict[str, str]
    hook: dict[str, str]


class Prompt(PromptFile[PromptHead]):
    """One prompt file."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, PromptHead)

    def render(self, **inputs: Any) -> str:
        """The prompt's text, of those inputs that its front matter names.

        Raises:
            PromptError: one of them is missing.
        """
        return super().render(**{name: value for name, value in inputs.items() if name in self.head.inputs})

    @property
    def leaves_sentence(self) -> bool:
        """Does code put the personal sentence in front of the model's, instead of the model writing on from it?"""
        return "{sentence}" not in self.head.output["hook"].personal

    def constants(self) -> dict[str, Any]:
        """The answers that the prompt shows."""
        return {"shots": self.head.shots}

    def shown(self) -> list[str]:
        """Every line that the prompt or its example shows: an answer that repeats one is an echo."""
        example = self.head.example["output"]
        return [
            example["headline"],
            example["hook"],
            *(t for shot in self.head.shots for t in (shot.headline, shot.hook)),
        ]

    def schema(self, product: str, lead: str = "", sentence: str = "") -> dict[str, Any]:
        """The JSON schema of an answer about `product`: its fields' patterns, else their lengths.

        `lead` and `sentence` are what is said of this reader, see `personal`.
        """
        said = {
            "{Product}": product[:1].upper() + product[1:],
            "{product}": product,
            "{lead}": lead,
            "{sentence}": sentence,
        }
        fields = {name: _field(output, said) for name, output in self.head.output.items()}
        return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


def _field(output: Output, said: dict[str, str]) -> dict[str, Any]:
    """The first pattern whose slots can all be filled with plain words, else lengths."""
    for pattern in filter(None, (output.personal, output.pattern)):
        used = {slot: text for slot, text in said.items() if slot in pattern}
        if all(_PLAIN.fullmatch(text) for text in used.values()):
            filled = pattern.replace("{word}", _PLAIN_WORD)
            for slot, text in used.items():
                filled = filled.replace(slot, text.replace(".", r"\."))
            return {"type": "string", "pattern": f"^{filled}$"}
    return {"type": "string", "minLength": 8, "maxLength": output.max}


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
