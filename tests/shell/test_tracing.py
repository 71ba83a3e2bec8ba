"""Traces: a request, its statements and the job that it causes are one; off by default."""

import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest
import pytest_asyncio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from core.errors import SettingInvalid
from jobs.runner import run_job
from shell.database import open_pool
from shell.settings import Settings, load_settings
from shell.tracing import tracing_of
from tests.installation import Installation, new_slug, rows
from tests.web.client import PASSWORD, running
from web.app import application, served


class Collector:
    """An OTLP collector that keeps what it is sent."""

    def __init__(self) -> None:
        """Nothing was sent yet."""
        self.spans: list[Span] = []
        self.services: set[str] = set()

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            self.services |= {
                each.value.string_value for each in resource.resource.attributes if each.key == "service.name"
            }
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def named(self, name: str) -> Span:
        return next(span for span in self.spans if span.name == name)

    def below(self, span: Span) -> list[str]:
        return [each.name for each in self.spans if each.parent_span_id == span.span_id]


@contextmanager
def collecting() -> Iterator[tuple[Collector, str]]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            collector.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 -- the library's name
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield collector, f"http://127.0.0.1:{server.server_port}/v1/traces"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest_asyncio.fixture(scope="module")
async def collected(installation: Installation) -> AsyncIterator[Collector]:
    """What a collector gets when an organisation is founded, by the request and by the job."""
    with collecting() as (collector, endpoint):
        settings = msgspec.structs.replace(
            installation.settings, owner_database_url=None, otlp_endpoint=endpoint
        )
        await _found(installation, settings)
        yield collector


async def _found(installation: Installation, settings: Settings) -> None:
    slug = new_slug("traced")
    tracing = tracing_of(settings, "api")
    app = application(settings, tracing)
    asgi: Any = served(app, settings, tracing)
    body = {
        "organisation": {"name": "Traced", "slug": slug, "country": "DE"},
        "email": f"owner@{slug}.example",
        "password": PASSWORD,
        "full_name": "Ada Owner",
    }
    transport = httpx.ASGITransport(asgi)
    async with running(app), httpx.AsyncClient(transport=transport, base_url="http://traced.test") as http:
        headers = {"traceparent": f"00-{'ab' * 16}-{'cd' * 8}-01"}
        answer = await http.post("/api/v1/auth/register", json=body, headers=headers)
        assert answer.status_code in {201, 202}
        await http.get("/nowhere/secret-path")
    await _run(installation, settings, slug)


async def _run(installation: Installation, settings: Settings, slug: str) -> None:
    """Run the job of the founding, unless the worker of other tests has done so: then the same once more."""
    (row,) = await rows(
        installation,
        "UPDATE public.jobs"
        " SET state = 'QUEUED', attempts = 0, leased_by = NULL, leased_to = NULL, finished_at = NULL"
        " WHERE tenant_id = (SELECT id FROM public.tenants WHERE slug = $1) RETURNING id",
        slug,
    )
    tracing = tracing_of(settings, "worker")
    assert settings.database_url is not None
    assert tracing is not None
    async with await open_pool(settings.database_url.value, size=2, name="traced", tracing=tracing) as pool:
        context = msgspec.structs.replace(installation.context, pool=pool, tracing=tracing, worker="traced")
        job_id = UUID(str(row["id"]))
        await run_job(context, job_id)
    tracing.close()


async def test_a_request_its_statements_and_its_job_are_one_trace(collected: Collector) -> None:
    request = collected.named("POST /api/v1/auth/register")
    job = collected.named("job provision_tenant")
    assert job.trace_id == request.trace_id
    assert job.parent_span_id == request.span_id
    assert {"insert_tenant", "insert_job", "BEGIN"} <= set(collected.below(request))
    assert "finish_job" in collected.below(job)
    assert collected.services == {"eu-platform-api", "eu-platform-worker"}


async def test_a_caller_does_not_choose_the_trace(collected: Collector) -> None:
    request = collected.named("POST /api/v1/auth/register")
    assert request.trace_id != b"\xab" * 16
    assert request.parent_span_id == b""


async def test_spans_hold_no_parameter_and_no_path(collected: Collector) -> None:
    text = "".join(map(str, collected.spans))
    assert "(unmatched)" in text
    for secret in ("secret-path", PASSWORD, "$argon2", "Ada Owner", "owner@"):
        assert secret not in text


def test_nothing_is_traced_or_imported_unless_a_collector_is_set() -> None:
    assert tracing_of(Settings(), "api") is None
    code = "import sys, web.app, jobs.worker; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"shell.spans", "web.traced", "opentelemetry.exporter"} & set(done.stdout.split())


def test_a_collector_without_opentelemetry_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "shell.spans", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(SettingInvalid, match=r"eu-platform\[otel\]"):
        tracing_of(Settings(otlp_endpoint="http://127.0.0.1:4318/v1/traces"), "api")


@pytest.mark.parametrize(
    "environ", [{"PLATFORM_OTLP_ENDPOINT": "collector:4318"}, {"PLATFORM_TRACE_SHARE": "2"}]
)
def test_settings_of_traces_are_checked(environ: dict[str, str]) -> None:
    with pytest.raises(SettingInvalid):
        load_settings(environ)
