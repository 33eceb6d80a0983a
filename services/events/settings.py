"""Settings of events."""

from typing import Annotated

import msgspec

from shared.settings import describe


class EventsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How accepted events get into the stream."""

    events_sweep_seconds: Annotated[float, describe("Seconds between looks for accepted events not in the stream")] = (
        1.0
    )
    events_stream_waiting: Annotated[
        int, describe("Messages of up to 500 events that may wait in the stream; more wait in the database")
    ] = 4000
