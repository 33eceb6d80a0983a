"""One trace from the public door to the model call, with the GenAI attributes and without anybody's words."""

from collections.abc import Iterator

import httpx
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.journeys.test_one_household import household, stock

TRACE = "0af7651916cd43dd8448eb211c80319c"
EXPORTER = InMemorySpanExporter()


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    if not isinstance(trace.get_tracer_provider(), TracerProvider):  # it can be set once a process
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(EXPORTER))
        trace.set_tracer_provider(provider)
    EXPORTER.clear()
    yield EXPORTER
    EXPORTER.clear()


def ancestors(span: ReadableSpan, known: dict[int, ReadableSpan]) -> list[str]:
    names = []
    while span.parent and span.parent.span_id in known:
        span = known[span.parent.span_id]
        names.append(span.name)
    return names


async def test_a_request_is_one_trace_down_to_the_model(suite: httpx.AsyncClient, spans: InMemorySpanExporter) -> None:
    await stock(suite)
    await household(suite)
    spans.clear()
    body = {"profileId": "hh-1", "offerIds": ["yogurt"], "channel": "email"}
    headers = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    assert (await suite.post("/v1/generate", json=body, headers=headers)).status_code == 200
    found = [span for span in spans.get_finished_spans() if span.context and f"{span.context.trace_id:032x}" == TRACE]
    known = {span.context.span_id: span for span in found if span.context}
    chat = next(span for span in found if span.name.startswith("chat "))
    assert ancestors(chat, known) == ["generation POST", "decisions POST", "gateway POST"]
    attributes = dict(chat.attributes or {})
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.request.model"] == "smollm2-135m-instruct"
    assert {"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens"} <= set(attributes)
    said = " ".join(str(value) for span in found for value in (span.attributes or {}).values())
    assert "yogurt" not in said
    assert "hh-1" not in said
