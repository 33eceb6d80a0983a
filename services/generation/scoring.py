"""Which of several drafts that passed their checks reads best. Deterministic and pure; higher is better."""

import re
from difflib import SequenceMatcher

from services.generation.assembly import Draft
from services.generation.context import content_words

_WORD = re.compile(r"[A-Za-z']+")
_MIN_HOOK_WORDS = 6
_TOO_ALIKE = 0.8
_MIN_HEADLINE_WORDS = 2


def problem(draft: Draft, product: str, examples: list[str]) -> str | None:
    """Why a draft is not worth checking: too short, unfinished, a repetition, an echo, or about something else."""
    head, hook = _WORD.findall(draft.headline), _WORD.findall(draft.hook)
    if len(head) < _MIN_HEADLINE_WORDS or len(hook) < _MIN_HOOK_WORDS:
        return "too short"
    if not draft.hook.rstrip().endswith((".", "!", "?")):
        return "an unfinished sentence"
    if _repeats(hook) or _alike(draft.headline, draft.hook) > _TOO_ALIKE:
        return "repetition"
    if any(_alike(text, example) > 0.8 for text in (draft.headline, draft.hook) for example in examples):  # noqa: PLR2004
        return "an echo of the example"
    if not content_words(f"{draft.headline} {draft.hook}") & content_words(product):
        return "not about the product"
    return None


def _alike(one: str, other: str) -> float:
    return SequenceMatcher(None, one.lower(), other.lower()).ratio()


def _repeats(words: list[str]) -> bool:
    pairs = list(zip([w.lower() for w in words], [w.lower() for w in words[1:]], strict=False))
    return len(set(pairs)) < len(pairs)


def score(draft: Draft, product: str, facts: list[str]) -> float:
    """Speaks of the product, to the reader, of what the reader does; neither curt nor long."""
    words = content_words(f"{draft.headline} {draft.hook}")
    hook = _WORD.findall(draft.hook)
    value = 2.0 * bool(content_words(draft.headline) & content_words(product))
    value += 1.0 * bool(content_words(draft.hook) & content_words(product))
    value += 1.0 * any(word.lower() in {"you", "your", "you're"} for word in hook)
    value += 0.5 * len(words & content_words(" ".join(facts))) / (1 + len(facts))
    value -= abs(len(hook) - 15) / 15
    return value + 0.3 * len({w.lower() for w in hook}) / max(len(hook), 1)
