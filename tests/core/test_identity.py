from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.identity import Identity, normalised_email
from core.permission import PERMISSIONS, PLATFORM_ROLES, Permission, Role

OWN, FOREIGN = UUID(int=1), UUID(int=2)


def identity(role: Role) -> Identity:
    is_platform = role in PLATFORM_ROLES
    return Identity(
        user_id=UUID(int=3),
        tenant_id=None if is_platform else OWN,
        tenant_slug=None if is_platform else "acme",
        role=role,
        jti="1",
    )


@pytest.mark.parametrize("role", Role)
def test_an_account_may_do_what_its_role_may(role: Role) -> None:
    assert {permission for permission in Permission if identity(role).may(permission)} == PERMISSIONS[role]


@pytest.mark.parametrize("role", Role)
def test_an_account_reaches_its_own_tenant_and_the_platforms_accounts_reach_all(role: Role) -> None:
    assert identity(role).may_reach(OWN)
    assert identity(role).may_reach(FOREIGN) is identity(role).is_platform


@pytest.mark.parametrize("role", sorted(set(Role) - PLATFORM_ROLES))
def test_a_tenants_account_without_a_tenant_reaches_none(role: Role) -> None:
    lost = Identity(user_id=UUID(int=3), tenant_id=None, tenant_slug=None, role=role, jti="1")
    assert not lost.may_reach(OWN)


@pytest.mark.parametrize(
    ("written", "mailbox"),
    [
        ("ada@example.com", "ada@example.com"),
        (" Ada@Example.COM\n", "ada@example.com"),
        ("ada+x@example.com", "ada+x@example.com"),
    ],
)
def test_a_mailbox_has_one_spelling(written: str, mailbox: str) -> None:
    assert normalised_email(written) == mailbox


@given(st.emails())
def test_a_spelling_that_is_normalised_stays_as_it_is(email: str) -> None:
    assert normalised_email(normalised_email(email.upper())) == normalised_email(email.upper())
