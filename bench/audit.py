"""`audit`: an audited write beside the same write without an entry; `verify`: checking an exported log.

The write is `POST /usage` with ten events. Who records usage of a tenant that is not his own is audited: so
the product's requests are operators', and the baseline's, alike in all else, those of the tenants' owners. A
worker beside the API sequences; each round begins when it has caught up, so that none pays for another
one's entries.

Checking is what `eu-platform audit verify` does once it has started: a file on disk, one process, all entries
with their private parts, a checkpoint for every thousand.
"""

import asyncio
import secrets
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from uuid import uuid4

import msgspec

from bench.client import Round, write_requests
from bench.events import BATCH, Record, batches, body
from bench.figures import Figure, alone, compared, take_turns
from bench.ingest import usage_request
from bench.load import LoadClient, load_client
from bench.stage import Stage, provisioned, stage
from core.audit import Written, private_part
from core.checkpoint import origin_of
from core.identity import Account
from core.merkle import root_of
from core.permission import Role
from core.sequencing import Head, place
from core.tenant import Tenant
from core.verification import FORMAT
from shell import accounts
from shell.audit_files import verify_file
from shell.audit_key import AuditSigner, audit_signer
from shell.processes import WORKER, supervised
from shell.queries import SQL
from shell.session import platform_session

CONNECTIONS, TENANTS, EVENTS = 64, 50, 10
WRITE_RATIO_AT_LEAST = 0.8
VERIFIED_PER_SECOND_AT_LEAST = 200_000
PER_CHECKPOINT = 1_000
LOOK_AGAIN_SECONDS = 0.2
CATCH_UP_SECONDS = 60.0


async def audit(*, quick: bool) -> list[Figure]:
    """The figure of audited writes, and of how far the sequencer stays behind them."""
    requests, rounds = (1_000, 3) if quick else (5_000, 7)
    async with stage(api_processes=1) as here:
        tenants = await provisioned(here, [f"audit-{index}" for index in range(TENANTS)])
        operators = [await _operator(here, index) for index in range(TENANTS)]
        with supervised(here.settings, WORKER), load_client() as client:
            load = _Load(here, client, tenants, operators, requests)
            return [await _writes(load, rounds)]


async def verify(*, quick: bool) -> list[Figure]:
    """The figure of checking a file."""
    entries, rounds = (100_000, 3) if quick else (1_000_000, 5)
    async with stage() as here:
        file, signer = here.settings.data / "log.jsonl", audit_signer(here.settings)
        _write_log(file, signer, entries)
        started = time.process_time()
        found = [_verified(file, signer, entries) for _ in range(rounds)]
        notes = {"entries/s of processor time": rounds * entries / (time.process_time() - started)}
    name = f"verify, {entries:,} entries"
    return [alone(name, "entries/s", found, value_at_least=VERIFIED_PER_SECOND_AT_LEAST, notes=notes)]


class _Load:
    """Requests of owners and of operators; no two rounds have an event in common."""

    def __init__(
        self, here: Stage, client: LoadClient, tenants: list[Tenant], operators: list[str], requests: int
    ) -> None:
        self.here, self._client, self._tenants, self._requests = here, client, tenants, requests
        self._owners = [here.authorization(tenant) for tenant in tenants]
        self._operators = operators
        self._seeds = count()

    async def play(self, *, is_audited: bool) -> float:
        """A round; gives requests a second."""
        authorizations = self._operators if is_audited else self._owners
        file = self.here.settings.data / "requests"
        parts = (
            batch[start : start + EVENTS] for batch in self._batches() for start in range(0, BATCH, EVENTS)
        )
        write_requests(
            file,
            [
                usage_request(self._tenants[n % TENANTS], authorizations[n % TENANTS], body(part))
                for n, part in enumerate(parts)
            ],
        )
        settings = self.here.settings
        plan = Round(host=settings.host, port=settings.port, connections=CONNECTIONS, requests=str(file))
        return self._requests / (await self._client.play(plan)).seconds

    def _batches(self) -> Iterator[list[Record]]:
        return batches(self._requests * EVENTS // BATCH, seed=next(self._seeds))


async def _writes(load: _Load, rounds: int) -> Figure:
    behind: list[float] = []

    async def product() -> float:
        rate = await load.play(is_audited=True)
        behind.append(await _caught_up(load.here))
        return rate

    async def baseline() -> float:
        return await load.play(is_audited=False)

    await _caught_up(load.here)
    found = await take_turns(product, baseline, rounds)
    notes = {"until the last entry had its place, s, worst": max(behind)}
    name = f"audit, {CONNECTIONS} connections, {TENANTS} tenants"
    return compared(name, "requests/s", found, ratio_at_least=WRITE_RATIO_AT_LEAST, notes=notes)


async def _operator(here: Stage, index: int) -> str:
    """The header of a request by a new operator; several, since each has a bucket of the throttle."""
    account = Account(uuid4(), f"operator-{index}@example.com", "Operator", Role.OPERATOR)
    async with platform_session(here.pool) as session:
        assert await accounts.insert(session, account, "no password")
        await session.connection.execute(
            SQL["insert_session"], account.id, account.id, "bench", None, datetime.now(UTC)
        )
    token = here.tokens.issue(account, None, datetime.now(UTC), session_id=account.id)
    return f"Authorization: Bearer {token}\r\n"


async def _caught_up(here: Stage) -> float:
    """Wait until every entry has its place; gives how long that took, in seconds."""
    started = time.monotonic()
    async with asyncio.timeout(CATCH_UP_SECONDS):
        while True:
            async with platform_session(here.pool, readonly=True) as session:
                if not await session.connection.fetchval(SQL["unsequenced"]):
                    return time.monotonic() - started
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


def _write_log(file: Path, signer: AuditSigner, entries: int) -> None:
    """A log as an export would have it, made without a database."""
    head, began = Head(), datetime(2026, 1, 1, tzinfo=UTC)
    header = {"chain": "platform", "format": FORMAT, "origin": origin_of(signer.origin_prefix, "platform")}
    with file.open("wb") as stream:
        stream.write(msgspec.json.encode(header) + b"\n")
        for start in range(0, entries, PER_CHECKPOINT):
            written = [_written(began + timedelta(seconds=start + n)) for n in range(PER_CHECKPOINT)]
            placement = place(head, written, [secrets.token_bytes(16) for _ in written])
            head = placement.head
            for entry, placed in zip(written, placement.placed, strict=True):
                stream.write(
                    b'{"entry":%b,"entry_hash":"%b","private":%b,"salt":"%b"}\n'
                    % (
                        placed.canonical,
                        placed.entry_hash.hex().encode(),
                        private_part(entry.address, entry.details),
                        placed.salt.hex().encode(),
                    )
                )
            note = signer.sign("platform", size=head.size, root=root_of(head.frontier))
            stream.write(msgspec.json.encode({"checkpoint": note}) + b"\n")


def _written(instant: datetime) -> Written:
    return Written(
        id=uuid4(),
        chain="platform",
        occurred_at=instant,
        actor_kind="operator",
        actor_id=uuid4(),
        action="tenant.updated",
        subject=f"tenant:{uuid4()}",
        outcome="success",
        request_id="b6d8f0c2",
        address="192.0.2.1",
        details='{"fields":"name,time_zone"}',
    )


def _verified(file: Path, signer: AuditSigner, entries: int) -> float:
    started = time.perf_counter()
    report = verify_file(file, public_keys=[signer.public_key], kept_in=[], progress=lambda _: None)
    rate = entries / (time.perf_counter() - started)
    assert report.finding is None
    assert report.entries == entries
    return rate
