"""Reading the audit log: entries, checkpoints, and proofs of what is in it."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from core.audit import CanonicalEntry
from core.canonical import Scalar
from core.checkpoint import public_key_text
from core.errors import NotFound
from core.merkle import Node, Range, consistency_ranges, inclusion_ranges, nodes_of, roots_of
from shell.audit_key import AuditSigner
from shell.database import Pool
from shell.queries import SQL
from shell.sequencing import sequence_pending, sign_checkpoints
from shell.session import Session, platform_session


class AuditRecord(msgspec.Struct, frozen=True):
    """An entry at its place, hashes in hex; once erased, it has no `details` and no `address` any more."""

    sequence: int
    id: UUID
    occurred_at: datetime
    actor_kind: str
    actor_id: UUID | None
    action: str
    subject: str
    outcome: str
    request_id: str | None
    address: str | None
    details: dict[str, Scalar] | None
    erased_at: datetime | None
    leaf_hash: str
    entry_hash: str


class Inclusion(msgspec.Struct, frozen=True):
    """The proof that an entry is in the tree of `size` entries (RFC 9162, 2.1.3); hashes are in hex.

    `checkpoint` is the signed note over that tree, where there is one.
    """

    sequence: int
    size: int
    leaf_hash: str
    root: str
    hashes: list[str]
    checkpoint: str | None


class Consistency(msgspec.Struct, frozen=True):
    """The proof that the tree of `new` entries begins with that of `old` (RFC 9162, 2.1.4), in hex."""

    old: int
    new: int
    old_root: str
    new_root: str
    hashes: list[str]


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are wanted: those that have all that is given."""

    action: str | None = None
    subject: str | None = None
    actor_id: UUID | None = None
    outcome: str | None = None
    start: datetime | None = None
    end: datetime | None = None


async def page(
    session: Session, chain: str, wanted: Filter, *, before: int | None, limit: int
) -> list[AuditRecord]:
    """Entries from the newest, before a place; one more than `limit`, where there are more."""
    values = msgspec.structs.astuple(wanted)
    rows = await session.connection.fetch(SQL["audit_page"], chain, *values, before, limit + 1)
    return [_record(row) for row in rows]


async def checkpoint(session: Session, chain: str) -> str:
    """The latest signed checkpoint; raises NotFound before the first."""
    return str((await _latest(session, chain))["note"])


async def inclusion(session: Session, chain: str, sequence: int, size: int | None = None) -> Inclusion:
    """The proof that an entry is in a tree, by default that of the latest checkpoint; raises NotFound."""
    size = await _known_size(session, chain, size)
    if sequence >= size:
        raise NotFound(what="entry in the tree of this size")
    wanted: list[Range] = [(sequence, sequence + 1), (0, size), *inclusion_ranges(sequence, size)]
    leaf, root, *hashes = await _roots(session, chain, wanted)
    note = await session.connection.fetchval(SQL["checkpoint_of_size"], chain, size)
    return Inclusion(sequence, size, leaf, root, hashes, note)


async def consistency(session: Session, chain: str, old: int, new: int | None = None) -> Consistency:
    """The proof that a tree is the beginning of a larger one, by default of the latest checkpoint's.

    Raises NotFound.
    """
    new = await _known_size(session, chain, new)
    if old > new:
        raise NotFound(what="tree of this size")
    wanted: list[Range] = [(0, old), (0, new), *consistency_ranges(old, new)]
    old_root, new_root, *hashes = await _roots(session, chain, wanted)
    return Consistency(old, new, old_root, new_root, hashes)


async def prove_entry(
    pool: Pool, owner_pool: Pool, signer: AuditSigner, entry_id: UUID, now: datetime
) -> Inclusion:
    """Have a committed entry placed and signed for, and prove it: for documents that must stand alone.

    Raises NotFound.
    """
    await sequence_pending(owner_pool)
    await sign_checkpoints(owner_pool, signer, now, wait=True)
    async with platform_session(pool, readonly=True) as session:
        found = await session.connection.fetchrow(SQL["place_of_entry"], entry_id)
        if found is None:
            raise NotFound(what="audit entry")
        return await inclusion(session, found["chain"], found["sequence"])


async def public_keys(session: Session) -> list[str]:
    """The keys that checkpoints were signed with, the latest first, as docs/audit.md writes them."""
    rows = await session.connection.fetch(SQL["audit_public_keys"])
    return [public_key_text(row["public_key"]) for row in rows]


async def _latest(session: Session, chain: str) -> asyncpg.Record:
    found = await session.connection.fetchrow(SQL["latest_checkpoint"], chain)
    if found is None:
        raise NotFound(what="checkpoint yet")
    return found


async def _known_size(session: Session, chain: str, size: int | None) -> int:
    """The size itself, or the latest checkpoint's; raises NotFound for more than there is."""
    if size is None:
        return int((await _latest(session, chain))["size"])
    if size > (await session.connection.fetchval(SQL["audit_chain_size"], chain) or 0):
        raise NotFound(what="tree of this size")
    return size


async def _roots(session: Session, chain: str, ranges: list[Range]) -> list[str]:
    known = await _known(session, chain, nodes_of(ranges))
    return [root.hex() for root in roots_of(ranges, known)]


async def _known(session: Session, chain: str, nodes: Iterable[Node]) -> dict[Node, bytes]:
    wanted = set(nodes)
    leaves = [node.position for node in wanted if node.level == 0]
    inner = [node for node in wanted if node.level > 0]
    levels, positions = [node.level for node in inner], [node.position for node in inner]
    found_leaves = await session.connection.fetch(SQL["audit_leaves"], chain, leaves)
    found_inner = await session.connection.fetch(SQL["audit_nodes"], chain, levels, positions)
    return {Node(0, row["sequence"]): row["leaf_hash"] for row in found_leaves} | {
        Node(row["level"], row["position"]): row["hash"] for row in found_inner
    }


def _record(row: asyncpg.Record) -> AuditRecord:
    entry = msgspec.json.decode(row["canonical"], type=CanonicalEntry)
    values: dict[str, Any] = {
        name: getattr(entry, name) for name in AuditRecord.__struct_fields__ if hasattr(entry, name)
    }
    values |= {
        "address": row["address"],
        "details": None if row["details"] is None else msgspec.json.decode(row["details"]),
        "erased_at": row["erased_at"],
        "leaf_hash": row["leaf_hash"].hex(),
        "entry_hash": row["entry_hash"].hex(),
    }
    return msgspec.convert(values, AuditRecord)
