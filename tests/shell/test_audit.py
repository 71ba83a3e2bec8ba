"""Entries stay as they were written: for the application, for tenants, and for the owner of the table."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

import asyncpg
import pytest
from asyncpg.exceptions import InsufficientPrivilegeError

from core.audit import SYSTEM, Actor, ActorKind, AuditEntry
from core.tenant import Tenant
from shell.audit import append_entry, erase_details_of_chain, erase_details_of_person
from shell.session import OwnersRole, owner_session, tenant_session
from tests.installation import Installation, administrator, rows

NOW = datetime(2026, 11, 25, tzinfo=UTC)

CHANGES = [
    "UPDATE public.audit_log SET action = 'forged'",
    "UPDATE public.audit_log SET subject = 'forged'",
    "UPDATE public.audit_log SET actor_id = gen_random_uuid()",
    "UPDATE public.audit_log SET actor_kind = 'system'",
    "UPDATE public.audit_log SET outcome = 'forged'",
    "UPDATE public.audit_log SET occurred_at = now()",
    "UPDATE public.audit_log SET request_id = 'forged'",
    "UPDATE public.audit_log SET address = '192.0.2.9'",
    "UPDATE public.audit_log SET address = NULL",
    'UPDATE public.audit_log SET details = \'{"forged":"yes"}\'',
    "UPDATE public.audit_log SET details = NULL, address = NULL, salt = NULL",
    "UPDATE public.audit_log SET chain = 'platform'",
    "DELETE FROM public.audit_log",
    "TRUNCATE public.audit_log",
    "UPDATE public.audit_nodes SET hash = ''",
    "DELETE FROM public.audit_nodes",
    "UPDATE public.audit_checkpoints SET note = ''",
    "DELETE FROM public.audit_checkpoints",
    "TRUNCATE public.audit_checkpoints",
    "DELETE FROM public.audit_keys",
    "DELETE FROM public.audit_chains",
]


async def append(installation: Installation, tenant: Tenant, *entries: AuditEntry) -> None:
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        for entry in entries:
            await append_entry(session, entry)


def entry_by(actor_id: UUID | None, subject: str = "test:1", **details: str) -> AuditEntry:
    actor = Actor(ActorKind.USER, id=actor_id, address="192.0.2.1")
    return AuditEntry("test", subject, actor, details={"name": "Ada"} | details)


@pytest.mark.parametrize("statement", CHANGES)
@pytest.mark.parametrize("role", [None, *OwnersRole])
async def test_the_owner_changes_no_entry_whatever_it_becomes(
    installation: Installation, tenant: Tenant, role: OwnersRole | None, statement: str
) -> None:
    await append(installation, tenant, AuditEntry("test", "test:1", SYSTEM))
    with pytest.raises(InsufficientPrivilegeError):
        async with owner_session(installation.owner_pool, role=role) as session:
            await session.connection.execute(statement)


async def test_a_trigger_stops_the_superuser_until_it_is_switched_off(
    installation: Installation, tenant: Tenant
) -> None:
    await append(installation, tenant, AuditEntry("test", "test:1", SYSTEM))
    forge = f"UPDATE public.audit_log SET subject = 'test:2' WHERE chain = '{tenant.chain}'"
    async with administrator(installation.admin_url) as admin:
        with pytest.raises(InsufficientPrivilegeError):
            await admin.execute(forge)
        await admin.execute("SET session_replication_role = replica")
        assert await admin.execute(forge) == "UPDATE 1"


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("details", "x" * 16_385),
        ("subject", "x" * 201),
        ("action", "x" * 101),
        ("occurred_at", datetime(1999, 12, 31, tzinfo=UTC)),
    ],
)
async def test_no_tenant_appends_what_the_sequencer_could_not_take(
    installation: Installation, tenant: Tenant, column: str, value: object
) -> None:
    right: dict[str, object] = {
        "id": uuid4(),
        "chain": tenant.chain,
        "occurred_at": NOW,
        "actor_kind": "user",
        "action": "test",
        "subject": "test:1",
        "outcome": "success",
        "details": "{}",
    }
    statement = (
        f"INSERT INTO public.audit_log ({', '.join(right)}) "
        f"VALUES ({', '.join(f'${n}' for n in range(1, len(right) + 1))})"
    )
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        await session.connection.execute(statement, *right.values())
    with pytest.raises(asyncpg.CheckViolationError):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            await session.connection.execute(statement, *(right | {"id": uuid4(), column: value}).values())


@pytest.mark.parametrize("column", ["sequence", "canonical", "leaf_hash", "entry_hash", "salt", "erased_at"])
async def test_no_tenant_gives_an_entry_its_place(
    installation: Installation, tenant: Tenant, column: str
) -> None:
    with pytest.raises(InsufficientPrivilegeError):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            await session.connection.execute(f"INSERT INTO public.audit_log ({column}) VALUES (NULL)")


async def test_erasing_a_chain_takes_details_and_addresses_and_leaves_the_rest(
    installation: Installation, tenant: Tenant, other_tenant: Tenant
) -> None:
    for each in (tenant, other_tenant):
        await append(installation, each, entry_by(uuid4()), entry_by(None))
    assert await erase_details_of_chain(installation.owner_pool, tenant.chain, NOW) == 2
    query = "SELECT address, details, subject, erased_at FROM public.audit_log WHERE chain = $1"
    erased = {"address": None, "details": "{}", "subject": "test:1", "erased_at": NOW}
    assert await rows(installation, query, tenant.chain) == [erased, erased]
    left = await rows(installation, query, other_tenant.chain)
    assert [(row["address"], row["erased_at"]) for row in left] == [("192.0.2.1", None)] * 2
    assert await erase_details_of_chain(installation.owner_pool, tenant.chain, NOW) == 0


async def test_erasing_a_person_takes_entries_by_about_and_naming_that_person_alone(
    installation: Installation, tenant: Tenant
) -> None:
    person, other = uuid4(), uuid4()
    mine = [entry_by(person), entry_by(other, f"user:{person}"), entry_by(other, user=str(person))]
    await append(installation, tenant, *mine, entry_by(other), entry_by(None, f"user:{other}"))
    erased = await erase_details_of_person(
        installation.owner_pool, person, chains=[tenant.chain, "platform"], now=NOW
    )
    assert erased == len(mine)
    query = "SELECT FROM public.audit_log WHERE chain = $1 AND address IS NULL"
    assert len(await rows(installation, query, tenant.chain)) == len(mine)
