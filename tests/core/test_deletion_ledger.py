"""The deletion ledger recognises what was erased, and tells nobody what it was."""

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from core.deletion_ledger import (
    Erased,
    ErasedKind,
    LedgerEntry,
    destroyed_archive,
    digest_of,
    erased_person,
    erased_schema,
    erased_tenant,
    still_there,
)

NOW = datetime(2026, 11, 25, tzinfo=UTC)
THINGS = st.builds(Erased, st.sampled_from(ErasedKind), st.text(max_size=40))
SALTS = st.binary(min_size=16, max_size=16)


def entry(erased: Erased, salt: bytes) -> LedgerEntry:
    return LedgerEntry(UUID(int=0), erased.kind, salt, digest_of(erased, salt), NOW)


@given(st.lists(st.tuples(THINGS, SALTS), max_size=8), st.sets(THINGS, max_size=8))
def test_exactly_what_was_erased_is_recognised(
    erased: list[tuple[Erased, bytes]], others: set[Erased]
) -> None:
    gone = {thing for thing, _ in erased}
    found = still_there([entry(thing, salt) for thing, salt in erased], gone | others)
    assert set(found) == gone


@given(THINGS, SALTS, SALTS)
def test_a_digest_says_nothing_under_another_salt(thing: Erased, salt: bytes, other: bytes) -> None:
    assert (digest_of(thing, salt) == digest_of(thing, other)) is (salt == other)


def test_a_tenant_its_people_and_its_archive_are_different_things() -> None:
    tenant_id, salt = UUID(int=1), bytes(16)
    things = [
        erased_tenant(tenant_id),
        erased_schema(str(tenant_id)),
        erased_person(tenant_id, UUID(int=2)),
        destroyed_archive(tenant_id),
    ]
    assert len({digest_of(thing, salt) for thing in things}) == 4
    assert still_there([entry(things[0], salt)], things) == [things[0]]
