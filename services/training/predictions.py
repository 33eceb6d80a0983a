"""What a model predicts of persons, as profiles to import: attributes that rules and policies read at decision time. Pure."""

import datetime as dt
from collections.abc import Iterable, Mapping

import msgspec

from shared.contracts.base import Scalar
from shared.contracts.profiles import MODEL_SOURCE, Attribute, ProfileUpsert

FILE = "profiles.jsonl"
Predicted = Mapping[str, Scalar | list[str]]


def lines(model_key: str, observed_at: dt.datetime, people: Iterable[tuple[str, Predicted]]) -> bytes:
    """JSON lines that `atelier import profiles` takes; consents and other attributes of a person stay as they are.

    Args:
        model_key: the model whose predictions these are; stands in the attributes' source.
        observed_at: up to when the model had seen the person.
        people: (profile id, attribute -> value).
    """
    encoder = msgspec.json.Encoder()
    source = MODEL_SOURCE + model_key
    rows = (
        ProfileUpsert(
            profile_id=who,
            attributes={name: Attribute(value=value, source=source, observed_at=observed_at) for name, value in told.items()},
        )
        for who, told in people
    )  # fmt: skip
    return encoder.encode_lines(rows)
