"""The Idempotency-Key header: a repeated request is answered with what the first one made."""

import hashlib
from datetime import UTC, datetime
from typing import Annotated

from litestar.params import HeaderParameter

from core.errors import IdempotencyConflict
from shell.queries import SQL
from shell.session import Session

IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=200,
        description="Any text of the caller's own; a repeated request with it makes nothing twice.",
    ),
]


async def earlier_result(session: Session, *, caller: str, key: str | None, request: bytes) -> str | None:
    """What the first request with this key made; None for a first one, whose key is claimed until it commits.

    Raises IdempotencyConflict where the key was used with another request.
    """
    if key is None:
        return None
    digest = hashlib.sha256(request).digest()
    claimed = await session.connection.fetchval(
        SQL["claim_idempotency_key"], caller, key, digest, datetime.now(UTC)
    )
    if claimed is not None:
        return None
    row = await session.connection.fetchrow(SQL["idempotency_key"], caller, key)
    if row is None or row["request_hash"] != digest or row["result"] is None:
        raise IdempotencyConflict(key=key)
    return str(row["result"])


async def keep_result(session: Session, *, caller: str, key: str | None, result: str) -> None:
    """Remember what the request made, in the transaction that makes it."""
    if key is not None:
        await session.connection.execute(SQL["keep_idempotent_result"], caller, key, result)
