"""Where the servers are: given by settings, else embedded ones, found running or started for a while."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from shell.embedded.errors import EmbeddedServerError
from shell.embedded.folder import lock_data_folder
from shell.embedded.postgres import (
    EmbeddedPostgres,
    find_running_postgres,
    is_postgres_running,
    role_url,
    start_postgres,
    stop_postgres,
)
from shell.embedded.redis import (
    EmbeddedRedis,
    find_running_redis,
    is_redis_running,
    start_redis,
    stop_redis,
)
from shell.keys import kept_secret
from shell.restarts import Restarts
from shell.roles import RolePasswords, make_roles
from shell.settings import Secret, Settings


class ServerDidNotStay(EmbeddedServerError):
    """The embedded {server} ended again and again; its log is {log}."""

    fields = ("server", "log")


class Located(msgspec.Struct, frozen=True):
    """Settings that name running servers; `is_held` where they run for us alone, without a worker."""

    settings: Settings
    is_held: bool


@contextmanager
def held_servers(settings: Settings) -> Iterator[Settings]:
    """Hold the data folder while `started_servers` run on it; raises DataFolderInUse."""
    with lock_data_folder(settings.data), started_servers(settings) as servers:
        yield servers.settings


class Servers:
    """The embedded servers that one run needs, started where settings name no others."""

    def __init__(self, settings: Settings) -> None:
        """Run nothing yet."""
        self.settings = settings
        self._postgres: EmbeddedPostgres | None = None
        self._redis: EmbeddedRedis | None = None
        self._restarts = Restarts()

    def start(self) -> None:
        """Start what settings do not name, and complete them. Raises EmbeddedServerError."""
        data = self.settings.data
        if self.settings.database_url is None:
            self._postgres = start_postgres(data)
            url = Secret(self._postgres.admin_url)
            self.settings = msgspec.structs.replace(self.settings, database_url=url)
        if self.settings.redis_url is None:
            self._redis = start_redis(data)
            self.settings = msgspec.structs.replace(self.settings, redis_url=Secret(self._redis.url))

    def check(self) -> None:
        """Start again, at the same URL, what has ended; raises ServerDidNotStay for one that keeps ending."""
        data = self.settings.data
        if self._postgres is not None and not is_postgres_running(self._postgres):
            self._note_end("PostgreSQL", data / "logs" / "postgres.log")
            self._postgres = start_postgres(data)
        if self._redis is not None and not is_redis_running(self._redis):
            self._note_end("Redis", data / "logs" / "redis.log")
            self._redis = start_redis(data)

    def stop(self) -> None:
        """Stop what was started, the last one first."""
        if self._redis is not None:
            stop_redis(self._redis)
        if self._postgres is not None:
            stop_postgres(self._postgres)

    def _note_end(self, server: str, log: Path) -> None:
        if self._restarts.are_too_many(server):
            raise ServerDidNotStay(server=server, log=log)


@contextmanager
def started_servers(settings: Settings) -> Iterator[Servers]:
    """The servers of a run, for as long as the body lasts; the caller holds the data folder.

    Raises EmbeddedServerError.
    """
    servers = Servers(settings)
    try:
        servers.start()
        yield servers
    finally:
        servers.stop()


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
