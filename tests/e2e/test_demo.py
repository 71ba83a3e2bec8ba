"""`eu-platform demo` as a user runs it, and the demonstration's steps on a running platform."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path

import msgspec
import psutil
import pytest

from core.period import month_of
from core.tenant import Tenant
from shell.api_client import ApiClient
from shell.commands.connect import Connected, pools
from shell.demo.accounts import founded
from shell.demo.customers import CUSTOMERS, SERIES
from shell.demo.demonstration import demonstrate
from shell.demo.founding import FOUNDER, MARKER, PASSWORD, found_demo_tenant
from shell.demo.reading import Findings, read_findings
from shell.demo.series import find_series
from shell.demo.steps import Steps
from shell.keys import kept_secret
from shell.processes import PROGRAMS
from tests.e2e.platform_process import Client, running_platform

PROGRAM = str(Path(sys.executable).with_name("eu-platform"))
PATIENCE = 120
LOOK_AGAIN = 0.05
WIDTH = 100

needs_series = pytest.mark.skipif(
    find_series(SERIES) is None, reason="the AWS CloudWatch series are not beside this checkout"
)


def demo(*options: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PROGRAM, "demo", *options], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def amounts(report: str, label: str) -> list[Decimal]:
    """The amounts at the end of the lines that begin with a label."""
    found = re.findall(rf"^ *{label}.*?([\d,]+\.\d\d)$", report, re.MULTILINE)
    return [Decimal(amount.replace(",", "")) for amount in found]


# --- the command ------------------------------------------------------------------------------------


@needs_series
def test_the_demo_prints_usage_anomalies_and_invoices_that_add_up(tmp_path: Path) -> None:
    ran = demo("--data", str(tmp_path))
    assert ran.returncode == 0, ran.stderr
    report = ran.stdout

    for customer in CUSTOMERS:
        assert customer.founder.organisation.name in report
        assert re.search(rf"Invoice {customer.slug.upper()}-\d{{4}}-00001, issued \d{{4}}-", report)
    for invoice in re.split(r"^ *Invoice ", report, flags=re.MULTILINE)[1:]:
        (net,), (vat,), (total,) = (amounts(invoice, label) for label in ("net", "VAT", "total"))
        assert sum(amounts(invoice, r"\d")) == net
        assert net + vat == total > 0
    assert re.search(r"VAT 19 % \(domestic\) .* 7.35\n", report)
    assert re.search(r"VAT 0 % \(reverse charge\) .* 0.00\n", report)
    assert re.search(r"VAT 23 % \(consumer's country\) .* 0.65\n", report)
    assert re.search(
        r"^ +\d{4}-\d\d-\d\d +network +0.664 +0.184 … 0.245 +\+36.8 +high$", report, re.MULTILINE
    )
    assert re.search(r"^ +all +10 days +3 days +9 of 14 +77% +64%$", report, re.MULTILINE)

    lines = report.splitlines()
    assert max(len(line) for line in lines) <= WIDTH
    assert "\x1b" not in report + ran.stderr
    assert "Importing usage" in ran.stderr

    secrets = [file.read_text() for file in (tmp_path / "secrets").iterdir()]
    logs = "".join(file.read_text() for file in (tmp_path / "logs").iterdir())
    assert logs
    assert "@" not in logs.replace("X86 TSC @ ", ""), "but for the clock that Redis names"
    assert [secret for secret in secrets if secret in logs + report + ran.stderr] == []


def test_an_interrupted_demo_leaves_no_process_and_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = subprocess.Popen(
        [PROGRAM, "demo"], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    started: set[psutil.Process] = set()
    deadline = time.monotonic() + PATIENCE
    while len(started) < len(PROGRAMS):
        assert time.monotonic() < deadline
        started |= set(psutil.Process(process.pid).children(recursive=True))
        time.sleep(LOOK_AGAIN)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert errors.endswith("Interrupted; everything that was started has been stopped.\n")
    assert psutil.wait_procs(list(started), timeout=5)[1] == []
    assert list(tmp_path.iterdir()) == []


# --- its steps ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
async def running(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Client, Connected]]:
    """A platform of its own, which these tests share."""
    data = tmp_path_factory.mktemp("demo")
    async with running_platform(data, *PROGRAMS) as client, pools(client.platform.settings) as platform:
        await client.ready()
        yield client, platform


async def test_the_demo_tenant_is_completed_wherever_its_founding_was_interrupted(
    running: tuple[Client, Connected],
) -> None:
    client, platform = running
    api, data = ApiClient(client.platform.url), platform.settings.data
    tenant = await founded(api, FOUNDER, kept_secret(data, PASSWORD))
    assert not (data / MARKER).exists()

    demo_tenant = await found_demo_tenant(platform, api)
    assert demo_tenant.id == tenant.id
    findings = seen(platform, client)
    assert len({anomaly.resource for anomaly in findings.anomalies}) == len(findings.anomalies) == 2
    assert len(findings.uses) == 5
    events = await count(client, "usage_events")
    assert events > 60 * 24 * 12
    assert await count(client, "invoices") in {2, 3}

    (data / MARKER).unlink()
    assert await found_demo_tenant(platform, api) == demo_tenant
    assert await count(client, "usage_events") == events
    assert seen(platform, client) == findings

    deaf = ApiClient("http://127.0.0.1:1")
    assert await found_demo_tenant(platform, deaf) == demo_tenant


async def test_without_recorded_series_the_demonstration_generates_usage_once(
    running: tuple[Client, Connected],
) -> None:
    client, platform = running
    report = await demonstrate(platform, client.platform.url, None, Steps())
    assert len(report.tenants) == len(CUSTOMERS)
    for reported in report.tenants:
        invoice = reported.findings.invoice
        assert sum(line.amount.amount for line in invoice.lines) == invoice.net.amount
        assert len(invoice.lines) == 5
        assert len(reported.findings.anomalies) == 2
    scores = [item.evaluation.score for item in report.evaluated]
    assert [score for score in scores if (score.found, score.flagged) != (score.windows, score.windows)] == []
    assert sum(score.windows for score in scores) == 2 * len(CUSTOMERS)

    again = await demonstrate(platform, client.platform.url, None, Steps())
    assert again.tenants == report.tenants


async def count(client: Client, table: str) -> int:
    return int(await client.platform.fetchval(f"SELECT count(*) FROM tenant_demo.{table}"))


def seen(platform: Connected, client: Client) -> Findings:
    """What the demo tenant's owner sees of the month before it was founded."""
    api = ApiClient(client.platform.url)
    password = kept_secret(platform.settings.data, PASSWORD).value
    api.log_in(tenant="demo", email=FOUNDER.email, password=password)
    tenant = msgspec.convert(api.get("/api/v1/auth/me")["tenant"], Tenant)
    return read_findings(api, tenant, month_of(tenant.created_at, tenant.time_zone).preceding)
