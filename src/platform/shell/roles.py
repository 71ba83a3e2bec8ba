"""The database roles that the platform needs: made once, by an administrator of the server."""

import asyncpg
import msgspec

from core.errors import PlatformError
from shell.settings import Secret

LEAST_SERVER_VERSION = 16
"""GRANT … WITH INHERIT FALSE, SET TRUE came with PostgreSQL 16."""


class ServerTooOld(PlatformError):
    """PostgreSQL 16 or later is needed; this server is {version}."""

    fields = ("version",)


class RolesNeedAdministrator(PlatformError):
    """The roles platform_owner and platform_app need a role with CREATEROLE to make them; {role} is none."""

    fields = ("role",)


class RolePasswords(msgspec.Struct, frozen=True):
    """What the two login roles log in with."""

    owner: Secret
    app: Secret


async def make_roles(admin_url: str, passwords: RolePasswords) -> None:
    """Create or update the platform's roles; may run any number of times.

    Beside the two that log in, platform_tenant is what tenants' roles have in common, and platform_owner may
    become platform_sequencer and platform_eraser, which alone may touch entries of the audit log.

    Raises ServerTooOld and RolesNeedAdministrator.
    """
    connection = await asyncpg.connect(admin_url)
    try:
        await _require_able(connection)
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('platform.roles'))")
            for statement in await _statements(connection, passwords):
                await connection.execute(statement)
    finally:
        await connection.close()


async def _require_able(connection: asyncpg.Connection) -> None:
    version = connection.get_server_version()
    if version.major < LEAST_SERVER_VERSION:
        raise ServerTooOld(version=f"{version.major}.{version.minor}")
    row = await connection.fetchrow(
        "SELECT rolname, rolsuper OR rolcreaterole AS able FROM pg_roles WHERE rolname = current_user"
    )
    if row is None or not row["able"]:
        raise RolesNeedAdministrator(role=row["rolname"] if row else "?")


async def _statements(connection: asyncpg.Connection, passwords: RolePasswords) -> list[str]:
    roles = {
        "platform_owner": f"LOGIN CREATEROLE PASSWORD {await _literal(connection, passwords.owner)}",
        "platform_app": f"LOGIN NOINHERIT PASSWORD {await _literal(connection, passwords.app)}",
        "platform_tenant": "NOLOGIN",
        "platform_sequencer": "NOLOGIN",
        "platform_eraser": "NOLOGIN",
    }
    existing = {row["rolname"] for row in await connection.fetch("SELECT rolname FROM pg_roles")}
    database = await connection.fetchval("SELECT quote_ident(current_database())")
    makes = [
        f"{'ALTER' if role in existing else 'CREATE'} ROLE {role} WITH {attributes}"
        for role, attributes in roles.items()
    ]
    return [
        *makes,
        "GRANT platform_tenant TO platform_owner WITH ADMIN OPTION",
        "GRANT platform_sequencer, platform_eraser TO platform_owner WITH INHERIT FALSE, SET TRUE",
        f"REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        f"GRANT CONNECT, CREATE ON DATABASE {database} TO platform_owner",
        f"GRANT CONNECT ON DATABASE {database} TO platform_app",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        "GRANT ALL ON SCHEMA public TO platform_owner WITH GRANT OPTION",
        "GRANT USAGE ON SCHEMA public TO platform_app, platform_tenant, platform_sequencer, platform_eraser",
    ]


async def _literal(connection: asyncpg.Connection, password: Secret) -> str:
    literal = await connection.fetchval("SELECT quote_literal($1::text)", password.value)
    return str(literal)
