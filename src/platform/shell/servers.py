"""Where the servers are: given by settings, else embedded ones, found running or started for a while."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import msgspec

from shell.embedded.folder import lock_data_folder
from shell.embedded.postgres import (
    find_running_postgres,
    role_url,
    start_postgres,
    stop_postgres,
)
from shell.embedded.redis import find_running_redis, start_redis, stop_redis
from shell.keys import kept_secret
from shell.roles import RolePasswords, make_roles
from shell.settings import Secret, Settings


class Located(msgspec.Struct, frozen=True):
    """Settings that name running servers; `is_held` where they run for us alone, without a worker."""

    settings: Settings
    is_held: bool


@contextmanager
def held_servers(settings: Settings) -> Iterator[Settings]:
    """Hold the data folder while `started_servers` run on it; raises DataFolderInUse."""
    with lock_data_folder(settings.data), started_servers(settings) as located:
        yield located


@contextmanager
def started_servers(settings: Settings) -> Iterator[Settings]:
    """Start what settings do not name, and stop it at the end; gives whole settings.

    The caller holds the data folder. Raises EmbeddedServerError.
    """
    with ExitStack() as stack:
        yield _with_servers(settings, stack)


@contextmanager
def any_servers(settings: Settings) -> Iterator[Located]:
    """Use the servers of settings or of a running `eu-platform up`, else hold our own for the body."""
    found = _found_running(settings)
    if found is not None:
        yield Located(found, is_held=False)
        return
    with held_servers(settings) as held:
        yield Located(held, is_held=True)


async def prepare_roles(settings: Settings) -> Settings:
    """Make the database roles where `database_url` is an administrator's; gives settings with both logins.

    With `owner_database_url` set, the roles were made before, and nothing is done.
    """
    if settings.owner_database_url is not None or settings.database_url is None:
        return settings
    passwords = _role_passwords(settings.data)
    admin_url = settings.database_url.value
    await make_roles(admin_url, passwords)
    return msgspec.structs.replace(
        settings,
        database_url=_login(admin_url, "platform_app", passwords.app),
        owner_database_url=_login(admin_url, "platform_owner", passwords.owner),
    )


def _with_servers(settings: Settings, stack: ExitStack) -> Settings:
    if settings.database_url is None:
        postgres = start_postgres(settings.data)
        stack.callback(stop_postgres, postgres)
        settings = msgspec.structs.replace(settings, database_url=Secret(postgres.admin_url))
    if settings.redis_url is None:
        redis = start_redis(settings.data)
        stack.callback(stop_redis, redis)
        settings = msgspec.structs.replace(settings, redis_url=Secret(redis.url))
    return settings


def _found_running(settings: Settings) -> Settings | None:
    """Settings completed with servers that run already; None where one does not."""
    if settings.database_url is None:
        postgres = find_running_postgres(settings.data)
        if postgres is None:
            return None
        settings = msgspec.structs.replace(settings, database_url=Secret(postgres.admin_url))
    if settings.redis_url is None:
        redis = find_running_redis(settings.data)
        if redis is None:
            return None
        settings = msgspec.structs.replace(settings, redis_url=Secret(redis.url))
    return settings


def _login(admin_url: str, role: str, password: Secret) -> Secret:
    return Secret(role_url(admin_url, role=role, password=password.value))


def _role_passwords(data: Path) -> RolePasswords:
    return RolePasswords(owner=kept_secret(data, "owner-password"), app=kept_secret(data, "app-password"))
