"""Invitations and changes of roles where several happen at once, each in its own transaction."""

import asyncio
from datetime import UTC, datetime

import pytest

from core.errors import InvitationRefused, LastOwner, NotAuthenticated, PlatformError
from core.identity import Account
from core.membership import INVITATION_LIFETIME, UserState
from core.permission import Role
from core.tenant import Tenant
from shell import invitations, users
from shell.invitations import Accepted, NewInvitation
from shell.session import tenant_session
from shell.users import Changer, UserChange
from tests.installation import Installation, add_account

AT_ONCE = 15


async def test_one_of_many_simultaneous_acceptances_makes_the_account(
    installation: Installation, tenant: Tenant
) -> None:
    owner = await add_account(installation, tenant, Role.OWNER)
    new, now = NewInvitation("grace@example.com", Role.MEMBER), datetime.now(UTC)
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        _, token = await invitations.invite(session, new, by=owner.id, key=None, now=now)
    assert token is not None

    async def accept() -> Accepted | None:
        try:
            async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
                return await invitations.accept(session, token, full_name="Grace", password_hash="x", now=now)
        except InvitationRefused:
            return None

    won = [accepted for accepted in await asyncio.gather(*(accept() for _ in range(AT_ONCE))) if accepted]
    assert [accepted.account.email for accepted in won] == ["grace@example.com"]


async def test_an_invitation_ends_after_seven_days(installation: Installation, tenant: Tenant) -> None:
    new, now = NewInvitation("late@example.com", Role.MEMBER), datetime.now(UTC)
    owner = await add_account(installation, tenant, Role.OWNER)
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        invitation, token = await invitations.invite(session, new, by=owner.id, key=None, now=now)
        assert token is not None
        almost = now + INVITATION_LIFETIME * 0.999
        assert (await invitations.opened_by(session, token, almost)).id == invitation.id
        with pytest.raises(InvitationRefused):
            await invitations.opened_by(session, token, now + INVITATION_LIFETIME)


@pytest.mark.parametrize("wanted", [UserChange(role=Role.ADMIN), UserChange(state=UserState.DEACTIVATED)])
async def test_of_owners_who_remove_each_other_in_a_circle_one_remains(
    installation: Installation, tenant: Tenant, wanted: UserChange
) -> None:
    owners = [await add_account(installation, tenant, Role.OWNER) for _ in range(AT_ONCE)]

    async def change(one: Account, by: Account) -> PlatformError | None:
        try:
            async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
                await users.change(session, one.id, wanted, by=Changer(by.id, Role.OWNER))
        except (LastOwner, NotAuthenticated) as error:
            return error
        return None

    pairs = zip(owners, [*owners[1:], owners[0]], strict=True)
    outcomes = await asyncio.gather(*(change(one, by) for one, by in pairs))
    async with tenant_session(installation.pool, tenant_id=tenant.id, readonly=True) as session:
        people = await users.page(session, after=None, limit=100)
    left = [user for user in people if user.role is Role.OWNER and user.state is UserState.ACTIVE]
    assert len(left) == sum(outcome is not None for outcome in outcomes)
    assert left
