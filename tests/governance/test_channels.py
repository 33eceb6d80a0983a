"""What fits a channel."""

import pytest

from services.governance import channels
from shared.contracts.generation import Sections


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", ("GSM-7", 0)), ("a" * 160, ("GSM-7", 1)), ("a" * 161, ("GSM-7", 2)), ("a" * 306, ("GSM-7", 2)), ("a" * 307, ("GSM-7", 3)),
     ("\u20ac" * 80, ("GSM-7", 1)), ("\u20ac" * 81, ("GSM-7", 2)), ("\u4f60" * 70, ("UCS-2", 1)), ("\u4f60" * 71, ("UCS-2", 2)),
     ("\U0001f600" * 35, ("UCS-2", 1)), ("\U0001f600" * 36, ("UCS-2", 2))],
)  # fmt: skip
def test_sms_segments(text: str, expected: tuple[str, int]) -> None:
    assert channels.sms_segments(text) == expected


def test_a_section_over_its_limit_and_one_the_channel_does_not_have_do_not_fit() -> None:
    assert channels.fit(Sections(headline="Milk", body="Fresh."), "push").fits
    assert not channels.fit(Sections(headline="M" * 51, body="Fresh."), "push").fits
    assert not channels.fit(Sections(subject="Milk", body="Fresh."), "push").fits
