"""Giving entries their places in a chain: numbers without a gap, hashes, and a Merkle tree over all."""

import hashlib
from collections.abc import Sequence
from typing import Final
from uuid import UUID

import msgspec

from core.audit import Written, canonical_entry
from core.merkle import Kept, grown, leaf_hash

FIRST_PREVIOUS: Final = bytes(32)
"""What stands for the hash of the entry before the first."""


class Head(msgspec.Struct, frozen=True):
    """How far a chain has come: its size, the hash of its last entry, and its tree's frontier."""

    size: int = 0
    entry_hash: bytes = FIRST_PREVIOUS
    frontier: tuple[bytes, ...] = ()


class Placed(msgspec.Struct, frozen=True):
    """An entry at its place."""

    id: UUID
    sequence: int
    salt: bytes
    canonical: bytes
    leaf_hash: bytes
    entry_hash: bytes


class Placement(msgspec.Struct, frozen=True):
    """A chain's head after entries were placed, the entries, and hashes of the tree to keep."""

    head: Head
    placed: list[Placed]
    kept: list[Kept]


def place(head: Head, entries: Sequence[Written], salts: Sequence[bytes]) -> Placement:
    """Append entries of one chain, in the order given, each with a salt of its own."""
    placed, previous = [], head.entry_hash
    for sequence, (entry, salt) in enumerate(zip(entries, salts, strict=True), start=head.size):
        canonical = canonical_entry(entry, sequence=sequence, salt=salt)
        leaf = leaf_hash(canonical)
        previous = chained(previous, leaf)
        placed.append(Placed(entry.id, sequence, salt, canonical, leaf, previous))
    tree = grown(head.frontier, head.size, [each.leaf_hash for each in placed])
    return Placement(Head(head.size + len(placed), previous, tree.frontier), placed, tree.kept)


def chained(previous: bytes, leaf: bytes) -> bytes:
    """The hash of an entry, which stands for it and for all before it."""
    return hashlib.sha256(previous + leaf).digest()
