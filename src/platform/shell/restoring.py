"""Restoring backups: one tenant beside living others, or everything into an empty database.

Each schema is one transaction, which replaces what is there and brings it up to date; what is interrupted
changes nothing. People who are there stay as they are; where they come from the backup, their sessions are
ended, and what the deletion ledger says was erased is erased again.
"""

import asyncio
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from core.audit import AuditEntry
from core.backup import BackedUpTenant, BackupRefused, require_unpruned
from core.tenant import Tenant, TenantState
from shell.audit import append_platform_entry, append_tenants_entry
from shell.backup import Backup, owner_url, unsealed
from shell.commands.connect import AT_THE_MACHINE, Connected
from shell.embedded.folder import lock_data_folder
from shell.migrations import TENANT, ledger, migrate_public, migrate_tenants
from shell.postgres_tools import restore_folder
from shell.provisioning import create_role_of
from shell.queries import SQL
from shell.replay import replay
from shell.session import owner_session, tenant_of

SCHEMA_NAME = re.compile(r"tenant_[a-z0-9_]{1,60}")
OF_THE_SCHEMA_ITSELF = (" SCHEMA - public ", " - SCHEMA public ")
"""Entries of a dump's table of contents about `public` itself, which every database has."""

LOCK_SECONDS = 30

PEOPLE = ("users", "sessions", "refresh_tokens", "recovery_codes", "password_resets", "invitations")
"""Tables of people, each after those that it refers to."""

PEOPLE_STAY = """
UPDATE {schema}.anomalies SET note = NULL WHERE acknowledged_by IN (
    SELECT id FROM {schema}.users EXCEPT SELECT id FROM {replaced}.users
);
TRUNCATE {tables};
DO $$
DECLARE
    kept text;
    columns text;
BEGIN
    FOREACH kept IN ARRAY '{{{names}}}'::text[] LOOP
        SELECT string_agg(quote_ident(attname), ', ') INTO columns
        FROM pg_attribute
        WHERE attrelid = ('{replaced}.' || kept)::regclass AND attnum > 0 AND NOT attisdropped;
        EXECUTE format('INSERT INTO {schema}.%1$I (%2$s) SELECT %2$s FROM {replaced}.%1$I', kept, columns);
    END LOOP;
END $$;
"""
"""Who was erased, restricted, deactivated or corrected stays so, and no old password is good again."""

NO_INVOICE_IS_LOST = """
DO $$
DECLARE lost text;
BEGIN
    SELECT string_agg(number, ', ' ORDER BY number) INTO lost
    FROM (
        SELECT number FROM {replaced}.invoices WHERE number IS NOT NULL
        EXCEPT SELECT number FROM {schema}.invoices
    ) AS missing;
    IF lost IS NOT NULL THEN
        RAISE EXCEPTION 'these invoices were issued since, and would be lost: %', lost;
    END IF;
END $$;
INSERT INTO {schema}.invoice_numbers AS restored (year, last)
SELECT year, last FROM {replaced}.invoice_numbers
ON CONFLICT (year) DO UPDATE SET last = greatest(restored.last, excluded.last);
DROP SCHEMA {replaced} CASCADE;
"""
"""An issued invoice must be kept for years, and its number must not be given again."""

IS_OPEN = """
DO $$
BEGIN
    PERFORM FROM public.tenants WHERE id = '{id}' AND state IN ('ACTIVE', 'SUSPENDED') FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the tenant is not open any more';
    END IF;
END $$;
"""

RECORD = "INSERT INTO schema_migrations (version, name, checksum, applied_at)"

END_SESSIONS = """
UPDATE {schema}.refresh_tokens SET revoked_at = now() WHERE revoked_at IS NULL;
UPDATE {schema}.sessions SET revoked_at = now() WHERE revoked_at IS NULL;
"""
"""The backup knows tokens as unused that were used since."""


GIVE_UP = """
UPDATE public.tenants SET state = 'DEPROVISIONING' WHERE id = '{id}' AND state IN ('ACTIVE', 'SUSPENDED');
INSERT INTO public.deletion_ledger (id, kind, salt, digest, erased_at)
SELECT gen_random_uuid(), 'tenant', salt, sha256(salt || convert_to('tenant:{id}', 'UTF8')), now()
FROM (SELECT uuid_send(gen_random_uuid()) AS salt) AS made;
"""
"""A tenant that has no schema any more is closed, and erased with all others that the ledger knows."""


async def restore_tenant(
    platform: Connected, backup: Backup, slug: str, *, with_people: bool = False
) -> bool:
    """Put one tenant back to what it was, beside others that live on.

    Its people stay who and what they are now, unless they are to be put back, too, or its schema is gone;
    gives whether they stayed. Raises BackupRefused for a backup without it, for a tenant that the registry
    does not have as open, and ToolFailed where invoices were issued since, which would be lost.
    """
    wanted = backup.manifest.tenant(slug)
    tenant = await _registered(platform, wanted)
    schema = _checked(wanted.schema)
    await create_role_of(platform.owner_pool, schema)
    before, after = [IS_OPEN.format(id=tenant.id)], list[str]()
    exists = await _exists(platform, schema)
    if exists:
        replaced = schema.replace("tenant_", "replaced_", 1)[:63]
        before.append(f"ALTER SCHEMA {schema} RENAME TO {replaced};")
        after += [
            _sessions_end(schema) if with_people else _people_stay(schema, replaced),
            NO_INVOICE_IS_LOST.format(schema=schema, replaced=replaced),
        ]
    else:
        after.append(_sessions_end(schema))
    await _restored(platform, backup, wanted, before=before, after=after)
    await replay(platform, [])
    details = {"backup": backup.manifest.id, "taken_at": backup.manifest.taken_at.isoformat()}
    entry = AuditEntry("backup.restored", f"tenant:{tenant.id}", AT_THE_MACHINE, details=details)
    async with owner_session(platform.owner_pool) as session:
        await append_tenants_entry(session, tenant, entry)
        await append_platform_entry(session, entry)
    return exists and not with_people


async def restore_all(platform: Connected, backup: Backup, *, without_pruned: bool = False) -> int:
    """Restore everything into a database without tables; gives how many tenants.

    What was erased since is erased again. So is what the shared schema says of tenants that were pruned, for
    which `without_pruned` must be given. Interrupted, it is begun again: the shared schema comes last, and
    without it the database counts as empty. Raises BackupRefused for a backup of one tenant, and for a
    database that is in use.
    """
    if backup.manifest.public_version is None:
        raise BackupRefused(reason="it holds one tenant alone; name it to restore it beside others")
    if not without_pruned:
        require_unpruned(backup.manifest)
    async with owner_session(platform.owner_pool) as session:
        if await session.connection.fetchval(SQL["has_registry"]):
            raise BackupRefused(reason="the database is in use; restore everything into an empty one")
    for tenant in backup.manifest.tenants:
        await create_role_of(platform.owner_pool, _checked(tenant.schema))
        await _restored(platform, backup, tenant, before=[], after=[_sessions_end(tenant.schema)])
    given_up = [GIVE_UP.format(id=tenant.id) for tenant in backup.manifest.pruned]
    await _restored_schema(platform, backup, "public", before=[], after=given_up)
    await migrate_public(platform.owner_pool)
    await migrate_tenants(platform.owner_pool)
    await replay(platform, [])
    details = {"backup": backup.manifest.id, "taken_at": backup.manifest.taken_at.isoformat()}
    async with owner_session(platform.owner_pool) as session:
        entry = AuditEntry("backup.restored", "platform", AT_THE_MACHINE, details=details)
        await append_platform_entry(session, entry)
    return len(backup.manifest.tenants)


async def _exists(platform: Connected, schema: str) -> bool:
    async with owner_session(platform.owner_pool) as session:
        return bool(await session.connection.fetchval(SQL["schema_exists"], schema))


async def _registered(platform: Connected, wanted: BackedUpTenant) -> Tenant:
    async with owner_session(platform.owner_pool) as session:
        row = await session.connection.fetchrow(SQL["lock_tenant"], wanted.id)
    tenant = None if row is None else tenant_of(row)
    if tenant is None or tenant.state not in {TenantState.ACTIVE, TenantState.SUSPENDED}:
        raise BackupRefused(
            reason=f"{wanted.slug} is no open tenant here; only everything together can bring it back"
        )
    return tenant


async def _restored(
    platform: Connected, backup: Backup, tenant: BackedUpTenant, *, before: list[str], after: list[str]
) -> None:
    """Restore one tenant's schema, and bring it up to date, in one transaction."""
    schema = tenant.schema
    await _restored_schema(
        platform,
        backup,
        schema,
        before=[
            f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s';",
            f"SELECT pg_advisory_xact_lock(hashtext('platform.schema'), hashtext('{schema}'));",
            *before,
            f"DROP SCHEMA IF EXISTS {schema} CASCADE;",
        ],
        after=[*_migrations(schema, tenant.version), *after],
    )


def _people_stay(schema: str, replaced: str) -> str:
    tables = ", ".join(f"{schema}.{name}" for name in PEOPLE)
    return PEOPLE_STAY.format(schema=schema, replaced=replaced, tables=tables, names=",".join(PEOPLE))


def _sessions_end(schema: str) -> str:
    return END_SESSIONS.format(schema=schema)


async def _restored_schema(
    platform: Connected, backup: Backup, schema: str, *, before: list[str], after: list[str]
) -> None:
    with _place(platform.settings.data) as place:
        folder = await asyncio.to_thread(unsealed, backup, schema, place)
        await restore_folder(
            owner_url(platform.settings),
            folder,
            before=before,
            after=after,
            without=OF_THE_SCHEMA_ITSELF,
        )


@contextmanager
def _place(data: Path) -> Iterator[Path]:
    """A folder for what is unsealed, gone with the body; what a killed process has left there goes first."""
    home = data / "restoring"
    with lock_data_folder(home):
        for left in home.glob("dump-*"):
            shutil.rmtree(left)
        with TemporaryDirectory(dir=home, prefix="dump-") as place:
            yield Path(place)


def _migrations(schema: str, version: int) -> list[str]:
    """What a tenant's schema lacks that is older than this code."""
    statements = [f"SET LOCAL search_path = {schema};", f"{ledger(schema)};"]
    for migration in TENANT:
        if migration.version > version:
            statements += [f"{statement};" for statement in migration.statements]
            applied = f"{migration.version}, '{migration.name}', '{migration.checksum}', now()"
            statements.append(f"{RECORD} VALUES ({applied});")
    return statements


def _checked(schema: str) -> str:
    """The name of a tenant's schema, which goes into statements as it is; raises BackupRefused."""
    if not SCHEMA_NAME.fullmatch(schema):
        raise BackupRefused(reason="it names a schema that no tenant can have")
    return schema
