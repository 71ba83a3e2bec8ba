"""The Python client against a platform that runs, through a network that loses answers."""

import logging
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from eu_platform_client import (
    ApiProblem,
    Backoff,
    BufferFull,
    EventsRejected,
    Meter,
    MeterClosed,
    NotDelivered,
    Platform,
    SessionEnded,
    items,
    ok,
)
from eu_platform_client.generated.api.accounts import get_me, logout_everywhere
from eu_platform_client.generated.api.api_keys import create_api_key, list_api_keys
from eu_platform_client.generated.api.costs import get_current_costs
from eu_platform_client.generated.api.usage import list_usage, record_usage
from eu_platform_client.generated.models import ApiKeyWanted, Resource, Scope, UsageEvent
from eu_platform_client.problem import retry_after
from eu_platform_client.retry import RetryingTransport
from eu_platform_client.sign_in import AccountAuth, ApiKeyAuth

from tests.e2e.platform_process import PASSWORD, Account

ROOT = Path(__file__).parents[2]
README = ROOT / "sdk" / "python" / "README.md"
QUICK = Backoff(first=0.001, longest=0.01)
NOW = datetime.now(UTC) - timedelta(minutes=5)


class Lossy(httpx.BaseTransport):
    """A network that carries the first requests that match, and loses their answers."""

    def __init__(self, *, losses: int, method: str = "POST") -> None:
        self._inner = httpx.HTTPTransport()
        self._losses, self._method = losses, method
        self.lost = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        if request.method == self._method and self.lost < self._losses:
            self.lost += 1
            response.close()
            raise httpx.ReadError("the connection was reset", request=request)
        return response

    def close(self) -> None:
        self._inner.close()


class Scripted(httpx.BaseTransport):
    """A server that answers by a list."""

    def __init__(self, *responses: httpx.Response) -> None:
        self._responses = list(responses)
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._responses.pop(0)


def answers(transport: httpx.BaseTransport) -> httpx.Client:
    return httpx.Client(base_url="http://platform.example", transport=RetryingTransport(transport, QUICK))


@pytest.fixture
def account(url: str, owner: Account) -> Iterator[Platform]:
    """The owner, logged in by the client."""
    with Platform.log_in(
        url, tenant=owner.slug, email=f"owner@{owner.slug}.example", password=PASSWORD
    ) as platform:
        yield platform


@pytest.fixture
def through(url: str, owner: Account, api_key: str) -> Iterator[Callable[[httpx.BaseTransport], Platform]]:
    """The tenant's machine, through a network of the test's."""
    made: list[Platform] = []

    def connect(transport: httpx.BaseTransport) -> Platform:
        auth = ApiKeyAuth(api_key)
        made.append(Platform(url, auth, tenant_id=owner.tenant_id, backoff=QUICK, transport=transport))
        return made[-1]

    yield connect
    for platform in made:
        platform.close()


@pytest.fixture
def machine(through: Callable[[httpx.BaseTransport], Platform]) -> Platform:
    return through(httpx.HTTPTransport())


def stored(platform: Platform, source: str) -> list[str]:
    """The ids of all events of a source."""
    found = items(
        lambda cursor: list_usage.sync(
            platform.tenant_id, client=platform.client, source=source, limit=2, cursor=cursor
        )
    )
    return [event.id for event in found]


# --- generated functions ----------------------------------------------------------------------------


def test_generated_functions_work(account: Platform) -> None:
    event = UsageEvent(id="e1", source="generated", resource=Resource.CPU, quantity="0.5", occurred_at=NOW)
    accepted = ok(record_usage.sync(account.tenant_id, client=account.client, body=[event]))
    assert (accepted.accepted, accepted.duplicates) == (1, 0)
    assert ok(get_current_costs.sync(account.tenant_id, client=account.client)).total.currency == "EUR"


def test_an_error_is_raised_with_its_kind_and_places(account: Platform) -> None:
    event = UsageEvent(id="e", source="s", resource=Resource.CPU, quantity="-1", occurred_at=NOW)
    with pytest.raises(ApiProblem, match="must not be negative") as caught:
        record_usage.sync(account.tenant_id, client=account.client, body=[event])
    assert (caught.value.status, caught.value.kind) == (422, "invalid-input")
    assert caught.value.errors[0]["index"] == 0
    assert caught.value.request_id


def test_pages_are_one_iterator(machine: Platform) -> None:
    events = [
        UsageEvent(id=str(n), source="paged", resource=Resource.CPU, quantity="1", occurred_at=NOW)
        for n in range(5)
    ]
    record_usage.sync(machine.tenant_id, client=machine.client, body=events)
    assert sorted(stored(machine, "paged")) == ["0", "1", "2", "3", "4"]


# --- signing in -------------------------------------------------------------------------------------


def age(platform: Platform) -> tuple[AccountAuth, list[str]]:
    """Let the access token be at its end; gives what is renewed from now on."""
    auth = platform._auth
    assert isinstance(auth, AccountAuth)
    auth._tokens = type(auth._tokens)(auth._tokens.access, auth._tokens.refresh, expires_at=0.0)
    renewals: list[str] = []
    auth._http.event_hooks["request"].append(lambda request: renewals.append(request.url.path))
    return auth, renewals


def test_many_threads_share_one_renewal(account: Platform) -> None:
    auth, renewals = age(account)
    before = auth.refresh_token
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: ok(get_me.sync(client=account.client)), range(32)))
    assert len(found) == 32
    assert renewals == ["/api/v1/auth/refresh"]
    assert auth.refresh_token != before


def test_a_token_that_is_refused_early_is_renewed_once(account: Platform) -> None:
    auth = account._auth
    assert isinstance(auth, AccountAuth)
    auth._tokens = type(auth._tokens)("no.valid.token", auth._tokens.refresh, auth._tokens.expires_at)
    assert ok(get_me.sync(client=account.client)).user.full_name


def test_a_session_that_has_ended_says_so(account: Platform) -> None:
    logout_everywhere.sync_detailed(client=account.client)
    age(account)
    for _ in range(2):
        with pytest.raises(SessionEnded, match="Log in again"):
            get_me.sync(client=account.client)


def test_a_renewal_whose_answer_is_lost_is_not_sent_again(account: Platform) -> None:
    auth, _ = age(account)
    lossy = Lossy(losses=1)
    auth.close()
    auth._http = httpx.Client(base_url=auth._http.base_url, transport=RetryingTransport(lossy, QUICK))
    with pytest.raises(SessionEnded, match="lost"):
        get_me.sync(client=account.client)
    assert lossy.lost == 1


def test_no_secret_is_in_a_representation(account: Platform) -> None:
    auth = account._auth
    assert isinstance(auth, AccountAuth)
    assert auth.refresh_token not in repr(auth._tokens) + repr(account.client)


# --- sending again ----------------------------------------------------------------------------------


def test_what_is_made_is_made_once_though_answers_are_lost(url: str, account: Platform) -> None:
    lossy = Lossy(losses=2)
    with Platform(url, account._auth, backoff=QUICK, transport=lossy) as flaky:
        wanted = ApiKeyWanted(name="Made once", scopes=[Scope.USAGEREAD])
        ok(create_api_key.sync(account.tenant_id, client=flaky.client, body=wanted))
    keys = items(lambda cursor: list_api_keys.sync(account.tenant_id, client=account.client, cursor=cursor))
    assert lossy.lost == 2
    assert [key.name for key in keys].count("Made once") == 1


def test_a_request_that_must_not_happen_twice_is_not_sent_again() -> None:
    transport = Scripted(httpx.Response(503))
    assert answers(transport).post("/api/v1/auth/step-up", json={}).status_code == 503
    assert len(transport.requests) == 1


def test_a_request_that_was_not_read_is_sent_again() -> None:
    transport = Scripted(httpx.Response(429, headers={"Retry-After": "0"}), httpx.Response(200))
    assert answers(transport).post("/api/v1/auth/step-up", json={}).status_code == 200


def test_reading_is_tried_five_times() -> None:
    transport = Scripted(*[httpx.Response(503)] * 5)
    assert answers(transport).get("/api/v1/tenants").status_code == 503
    assert len(transport.requests) == 5


@pytest.mark.parametrize(
    ("attempt", "asked", "expected"),
    [
        (1, None, 0.1),
        (2, None, 0.2),
        (3, None, 0.4),
        (4, None, 0.5),
        (1, 0.3, 0.4),
        (5, None, None),
        (1, 9.0, None),
    ],
)
def test_the_pause_doubles_and_keeps_to_what_the_server_asks(
    attempt: int, asked: float | None, expected: float | None
) -> None:
    delay = Backoff(attempts=5, first=0.2, longest=1.0).delay(attempt, asked=asked, jitter=0.5)
    assert delay == pytest.approx(expected)


def test_retry_after_may_be_a_date() -> None:
    later = (datetime.now(UTC) + timedelta(seconds=90)).strftime("%a, %d %b %Y %H:%M:%S GMT")
    waiting = retry_after(httpx.Response(503, headers={"Retry-After": later}))
    assert waiting is not None
    assert 80 < waiting <= 90


# --- metering ---------------------------------------------------------------------------------------


def test_usage_counts_once_though_answers_are_lost(
    through: Callable[[httpx.BaseTransport], Platform],
) -> None:
    lossy = Lossy(losses=7)
    platform = through(lossy)
    with platform.meter(source="lossy", batch=3, backoff=QUICK) as meter:
        ids = [meter.record("cpu", "0.25") for _ in range(10)]
    assert lossy.lost == 7
    assert sorted(stored(platform, "lossy")) == sorted(ids)


def test_threads_may_share_a_meter(machine: Platform) -> None:
    with machine.meter(source="threads", batch=10) as meter, ThreadPoolExecutor(8) as pool:
        ids = list(pool.map(lambda _: meter.record("api_calls", 1), range(100)))
    assert sorted(stored(machine, "threads")) == sorted(ids)


def test_flush_returns_when_all_is_stored(machine: Platform) -> None:
    meter = machine.meter(source="flushed", every=3_600)
    recorded = meter.record("cpu", 1)
    meter.flush()
    assert stored(machine, "flushed") == [recorded]


def test_a_bad_event_is_reported_and_the_others_are_stored(machine: Platform) -> None:
    meter = machine.meter(source="mixed", every=3_600)
    good, bad = meter.record("cpu", 1), meter.record("plutonium", 1)
    with pytest.raises(EventsRejected, match=bad) as caught:
        meter.flush()
    assert [event["id"] for event, _ in caught.value.rejected] == [bad]
    assert stored(machine, "mixed") == [good]
    meter.close()


def failing(_: object) -> list[dict[str, Any]]:
    raise httpx.ConnectError("nobody listens")


def test_what_cannot_be_sent_is_raised_with_its_events() -> None:
    others = set(threading.enumerate())
    meter = Meter(failing, source="s", backoff=QUICK)
    recorded = meter.record("cpu", 1)
    with pytest.raises(NotDelivered) as caught:
        meter.close(timeout=0.05)
    assert [event["id"] for event in caught.value.events] == [recorded]
    assert isinstance(caught.value.__cause__, httpx.ConnectError)
    with pytest.raises(MeterClosed):
        meter.record("cpu", 1)
    for thread in set(threading.enumerate()) - others:
        thread.join(5)  # a closed meter tries no more
        assert not thread.is_alive()


def test_what_cannot_be_sent_is_kept_in_a_file_and_sent_by_the_next_meter(
    tmp_path: Path, machine: Platform, caplog: pytest.LogCaptureFixture
) -> None:
    spool = tmp_path / "usage.jsonl"
    meter = Meter(failing, source="spooled", spool=spool, backoff=QUICK)
    ids = [meter.record("cpu", 1) for _ in range(3)]
    with caplog.at_level(logging.WARNING):
        meter.close(timeout=0.05)
    assert "3 events are kept" in caplog.text
    assert len(spool.read_text().splitlines()) == 3
    machine.meter(source="spooled", spool=spool).close()
    assert sorted(stored(machine, "spooled")) == sorted(ids)
    assert not spool.exists()


def test_a_full_buffer_makes_the_caller_wait_and_then_refuses() -> None:
    gate = threading.Event()

    def blocked(_: object) -> list[dict[str, Any]]:
        gate.wait()
        return []

    meter = Meter(blocked, source="s", batch=1, capacity=2)
    for _ in range(2):
        meter.record("cpu", 1)
    with pytest.raises(BufferFull):
        meter.record("cpu", 1, timeout=0.01)
    threading.Timer(0.02, gate.set).start()
    meter.record("cpu", 1, timeout=5)
    meter.close()


def test_a_batch_that_is_too_large_is_made_smaller() -> None:
    sizes: list[int] = []

    def narrow(events: Any) -> list[dict[str, Any]]:
        sizes.append(len(events))
        if len(events) > 2:
            raise ApiProblem(413, {}, retry_after=None)
        return []

    with Meter(narrow, source="s", batch=8, every=3_600) as meter:
        for _ in range(8):
            meter.record("cpu", 1)
    assert sizes == [8, 4, 2, 2, 2, 2]


@pytest.mark.parametrize("quantity", [-1, "x", "NaN", True])
def test_a_quantity_that_is_none_is_refused_at_once(quantity: Any) -> None:
    with Meter(lambda _: [], source="s") as meter, pytest.raises(ValueError, match="quantity"):
        meter.record("cpu", quantity)


AT_EXIT = """
from os import environ
from eu_platform_client import Platform

url, key, tenant_id = (environ["EU_PLATFORM_" + name] for name in ("URL", "KEY", "TENANT_ID"))
platform = Platform.with_api_key(url, key, tenant_id=tenant_id)
meter = platform.meter(source="at-exit", every=3_600)
for _ in range(5):
    print(meter.record("cpu", 1))
"""


def run(program: str, environment: dict[str, str]) -> str:
    environment = environment | {"PYTHONPATH": str(ROOT / "sdk" / "python" / "src")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_program_that_just_ends_loses_nothing(surroundings: dict[str, str], machine: Platform) -> None:
    ids = run(AT_EXIT, surroundings).split()
    assert len(ids) == 5
    assert sorted(stored(machine, "at-exit")) == sorted(ids)


def test_the_examples_of_the_readme_run(surroundings: dict[str, str], tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 3
    printed = run("\n".join(blocks), surroundings | {"STATE_DIRECTORY": str(tmp_path)})
    assert "EUR" in printed
