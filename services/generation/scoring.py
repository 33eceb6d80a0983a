"""Which of several drafts that passed their checks reads best. Deterministic and pure; higher is better."""

import re
from difflib import SequenceMatcher

from services.generation.assembly import Draft
from services.generation.context import content_words

_WORD = re.compile(r"[A-Za-z']+")
_MIN_HOOK_WORDS = 6
_TOO_ALIKE = 0.8
_MIN_HEADLINE_WORDS = 2
_FLUENCY = 2.0


# A sentence or headline that ends with one of these was cut off.
_OPEN_ENDS = {
    "a", "an", "the", "and", "or", "of", "to", "for", "with", "in", "on", "at", "by", "as", "is", "are", "your", "my", "our",
    "their", "that", "this", "it's", "from", "can't", "won't", "favorite", "favourite", "very",
}  # fmt: skip
_ECHO_WORDS = 5


def problem(draft: Draft, product: str, examples: list[str]) -> str | None:
    """Why a draft is not worth checking: too short, unfinished, a repetition, an echo, or about something else.

    `examples` are the lines that the prompt shows.
    """
    head, hook = _WORD.findall(draft.headline), _WORD.findall(draft.hook)
    if len(head) < _MIN_HEADLINE_WORDS or len(hook) < _MIN_HOOK_WORDS:
        return "too short"
    open_end = head[-1].lower() in _OPEN_ENDS or hook[-1].lower() in _OPEN_ENDS
    if open_end or not draft.hook.rstrip().endswith((".", "!", "?")):
        return "an unfinished sentence"
    if _repeats(hook) or _alike(draft.headline, draft.hook) > _TOO_ALIKE:
        return "repetition"
    if any(_echoes(text, example) for text in (draft.headline, draft.hook) for example in examples):
        return "an echo of the example"
    if not content_words(f"{draft.headline} {draft.hook}") & content_words(product):
        return "not about the product"
    return None


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio()


def _echoes(text: str, example: str) -> bool:
    """Nearly the same, or sharing a run of words with it."""
    return _alike(text, example) > _TOO_ALIKE or bool(_runs(text) & _runs(example))


def _runs(text: str) -> set[tuple[str, ...]]:
    words = [word.lower() for word in _WORD.findall(text)]
    return {tuple(words[i : i + _ECHO_WORDS]) for i in range(len(words) - _ECHO_WORDS + 1)}


def _repeats(words: list[str]) -> bool:
    pairs = list(zip([w.lower() for w in words], [w.lower() for w in words[1:]], strict=False))
    return len(set(pairs)) < len(pairs)


def score(draft: Draft, product: str, facts: list[str], fluency: float = 0.0) -> float:
    """Speaks of the product, to the reader, of what the reader does; neither curt nor long; fluent.

    `fluency` is the model's own mean log-probability a token (<= 0; 0 where the server gives none).
    """
    words = content_words(f"{draft.headline} {draft.hook}")
    hook = _WORD.findall(draft.hook)
    value = 2.0 * bool(content_words(draft.headline) & content_words(product))
    value += 1.0 * bool(content_words(draft.hook) & content_words(product))
    value += 1.0 * any(word.lower() in {"you", "your", "you're"} for word in hook)
    value += 0.5 * len(words & content_words(" ".join(facts))) / (1 + len(facts))
    value -= abs(len(hook) - 12) / 12
    value += _FLUENCY * fluency
    return value + 0.3 * len({w.lower() for w in hook}) / max(len(hook), 1)
