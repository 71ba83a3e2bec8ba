"""The deletion ledger in the database."""

from uuid import uuid4

import pytest
from asyncpg.exceptions import InsufficientPrivilegeError

from core.deletion_ledger import erased_person, erased_tenant, still_there
from shell import deletion_ledger
from shell.session import platform_session
from tests.installation import Installation


async def test_what_was_appended_is_found_again_once(own_installation: Installation) -> None:
    tenant_id, user_id = uuid4(), uuid4()
    gone = [erased_tenant(tenant_id), erased_person(tenant_id, user_id)]
    async with platform_session(own_installation.pool) as session:
        for thing in [*gone, *gone]:
            await deletion_ledger.append(session, thing)
    async with platform_session(own_installation.pool, readonly=True) as session:
        kept = await deletion_ledger.entries(session)
    assert still_there(kept, [*gone, erased_tenant(uuid4())]) == gone
    assert len(kept) == 2
    assert len({entry.salt for entry in kept}) == 1
    assert not any(tenant_id.bytes in entry.digest or user_id.bytes in entry.digest for entry in kept)


@pytest.mark.parametrize(
    "statement", ["DELETE FROM public.deletion_ledger", "UPDATE public.deletion_ledger SET digest = ''"]
)
async def test_the_application_cannot_take_an_entry_back(installation: Installation, statement: str) -> None:
    with pytest.raises(InsufficientPrivilegeError):
        async with platform_session(installation.pool) as session:
            await session.connection.execute(statement)
