"""A brand's voice where it can be told by rule: how the reader is spoken to, contractions, length of sentences, register. Pure."""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.resources import files

import msgspec

from services.governance.claims.language import whole
from shared.contracts.catalog import Voice

Place = tuple[str, tuple[int, int]]
_SENTENCE = re.compile(r"[^.!?\n]+")
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_SECOND = re.compile(r"\b(?:you|your|yours|yourself|yourselves)\b")
_SHORTENED = re.compile(
    r"\b(?:\w+n't|(?:i|you|we|they|he|she|it|that|there|here|what|who|let|where)'(?:s|re|ve|ll|d|m)|ain't|y'all)\b"
)
_FULL = re.compile(
    r"\b(?:do not|does not|is not|are not|cannot|will not|it is|you are|we are|you will|we will|that is|let us|here is)\b"
)


class _Registers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    casual: list[str]
    formal: list[str]


@lru_cache(maxsize=1)
def _registers() -> dict[str, re.Pattern[str]]:
    raw = files("services.governance").joinpath("voice.yaml").read_bytes()
    listed = msgspec.yaml.decode(raw, type=_Registers)
    # What a formal voice avoids is casual, and the other way about.
    return {"formal": whole(listed.casual), "casual": whole(listed.formal)}


def judge(texts: Mapping[str, str], voice: Voice) -> Iterator[tuple[str, str | None, Place | None]]:
    """(rule, what is wrong or None, where) for each thing that the brand has set. `texts`: section -> folded text."""
    if voice.second_person is not None:
        yield ("voice_second_person", *_second_person(texts, wanted=voice.second_person))
    if voice.contractions is not None:
        pattern, reason = (
            (_FULL, "is not shortened as the brand does")
            if voice.contractions
            else (_SHORTENED, "is a contraction; the brand uses none")
        )
        yield ("voice_contractions", *_first(texts, pattern, reason))
    if voice.max_sentence_words is not None:
        yield ("voice_sentence_length", *_long(texts, voice.max_sentence_words))
    if voice.register is not None:
        yield (
            "voice_register",
            *_first(texts, _registers()[voice.register], f"is no word of a {voice.register} voice"),
        )


def _first(texts: Mapping[str, str], pattern: re.Pattern[str], reason: str) -> tuple[str | None, Place | None]:
    for section, text in texts.items():
        match = pattern.search(text)
        if match:
            return f"{match.group(0)!r} {reason}", (section, match.span())
    return None, None


def _second_person(texts: Mapping[str, str], *, wanted: bool) -> tuple[str | None, Place | None]:
    reason, place = _first(texts, _SECOND, "speaks to the reader; the brand does not")
    if not wanted:
        return reason, place
    return (None, None) if reason else ("nothing speaks to the reader as you", None)


def _long(texts: Mapping[str, str], most: int) -> tuple[str | None, Place | None]:
    for section, text in texts.items():
        for sentence in _SENTENCE.finditer(text):
            count = len(_WORD.findall(sentence.group(0)))
            if count > most:
                return f"a sentence of {count} words; {most} are allowed", (section, sentence.span())
    return None, None
