"""What other services say to a sample; gathered before its metrics are scored, so that these are pure. Plain data."""

import msgspec

from shared.contracts.governance import CheckReport


class Evidence(msgspec.Struct):
    """Parts nobody asked for, or that a service refused to give, are None.

    Attributes:
        report: governance's claims, rules and fit to the channel.
        current: the lines of the offer's record as the catalog has it now.
        forbidden: words of facts that must not surface; None when the copy is for nobody in particular.
        image: cosine of the picture and the headline, or the reason why there is none.
        vectors: unit vectors of the text and the reference.
        refused: why a service refused this sample.
    """

    report: CheckReport | None = None
    current: list[str] | None = None
    forbidden: list[str] | None = None
    image: float | str | None = None
    vectors: tuple[list[float], list[float]] | None = None
    refused: str | None = None
