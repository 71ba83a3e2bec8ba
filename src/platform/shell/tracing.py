"""Traces: off unless a collector is set, and then request, statements and the jobs they cause are one trace.

Nothing here imports OpenTelemetry; `shell.spans` does, and is imported where a collector is set.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from core.errors import SettingInvalid
from core.job import LeasedJob
from shell.settings import PREFIX, Settings

if TYPE_CHECKING:
    from shell.spans import Tracing

TRACEPARENT: ContextVar[str | None] = ContextVar("traceparent", default=None)
"""Where we are in which trace (W3C Trace Context, section 3.2); None where nothing is traced."""


def tracing_of(settings: Settings, service: str) -> "Tracing | None":
    """What spans are made with, or None where no collector is set.

    Raises SettingInvalid where one is set and OpenTelemetry is not installed.
    """
    if settings.otlp_endpoint is None:
        return None
    try:
        from shell.spans import Tracing  # noqa: PLC0415 -- an extra, and slow to import
    except ImportError as error:
        raise SettingInvalid(
            name=PREFIX + "OTLP_ENDPOINT", reason="needs OpenTelemetry: install eu-platform[otel]"
        ) from error
    return Tracing.exporting(settings.otlp_endpoint, share=settings.trace_share, service=service)


@contextmanager
def job_traced(tracing: "Tracing | None", job: LeasedJob) -> Iterator[None]:
    """A span around a job, in the trace that has caused it, if any."""
    if tracing is None:
        yield
        return
    attributes = {"job.id": str(job.id), "job.kind": job.kind.value}
    with tracing.span(f"job {job.kind}", parent=job.traceparent, attributes=attributes):
        yield
