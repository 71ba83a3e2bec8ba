"""Sessions: one transaction each, opened, committed and closed here and nowhere else.

A tenant session gives up the application's own rights for its transaction: the role and the search path
become the tenant's, by `set_config(…, true)`, which ends with the transaction whatever happens. In it the
database refuses every row of every other tenant.
"""

import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from enum import Enum, StrEnum
from functools import lru_cache
from typing import Any, cast
from uuid import UUID

import asyncpg
import msgspec
from asyncpg.exceptions import (
    InFailedSQLTransactionError,
    InsufficientPrivilegeError,
    InvalidParameterValueError,
    PostgresError,
    UndefinedTableError,
)
from piccolo.query.base import Query

from core.errors import NotFound, PlatformError, TenantNotReady
from core.pricing import Price, RateCard, rate_card
from core.tenant import Tenant, TenantState, require_readable
from shell.database import Connection, ForgetfulConnection, Pool, Result, itself
from shell.measures import POOL_USED, POOL_WAIT
from shell.queries import SQL


class Access(Enum):
    """What a transaction may do, as BEGIN says it."""

    WRITE = "BEGIN"
    READ = "BEGIN READ ONLY"
    SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class OwnersRole(StrEnum):
    """A role that the owner, and thus the worker, may become."""

    SEQUENCER = "platform_sequencer"
    ERASER = "platform_eraser"


class Session(msgspec.Struct, frozen=True):
    """An open transaction of the platform itself: the shared schema, no tenant's rows."""

    connection: Connection

    async def run(self, query: Query[Any, Any]) -> list[dict[str, Any]]:
        """The rows of a Piccolo query, run in this transaction."""
        statement, arguments = query.querystrings[0].compile_string()
        return [dict(row) for row in await self.connection.fetch(statement, *arguments)]

    def commit_with_next(self) -> None:
        """Have the next statement, the last, which has arguments, commit: a round trip less."""
        itself(self.connection).commit_with_next()


class TenantSession(Session, frozen=True):
    """An open transaction in which the database shows one tenant's rows only."""

    tenant: Tenant


class ClosingSession(TenantSession, frozen=True):
    """A tenant session that alone may close days, with the prices that may apply to the tenant."""

    card: RateCard


class _Known(msgspec.Struct, frozen=True):
    """A tenant as its row was when this process last looked, and which version of the row that was."""

    tenant: Tenant
    version: str


REMEMBERED = 10_000
_known: OrderedDict[UUID, _Known] = OrderedDict()
"""What this process knows of tenants; nothing is done on it before the database has compared the version."""

RATE_CARDS = 1_000
_PRICES = msgspec.json.Decoder(list[Price])


@lru_cache(maxsize=RATE_CARDS)
def _rate_card(prices: str | None) -> RateCard:
    """The card of these prices, as JSON: the same ones for all tenants that have none of their own."""
    return rate_card(_PRICES.decode(prices or "[]"))


@asynccontextmanager
async def platform_session(pool: Pool, *, readonly: bool = False) -> AsyncIterator[Session]:
    """One transaction on the shared schema; commits at its end, rolls back on any exception."""
    async with _transaction(pool, Access.READ if readonly else Access.WRITE) as connection:
        yield Session(connection)


def tenant_session(
    pool: Pool,
    *,
    tenant_id: UUID | None = None,
    slug: str | None = None,
    readonly: bool = False,
    snapshot: bool = False,
) -> AbstractAsyncContextManager[TenantSession]:
    """One transaction as a tenant, named by its id or its slug.

    With `snapshot` it only reads, and all its statements see the data as it was at the first of them.
    Raises NotFound for an unknown tenant, TenantNotReady for one without a schema yet, TenantGone for one
    that is being erased.
    """
    query, key = ("enter_tenant", tenant_id) if slug is None else ("enter_tenant_by_slug", slug)
    access = Access.SNAPSHOT if snapshot else Access.READ if readonly else Access.WRITE
    return _as_tenant(pool, tenant_id, slug, query, key, access=access)


def reading_session(pool: Pool, tenant_id: UUID) -> AbstractAsyncContextManager[TenantSession]:
    """One transaction as a tenant for one statement that reads, and with which it ends: two round trips.

    Raises what tenant_session does; RuntimeError for a second statement.
    """
    return _as_tenant(
        pool, tenant_id, None, "enter_tenant", tenant_id, access=Access.READ, one_statement=True
    )


async def reading(pool: Pool, tenant_id: UUID, read: Callable[[TenantSession], Awaitable[Result]]) -> Result:
    """What one statement that reads gives as a tenant; in one round trip, where the tenant is known as it is.

    What travels before the statement compares the tenant's row with the one that this process knows; where
    they differ, nothing is executed, and the row is read anew. Raises what tenant_session does, and
    RuntimeError for a second statement.
    """
    known = _known.get(tenant_id)
    if known is not None:
        try:
            async with _transaction(pool, Access.READ, begin_with_next=True) as connection:
                own = itself(connection)
                await own.read_with_next(SQL["enter_known_tenant"], str(tenant_id), known.version)
                result = await read(TenantSession(connection, known.tenant))
                if not own.has_ended:  # then nobody has compared what is known, or a failure was swallowed
                    raise RuntimeError("what reads as a tenant must execute its one statement")
                return result
        except (InvalidParameterValueError, InsufficientPrivilegeError, UndefinedTableError):
            _known.pop(tenant_id, None)  # it has changed, or this backend has yet to hear of its role
    async with reading_session(pool, tenant_id) as session:
        return await read(session)


async def enter_tenant(session: Session, tenant_id: UUID) -> TenantSession:
    """Go on as a tenant, until a platform session's transaction ends; raises what tenant_session does."""
    row = _admitted(await session.connection.fetchrow(SQL["enter_tenant"], tenant_id))
    return TenantSession(session.connection, tenant_of(row))


def recording_session(
    pool: Pool, *, tenant_id: UUID | None = None, slug: str | None = None
) -> AbstractAsyncContextManager[TenantSession]:
    """One transaction as a tenant that stores usage; with it commits a mark that there is some to close.

    Raises what tenant_session does.
    """
    return _as_tenant(pool, tenant_id, slug, "enter_tenant_to_record", tenant_id, slug)


@asynccontextmanager
async def closing_session(pool: Pool, tenant_id: UUID) -> AsyncIterator[ClosingSession]:
    """One transaction as a tenant, in which nobody else closes its days; raises what tenant_session does."""
    async with _transaction(pool, Access.WRITE, begin_with_next=True) as connection:
        row = await _entered(connection, "enter_tenant_to_close", tenant_id)
        yield ClosingSession(connection, tenant_of(row), _rate_card(row["prices"]))


async def closing_by_owner(session: Session, tenant: Tenant) -> ClosingSession:
    """Go on as one that closes days, in the owner's session in a tenant's schema whose tables are locked."""
    prices = await session.connection.fetchval(SQL["prices_of_tenant"], tenant.id)
    return ClosingSession(session.connection, tenant, _rate_card(prices))


@asynccontextmanager
async def owner_session(
    owner_pool: Pool, *, schema: str = "public", role: OwnersRole | None = None
) -> AsyncIterator[Session]:
    """One transaction as the owner of all schemas, for migrations and provisioning in one of them.

    Or as a role that the owner may become: it has one task, and only the rights that this takes.
    """
    async with _transaction(owner_pool, Access.WRITE) as connection:
        await connection.execute("SELECT set_config('search_path', $1, true)", schema)
        if role is not None:
            await connection.execute("SELECT set_config('role', $1, true)", role)
        yield Session(connection)


@asynccontextmanager
async def _as_tenant(
    pool: Pool,
    tenant_id: UUID | None,
    slug: str | None,
    query: str,
    *key: UUID | str | None,
    access: Access = Access.WRITE,
    one_statement: bool = False,
) -> AsyncIterator[TenantSession]:
    """A transaction that the query makes the tenant's; it may end with the one statement after that.

    Where the database refuses a statement since an erasure has begun, the tenant is gone. Tables of a schema
    that may be used no more are not found, as if they were not there.
    """
    try:
        async with _transaction(pool, access, begin_with_next=True) as connection:
            row = await _entered(connection, query, *key, access=access)
            tenant = tenant_of(row)
            if one_statement:
                _remember(tenant, row["version"])
                itself(connection).commit_with_next()
            yield TenantSession(connection, tenant)
    except (InsufficientPrivilegeError, UndefinedTableError):
        async with _transaction(pool, Access.READ) as connection:
            _admitted(await connection.fetchrow(SQL["tenant_by_name"], tenant_id, slug))
        raise


async def _entered(
    connection: Connection, name: str, *key: UUID | str | None, access: Access = Access.WRITE
) -> asyncpg.Record:
    """Take on a tenant's role as the first thing in a transaction, which may begin a second time for it."""
    try:
        return _admitted(await connection.fetchrow(SQL[name], *key))
    except InsufficientPrivilegeError:  # the backend may have missed the grant of a tenant's role that is new
        await connection.execute("ROLLBACK")
        await connection.execute(SQL["forget_memberships"])
        await connection.execute(access.value)
        return _admitted(await connection.fetchrow(SQL[name], *key))


def _admitted(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:
        raise NotFound(what="tenant")
    state = TenantState(row["state"])
    if state in {TenantState.PENDING, TenantState.PROVISIONING}:
        raise TenantNotReady(state=state)
    require_readable(state)
    return row


def _remember(tenant: Tenant, version: str) -> None:
    _known[tenant.id] = _Known(tenant, version)
    _known.move_to_end(tenant.id)
    if len(_known) > REMEMBERED:
        _known.popitem(last=False)


def tenant_of(row: asyncpg.Record) -> Tenant:
    """The tenant in a row of the registry."""
    return Tenant(
        id=row["id"],
        slug=row["slug"],
        name=row["name"],
        state=TenantState(row["state"]),
        country=row["country"],
        vat_id=row["vat_id"],
        time_zone=row["time_zone"],
        currency=row["currency"],
        created_at=row["created_at"],
        tier=row["tier"],
        require_second_factor=row["require_second_factor"],
    )


@asynccontextmanager
async def _transaction(
    pool: Pool, access: Access, *, begin_with_next: bool = False
) -> AsyncIterator[Connection]:
    """Commits at its end, rolls back on any exception; may begin with the first statement of the body."""
    asked = time.perf_counter()
    async with pool.acquire() as acquired:
        POOL_WAIT.observe(time.perf_counter() - asked)
        POOL_USED.inc()
        connection = cast("ForgetfulConnection", acquired).itself()
        try:  # around all of it: a request that is cancelled in BEGIN may have begun
            if begin_with_next and access is not Access.SNAPSHOT:  # whose BEGIN must be the first of all
                connection.begin_with_next(readonly=access is Access.READ)
            else:
                await connection.execute(access.value)
            yield acquired
            await _commit(connection)
        except PlatformError:  # what the body says of what it has read; no statement is under way
            await (_commit if connection.has_ended else _roll_back)(connection)
            raise
        except BaseException:
            await _roll_back(connection)
            raise
        finally:
            POOL_USED.dec()


async def _commit(connection: ForgetfulConnection) -> None:
    try:
        await connection.commit_and_forget()
    except InFailedSQLTransactionError as error:
        reason = "an error inside the transaction was swallowed, so nothing was committed"
        raise RuntimeError(reason) from error


async def _roll_back(connection: ForgetfulConnection) -> None:
    """Roll back, or drop the connection: what can't be rolled back must not go back into the pool."""
    try:
        connection.send_alone()
        await connection.execute("ROLLBACK")
    except (PostgresError, asyncpg.InterfaceError, OSError):
        connection.terminate()
