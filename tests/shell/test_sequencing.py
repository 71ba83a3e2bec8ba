"""The sequencer: chains without gaps, whoever writes at the same time and wherever it is killed."""

import asyncio
import hashlib
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from structlog.testing import capture_logs

from core.audit import SYSTEM, Actor, ActorKind, AuditEntry
from core.checkpoint import parse_note
from core.tenant import Tenant
from jobs.context import WorkerContext
from jobs.sequencing import Sequencer, keep_sequencing
from shell.audit import append_entry, append_platform_entry, erase_details_of_chain
from shell.audit_key import audit_signer, is_signed_by
from shell.database import open_pool
from shell.exposition import exposition
from shell.sequencing import sequence_once, sequence_pending, sign_checkpoints
from shell.session import platform_session, tenant_session
from shell.witness import Witness
from tests.core import naive_merkle
from tests.installation import Installation, administrator, found, rows
from tests.waiting import until

NOW = datetime(2026, 11, 25, tzinfo=UTC)


async def append(installation: Installation, tenant: Tenant, count: int = 1) -> None:
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        for number in range(count):
            actor = Actor(ActorKind.USER, uuid4(), address="192.0.2.1")
            await append_entry(session, AuditEntry("test", f"test:{number}", actor, details={"a": "b"}))


async def chain_of(installation: Installation, chain: str) -> list[Mapping[str, Any]]:
    query = "SELECT * FROM public.audit_log WHERE chain = $1 ORDER BY sequence"
    return list(await rows(installation, query, chain))


def require_whole(entries: list[Mapping[str, Any]]) -> None:
    """Numbers without a gap, and the hashes of section 3 of docs/audit.md."""
    previous = bytes(32)
    for number, entry in enumerate(entries):
        assert entry["sequence"] == number
        assert msgspec.json.decode(entry["canonical"])["sequence"] == number
        leaf = hashlib.sha256(b"\x00" + entry["canonical"]).digest()
        previous = hashlib.sha256(previous + leaf).digest()
        assert (entry["leaf_hash"], entry["entry_hash"]) == (leaf, previous)


async def test_each_chain_is_numbered_for_itself(own_installation: Installation) -> None:
    one, other = await found(own_installation), await found(own_installation)
    await append(own_installation, one, 3)
    await append(own_installation, other, 2)
    placed = await sequence_pending(own_installation.owner_pool)
    for tenant, count in ((one, 3), (other, 2)):
        entries = await chain_of(own_installation, tenant.chain)
        assert len(entries) == count
        require_whole(entries)
    platform = await chain_of(own_installation, "platform")  # the tenants' provisioning
    require_whole(platform)
    assert placed == 5 + len(platform)
    assert await sequence_pending(own_installation.owner_pool) == 0


async def test_a_chain_goes_on_where_it_was(installation: Installation, tenant: Tenant) -> None:
    for _ in range(4):
        await append(installation, tenant, 3)
        await sequence_pending(installation.owner_pool)
    entries = await chain_of(installation, tenant.chain)
    assert len(entries) == 12
    require_whole(entries)


async def test_the_head_holds_the_tree_of_all_entries(installation: Installation, tenant: Tenant) -> None:
    await append(installation, tenant, 600)
    await sequence_pending(installation.owner_pool)
    entries = await chain_of(installation, tenant.chain)
    notes = await sign_checkpoints(installation.owner_pool, audit_signer(installation.settings), NOW)
    [note] = [note for note in notes if tenant.chain in note]
    canonical = tuple(entry["canonical"] for entry in entries)
    head = parse_note(note).checkpoint
    assert (head.size, head.root) == (600, naive_merkle.mth(canonical))
    query = "SELECT level, position, hash FROM public.audit_nodes WHERE chain = $1 ORDER BY level, position"
    kept = [
        (row["level"], row["position"], row["hash"]) for row in await rows(installation, query, tenant.chain)
    ]
    assert kept == [(8, n, naive_merkle.mth(canonical[256 * n : 256 * n + 256])) for n in range(2)]


async def test_a_checkpoint_is_signed_once_for_each_size(installation: Installation, tenant: Tenant) -> None:
    signer = audit_signer(installation.settings)

    async def signed() -> list[str]:
        await sequence_pending(installation.owner_pool)
        notes = await sign_checkpoints(installation.owner_pool, signer, NOW)
        return [note for note in notes if tenant.chain in note]

    await append(installation, tenant)
    [first] = await signed()
    assert await signed() == []
    await append(installation, tenant)
    [second] = await signed()
    for note, size in ((first, 1), (second, 2)):
        parsed = parse_note(note)
        assert parsed.checkpoint.origin == f"eu-platform/audit/{tenant.chain}"
        assert parsed.checkpoint.size == size
        assert is_signed_by(parsed, signer.public_key)
        assert not is_signed_by(parsed, bytes(32))
        forged = parse_note(note.replace(f"\n{size}\n", f"\n{size + 1}\n"))
        assert not is_signed_by(forged, signer.public_key)


async def test_writers_and_sequencers_at_once_make_one_chain(
    installation: Installation, tenant: Tenant
) -> None:
    async def write() -> None:
        for _ in range(10):
            await append(installation, tenant)

    async def sequence() -> None:
        for _ in range(10):
            await sequence_once(installation.owner_pool, limit=7)

    await asyncio.gather(*(write() for _ in range(6)), *(sequence() for _ in range(3)))
    await sequence_pending(installation.owner_pool)
    entries = await chain_of(installation, tenant.chain)
    assert len(entries) == 60
    require_whole(entries)


async def test_a_second_sequencer_leaves_the_work_to_the_first(
    installation: Installation, tenant: Tenant
) -> None:
    await append(installation, tenant)
    async with administrator(installation.admin_url) as other, other.transaction():
        await other.execute("SELECT pg_advisory_xact_lock(hashtext('platform.audit_sequencer'))")
        done = await sequence_once(installation.owner_pool)
        assert (done.placed, done.is_last) == (0, True)
        assert await sign_checkpoints(installation.owner_pool, audit_signer(installation.settings), NOW) == []
    await sequence_pending(installation.owner_pool)
    require_whole(await chain_of(installation, tenant.chain))


TABLES = ["audit_log", "audit_chains", "audit_nodes", "audit_checkpoints"]


@pytest.mark.parametrize("table", TABLES)
async def test_a_sequencer_that_is_killed_leaves_a_chain_that_the_next_one_goes_on_with(
    installation: Installation, tenant: Tenant, table: str
) -> None:
    """Its connection ends while it waits to write each of its tables."""
    assert installation.settings.owner_database_url is not None
    signer = audit_signer(installation.settings)
    await append(installation, tenant, 255)
    await sequence_pending(installation.owner_pool)
    await append(installation, tenant, 3)
    url = installation.settings.owner_database_url.value
    async with (
        administrator(installation.admin_url) as admin,
        await open_pool(url, size=1, name=f"victim {table}") as victim,
    ):

        async def work() -> None:
            await sequence_pending(victim)
            await sign_checkpoints(victim, signer, NOW)

        async def is_waiting() -> bool:
            query = "SELECT wait_event_type FROM pg_stat_activity WHERE application_name = $1"
            return bool(await admin.fetchval(query, f"victim {table}") == "Lock")

        async with admin.transaction():
            await admin.execute(f"LOCK public.{table} IN SHARE MODE")
            task = asyncio.create_task(work())
            await until(is_waiting)
            kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1"
            await admin.execute(kill, f"victim {table}")
            with pytest.raises(Exception, match=r"terminat|closed"):
                await task
    await sequence_pending(installation.owner_pool)
    await sign_checkpoints(installation.owner_pool, signer, NOW)
    entries = await chain_of(installation, tenant.chain)
    assert len(entries) == 258
    require_whole(entries)
    query = "SELECT note FROM public.audit_checkpoints WHERE chain = $1 ORDER BY size DESC LIMIT 1"
    [row] = await rows(installation, query, tenant.chain)
    root = naive_merkle.mth(tuple(entry["canonical"] for entry in entries))
    assert parse_note(str(row["note"])).checkpoint.root == root


async def test_what_was_erased_before_it_had_a_place_gets_one_without_details(
    installation: Installation, tenant: Tenant
) -> None:
    await append(installation, tenant)
    assert await erase_details_of_chain(installation.owner_pool, tenant.chain, NOW) == 1
    await sequence_pending(installation.owner_pool)
    [entry] = await chain_of(installation, tenant.chain)
    private = b'{"details":{}}'
    committed = hashlib.sha256(entry["salt"] + private).hexdigest()
    assert msgspec.json.decode(entry["canonical"])["commitment"] == committed


async def test_what_is_erased_later_leaves_the_chain_as_it_was(
    installation: Installation, tenant: Tenant
) -> None:
    await append(installation, tenant, 2)
    await sequence_pending(installation.owner_pool)
    before = await chain_of(installation, tenant.chain)
    assert await erase_details_of_chain(installation.owner_pool, tenant.chain, NOW) == 2
    after = await chain_of(installation, tenant.chain)
    require_whole(after)
    assert [entry["canonical"] for entry in after] == [entry["canonical"] for entry in before]
    assert {(entry["details"], entry["address"], entry["salt"]) for entry in after} == {(None, None, None)}


async def test_the_window_is_measured_and_what_waits_is_shown(own_installation: Installation) -> None:
    tenant = await found(own_installation)
    sequencer = Sequencer(own_installation.context, audit_signer(own_installation.settings))
    await sequencer.sequence()
    await append(own_installation, tenant)
    await sequencer.sequence()
    assert b"audit_sequencing_window_seconds_bucket" in exposition()
    assert await rows(own_installation, "SELECT FROM public.audit_log WHERE sequence IS NULL") == []


async def test_the_loop_goes_on_after_an_error(installation: Installation, tenant: Tenant) -> None:
    quick = msgspec.structs.replace(
        installation.settings, audit_sequence_seconds=0.05, audit_witness_file=Path("/nowhere/at/all")
    )
    closed = await open_pool(
        str(quick.owner_database_url and quick.owner_database_url.value), size=1, name="gone"
    )
    await closed.close()
    broken = WorkerContext(quick, installation.pool, closed, installation.context.announcer, "broken")
    with capture_logs() as lines:
        loop = asyncio.create_task(keep_sequencing(broken, audit_signer(quick)))

        async def has_failed_twice() -> bool:
            return [line["event"] for line in lines].count("audit.sequencing_failed") > 1

        await until(has_failed_twice)
        assert not loop.done()
        loop.cancel()


async def test_a_witness_that_was_away_is_told_the_latest_of_each_chain(
    installation: Installation, tenant: Tenant, tmp_path: Path
) -> None:
    signer = audit_signer(installation.settings)
    notes = [signer.sign(chain, size=size, root=bytes(32)) for chain, size in (("a", 1), ("b", 1), ("a", 2))]
    file = tmp_path / "mounted" / "witness.jsonl"
    witness = Witness(msgspec.structs.replace(installation.settings, audit_witness_file=file), notes[:1])
    with capture_logs() as lines:
        witness.tell(notes[1:])
    assert [line["event"] for line in lines] == ["audit.witness_away"]
    file.parent.mkdir()
    witness.tell([])
    told = [msgspec.json.decode(line)["checkpoint"] for line in file.read_bytes().splitlines()]
    assert told == [notes[2], notes[1]]
    witness.tell([])
    assert len(file.read_bytes().splitlines()) == 2


def test_a_witness_behind_a_url_is_told_again_what_it_did_not_take(installation: Installation) -> None:
    taken, away = list[str](), [False, True]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            note = self.rfile.read(int(self.headers["Content-Length"])).decode()
            is_away = away.pop()
            if not is_away:
                taken.append(note)
            self.send_response(503 if is_away else 204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- the base class's name
            """Say nothing."""

    signer = audit_signer(installation.settings)
    note = signer.sign("a", size=1, root=bytes(32))
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/checkpoints"
        witness = Witness(msgspec.structs.replace(installation.settings, audit_witness_url=url), [])
        with capture_logs() as lines:
            witness.tell([note])
        assert ([line["event"] for line in lines], taken) == (["audit.witness_away"], [])
        witness.tell([])
        witness.tell([])
        server.shutdown()
        thread.join()
    assert taken == [note]


async def test_a_platform_entry_that_is_rolled_back_leaves_no_gap(own_installation: Installation) -> None:
    for subject in ("test:1", "test:2", "test:3"):
        try:
            async with platform_session(own_installation.pool) as session:
                await append_platform_entry(session, AuditEntry("test", subject, SYSTEM))
                if subject == "test:2":
                    raise InterruptedError  # noqa: TRY301 -- the transaction must end with it
        except InterruptedError:
            pass
        await sequence_pending(own_installation.owner_pool)
    entries = await chain_of(own_installation, "platform")
    assert [entry["subject"] for entry in entries] == ["test:1", "test:3"]
    require_whole(entries)


async def test_a_chain_whose_next_place_is_taken_keeps_no_other_from_theirs(
    own_installation: Installation,
) -> None:
    forged, other = await found(own_installation), await found(own_installation)
    await append(own_installation, forged)
    await sequence_pending(own_installation.owner_pool)
    async with administrator(own_installation.admin_url) as admin:  # a superuser alone can do this
        await admin.execute(
            """INSERT INTO public.audit_log (id, chain, occurred_at, actor_kind, action, subject, outcome,
            details, sequence, salt, canonical, leaf_hash, entry_hash)
            SELECT gen_random_uuid(), chain, occurred_at, actor_kind, action, subject, outcome,
            details, sequence + 1, salt, canonical, leaf_hash, entry_hash FROM public.audit_log
            WHERE chain = $1 ORDER BY sequence DESC LIMIT 1""",
            forged.chain,
        )
    await append(own_installation, forged, 3)
    await append(own_installation, other, 2)
    with capture_logs() as logs:
        done = await sequence_once(own_installation.owner_pool, limit=4)
        assert (done.placed, done.stuck) == (1, frozenset({forged.chain}))
        assert await sequence_pending(own_installation.owner_pool) == 1
    assert {"event": "audit.chains_stuck", "log_level": "error", "chains": [forged.chain]} in logs
    entries = await chain_of(own_installation, other.chain)
    require_whole(entries)
    assert len(entries) >= 2
