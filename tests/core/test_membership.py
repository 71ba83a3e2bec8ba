import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import LastOwner, RoleTooHigh
from core.membership import (
    RANKS,
    require_may_give,
    require_owner_remains,
    role_objections,
    roles_beyond,
)
from core.permission import PERMISSIONS, PLATFORM_ROLES, Permission, Role

TENANT_ROLES = [Role.VIEWER, Role.MEMBER, Role.ADMIN, Role.OWNER]


def may_give(giver: Role, role: Role) -> bool:
    try:
        require_may_give(giver, role)
    except RoleTooHigh:
        return False
    return True


@pytest.mark.parametrize("role", TENANT_ROLES)
@pytest.mark.parametrize("giver", TENANT_ROLES)
def test_nobody_gives_a_role_above_his_own(giver: Role, role: Role) -> None:
    assert may_give(giver, role) is (TENANT_ROLES.index(role) <= TENANT_ROLES.index(giver))


@pytest.mark.parametrize("role", TENANT_ROLES)
def test_an_operator_gives_every_role_and_an_auditor_none(role: Role) -> None:
    assert may_give(Role.OPERATOR, role)
    assert not may_give(Role.AUDITOR, role)


def test_who_may_act_on_people_has_a_rank() -> None:
    assert {role for role in Role if Permission.USERS_WRITE in PERMISSIONS[role]} <= set(RANKS)


@given(st.sampled_from(TENANT_ROLES), st.sampled_from([*TENANT_ROLES, None]), st.integers(0, 3))
def test_an_active_owner_always_remains(role: Role, becomes: Role | None, other_owners: int) -> None:
    was = other_owners + (role is Role.OWNER)
    will_be = other_owners + (becomes is Role.OWNER)
    if was and not will_be:
        with pytest.raises(LastOwner):
            require_owner_remains(role, becomes=becomes, other_owners=other_owners)
    else:
        require_owner_remains(role, becomes=becomes, other_owners=other_owners)


@pytest.mark.parametrize("role", [*TENANT_ROLES, None])
def test_beyond_a_role_are_those_that_it_cannot_give(role: Role | None) -> None:
    beyond = {each for each in TENANT_ROLES if role is None or not may_give(role, each)}
    assert set(roles_beyond(role)) == beyond


def test_a_role_of_the_platform_is_none_in_a_tenant() -> None:
    assert [role for role in Role if role_objections(role)] == [
        role for role in Role if role in PLATFORM_ROLES
    ]
    assert role_objections(None) == []
