"""Connections to PostgreSQL: the pool, and what to do when the server asks to try again."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

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

if TYPE_CHECKING:
    from asyncpg.pool import PoolConnectionProxy

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


class ForgetfulConnection(asyncpg.Connection):
    """A connection that has nothing left to forget where it is given back after `commit_and_forget`."""

    has_forgotten = False

    async def commit_and_forget(self) -> None:
        """Commit and forget all that was set, in one round trip: the last before it is given back.

        It forgets first, so that a transaction that has failed raises InFailedSQLTransactionError.
        """
        await self.execute(FORGET_AND_COMMIT)
        self.has_forgotten = True


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
        connection_class=ForgetfulConnection,
        reset=_reset,
        init=None if tracing is None else _traced_by(tracing),  # type: ignore[arg-type]  # the stubs want a wider one
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


def _traced_by(tracing: "Tracing") -> Callable[[Any], Awaitable[None]]:
    async def trace(connection: Connection) -> None:
        connection.add_query_logger(tracing.statement)

    return trace


async def _reset(connection: Connection) -> None:
    """Undo anything that outlived its transaction, unless the transaction ended with just that."""
    if isinstance(connection, ForgetfulConnection) and connection.has_forgotten:
        connection.has_forgotten = False
    else:
        await connection.execute(FORGET)


async def retried(work: Callable[[], Awaitable[Result]]) -> Result:
    """Do a whole transaction again when the server asks for it."""
    for attempt in range(1, ATTEMPTS):
        try:
            return await work()
        except TRANSIENT:
            await asyncio.sleep(0.01 * attempt)
    return await work()
