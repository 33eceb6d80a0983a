"""Prompts are files with front matter, read once and rendered in a sandbox; a prompt's version has its file's digest."""

import hashlib
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
from jinja2 import StrictUndefined, TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment

HeadT = TypeVar("HeadT", bound="Head")


class PromptError(Exception):
    """A prompt or template file is wrong: found at start, never in a request."""


class Head(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What every prompt's front matter has: `inputs` are the names that its text takes."""

    name: str
    version: int
    purpose: str
    inputs: list[str]


class PromptFile(Generic[HeadT]):
    """One prompt file with a front matter of its own kind.

    Raises:
        PromptError: no such file, or it cannot be read.
    """

    def __init__(self, path: Path, head: type[HeadT]) -> None:
        try:
            text = path.read_text(encoding="utf-8")
            _, front, body = text.split("---\n", 2)
            self.head: HeadT = msgspec.yaml.decode(front, type=head)
            environment = ImmutableSandboxedEnvironment(
                undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, autoescape=False
            )
            self._template = environment.from_string(body)
        except (OSError, ValueError, msgspec.DecodeError, TemplateError) as error:
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
        return self._template.render(**self.constants(), **inputs).strip()

    def constants(self) -> dict[str, Any]:
        """What the text takes from the front matter."""
        return {}
