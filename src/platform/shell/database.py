"""Connections to PostgreSQL: the pool, and what to do when the server asks to try again."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias, TypeVar, cast

import asyncpg
from asyncpg.exceptions import (
    AdminShutdownError,
    CannotConnectNowError,
    ConnectionDoesNotExistError,
    ConnectionFailureError,
    CrashShutdownError,
    DeadlockDetectedError,
    InvalidCachedStatementError,
    SerializationError,
    TooManyConnectionsError,
)

from shell.measures import POOL_SIZE
from shell.pipelining import PipeliningTransport, connect, execution

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy
    from asyncpg.prepared_stmt import PreparedStatement

    from shell.spans import Tracing

    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:  # asyncpg's classes take parameters in its stubs only
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection

Result = TypeVar("Result")

TRANSIENT = (
    DeadlockDetectedError,
    SerializationError,
    ConnectionDoesNotExistError,
    ConnectionFailureError,
    InvalidCachedStatementError,
)
"""SQLSTATE 40P01, 40001, 08003, 08006, and a statement that a migration has made stale."""

UNAVAILABLE = (
    AdminShutdownError,
    CannotConnectNowError,
    CrashShutdownError,
    TooManyConnectionsError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    ConnectionError,
    TimeoutError,
    OSError,
)
"""What asyncpg raises while the server is away, shuts down, starts, or has no connection left."""

ATTEMPTS = 3
QUERIES_PER_CONNECTION = 20_000
"""A backend keeps something of every schema that it has touched, so connections are replaced now and then."""


FORGET = "RESET ROLE; RESET ALL"
FORGET_AND_COMMIT = "RESET ROLE; RESET ALL; COMMIT"
COMPANIONS = {
    "platform_begin": "BEGIN",
    "platform_begin_read_only": "BEGIN READ ONLY",
    "platform_reset_role": "RESET ROLE",
    "platform_reset_all": "RESET ALL",
    "platform_commit": "COMMIT",
}
"""What travels with other statements, prepared on every connection by these names."""

_BEGIN = execution("platform_begin")
_BEGIN_READ_ONLY = execution("platform_begin_read_only")
_FORGET_AND_COMMIT = (
    execution("platform_reset_role") + execution("platform_reset_all") + execution("platform_commit")
)


class ForgetfulConnection(asyncpg.Connection):
    """A connection that has nothing left to forget where it is given back after it has committed.

    To forget comes first, so that a transaction that has failed cannot end as if it had not.
    """

    has_forgotten = False
    _companions: "list[PreparedStatement[asyncpg.Record]]"
    _names: dict[str, str]
    _transport: PipeliningTransport

    def itself(self) -> "ForgetfulConnection":
        """The connection, not the pool's proxy for it."""
        return self

    async def prepare_companions(self) -> None:
        """Have prepared what travels with other statements, for as long as the connection lasts."""
        self._companions = [await self.prepare(query, name=name) for name, query in COMPANIONS.items()]
        self._names = {}
        await self.execute(FORGET)  # a Sync: before it, the time that a statement may take goes on

    def begin_with_next(self, *, readonly: bool) -> None:
        """Begin a transaction with the next statement, in one round trip.

        That must be fetched, or executed with arguments: anything else raises RuntimeError.
        """
        self._transport.take_along(before=_BEGIN_READ_ONLY if readonly else _BEGIN)

    def commit_with_next(self) -> None:
        """Forget all that was set, and commit, with the next statement, the transaction's last.

        As with `begin_with_next`; any statement after it raises RuntimeError, until `send_alone`.
        """
        self._transport.take_along(after=_FORGET_AND_COMMIT)

    async def read_with_next(self, entering: str, *parameters: str) -> None:
        """Begin to read, execute a statement that gives no row, and commit, all with the next statement.

        As with `commit_with_next`; an error of the statement before it is raised by that one.
        """
        if entering not in self._names:  # at its first use: a connection may have no right to it, or no need
            self.send_alone()
            self._companions.append(await self.prepare(entering))
            self._names[entering] = self._companions[-1].get_name()
        before = _BEGIN_READ_ONLY + execution(self._names[entering], *parameters)
        self._transport.take_along(before=before, after=_FORGET_AND_COMMIT)

    def send_alone(self) -> None:
        """Take back what was asked to go with the next statement and has not gone."""
        self._transport.take_nothing()

    @property
    def has_ended(self) -> bool:
        """Whether the transaction has ended with its last statement, if that is answered."""
        return self._transport.has_sent_last and not self.is_in_transaction()

    async def commit_and_forget(self) -> None:
        """Commit and forget all that was set: the last before it is given back, in one round trip at most.

        Raises InFailedSQLTransactionError where the transaction has failed.
        """
        has_ended = self.has_ended
        self.send_alone()
        if not has_ended:
            await self.execute(FORGET_AND_COMMIT)
        self.has_forgotten = True

    async def reset(self, *, timeout: float | None = None) -> None:  # noqa: ASYNC109 -- the driver's signature
        """Undo anything that outlived its transaction, unless the transaction ended with just that."""
        if self.has_forgotten and not self.is_in_transaction():
            self.has_forgotten = False
        else:
            await super().reset(timeout=timeout)

    def get_reset_query(self) -> str:
        """What undoes it."""
        return FORGET


def itself(connection: Connection) -> ForgetfulConnection:
    """The connection that the pool has handed out a proxy of; raises InterfaceError where it is lost."""
    connection.is_closed()  # which raises where nothing is behind the proxy any more
    return cast("ForgetfulConnection", connection).itself()


async def open_pool(
    url: str,
    *,
    size: int,
    name: str,
    statement_timeout_seconds: int = 30,
    connect_seconds: float = 10,
    tracing: "Tracing | None" = None,
) -> Pool:
    """A pool whose connections forget everything between two transactions, traced if so wanted."""
    milliseconds = str(statement_timeout_seconds * 1000)
    pool = await asyncpg.create_pool(
        url,
        min_size=1,
        max_size=size,
        max_queries=QUERIES_PER_CONNECTION,
        timeout=connect_seconds,
        command_timeout=statement_timeout_seconds + 5,
        connect=connect,
        connection_class=ForgetfulConnection,
        init=partial(_prepare, tracing),
        server_settings={
            "application_name": name,
            "statement_timeout": milliseconds,
            "idle_in_transaction_session_timeout": milliseconds,
            "client_connection_check_interval": "1000",  # a killed process soon frees its locks
            "jit": "off",  # compiling costs more than any of our queries
        },
    )
    POOL_SIZE.inc(size)
    return pool


async def _prepare(tracing: "Tracing | None", connection: asyncpg.Connection) -> None:
    await itself(connection).prepare_companions()
    if tracing is not None:
        connection.add_query_logger(tracing.statement)


async def retried(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do a whole transaction again when the server asks for it."""
    for attempt in range(1, ATTEMPTS):
        try:
            return await work()
        except TRANSIENT:
            await asyncio.sleep(0.01 * attempt)
    return await work()
