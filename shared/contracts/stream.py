"""Accepted events on their way to whoever counts them: columns, up to 500 events a message, as MessagePack."""

import msgspec

STREAM = "atelier:events"
MAX_EVENTS = 500


class PackedEvents(msgspec.Struct, array_like=True, frozen=True):
    """Events of one tenant out of one transaction.

    `transaction`: the database's number of it (events of one snapshot are told by it); `part`: which of its messages this
    is; `stored_at`: epoch milliseconds of its start. Numbers are little-endian arrays of 8 bytes each: `time` in
    microseconds since 1970, the measures as floats with NaN for none. A label that no event has is an empty list.
    """

    tenant: str
    transaction: int
    part: int
    stored_at: int
    profile_id: list[str]
    time: bytes
    type: list[str | None]
    value: bytes = b""
    quantity: bytes = b""
    discount: bytes = b""
    category: list[str | None] = []
    department: list[str | None] = []
    brand: list[str | None] = []
    product_id: list[str | None] = []
    offer_id: list[str | None] = []
    session_id: list[str | None] = []
    currency: list[str | None] = []

    @property
    def key(self) -> str:
        """The message's own name: the same again is the same message."""
        return f"{self.transaction}.{self.part}"


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(PackedEvents).decode
