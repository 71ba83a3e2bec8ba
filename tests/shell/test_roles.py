"""The database roles: made once, with as few rights as they can do with."""

import asyncpg
import pytest

from shell.roles import RolePasswords, RolesNeedAdministrator, make_roles
from shell.servers import prepare_roles
from shell.settings import Secret
from tests.installation import Installation, administrator, rows


async def test_roles_can_be_made_again(installation: Installation) -> None:
    again = await prepare_roles(
        type(installation.settings)(
            data=installation.settings.data, database_url=Secret(installation.admin_url)
        )
    )
    assert again.database_url == installation.settings.database_url
    assert again.owner_database_url == installation.settings.owner_database_url


async def test_only_the_owner_may_make_roles_and_only_the_administrator_is_a_superuser(
    installation: Installation,
) -> None:
    query = """
        SELECT rolname, rolsuper OR rolbypassrls OR rolreplication OR rolcreatedb AS strong, rolcreaterole,
               rolcanlogin, rolinherit
        FROM pg_roles WHERE rolname LIKE 'platform%' ORDER BY rolname
    """
    found = {row["rolname"]: tuple(row.values())[1:] for row in await rows(installation, query)}
    assert found == {
        "platform_app": (False, False, True, False),
        "platform_eraser": (False, False, False, True),
        "platform_owner": (False, True, True, True),
        "platform_sequencer": (False, False, False, True),
        "platform_tenant": (False, False, False, True),
    }


async def test_the_application_cannot_make_roles(installation: Installation) -> None:
    assert installation.settings.database_url is not None
    passwords = RolePasswords(owner=Secret("o"), app=Secret("a"))
    with pytest.raises(RolesNeedAdministrator, match="platform_app"):
        await make_roles(installation.settings.database_url.value, passwords)


async def test_a_wrong_password_does_not_log_in(installation: Installation) -> None:
    assert installation.settings.database_url is not None
    url = installation.settings.database_url.value
    user, _, place = url.partition("@")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(f"{user}x@{place}")


async def test_nobody_but_the_two_logins_may_connect(installation: Installation) -> None:
    query = "SELECT has_database_privilege('public', current_database(), 'CONNECT, TEMPORARY') AS may"
    assert await rows(installation, query) == [{"may": False}]


async def test_a_password_with_quotes_is_no_statement(own_installation: Installation) -> None:
    passwords = RolePasswords(owner=Secret("o'; DROP TABLE tenants; --"), app=Secret('a"\\'))
    kept = await rows(
        own_installation, "SELECT rolname, rolpassword FROM pg_authid WHERE rolname LIKE 'platform_%'"
    )
    try:
        await make_roles(own_installation.admin_url, passwords)
        assert await rows(own_installation, "SELECT to_regclass('tenants')::text AS name") == [
            {"name": "tenants"}
        ]
    finally:
        async with administrator(own_installation.admin_url) as admin:
            for row in kept:
                if row["rolpassword"]:
                    await admin.execute(f"ALTER ROLE {row['rolname']} PASSWORD '{row['rolpassword']}'")
