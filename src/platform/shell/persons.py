"""The rights of one person inside a tenant: erasure, access, rectification, restriction (Art. 15 to 18)."""

from datetime import UTC, datetime
from uuid import UUID

import asyncpg
import msgspec
from asyncpg.exceptions import UniqueViolationError

from core.access_package import RIGHTS, AccessPackage, Row, holdings
from core.audit import SYSTEM, Actor, AuditEntry
from core.deletion_ledger import erased_person
from core.errors import EmailInUse, NotFound
from core.identity import normalised_email
from core.job import Job, JobKind
from core.membership import (
    UserState,
    require_may_give,
    require_owner_remains,
    require_restricted,
    require_unrestricted,
)
from core.permission import Role
from core.tenant import Tenant
from shell import deletion_ledger, jobs, legal_holds, users
from shell.audit import append_entry
from shell.queries import SQL
from shell.session import Session, TenantSession, enter_tenant
from shell.users import Changer, User

MOST_ENTRIES = 10_000


class Correction(msgspec.Struct, frozen=True):
    """What is right; None leaves as it is."""

    full_name: str | None = None
    email: str | None = None


async def erase(session: Session, tenant_id: UUID, user_id: UUID, *, by: Changer, actor: Actor) -> Job:
    """Erase a person's rows for good; the job that is queued erases details of audit entries.

    Raises UnderLegalHold, NotFound, RoleTooHigh, LastOwner, ProcessingRestricted.
    """
    job, tenant_ = await _begin_to_erase(session, tenant_id, user_id, request_id=actor.request_id)
    person = await _locked(tenant_, user_id, by, leaves=True)
    require_unrestricted(person.state)
    await erase_rows(tenant_, user_id)
    await append_entry(tenant_, AuditEntry("user.erased", f"user:{user_id}", actor))
    return job


async def erase_deactivated(session: Session, tenant_id: UUID, user_id: UUID, *, before: datetime) -> Job:
    """Erase a person whose account is deactivated since before an instant, as `erase` does.

    Raises UnderLegalHold, and NotFound where the account is another by now.
    """
    job, tenant_ = await _begin_to_erase(session, tenant_id, user_id, request_id=None)
    if await tenant_.connection.fetchval(SQL["lock_deactivated"], user_id, before) is None:
        raise NotFound(what="deactivated user")
    await erase_rows(tenant_, user_id)
    details = {"by": "retention"}
    await append_entry(tenant_, AuditEntry("user.erased", f"user:{user_id}", SYSTEM, details=details))
    return job


async def erase_rows(session: TenantSession, user_id: UUID) -> None:
    """Delete and clear what the classification says; a second time there is nothing left to do."""
    await session.connection.execute(SQL["lock_person"], user_id)
    await session.connection.execute(SQL["erase_person"], user_id, datetime.now(UTC))


async def rectify(session: TenantSession, user_id: UUID, right: Correction, *, by: Changer) -> list[str]:
    """Correct a name or an e-mail address; gives which of them changed. Open resets of the password end.

    Raises NotFound, RoleTooHigh, EmailInUse, ProcessingRestricted.
    """
    person = await _locked(session, user_id, by)
    require_unrestricted(person.state)
    full_name = person.full_name if right.full_name is None else right.full_name
    email = person.email if right.email is None else normalised_email(right.email)
    try:
        await session.connection.execute(SQL["rectify_person"], user_id, full_name, email)
    except UniqueViolationError as error:
        raise EmailInUse from error
    changed = {"full_name": full_name != person.full_name, "email": email != person.email}
    if changed["email"]:
        await session.connection.execute(SQL["end_resets_of"], user_id)
    return [name for name, is_changed in changed.items() if is_changed]


async def restrict(session: TenantSession, user_id: UUID, *, reason: str, by: Changer) -> None:
    """Keep a person's data and process it no more: sessions end, and nobody logs in or is changed.

    Raises NotFound, RoleTooHigh, LastOwner, ProcessingRestricted.
    """
    person = await _locked(session, user_id, by, leaves=True)
    require_unrestricted(person.state)
    now = datetime.now(UTC)
    await session.connection.execute(SQL["restrict_person"], user_id, now, reason)
    await session.connection.execute(SQL["end_other_sessions"], user_id, None, now)
    await session.connection.execute(SQL["end_resets_of"], user_id)


async def lift(session: TenantSession, user_id: UUID, *, by: Changer) -> UserState:
    """Process a person's data again; gives the state from before.

    Raises NotFound, RoleTooHigh, NotRestricted.
    """
    person = await _locked(session, user_id, by)
    require_restricted(person.state)
    await session.connection.execute(SQL["lift_restriction"], user_id)
    return (await users.get(session, user_id)).state


async def access(
    session: Session, tenant: Tenant, user_id: UUID, *, controller: str, now: datetime
) -> AccessPackage:
    """All that is held of a person; of audit entries the latest 10,000. Raises NotFound."""
    entries = await session.connection.fetch(
        SQL["entries_of_person"], tenant.chain, user_id, MOST_ENTRIES + 1
    )
    keys = await session.connection.fetch(SQL["keys_made_by_person"], tenant.id, user_id)
    tenant_ = await enter_tenant(session, tenant.id)
    person = await users.get(tenant_, user_id)
    own = await tenant_.connection.fetch(SQL["held_of_person"], user_id, person.email)
    return AccessPackage(
        controller=controller,
        tenant=tenant.name,
        user_id=user_id,
        made_at=now,
        complete=len(entries) <= MOST_ENTRIES,
        rights=RIGHTS,
        holdings=holdings([_held(row) for row in [*own, *keys, *entries[:MOST_ENTRIES]]]),
    )


async def _begin_to_erase(
    session: Session, tenant_id: UUID, user_id: UUID, *, request_id: str | None
) -> tuple[Job, TenantSession]:
    """What of an erasure is outside of the tenant's schema: all of it ends with the transaction."""
    await legal_holds.require_none(session, tenant_id, user_id)
    job = await jobs.enqueue(
        session,
        JobKind.ERASE_PERSON,
        dedupe_key=f"{tenant_id}:{user_id}",
        tenant_id=tenant_id,
        args={"user_id": str(user_id)},
        request_id=request_id,
    )
    await deletion_ledger.append(session, erased_person(tenant_id, user_id))
    await session.connection.execute(SQL["forget_requests_of"], str(user_id))
    return job, await enter_tenant(session, tenant_id)


def _held(row: asyncpg.Record) -> tuple[str, Row]:
    return row["held"], msgspec.json.decode(row["row"])


async def _locked(session: TenantSession, user_id: UUID, by: Changer, *, leaves: bool = False) -> User:
    """The person, locked, whom the caller may act on; the person itself always may.

    `leaves` says that the account will not be active afterwards, so that an owner must remain.
    """
    known = await users.locked(session, user_id, by)
    person, role = known[user_id], users.current_role(by, known)
    if by.id != user_id:
        require_may_give(role, person.role)
    if leaves and person.state is UserState.ACTIVE:
        owners = [user for user in known.values() if user.role is Role.OWNER and user.id != user_id]
        active = [user for user in owners if user.state is UserState.ACTIVE]
        require_owner_remains(person.role, becomes=None, other_owners=len(active))
    return person
