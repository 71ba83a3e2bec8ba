"""Every operation of the OpenAPI document, tried by everybody; a new one fails until the table has it."""

import re
from typing import Any
from uuid import uuid4

import httpx
import msgspec
import pytest

from core.api_key import Scope, permissions_of
from core.permission import PLATFORM_ROLES, Permission, Role, is_permitted
from core.tenant import Tenant
from shell.settings import load_settings
from tests.installation import rows
from tests.web.client import Api, problem_of
from web.app import application
from web.openapi import openapi_document

NEEDED: dict[str, Permission] = {
    "listTenants": Permission.TENANTS_LIST,
    "createTenant": Permission.TENANTS_CREATE,
    "getTenant": Permission.TENANT_READ,
    "updateTenant": Permission.TENANT_UPDATE,
    "deleteTenant": Permission.TENANT_DELETE,
    "suspendTenant": Permission.TENANTS_SUSPEND,
    "activateTenant": Permission.TENANTS_SUSPEND,
    "recordUsage": Permission.USAGE_WRITE,
    "listUsage": Permission.USAGE_READ,
    "listCosts": Permission.BILLING_READ,
    "getCurrentCosts": Permission.BILLING_READ,
    "getProjectedCosts": Permission.BILLING_READ,
    "listAnomalies": Permission.ANOMALIES_READ,
    "acknowledgeAnomaly": Permission.ANOMALIES_ACKNOWLEDGE,
    "listInvoices": Permission.BILLING_READ,
    "previewInvoice": Permission.BILLING_READ,
    "getInvoice": Permission.BILLING_READ,
    "getJob": Permission.JOBS_READ,
    "listApiKeys": Permission.API_KEYS_READ,
    "createApiKey": Permission.API_KEYS_WRITE,
    "getApiKey": Permission.API_KEYS_READ,
    "revokeApiKey": Permission.API_KEYS_WRITE,
    "listUsers": Permission.USERS_READ,
    "getUser": Permission.USERS_READ,
    "updateUser": Permission.USERS_WRITE,
    "deactivateUser": Permission.USERS_WRITE,
    "endUserSessions": Permission.USERS_WRITE,
    "listInvitations": Permission.USERS_READ,
    "createInvitation": Permission.USERS_WRITE,
    "revokeInvitation": Permission.USERS_WRITE,
    "eraseTenant": Permission.TENANT_DELETE,
    "getErasure": Permission.TENANT_READ,
    "cancelErasure": Permission.TENANT_DELETE,
    "getErasureCertificate": Permission.CERTIFICATES_READ,
    "getErasureCertificatePdf": Permission.CERTIFICATES_READ,
    "readLegalArchive": Permission.ARCHIVES_READ,
    "createExport": Permission.DATA_EXPORT,
    "listExports": Permission.DATA_EXPORT,
    "getExport": Permission.DATA_EXPORT,
    "placeLegalHold": Permission.LEGAL_HOLDS_WRITE,
    "listLegalHolds": Permission.LEGAL_HOLDS_READ,
    "getRetention": Permission.RETENTION_READ,
    "setRetention": Permission.RETENTION_WRITE,
    "previewRetention": Permission.RETENTION_READ,
    "getProcessingRegister": Permission.REGISTERS_READ,
    "addRegisterCase": Permission.REGISTERS_WRITE,
    "listRegisterCases": Permission.REGISTERS_READ,
    "moveRegisterCase": Permission.REGISTERS_WRITE,
    "eraseUser": Permission.USERS_WRITE,
    "getAccessPackage": Permission.USERS_WRITE,
    "rectifyUser": Permission.USERS_WRITE,
    "restrictUser": Permission.USERS_WRITE,
    "liftUserRestriction": Permission.USERS_WRITE,
    "liftLegalHold": Permission.LEGAL_HOLDS_WRITE,
    "listPrices": Permission.PRICES_READ,
    "setPrice": Permission.PRICES_WRITE,
    "listTenantPrices": Permission.PRICES_READ,
    "setTenantPrice": Permission.PRICES_WRITE,
    "listAuditLog": Permission.AUDIT_READ,
    "getAuditCheckpoint": Permission.AUDIT_READ,
    "proveAuditInclusion": Permission.AUDIT_READ,
    "proveAuditConsistency": Permission.AUDIT_READ,
    "exportAuditLog": Permission.AUDIT_READ,
    "listPlatformAuditLog": Permission.PLATFORM_AUDIT_READ,
    "getPlatformAuditCheckpoint": Permission.PLATFORM_AUDIT_READ,
    "provePlatformAuditInclusion": Permission.PLATFORM_AUDIT_READ,
    "provePlatformAuditConsistency": Permission.PLATFORM_AUDIT_READ,
    "exportPlatformAuditLog": Permission.PLATFORM_AUDIT_READ,
}
OF_ONES_OWN_ACCOUNT = frozenset(
    """
    getMe changePassword enrolSecondFactor confirmSecondFactor disableSecondFactor stepUp
    listSessions endSession logoutEverywhere
    """.split()  # noqa: SIM905 -- names of operations are easier to read than quoted ones
)
PUBLIC = frozenset(
    """
    register login refreshTokens logout askForPasswordReset resetPassword
    downloadExport fetchErasureCertificate fetchErasureCertificatePdf
    getLiveness getReadiness getHealth getMetrics getKeys getAuditKeys
    """.split()  # noqa: SIM905 -- as above
)


class Route(msgspec.Struct, frozen=True):
    """An operation of the document."""

    name: str
    method: str
    path: str
    is_public: bool

    @property
    def is_tenants(self) -> bool:
        """Whether the path names a tenant."""
        return "{tenant_id}" in self.path

    def address(self, tenant: Tenant) -> str:
        """The path of a tenant, and of nothing that is there."""
        path = self.path.replace("{tenant_id}", str(tenant.id))
        return re.sub(r"\{\w+\}", lambda _: str(uuid4()), path)


def routes() -> list[Route]:
    """All operations of the document."""
    document: dict[str, Any] = openapi_document(application(load_settings({})))
    return [
        Route(operation["operationId"], method.upper(), path, operation.get("security") == [])
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if "operationId" in operation
    ]


ROUTES = routes()
GUARDED = [pytest.param(route, id=route.name) for route in ROUTES if not route.is_public]
OF_TENANTS = [pytest.param(route, id=route.name) for route in ROUTES if route.is_tenants]


async def tried(api: Api, route: Route, tenant: Tenant, token: str | None) -> httpx.Response:
    """The answer to a request with nothing in it."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    body: dict[str, Any] | None = None if route.method == "GET" else {}
    return await api.http.request(route.method, route.address(tenant), headers=headers, json=body)


def is_admitted(answer: httpx.Response) -> bool:
    """Whether the guards let a request pass; an empty one seldom ends well, but that is not their doing."""
    kind = answer.json()["type"].rpartition(":")[2] if answer.status_code in {401, 403} else ""
    return kind not in {"not-authenticated", "not-permitted"}


def test_every_operation_stands_in_the_table() -> None:
    assert {route.name for route in ROUTES if route.is_public} == PUBLIC
    assert {route.name for route in ROUTES if not route.is_public} == OF_ONES_OWN_ACCOUNT | NEEDED.keys()


@pytest.mark.parametrize("route", GUARDED)
async def test_each_role_is_admitted_to_what_it_may_do(api: Api, tenant: Tenant, route: Route) -> None:
    problem_of(await tried(api, route, tenant, None), 401, "not-authenticated")
    for role in Role:
        caller = await api.as_(role, None if role in PLATFORM_ROLES else tenant)
        expected = route.name in OF_ONES_OWN_ACCOUNT or is_permitted(role, NEEDED[route.name])
        answer = await tried(api, route, tenant, caller.token)
        assert is_admitted(answer) is expected, (role, answer.text)


@pytest.mark.parametrize("route", GUARDED)
async def test_each_scope_of_a_key_is_admitted_to_what_it_may_do(
    api: Api, tenant: Tenant, route: Route
) -> None:
    operator = await api.operator()
    for scope in Scope:
        body = {"name": scope, "scopes": [scope]}
        key = (await operator.post(f"/tenants/{tenant.id}/api-keys", json=body)).json()["key"]
        answer = await tried(api, route, tenant, key)
        expected = route.name in NEEDED and NEEDED[route.name] in permissions_of([scope])
        assert is_admitted(answer) is expected, (scope, answer.text)


@pytest.mark.parametrize("route", OF_TENANTS)
async def test_another_tenants_path_is_not_found_and_the_attempt_is_audited(
    api: Api, tenant: Tenant, other_tenant: Tenant, route: Route
) -> None:
    stranger, operator = await api.as_(Role.OWNER, other_tenant), await api.operator()
    body = {"name": "stranger", "scopes": list(Scope)}
    key = (await operator.post(f"/tenants/{other_tenant.id}/api-keys", json=body)).json()
    for token in (stranger.token, key["key"]):
        problem_of(await tried(api, route, tenant, token), 404, "not-found")
    found = await rows(
        api.installation,
        "SELECT actor_id::text FROM public.audit_log WHERE action = 'tenant.foreign_access' AND subject = $1",
        f"tenant:{tenant.id}",
    )
    assert {entry["actor_id"] for entry in found} == {str(stranger.account.id), key["id"]}
