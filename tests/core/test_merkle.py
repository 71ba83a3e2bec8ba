import hashlib
from collections.abc import Iterable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.merkle import (
    EMPTY_ROOT,
    Node,
    Range,
    consistency_ranges,
    grown,
    inclusion_ranges,
    leaf_hash,
    nodes_of,
    root_of,
    roots_of,
)
from tests.core import naive_merkle as naive

ENTRIES = tuple(f"entry {n}".encode() for n in range(100))

# Certificate Transparency's own test vectors (RFC 6962): entries, and the roots of the first one, two, …
CT_ENTRIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def hashes(entries: Iterable[bytes]) -> list[bytes]:
    return [leaf_hash(entry) for entry in entries]


def known_of(leaves: list[bytes]) -> Mapping[Node, bytes]:
    """All that is kept of a tree."""
    kept = {each.node: each.digest for each in grown((), 0, leaves).kept}
    return kept | {Node(0, position): leaf for position, leaf in enumerate(leaves)}


def proof_of(ranges: list[Range], known: Mapping[Node, bytes]) -> list[bytes]:
    """A proof, made of nothing but what it says it needs."""
    return roots_of(ranges, {node: known[node] for node in nodes_of(ranges)})


def test_the_roots_are_those_of_certificate_transparency() -> None:
    assert hashlib.sha256().digest() == EMPTY_ROOT == root_of(())
    leaves = hashes(CT_ENTRIES)
    found = [root_of(grown((), 0, leaves[:size]).frontier).hex() for size in range(1, 9)]
    assert found == CT_ROOTS


@pytest.mark.parametrize("size", range(101))
def test_roots_and_proofs_of_trees_up_to_a_hundred_leaves_are_those_of_the_rfc(size: int) -> None:
    entries, leaves = ENTRIES[:size], hashes(ENTRIES[:size])
    known = known_of(leaves)
    root = root_of(grown((), 0, leaves).frontier)
    assert root == naive.mth(entries)
    for index in range(size):
        found = proof_of(inclusion_ranges(index, size), known)
        assert found == naive.path(index, entries)
        assert naive.is_included(leaves[index], index, size, found, root)
    for old in range(1, size + 1):
        found = proof_of(consistency_ranges(old, size), known)
        assert found == naive.proof(old, entries)
        assert naive.is_consistent(old, size, found, naive.mth(entries[:old]), root)


def test_nothing_is_needed_to_prove_that_a_tree_grew_from_no_leaves() -> None:
    assert consistency_ranges(0, 5) == []


@given(st.integers(1, 1_000), st.data())
def test_proofs_of_larger_trees_hold_and_are_short(size: int, data: st.DataObject) -> None:
    leaves = hashes(str(n).encode() for n in range(size))
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    root, known = root_of(grown((), 0, leaves).frontier), known_of(leaves)
    inclusion = proof_of(inclusion_ranges(index, size), known)
    assert naive.is_included(leaves[index], index, size, inclusion, root)
    assert len(inclusion) <= size.bit_length()
    consistency = proof_of(consistency_ranges(old, size), known)
    old_root = root_of(grown((), 0, leaves[:old]).frontier)
    assert naive.is_consistent(old, size, consistency, old_root, root)


@given(st.integers(0, 600), st.integers(0, 600))
def test_leaves_in_two_goes_give_the_same_tree(first: int, more: int) -> None:
    leaves = hashes(str(n).encode() for n in range(first + more))
    half = grown((), 0, leaves[:first])
    whole = grown(half.frontier, first, leaves[first:])
    at_once = grown((), 0, leaves)
    assert whole.frontier == at_once.frontier
    assert half.kept + whole.kept == at_once.kept


@pytest.mark.parametrize("size", [1_000_000, 2**20, 2**24 + 12_345])
def test_a_proof_in_a_large_tree_needs_few_hashes(size: int) -> None:
    for index in (0, 1, size // 3, size - 1):
        assert len(nodes_of(inclusion_ranges(index, size))) < 2_000
    for old in (1, size // 3, size - 1):
        assert len(nodes_of(consistency_ranges(old, size))) < 2_000
