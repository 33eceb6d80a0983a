"""What fits a channel: lengths of sections, and for SMS the encoding and segments of 3GPP TS 23.038. Pure."""

from shared.contracts.generation import CHANNEL_LIMITS, SECTIONS, ChannelFit, Sections
from shared.contracts.profiles import Channel

_BASIC = set(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿"
    "abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = set("^{}\\[~]|€\f")
_MAX_SEGMENTS = 6
_GSM_SINGLE, _GSM_PART = 160, 153
_UCS_SINGLE, _UCS_PART = 70, 67


def sms_segments(text: str) -> tuple[str, int]:
    """(encoding, number of segments). A character of the extension table counts two septets and is never split."""
    if all(c in _BASIC or c in _EXTENDED for c in text):
        sizes = [2 if c in _EXTENDED else 1 for c in text]
        return "GSM-7", _parts(sizes, _GSM_SINGLE, _GSM_PART)
    return "UCS-2", _parts([2 if ord(c) > 0xFFFF else 1 for c in text], _UCS_SINGLE, _UCS_PART)  # noqa: PLR2004


def _parts(sizes: list[int], single: int, part: int) -> int:
    if sum(sizes) <= single:
        return 1 if sizes else 0
    count, used = 1, 0
    for size in sizes:
        if used + size > part:
            count, used = count + 1, 0
        used += size
    return count


def fit(sections: Sections, channel: Channel) -> ChannelFit:
    """How a piece of copy fits its channel."""
    limits = CHANNEL_LIMITS[channel]
    lengths = {name: len(getattr(sections, name)) for name in SECTIONS}
    fits = all(lengths[name] <= limits[name] for name in SECTIONS)
    if channel != "sms":
        return ChannelFit(fits=fits, lengths=lengths, limits=limits)
    encoding, segments = sms_segments(sections.body)
    return ChannelFit(
        fits=fits and segments <= _MAX_SEGMENTS,
        lengths=lengths,
        limits=limits,
        encoding="GSM-7" if encoding == "GSM-7" else "UCS-2",
        segments=segments,
    )
