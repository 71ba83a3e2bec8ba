"""The sequencer: gives committed entries their places, in one transaction that only one process is in.

Killed anywhere, it has placed a whole batch or nothing of it. A chain whose next places somebody has taken,
by writing into the tables as a superuser, is stuck: it is told, and the others go on.
"""

import secrets
from collections import defaultdict
from datetime import datetime
from typing import Any

import msgspec
import structlog
from asyncpg.exceptions import UniqueViolationError

from core.audit import Written
from core.merkle import HASH_BYTES, root_of
from core.sequencing import Head, Placement, place
from shell.audit_key import AuditSigner
from shell.database import Pool
from shell.queries import SQL
from shell.session import OwnersRole, Session, owner_session

BATCH = 2_000
SIGNED_AT_A_TIME = 500
SALT_BYTES = 16

log = structlog.get_logger()


class Pass(msgspec.Struct, frozen=True):
    """What one pass of the sequencer came to; `is_last` where nothing was left, or another one is at it."""

    placed: int
    is_last: bool
    oldest: datetime | None = None
    stuck: frozenset[str] = frozenset()


async def sequence_pending(owner_pool: Pool) -> int:
    """Give every committed entry its place, waiting for who is at it; gives how many got one here."""
    placed, stuck = 0, frozenset[str]()
    while True:
        done = await sequence_once(owner_pool, wait=True, without=stuck)
        placed, stuck = placed + done.placed, stuck | done.stuck
        if done.is_last:
            return placed


async def sequence_once(
    owner_pool: Pool, *, limit: int = BATCH, wait: bool = False, without: frozenset[str] = frozenset()
) -> Pass:
    """Place so many entries at most, the oldest first, in one transaction; those of some chains not."""
    async with owner_session(owner_pool, role=OwnersRole.SEQUENCER) as session:
        if not await _is_alone(session, wait=wait):
            return Pass(0, is_last=True)
        rows = await session.connection.fetch(SQL["unsequenced_entries"], limit, list(without))
        if not rows:
            return Pass(0, is_last=True)
        by_chain: dict[str, list[Written]] = defaultdict(list)
        for row in rows:
            by_chain[row["chain"]].append(Written(**row))
        stuck = await _place_all(session, by_chain)
    placed = sum(len(entries) for chain, entries in by_chain.items() if chain not in stuck)
    return Pass(placed, is_last=len(rows) < limit, oldest=rows[0]["occurred_at"], stuck=stuck)


async def sign_checkpoints(
    owner_pool: Pool, signer: AuditSigner, now: datetime, *, wait: bool = False
) -> list[str]:
    """Sign the head of every chain that has grown since its last checkpoint; gives the new notes."""
    notes: list[str] = []
    while True:
        some = await _sign_some(owner_pool, signer, now, wait=wait)
        notes += some
        if len(some) < SIGNED_AT_A_TIME:
            return notes


async def _is_alone(session: Session, *, wait: bool) -> bool:
    """Whether this transaction alone may touch the chains: with `wait`, as soon as no other does."""
    if wait:
        await session.connection.execute(SQL["await_sequencer"])
        return True
    return bool(await session.connection.fetchval(SQL["lock_sequencer"]))


async def _place_all(session: Session, by_chain: dict[str, list[Written]]) -> frozenset[str]:
    """Place the entries of all chains, or, where that fails, of each that it works for; gives the others."""
    if await _is_placed(session, by_chain):
        return frozenset()
    stuck = frozenset(
        [chain for chain, entries in by_chain.items() if not await _is_placed(session, {chain: entries})]
    )
    log.error("audit.chains_stuck", chains=sorted(stuck))
    return stuck


async def _is_placed(session: Session, by_chain: dict[str, list[Written]]) -> bool:
    await session.connection.execute("SAVEPOINT place")
    try:
        await _place(session, by_chain)
    except UniqueViolationError:  # somebody else's rows are in these places
        await session.connection.execute("ROLLBACK TO SAVEPOINT place")
        return False
    await session.connection.execute("RELEASE SAVEPOINT place")
    return True


async def _place(session: Session, by_chain: dict[str, list[Written]]) -> None:
    heads = await _heads(session, list(by_chain))
    placements = {
        chain: place(heads.get(chain, Head()), entries, [secrets.token_bytes(SALT_BYTES) for _ in entries])
        for chain, entries in by_chain.items()
    }
    placed = [msgspec.structs.astuple(each) for found in placements.values() for each in found.placed]
    await session.connection.execute(SQL["place_entries"], *_columns(placed))
    await session.connection.execute(SQL["move_audit_heads"], *_columns(_head_rows(placements)))
    kept = [
        (chain, each.node.level, each.node.position, each.digest)
        for chain, found in placements.items()
        for each in found.kept
    ]
    if kept:
        await session.connection.execute(SQL["keep_audit_nodes"], *_columns(kept))


async def _heads(session: Session, chains: list[str]) -> dict[str, Head]:
    rows = await session.connection.fetch(SQL["audit_heads"], chains)
    return {row["chain"]: Head(row["size"], row["head"], _split(row["frontier"])) for row in rows}


def _head_rows(placements: dict[str, Placement]) -> list[tuple[Any, ...]]:
    return [
        (chain, found.head.size, found.head.entry_hash, b"".join(found.head.frontier))
        for chain, found in placements.items()
    ]


def _columns(rows: list[tuple[Any, ...]]) -> list[list[Any]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _split(frontier: bytes) -> tuple[bytes, ...]:
    return tuple(frontier[start : start + HASH_BYTES] for start in range(0, len(frontier), HASH_BYTES))


async def _sign_some(owner_pool: Pool, signer: AuditSigner, now: datetime, *, wait: bool) -> list[str]:
    async with owner_session(owner_pool, role=OwnersRole.SEQUENCER) as session:
        if not await _is_alone(session, wait=wait):
            return []
        grown = await session.connection.fetch(SQL["grown_chains"], SIGNED_AT_A_TIME)
        if not grown:
            return []
        signed = [
            (
                row["chain"],
                row["size"],
                signer.sign(row["chain"], size=row["size"], root=root_of(_split(row["frontier"]))),
            )
            for row in grown
        ]
        await session.connection.execute(SQL["keep_audit_key"], signer.public_key, now)
        await session.connection.execute(SQL["keep_checkpoints"], *_columns(signed), now)
    return [note for _, _, note in signed]
