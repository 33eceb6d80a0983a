"""Settings of batches."""

from typing import Annotated

import msgspec

from shared.settings import describe


class BatchesSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How much is worked on at once."""

    batches_in_flight: Annotated[int, describe("Chunks of all batches that are worked on at once")] = 3
    batches_chunk_tokens: Annotated[int, describe("About how many tokens of prompts and answers make a chunk")] = 12_000
    batches_chunk_texts: Annotated[int, describe("Most texts of a chunk")] = 500
    batches_concurrency: Annotated[int, describe("Texts of one chunk that are written at once")] = 32
    batches_candidates: Annotated[int, describe("Answers asked of the model in one call for a text")] = 1
    batches_attempts: Annotated[int, describe("Calls of the model for a text, until an answer passes")] = 5
    batches_lease_seconds: Annotated[float, describe("Seconds after which a silent worker's chunk is given away")] = 3.0
    batches_deadline_ms: Annotated[int, describe("Most milliseconds that writing one text may take")] = 120_000
    batches_plan_people: Annotated[int, describe("People that are decided for between two saved steps of a plan")] = 100
