"""What an operation of a tenant announces, it answers: 409 before the tenant is open, 410 after it is gone.

The requests are made from the OpenAPI document, so that a new operation is tried without anybody's doing.
"""

from collections import defaultdict
from uuid import UUID, uuid4

from core.permission import PLATFORM_ROLES, Role, is_permitted
from core.tenant import Tenant
from tests.installation import rows
from tests.web.client import Api, Caller
from tests.web.test_isolation import DOCUMENT, Operation, operations
from tests.web.test_permission_matrix import NEEDED

SET_STATE = "UPDATE public.tenants SET state = $2 WHERE id = $1"
OF_TENANTS = [each for each in operations() if "{tenant_id}" in each.path and each.name in NEEDED]
CONFLICTS_OF_THEIR_OWN = frozenset(
    """
    createApiKey deleteTenant updateTenant eraseTenant cancelErasure createExport placeLegalHold liftLegalHold
    setTenantPrice
    """.split()  # noqa: SIM905 -- names of operations are easier to read than quoted ones
)
"""They work for a tenant that is not open yet, and answer 409 for reasons that their own tests have."""


def announces(operation: Operation, status: int) -> bool:
    responses = DOCUMENT["paths"][operation.path][operation.method.lower()]["responses"]
    return str(status) in responses


async def status_of(caller: Caller, operation: Operation, tenant: Tenant) -> int:
    """What a request as the document has it is answered with; ids other than the tenant's are made up."""
    ids: dict[str, UUID] = defaultdict(uuid4, tenant_id=tenant.id)
    answer = await caller.send(
        operation.method,
        operation.address(ids).removeprefix("/api/v1"),
        json=next((example for _, example in operation.bodies()), None),
    )
    return answer.status_code


async def test_an_operation_that_needs_an_open_tenant_says_so(api: Api, tenant: Tenant) -> None:
    """Asked by the platform, since a tenant has no accounts yet."""
    await rows(api.installation, SET_STATE, tenant.id, "PENDING")
    callers = {role: await api.as_(role) for role in PLATFORM_ROLES}
    for operation in OF_TENANTS:
        role = next((role for role in PLATFORM_ROLES if is_permitted(role, NEEDED[operation.name])), None)
        if role is not None and announces(operation, 409) and operation.name not in CONFLICTS_OF_THEIR_OWN:
            assert await status_of(callers[role], operation, tenant) == 409, operation.name


async def test_every_operation_says_that_a_tenant_is_gone(api: Api, tenant: Tenant) -> None:
    """Asked by those who had an account there, whose tokens are still good."""
    owner = await api.as_(Role.OWNER, tenant)
    await rows(api.installation, SET_STATE, tenant.id, "DELETED")
    for operation in OF_TENANTS:
        if is_permitted(Role.OWNER, NEEDED[operation.name]):
            assert announces(operation, 410), operation.name
            assert await status_of(owner, operation, tenant) == 410, operation.name
