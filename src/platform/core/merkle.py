"""Merkle trees by RFC 9162, section 2.1, over leaf hashes that come one after the other.

A tree of n leaves falls into full subtrees, one for each binary digit of n that is 1. Their roots, the
largest first, are its **frontier**: all that is needed to append leaves and to know the tree's root. What is
kept of the subtrees inside is the root of each one of 256 leaves, of 65,536 leaves and so on; any hash that a
proof asks for is computed from those and from at most 255 leaf hashes.

A node has a level, 0 for leaves, and a position, counted from 0 within its level.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

EMPTY_ROOT: Final = hashlib.sha256(b"").digest()
HASH_BYTES: Final = 32
STEP: Final = 8
"""Of so many levels, one is kept."""

Range = tuple[int, int]
"""Leaves from the first number up to the second, which is not among them."""


class Node(msgspec.Struct, frozen=True):
    """A node of the tree."""

    level: int
    position: int


class Kept(msgspec.Struct, frozen=True):
    """A node's hash that is kept."""

    node: Node
    digest: bytes


class Grown(msgspec.Struct, frozen=True):
    """A frontier after leaves were appended, and the hashes to keep that have come with them."""

    frontier: tuple[bytes, ...]
    kept: list[Kept]


def leaf_hash(entry: bytes) -> bytes:
    """The hash of a leaf's content."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def grown(frontier: tuple[bytes, ...], size: int, leaves: Iterable[bytes]) -> Grown:
    """The frontier of a tree of `size` leaves after more leaf hashes."""
    roots, kept = list(frontier), []
    for leaf in leaves:
        found, level, position = leaf, 0, size
        while position & 1:  # a full subtree as large stands to the left
            found = hashlib.sha256(b"\x01" + roots.pop() + found).digest()
            level += 1
            position >>= 1
            if level % STEP == 0:
                kept.append(Kept(Node(level, position), found))
        roots.append(found)
        size += 1
    return Grown(tuple(roots), kept)


def root_of(frontier: Sequence[bytes]) -> bytes:
    """The root of the tree with this frontier."""
    if not frontier:
        return EMPTY_ROOT
    *larger, root = frontier
    for left in reversed(larger):
        root = node_hash(left, root)
    return root


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Whose roots the proof is that a leaf is in the tree of `size` leaves: PATH of RFC 9162, 2.1.3.1."""
    return list(_path(index, (0, size)))


def consistency_ranges(old: int, new: int) -> list[Range]:
    """Whose roots the proof is that the tree grew from `old` to `new` leaves: PROOF of RFC 9162, 2.1.4.1."""
    return [] if old == 0 else list(_subproof(old, (0, new), is_whole=True))


def nodes_of(ranges: Iterable[Range]) -> list[Node]:
    """The kept nodes and leaves (of level 0, all of which are kept) that the roots are computed from."""
    return [
        Node(node.level - node.level % STEP, position)
        for each in ranges
        for node in _full_subtrees(each)
        for position in _below(node)
    ]


def roots_of(ranges: Iterable[Range], known: Mapping[Node, bytes]) -> list[bytes]:
    """The root over each range, from the hashes that `nodes_of` asks for; raises KeyError without one."""
    return [root_of([_root_of_node(node, known) for node in _full_subtrees(each)]) for each in ranges]


def _path(index: int, within: Range) -> Iterator[Range]:
    start, end = within
    if end - start == 1:
        return
    middle = start + _left_size(end - start)
    if index < middle:
        yield from _path(index, (start, middle))
        yield middle, end
    else:
        yield from _path(index, (middle, end))
        yield start, middle


def _subproof(old: int, within: Range, *, is_whole: bool) -> Iterator[Range]:
    start, end = within
    if old == end:
        if not is_whole:
            yield within
        return
    middle = start + _left_size(end - start)
    if old <= middle:
        yield from _subproof(old, (start, middle), is_whole=is_whole)
        yield middle, end
    else:
        yield from _subproof(old, (middle, end), is_whole=False)
        yield start, middle


def _left_size(size: int) -> int:
    """The largest power of two below a size."""
    return 1 << (size - 1).bit_length() - 1


def _full_subtrees(leaves: Range) -> Iterator[Node]:
    """The full subtrees of a range, the largest first; its start is a multiple of the largest one's size."""
    start, end = leaves
    while start < end:
        level = (end - start).bit_length() - 1
        yield Node(level, start >> level)
        start += 1 << level


def _below(node: Node) -> range:
    """The positions of the kept nodes that a node is computed from."""
    height = node.level % STEP
    return range(node.position << height, (node.position + 1) << height)


def _root_of_node(node: Node, known: Mapping[Node, bytes]) -> bytes:
    level = node.level - node.level % STEP
    hashes = [known[Node(level, position)] for position in _below(node)]
    while len(hashes) > 1:
        hashes = [node_hash(left, right) for left, right in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]
