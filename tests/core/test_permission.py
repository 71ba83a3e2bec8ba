import pytest

from core.permission import PERMISSIONS, PLATFORM_ROLES, Permission, Role, is_permitted

# Spelled out, so that nobody gains or loses a right unless this is changed, too.
TABLE = """
                        OWNER  ADMIN  MEMBER  VIEWER  OPERATOR  AUDITOR
tenant:read             yes    yes    yes     yes     yes       yes
tenant:update           yes    yes    -       -       yes       -
tenant:policy           yes    -      -       -       yes       -
tenant:delete           yes    -      -       -       yes       -
tenants:list            -      -      -       -       yes       yes
tenants:create          -      -      -       -       yes       -
tenants:suspend         -      -      -       -       yes       -
tenants:tier            -      -      -       -       yes       -
usage:write             yes    yes    yes     -       yes       -
usage:read              yes    yes    yes     yes     yes       yes
usage:backfill          -      -      -       -       yes       -
billing:read            yes    yes    yes     yes     yes       yes
billing:write           -      -      -       -       yes       -
anomalies:read          yes    yes    yes     yes     yes       yes
anomalies:acknowledge   yes    yes    yes     -       yes       -
jobs:read               yes    yes    yes     yes     yes       yes
prices:read             yes    yes    yes     yes     yes       yes
prices:write            -      -      -       -       yes       -
users:read              yes    yes    -       -       yes       -
users:write             yes    yes    -       -       yes       -
api-keys:read           yes    yes    -       -       yes       -
api-keys:write          yes    yes    -       -       yes       -
data:export             yes    yes    -       -       yes       -
certificates:read       -      -      -       -       yes       yes
archives:read           -      -      -       -       yes       -
retention:read          yes    yes    -       -       yes       yes
retention:write         yes    -      -       -       yes       -
registers:read          -      -      -       -       yes       yes
registers:write         -      -      -       -       yes       -
legal-holds:read        -      -      -       -       yes       yes
legal-holds:write       -      -      -       -       yes       -
audit:read              yes    yes    -       -       yes       yes
platform-audit:read     -      -      -       -       yes       yes
"""

HEAD, *LINES = (line.split() for line in TABLE.strip().splitlines())
CELLS = [
    (Role(role), Permission(permission), cell == "yes")
    for permission, *cells in LINES
    for role, cell in zip(HEAD, cells, strict=True)
]


def test_the_table_names_every_role_and_every_permission() -> None:
    assert len(CELLS) == len(Role) * len(Permission)
    assert {role for role, _, _ in CELLS} == set(Role) == set(PERMISSIONS)
    assert {permission for _, permission, _ in CELLS} == set(Permission)


@pytest.mark.parametrize(("role", "permission", "permitted"), CELLS)
def test_a_role_may_do_what_the_table_says_and_nothing_else(
    role: Role, permission: Permission, permitted: bool
) -> None:
    assert is_permitted(role, permission) is permitted


def test_in_a_tenant_each_role_may_do_more_than_the_one_below() -> None:
    owner, admin, member, viewer = (
        PERMISSIONS[role] for role in (Role.OWNER, Role.ADMIN, Role.MEMBER, Role.VIEWER)
    )
    assert owner > admin > member > viewer


def test_an_auditor_changes_nothing() -> None:
    assert {permission.rpartition(":")[2] for permission in PERMISSIONS[Role.AUDITOR]} == {"read", "list"}


def test_operators_and_auditors_belong_to_the_platform() -> None:
    assert {Role.OPERATOR, Role.AUDITOR} == PLATFORM_ROLES
