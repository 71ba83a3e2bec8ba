"""A worker is killed in the middle of an export: it is completed once, and nothing half-done is ever seen."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest
import pytest_asyncio

from shell.object_store import ObjectStore
from tests.e2e.killing import JOB, OF_TENANT, crash, killable_platform
from tests.e2e.platform_process import Account, Client

NEVER = 3_600
AMID = "LOCK {schema}.usage_events IN ACCESS EXCLUSIVE MODE"
STORED = f"SELECT FROM public.exports WHERE {OF_TENANT} FOR UPDATE"

# Where the worker dies, as the locks that it meets on the way there; the first is held before the job begins.
EXPORTING = {
    "amid-its-tables": [AMID],
    "between-object-and-row": [AMID, STORED],
    "before-its-job-is-done": [AMID, STORED, JOB],
}


class Exported:
    """An export that was cut off at a place and has been completed since."""

    def __init__(self, account: Account, export_id: UUID) -> None:
        self.account = account
        self.id = export_id


@pytest_asyncio.fixture(scope="module")
async def client(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """API, worker and scheduler with short leases; nothing is closed or invoiced."""
    async with killable_platform(
        tmp_path_factory.mktemp("platform"), close_days_seconds=NEVER, invoice_scan_seconds=NEVER
    ) as client:
        yield client


@pytest_asyncio.fixture(scope="module")
async def exported(client: Client) -> dict[str, Exported]:
    """Exports that were cut off, each at another place."""
    accounts = await asyncio.gather(*(client.founded(f"export-{place}") for place in EXPORTING))
    chains = {account.slug: EXPORTING[account.slug.removeprefix("export-")] for account in accounts}
    answers = await crash(client, chains, [ask(client, account) for account in accounts])
    found = {}
    for account, answer in zip(accounts, answers, strict=True):
        assert answer.status_code == 202, answer.text
        export = Exported(account, UUID(answer.json()["id"]))
        assert (await client.done(export.id)).attempts == 2
        found[account.slug.removeprefix("export-")] = export
    return found


async def ask(client: Client, account: Account) -> httpx.Response:
    """Ask for an export."""
    path = f"/api/v1/tenants/{account.tenant_id}/gdpr/export"
    return await client.http.post(path, json={"format": "json"}, headers=account.headers)


@pytest.mark.parametrize("place", EXPORTING)
async def test_an_export_that_was_cut_off_is_fetched_whole(
    client: Client, exported: dict[str, Exported], place: str
) -> None:
    export = exported[place]
    path = f"/api/v1/tenants/{export.account.tenant_id}/gdpr/export/{export.id}"
    state = (await client.http.get(path, headers=export.account.headers)).json()
    answer = await client.http.get(state["download"]["url"])
    assert answer.status_code == 200
    assert hashlib.sha256(answer.content).hexdigest() == state["sha256"]
    assert len(answer.content) == state["size"]


@pytest.mark.parametrize("place", EXPORTING)
async def test_an_export_that_was_cut_off_is_told_once_and_leaves_at_most_what_the_sweep_knows_to_be_nobodys(
    client: Client, exported: dict[str, Exported], place: str
) -> None:
    export = exported[place]
    entries = await client.platform.fetch(
        "SELECT action FROM public.audit_log WHERE subject = $1 AND action = 'export.finished'",
        f"export:{export.id}",
    )
    assert len(entries) == 1
    store = ObjectStore(client.platform.settings)
    objects = {found.name async for found in store.under(f"exports/{export.id}")}
    kept = await client.platform.fetchval("SELECT object_name FROM public.exports WHERE id = $1", export.id)
    assert kept in objects
    assert len(objects) == (2 if place == "between-object-and-row" else 1)


def test_no_unfinished_file_of_a_killed_worker_is_left(client: Client, exported: dict[str, Exported]) -> None:
    assert exported
    folder = client.platform.settings.data
    assert [path.name for path in folder.iterdir() if path.name.startswith("tmp")] == []
    assert [path.name for path in (folder / "objects").rglob("*#*")] == []
