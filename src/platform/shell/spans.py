"""Spans by OpenTelemetry, for `shell.tracing`; they hold names, ids and statements, and no parameters."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from asyncpg.connection import LoggedQuery
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from structlog.contextvars import bound_contextvars

from shell.queries import SQL
from shell.tracing import TRACEPARENT

NAMES = {text: name for name, text in SQL.items()}
NANOSECONDS = 1_000_000_000

_propagator = TraceContextTextMapPropagator()


class Tracing:
    """Makes spans, and hands them to an exporter in the background."""

    def __init__(self, exporter: SpanExporter, *, share: float, service: str) -> None:
        """Trace this share of what nothing traced has caused."""
        resource = Resource.create({"service.name": f"eu-platform-{service}"})
        sampler = ParentBased(TraceIdRatioBased(share))
        self._provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer = self._provider.get_tracer("eu-platform")

    @classmethod
    def exporting(cls, endpoint: str, *, share: float, service: str) -> "Tracing":
        """Send spans to a collector (OTLP, protobuf on HTTP)."""
        return cls(OTLPSpanExporter(endpoint), share=share, service=service)

    @contextmanager
    def span(
        self,
        name: str,
        *,
        parent: str | None = None,
        kind: SpanKind = SpanKind.CONSUMER,
        attributes: Mapping[str, str] | None = None,
    ) -> Iterator[Span]:
        """A span around the body, and its trace in the body's log lines; begins a trace without a parent."""
        context = _propagator.extract({} if parent is None else {"traceparent": parent}, context=Context())
        # Neither message nor stack of an error: both may hold what was refused, and logs have them, blanked.
        with self._tracer.start_as_current_span(
            name,
            context,
            kind=kind,
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:
            carrier: dict[str, str] = {}
            _propagator.inject(carrier)
            token = TRACEPARENT.set(carrier.get("traceparent"))
            try:
                with bound_contextvars(trace_id=trace.format_trace_id(span.get_span_context().trace_id)):
                    yield span
            except BaseException as error:
                span.set_status(Status(StatusCode.ERROR, type(error).__name__))
                raise
            finally:
                TRACEPARENT.reset(token)

    def statement(self, query: LoggedQuery) -> None:
        """A span for a statement that has ended; asyncpg calls this in the context that has sent it."""
        if not trace.get_current_span().is_recording():
            return
        ended = time.time_ns()
        span = self._tracer.start_span(
            NAMES.get(query.query) or query.query.split(maxsplit=1)[0],
            kind=SpanKind.CLIENT,
            start_time=ended - int(query.elapsed * NANOSECONDS),
            attributes={"db.system.name": "postgresql", "db.query.text": query.query},
        )
        if query.exception is not None:
            span.set_status(Status(StatusCode.ERROR, type(query.exception).__name__))
        span.end(ended)

    def close(self) -> None:
        """Send what is left; takes some seconds at most where no collector answers."""
        self._provider.force_flush(2_000)
        self._provider.shutdown()
