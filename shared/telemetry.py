"""Metrics and traces: one histogram and one span a request, spans for model calls with GenAI attributes."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache

from opentelemetry import propagate, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind
from prometheus_client import Counter, Histogram

from shared.settings import Settings

REQUESTS = Histogram(
    "atelier_request_seconds", "Time to answer a request", ["service", "method", "route", "status"],
    buckets=(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)  # fmt: skip
DEGRADED = Counter("atelier_degraded_total", "Answers that were less than asked for", ["service", "reason"])
DRIFT_ALARMS = Counter("atelier_drift_alarms_total", "Checks of monitors that found drift", ["tenant", "model"])

_tracer = trace.get_tracer("atelier")


def configure_tracing(settings: Settings, service: str) -> None:
    """Export spans to the OTLP collector named in the settings; without one spans cost next to nothing."""
    if not settings.otel_exporter_otlp_endpoint:
        return
    provider = TracerProvider(resource=Resource.create({"service.name": f"atelier-{service}"}))
    endpoint = f"{settings.otel_exporter_otlp_endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)


def observe_request(service: str, method: str, route: str, status: int, seconds: float) -> None:
    """Count one request."""
    _series(service, method, route, status).observe(seconds)


@lru_cache(maxsize=4096)
def _series(service: str, method: str, route: str, status: int) -> Histogram:
    return REQUESTS.labels(service, method, route, str(status))


def traceparent() -> str | None:
    """The W3C trace context of the running span, to be sent along."""
    if not trace.get_current_span().get_span_context().is_valid:
        return None
    carrier: dict[str, str] = {}
    propagate.inject(carrier)
    return carrier.get("traceparent")


@contextmanager
def server_span(name: str, parent: str) -> Iterator[Span]:
    """A span for serving one request or task, a child of the caller's; none where nobody traces."""
    if not parent and isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        yield trace.INVALID_SPAN
        return
    context = propagate.extract({"traceparent": parent}) if parent else None
    with _tracer.start_as_current_span(name, context=context, kind=SpanKind.SERVER) as span:
        yield span


@contextmanager
def inner_span(name: str) -> Iterator[Span]:
    """A span for a call that stays in the process; none where nobody traces."""
    if not trace.get_current_span().get_span_context().is_valid:
        yield trace.INVALID_SPAN
        return
    with _tracer.start_as_current_span(name, kind=SpanKind.INTERNAL) as current:
        yield current


@contextmanager
def span(name: str, attributes: Mapping[str, str | int | float | bool] | None = None) -> Iterator[Span]:
    """A span inside a request. Model calls use the OpenTelemetry GenAI names (`gen_ai.request.model`, ...)."""
    with _tracer.start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes) as current:
        yield current
