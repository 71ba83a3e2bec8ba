"""Errors: each is problem+json with the id of its request, and says nothing that it must not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import msgspec
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from core import errors
from core.permission import Role
from core.tenant import Tenant
from shell import costs
from shell.database import UNAVAILABLE
from shell.embedded.postgres import role_url, start_postgres, stop_postgres
from shell.settings import Secret
from tests.fixtures import answering
from tests.installation import Installation, elsewhere
from tests.waiting import until
from tests.web.client import Api, problem_of
from web.problems import DESCRIPTIONS, HTTP_KINDS, KINDS, problems


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nowhere"),
        ("GET", "/api/v1/nowhere"),
        ("POST", "/api/v2/auth/login"),
        ("GET", "/api/v1/tenants/no-id/usage"),
        ("GET", "/docs/assets/nothing.js"),
        ("GET", "/%2e%2e/etc/passwd"),
        ("DELETE", "/nowhere"),
    ],
)
async def test_an_unknown_route_is_a_problem(api: Api, method: str, path: str) -> None:
    problem_of(await api.http.request(method, path), 404, "not-found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/api/v1/tenants", {"GET", "POST", "OPTIONS"}),
        ("GET", "/api/v1/auth/login", {"POST", "OPTIONS"}),
        ("POST", "/health", {"GET", "OPTIONS"}),
        ("TRACE", "/health", {"GET", "OPTIONS"}),
    ],
)
async def test_a_method_that_a_route_does_not_have_is_a_problem_that_names_the_others(
    api: Api, method: str, path: str, allowed: set[str]
) -> None:
    answer = await api.http.request(method, path)
    problem_of(answer, 405, "method-not-allowed")
    assert set(answer.headers["allow"].split(", ")) == allowed


@pytest.mark.parametrize("path", ["/auth/login", "/auth/register", "/auth/refresh"])
async def test_a_body_that_is_too_large_is_a_problem(api: Api, path: str) -> None:
    body = b'{"email": "' + b"x" * 70_000
    headers = {"Content-Type": "application/json"}
    problem_of(await api.post(path, content=body, headers=headers), 413, "body-too-large")


@pytest.mark.parametrize("body", [b"{", b"nonsense", b'{"email": "\xff"}', b"[" * 50_000])
async def test_a_body_that_is_no_json_is_a_problem(api: Api, body: bytes) -> None:
    answer = await api.post("/auth/login", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in {400, 422}
    problem_of(answer, answer.status_code)


@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"1", b'"text"'])
async def test_a_body_that_is_no_object_is_a_problem_of_the_whole(api: Api, body: bytes) -> None:
    answer = await api.post("/auth/login", content=body, headers={"Content-Type": "application/json"})
    (error,) = problem_of(answer, 422, "invalid-input")["errors"]
    assert error["field"] == "$"
    assert "data" not in error["detail"]


# --- request ids ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", ["a", "0123456789abcdef", "A.b_c-9", "x" * 64])
async def test_a_plain_request_id_is_kept(api: Api, sent: str) -> None:
    answer = await api.http.get("/nowhere", headers={"X-Request-Id": sent})
    assert answer.headers["x-request-id"] == sent
    assert answer.json()["request_id"] == sent


@pytest.mark.parametrize(
    "sent", ["", "a b", "x" * 65, "<script>", "a;b", "ada@example.com", "é", "a\tb", "../x"]
)
async def test_any_other_request_id_is_replaced(api: Api, sent: str) -> None:
    answer = await api.http.get("/nowhere", headers={b"X-Request-Id": sent.encode()})
    given = answer.headers["x-request-id"]
    assert len(given) == 32
    assert int(given, 16)
    assert answer.json()["request_id"] == given


async def test_every_request_without_an_id_gets_one_of_its_own(api: Api) -> None:
    answers = await asyncio.gather(*(api.http.get("/health/live") for _ in range(10)))
    assert len({answer.headers["x-request-id"] for answer in answers}) == 10


# --- bugs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        KeyError("ada@example.com"),
        RuntimeError("password hunter2"),
        asyncpg.UniqueViolationError("Key (email)=(ada@example.com) already exists."),
        asyncpg.UndefinedTableError('relation "secret" does not exist'),
        RecursionError(),
        msgspec.ValidationError("bad"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_bug_is_answered_without_a_word_of_what_it_was(
    api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: object) -> None:
        raise error

    owner = await api.as_(Role.OWNER, tenant)
    monkeypatch.setattr(costs, "of_month", fail)
    with capture_logs() as logs:
        answer = await owner.get("./costs/current")
    problem = problem_of(answer, 500, "internal-error")
    assert set(problem) == {"type", "title", "status", "detail", "request_id"}
    for word in ("example.com", "hunter2", "secret", type(error).__name__, "Traceback"):
        assert word not in answer.text
    assert [entry["exc_info"] for entry in logs if entry["event"] == "request.failed"] == [error]


async def test_an_error_of_ours_that_no_status_is_known_for_is_a_bug(
    api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise errors.SettingInvalid(name="x", reason="secret")

    owner = await api.as_(Role.OWNER, tenant)
    monkeypatch.setattr(costs, "of_month", fail)
    answer = await owner.get("./costs/current")
    problem_of(answer, 500, "internal-error")
    assert "secret" not in answer.text


# --- the database is away -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error", [each("lost") for each in UNAVAILABLE], ids=lambda error: type(error).__name__
)
async def test_what_a_lost_connection_raises_is_temporary(
    api: Api, tenant: Tenant, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def fail(*_: object) -> None:
        raise error

    owner = await api.as_(Role.OWNER, tenant)
    monkeypatch.setattr(costs, "of_month", fail)
    answer = await owner.get("./costs/current")
    problem_of(answer, 503, "unavailable")
    assert int(answer.headers["retry-after"]) > 0


class Outage(msgspec.Struct):
    """An API on a PostgreSQL of its own, which can be stopped and started again."""

    http: httpx.AsyncClient
    data: Path
    server: Any

    def stop(self) -> None:
        stop_postgres(self.server)

    def start(self) -> None:
        self.server = start_postgres(self.data)


@pytest_asyncio.fixture
async def outage(installation: Installation, tmp_path: Path) -> AsyncIterator[Outage]:
    server = start_postgres(tmp_path)
    url = Secret(role_url(server.admin_url, role="postgres", password="x"))
    settings = msgspec.structs.replace(
        installation.settings, database_url=url, redis_url=elsewhere(installation)
    )
    async with answering(settings) as (_, http):
        found = Outage(http, tmp_path, server)
        yield found
        found.stop()


async def test_while_the_database_is_away_answers_say_so_and_when_it_is_back_all_is_well(
    outage: Outage,
) -> None:
    login = {"tenant": "platform", "email": "a@b.cd", "password": "x"}
    assert (await outage.http.get("/health/ready")).status_code == 200
    outage.stop()
    for _ in range(3):
        answer = await outage.http.post("/api/v1/auth/login", json=login)
        problem_of(answer, 503, "unavailable")
        assert "retry-after" in answer.headers
        ready = await outage.http.get("/health/ready")
        assert (ready.status_code, ready.json()["status"]) == (503, "unavailable")
        assert ready.json()["checks"]["database"] == "unavailable"
        assert (await outage.http.get("/health/live")).status_code == 200
    outage.start()

    async def is_back() -> bool:
        return (await outage.http.get("/health/ready")).status_code == 200

    await until(is_back)


# --- the table ----------------------------------------------------------------------------------------

NOT_OF_A_REQUEST = {
    errors.ErasureCancelled,
    errors.MigrationChanged,
    errors.PriceMissing,
    errors.SettingInvalid,
    errors.WorkerLost,
}


def test_every_error_that_a_request_can_cause_has_a_status() -> None:
    ours = {
        each
        for each in vars(errors).values()
        if isinstance(each, type)
        and issubclass(each, errors.PlatformError)
        and each is not errors.PlatformError
    }
    assert ours - KINDS.keys() == NOT_OF_A_REQUEST


def test_a_status_is_between_400_and_499_and_has_a_description() -> None:
    for kind in (*KINDS.values(), *HTTP_KINDS.values()):
        assert 400 <= kind.status <= 499
        if kind.status != 405:
            assert kind.status in DESCRIPTIONS


def test_one_name_has_one_status() -> None:
    named = {(kind.name, kind.status) for kind in (*KINDS.values(), *HTTP_KINDS.values())}
    assert len({name for name, _ in named}) == len(named)


def test_an_operation_describes_the_problems_that_it_names() -> None:
    assert {status: spec.media_type for status, spec in problems(404, 422).items()} == {
        404: "application/problem+json",
        422: "application/problem+json",
    }
