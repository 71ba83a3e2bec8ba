"""An exported log is checked by nothing but itself and a key; whoever tampers with the database is found out.

Each case is checked by the platform's verifier and by one that was written from docs/audit.md alone.
"""

import hashlib
import json
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import msgspec
import pytest
import pytest_asyncio

from core.audit import SYSTEM, Actor, ActorKind, AuditEntry
from core.checkpoint import parse_note, public_key_text
from core.merkle import grown, leaf_hash
from core.verification import Report, verify
from shell.audit import append_entry, erase_details_of_person
from shell.audit_export import begin_export, export_lines
from shell.audit_key import audit_signer, is_signed_by
from shell.audit_log import prove_entry
from shell.sequencing import sequence_pending, sign_checkpoints
from shell.session import tenant_session
from tests.core.naive_merkle import is_included
from tests.installation import Installation, administrator, found
from tests.naive_verifier import first_bad

NOW = datetime(2026, 11, 25, tzinfo=UTC)
PERSON = uuid4()


class Log(msgspec.Struct, frozen=True):
    """A tenant's log of 12 entries, with checkpoints over 5 and over all."""

    installation: Installation
    chain: str
    checkpoints: list[str]
    public_key: bytes

    async def exported(self) -> bytes:
        """The file as it is now."""
        export = await begin_export(self.installation.pool, self.chain)
        return b"".join([chunk async for chunk in export_lines(self.installation.pool, export)])

    def checked(self, file: bytes, older: list[str] | None = None) -> Report:
        """What our verifier says, and that the other one names the same entry."""
        report = verify(
            [file],
            is_signed=lambda note: is_signed_by(note, self.public_key),
            older=[parse_note(note) for note in older or []],
        )
        named = None if report.finding is None else report.finding.sequence
        assert first_bad(file, public_key_text(self.public_key), older) == named, report
        return report

    def first_bad(self, file: bytes, older: list[str] | None = None) -> int | None:
        """The place of the first bad entry; fails where there is none."""
        finding = self.checked(file, older).finding
        assert finding is not None
        assert finding.reason
        return finding.sequence


@pytest_asyncio.fixture
async def log(installation: Installation) -> Log:
    tenant, signer = await found(installation), audit_signer(installation.settings)
    notes: list[str] = []
    for count in (5, 7):
        async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
            for number in range(count):
                actor = Actor(ActorKind.USER, PERSON if number == 3 else uuid4(), f"r{number}", "192.0.2.1")
                await append_entry(session, AuditEntry("test", f"test:{number}", actor, details={"a": "ü\n"}))
        await sequence_pending(installation.owner_pool)
        signed = await sign_checkpoints(installation.owner_pool, signer, NOW, wait=True)
        notes += [note for note in signed if tenant.chain in note]
    return Log(installation, tenant.chain, notes, signer.public_key)


@pytest_asyncio.fixture
async def tamper(log: Log) -> AsyncIterator[Callable[..., Any]]:
    """Run a statement as the superuser, all triggers off, on this log's chain ($1)."""
    async with administrator(log.installation.admin_url) as admin:
        await admin.execute("SET session_replication_role = replica")

        async def run(statement: str, *arguments: object) -> None:
            done = await admin.execute(statement, log.chain, *arguments)
            assert not done.endswith(" 0"), done

        yield run


async def test_a_log_is_found_as_it_was_signed(log: Log) -> None:
    file = await log.exported()
    report = log.checked(file, log.checkpoints)
    assert report.finding is None
    assert (report.entries, report.erased, report.checkpoints) == (12, 0, 4)
    assert report.root == parse_note(log.checkpoints[1]).checkpoint.root


async def test_a_log_verifies_as_before_once_a_person_was_erased(log: Log) -> None:
    erased = await erase_details_of_person(log.installation.owner_pool, PERSON, chains=[log.chain], now=NOW)
    assert erased == 2
    report = log.checked(await log.exported(), log.checkpoints)
    assert report.finding is None
    assert report.erased == 2


FIELDS = {
    "action": "user.deleted",
    "actor_id": str(uuid4()),
    "actor_kind": "operator",
    "chain": str(uuid4()),
    "commitment": "00" * 32,
    "id": str(uuid4()),
    "occurred_at": "2026-01-01T00:00:00.000000Z",
    "outcome": "denied",
    "request_id": "forged",
    "sequence": 8,
    "subject": "test:forged",
    "version": 2,
}


@pytest.mark.parametrize("field", FIELDS)
async def test_each_field_that_is_changed_is_found(log: Log, tamper: Callable[..., Any], field: str) -> None:
    async with administrator(log.installation.admin_url) as admin:
        query = "SELECT canonical FROM public.audit_log WHERE chain = $1 AND sequence = 7"
        entry = json.loads(await admin.fetchval(query, log.chain))
    forged = msgspec.json.encode(entry | {field: FIELDS[field]}, order="sorted")
    await tamper("UPDATE public.audit_log SET canonical = $2 WHERE chain = $1 AND sequence = 7", forged)
    assert log.first_bad(await log.exported()) == 7


@pytest.mark.parametrize(
    "change",
    [
        'details = \'{"a":"forged"}\'',
        "address = '192.0.2.99'",
        "address = NULL",
        "salt = '\\x00'",
        "entry_hash = leaf_hash",
        "canonical = 'no json'",
        "canonical = '{}'",
        "canonical = '\\xff'",
    ],
)
async def test_each_other_column_that_is_changed_is_found(
    log: Log, tamper: Callable[..., Any], change: str
) -> None:
    await tamper(f"UPDATE public.audit_log SET {change} WHERE chain = $1 AND sequence = 6")
    file = await log.exported()
    report = verify([file], is_signed=lambda note: is_signed_by(note, log.public_key))
    assert report.finding is not None
    assert report.finding.sequence == 6


@pytest.mark.parametrize("sequence", [0, 4, 11])
async def test_an_entry_that_is_dropped_is_named(log: Log, tamper: Callable[..., Any], sequence: int) -> None:
    await tamper("DELETE FROM public.audit_log WHERE chain = $1 AND sequence = $2", sequence)
    assert log.first_bad(await log.exported()) == sequence


async def test_two_entries_that_are_swapped_are_found_at_the_first(
    log: Log, tamper: Callable[..., Any]
) -> None:
    await tamper(
        """
        UPDATE public.audit_log AS a SET canonical = b.canonical, entry_hash = b.entry_hash, salt = b.salt
        FROM public.audit_log AS b
        WHERE a.chain = $1 AND b.chain = $1 AND (a.sequence, b.sequence) IN ((3, 9), (9, 3))
        """
    )
    assert log.first_bad(await log.exported()) == 3


async def test_an_entry_that_is_inserted_is_found(log: Log, tamper: Callable[..., Any]) -> None:
    await tamper("UPDATE public.audit_log SET sequence = -sequence WHERE chain = $1 AND sequence > 5")
    await tamper("UPDATE public.audit_log SET sequence = 1 - sequence WHERE chain = $1 AND sequence < 0")
    await tamper(
        """
        INSERT INTO public.audit_log
            (id, chain, occurred_at, actor_kind, action, subject, outcome, details, salt,
             sequence, canonical, leaf_hash, entry_hash)
        SELECT gen_random_uuid(), chain, occurred_at, actor_kind, action, subject, outcome, details, salt,
               6, canonical, leaf_hash, entry_hash
        FROM public.audit_log WHERE chain = $1 AND sequence = 5
        """
    )
    assert log.first_bad(await log.exported()) == 6


@pytest.mark.parametrize("size", [11, 6, 5, 1])
async def test_entries_that_are_cut_off_are_named(log: Log, tamper: Callable[..., Any], size: int) -> None:
    await tamper("DELETE FROM public.audit_log WHERE chain = $1 AND sequence >= $2", size)
    assert log.first_bad(await log.exported()) == size


async def test_who_cuts_off_the_checkpoints_as_well_is_found_by_an_older_one(
    log: Log, tamper: Callable[..., Any]
) -> None:
    await tamper("DELETE FROM public.audit_log WHERE chain = $1 AND sequence >= 5")
    await tamper("DELETE FROM public.audit_checkpoints WHERE chain = $1 AND size > 5")
    file = await log.exported()
    assert log.checked(file).finding is None  # nobody could tell
    assert log.first_bad(file, log.checkpoints) == 5


async def test_who_rewrites_every_hash_is_found_by_the_checkpoints(
    log: Log, tamper: Callable[..., Any]
) -> None:
    """An attacker with all rights but the key replaces entry 7, and computes all hashes anew."""
    await rewrite(log, tamper, 7)
    report = log.checked(await log.exported())
    assert report.finding is not None
    assert report.finding.sequence == 5
    assert "up to 11" in report.finding.reason


async def test_who_rewrites_and_signs_with_the_stolen_key_is_found_by_a_witness(
    log: Log, tamper: Callable[..., Any]
) -> None:
    await rewrite(log, tamper, 7)
    await tamper("DELETE FROM public.audit_checkpoints WHERE chain = $1 AND size > 5")
    await sign_checkpoints(
        log.installation.owner_pool, audit_signer(log.installation.settings), NOW, wait=True
    )
    file = await log.exported()
    assert log.checked(file).finding is None  # it is signed, after all
    assert log.first_bad(file, log.checkpoints) == 5


async def test_a_checkpoint_that_somebody_else_signed_is_refused(log: Log) -> None:
    file = await log.exported()
    report = verify([file], is_signed=lambda note: is_signed_by(note, bytes(32)))
    assert report.finding is not None
    assert "not signed by this key" in report.finding.reason


async def test_an_entry_is_proved_for_a_document_that_stands_alone(log: Log) -> None:
    entry = AuditEntry("tenant.erased", f"tenant:{log.chain}", SYSTEM)
    async with tenant_session(log.installation.pool, tenant_id=UUID(log.chain)) as session:
        entry_id = await append_entry(session, entry)
    signer = audit_signer(log.installation.settings)
    proof = await prove_entry(log.installation.pool, log.installation.owner_pool, signer, entry_id, NOW)
    assert (proof.sequence, proof.size) == (12, 13)
    note = parse_note(proof.checkpoint or "")
    assert is_signed_by(note, log.public_key)
    assert note.checkpoint.root.hex() == proof.root
    hashes = [bytes.fromhex(each) for each in proof.hashes]
    assert is_included(bytes.fromhex(proof.leaf_hash), 12, 13, hashes, note.checkpoint.root)


async def rewrite(log: Log, tamper: Callable[..., Any], sequence: int) -> None:
    """Replace an entry's content, and every hash from there on, the tree's head included."""
    async with administrator(log.installation.admin_url) as admin:
        query = "SELECT canonical FROM public.audit_log WHERE chain = $1 ORDER BY sequence"
        entries = [row["canonical"] for row in await admin.fetch(query, log.chain)]
    entries[sequence] = entries[sequence].replace(b'"action":"test"', b'"action":"fake"')
    previous = bytes(32)
    for place, canonical in enumerate(entries):
        leaf = leaf_hash(canonical)
        previous = hashlib.sha256(previous + leaf).digest()
        await tamper(
            """
            UPDATE public.audit_log SET canonical = $3, leaf_hash = $4, entry_hash = $5
            WHERE chain = $1 AND sequence = $2
            """,
            place,
            canonical,
            leaf,
            previous,
        )
    frontier = b"".join(grown((), 0, [leaf_hash(each) for each in entries]).frontier)
    await tamper(
        "UPDATE public.audit_chains SET head = $2, frontier = $3 WHERE chain = $1", previous, frontier
    )
