"""Who may do what: every operation, asked for by every role, by nobody, and by a foreign tenant."""

from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio

from core.permission import Role
from core.tenant import Tenant, TenantState
from shell.settings import Settings
from tests.installation import current, found, put_into
from tests.web.client import Api, Caller, problem_of
from web.app import application
from web.openapi import openapi_document

TENANTS = {Role.OWNER, Role.ADMIN, Role.MEMBER, Role.VIEWER}
READERS = TENANTS | {Role.OPERATOR, Role.AUDITOR}
WRITERS = {Role.OWNER, Role.ADMIN, Role.MEMBER, Role.OPERATOR}
ADMINS = {Role.OWNER, Role.ADMIN, Role.OPERATOR}
OWNERS = {Role.OWNER, Role.OPERATOR}
OPERATORS = {Role.OPERATOR}

MAY: dict[str, set[Role]] = {
    "getMe": READERS,
    "listTenants": {Role.OPERATOR, Role.AUDITOR},
    "createTenant": OPERATORS,
    "getTenant": READERS,
    "updateTenant": ADMINS,
    "suspendTenant": OPERATORS,
    "activateTenant": OPERATORS,
    "deleteTenant": OWNERS,
    "recordUsage": WRITERS,
    "listUsage": READERS,
    "listCosts": READERS,
    "getCurrentCosts": READERS,
    "getProjectedCosts": READERS,
    "listAnomalies": READERS,
    "acknowledgeAnomaly": WRITERS,
    "listInvoices": READERS,
    "previewInvoice": READERS,
    "getInvoice": READERS,
    "getJob": READERS,
    "listPrices": READERS,
    "setPrice": OPERATORS,
    "listTenantPrices": READERS,
    "setTenantPrice": OPERATORS,
}
"""Who may; written down here once more, so that a change of the table in core has to be meant."""

PUBLIC = {
    "register",
    "login",
    "refreshTokens",
    "logout",
    "getLiveness",
    "getReadiness",
    "getHealth",
    "getMetrics",
    "getKeys",
}

OPERATIONS: dict[str, tuple[str, str]] = {
    operation["operationId"]: (method.upper(), path)
    for path, item in openapi_document(application(Settings()))["paths"].items()
    for method, operation in item.items()
}

guarded = pytest.mark.parametrize("name", sorted(MAY))
of_a_tenant = pytest.mark.parametrize(
    "name", sorted(name for name in MAY if "{tenant_id}" in OPERATIONS[name][1])
)


@pytest_asyncio.fixture(scope="module")
async def home(api: Api) -> Tenant:
    return await found(api.installation)


@pytest_asyncio.fixture(scope="module")
async def callers(api: Api, home: Tenant) -> dict[Role, Caller]:
    """One caller of each role."""
    return {role: await api.as_(role, home if role in TENANTS else None) for role in Role}


@pytest_asyncio.fixture(scope="module")
async def foreign(api: Api) -> Caller:
    """The owner of another tenant."""
    return await api.as_(Role.OWNER, await found(api.installation))


def request_of(name: str, tenant: Tenant) -> tuple[str, str, dict[str, Any]]:
    """A request that reaches the operation and, where it is let in, changes nothing that matters."""
    method, path = OPERATIONS[name]
    for parameter in ("invoice_id", "anomaly_id", "job_id"):
        path = path.replace(f"{{{parameter}}}", str(uuid4()))
    path = path.replace("{tenant_id}", str(tenant.id)).removeprefix("/api/v1")
    return method, path, {"json": {}} if method in {"POST", "PATCH"} else {}


def test_every_operation_has_been_thought_of() -> None:
    assert MAY.keys() | PUBLIC == OPERATIONS.keys()


@guarded
async def test_those_who_may_are_let_in_and_those_who_may_not_are_told_so(
    api: Api, home: Tenant, callers: dict[Role, Caller], name: str
) -> None:
    method, path, request = request_of(name, home)
    for role, caller in callers.items():
        answer = await caller.send(method, path, **request)
        if role in MAY[name]:
            assert answer.status_code not in {401, 403}, f"{role}: {answer.text}"
        else:
            problem_of(answer, 403, "not-permitted")
        await put_into(api.installation, home, TenantState.ACTIVE)


@guarded
async def test_nobody_is_let_in_without_a_token(api: Api, home: Tenant, name: str) -> None:
    method, path, request = request_of(name, home)
    answer = await api.http.request(method, f"/api/v1{path}", **request)
    problem_of(answer, 401, "not-authenticated")


@of_a_tenant
async def test_for_another_tenants_account_a_tenant_does_not_exist(
    api: Api, home: Tenant, foreign: Caller, name: str
) -> None:
    method, path, request = request_of(name, home)
    problem = problem_of(await foreign.send(method, path, **request), 404, "not-found")
    assert problem["detail"] == "There is no such tenant."
    assert await current(api.installation, home) == home


@pytest.mark.parametrize("name", sorted(PUBLIC))
async def test_what_is_public_asks_for_no_token(api: Api, home: Tenant, name: str) -> None:
    method, path = OPERATIONS[name]
    answer = await api.http.request(method, path, json={} if method == "POST" else None)
    assert answer.status_code in {200, 422}
