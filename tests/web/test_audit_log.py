"""The audit log over HTTP: who reads which chain, page by page, with proofs that outsiders can check."""

from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest
import pytest_asyncio

from core.audit import Actor, ActorKind, AuditEntry, Outcome
from core.checkpoint import parse_note, parse_public_key
from core.permission import Role
from core.tenant import Tenant, TenantState
from shell.audit import append_entry, append_platform_entry, erase_details_of_chain
from shell.audit_key import audit_signer, is_signed_by
from shell.sequencing import sequence_pending, sign_checkpoints
from shell.session import platform_session, tenant_session
from tests.core.naive_merkle import is_consistent, is_included
from tests.installation import Installation, found, put_into
from tests.naive_verifier import first_bad
from tests.web.client import Api, Caller, problem_of

SOMEBODY = uuid4()


async def record(installation: Installation, tenant: Tenant, count: int) -> None:
    """Entries with places and a checkpoint; every third is denied."""
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        for number in range(count):
            actor = Actor(ActorKind.USER, SOMEBODY if number % 2 else uuid4(), "r1", "192.0.2.1")
            outcome = Outcome.SUCCESS if number % 3 else Outcome.DENIED
            await append_entry(
                session, AuditEntry("test.made", f"test:{number}", actor, outcome, {"n": number})
            )
    await settled(installation)


async def settled(installation: Installation) -> None:
    await sequence_pending(installation.owner_pool)
    signer = audit_signer(installation.settings)
    await sign_checkpoints(installation.owner_pool, signer, datetime.now(UTC), wait=True)


@pytest_asyncio.fixture(scope="module")
async def recorded(api: Api) -> Tenant:
    """A tenant with 300 entries and checkpoints over 5 and all."""
    tenant = await found(api.installation)
    await record(api.installation, tenant, 5)
    await record(api.installation, tenant, 295)
    return tenant


@pytest_asyncio.fixture
async def owner(api: Api, recorded: Tenant) -> Caller:
    return await api.as_(Role.OWNER, recorded)


async def listed(caller: Caller, **wanted: Any) -> list[dict[str, Any]]:
    answer = await caller.get("./audit-log", params={"limit": 1000} | wanted)
    assert answer.status_code == httpx.codes.OK, answer.text
    return list(answer.json()["items"])


async def test_entries_are_listed_page_by_page_from_the_newest(owner: Caller) -> None:
    seen: list[int] = []
    cursor: str | None = None
    while True:
        params: dict[str, Any] = {"limit": 120} | ({} if cursor is None else {"cursor": cursor})
        page = (await owner.get("./audit-log", params=params)).json()
        seen += [item["sequence"] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == list(range(299, -1, -1))


async def test_an_entry_tells_all_that_is_known(owner: Caller) -> None:
    [entry] = [item for item in await listed(owner) if item["sequence"] == 1]
    told = {
        "action",
        "actor_id",
        "actor_kind",
        "address",
        "details",
        "outcome",
        "request_id",
        "subject",
        "erased_at",
    }
    assert {name: entry[name] for name in told} == {
        "action": "test.made",
        "actor_id": str(SOMEBODY),
        "actor_kind": "user",
        "address": "192.0.2.1",
        "details": {"n": 1},
        "outcome": "success",
        "request_id": "r1",
        "subject": "test:1",
        "erased_at": None,
    }


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"actor_id": str(SOMEBODY)}, 149),
        ({"outcome": "denied"}, 101),
        ({"action": "test.made"}, 300),
        ({"action": "test"}, 0),
        ({"subject": "test:3"}, 2),
        ({"subject": "test:3", "actor_id": str(SOMEBODY), "outcome": "denied"}, 2),
        ({"from": "2020-01-01T00:00:00Z"}, 300),
        ({"to": "2020-01-01T00:00:00+01:00"}, 0),
    ],
)
async def test_a_filter_shows_what_has_all_that_is_asked(
    owner: Caller, wanted: dict[str, str], count: int
) -> None:
    assert len(await listed(owner, **wanted)) == count


@pytest.mark.parametrize(
    "wrong",
    [
        {"cursor": "rubbish"},
        {"cursor": urlsafe_b64encode(b"[1e3]").decode()},
        {"cursor": urlsafe_b64encode(b"[99999999999999999999999]").decode()},
        {"cursor": urlsafe_b64encode(b'["1"]').decode()},
        {"from": "2020-01-01T00:00:00"},
        {"outcome": "perhaps"},
        {"actor_id": "me"},
        {"subject": "x" * 201},
        {"limit": 0},
    ],
)
async def test_a_question_that_makes_no_sense_is_refused(owner: Caller, wrong: dict[str, Any]) -> None:
    problem_of(await owner.get("./audit-log", params=wrong), 422)


async def checkpoint(caller: Caller, path: str = "./audit-log/checkpoint") -> str:
    answer = await caller.get(path)
    assert answer.headers["content-type"].startswith("text/plain")
    return answer.text


async def test_the_checkpoint_is_signed_by_a_key_that_anybody_can_read(api: Api, owner: Caller) -> None:
    note = parse_note(await checkpoint(owner))
    assert note.checkpoint.size == 300
    keys = (await api.http.get("/.well-known/audit-keys.json")).json()["keys"]
    assert any(is_signed_by(note, parse_public_key(key)) for key in keys)


@pytest.mark.parametrize("sequence", [0, 1, 150, 255, 256, 299])
async def test_an_entry_is_proved_to_be_under_the_checkpoint(owner: Caller, sequence: int) -> None:
    root = parse_note(await checkpoint(owner)).checkpoint.root
    proof = (await owner.get("./audit-log/inclusion", params={"sequence": sequence})).json()
    [entry] = [item for item in await listed(owner) if item["sequence"] == sequence]
    assert (proof["size"], proof["checkpoint"]) == (300, await checkpoint(owner))
    assert proof["leaf_hash"] == entry["leaf_hash"]
    hashes = [bytes.fromhex(each) for each in proof["hashes"]]
    assert is_included(bytes.fromhex(proof["leaf_hash"]), sequence, 300, hashes, root)


@pytest.mark.parametrize(("old", "new"), [(1, 300), (5, 300), (255, 256), (256, 300), (257, 299), (300, 300)])
async def test_a_log_is_proved_to_have_only_grown(owner: Caller, old: int, new: int) -> None:
    proof = (await owner.get("./audit-log/consistency", params={"from": old, "to": new})).json()
    hashes = [bytes.fromhex(each) for each in proof["hashes"]]
    old_root, new_root = bytes.fromhex(proof["old_root"]), bytes.fromhex(proof["new_root"])
    assert is_consistent(old, new, hashes, old_root, new_root)
    if new == 300:
        assert new_root == parse_note(await checkpoint(owner)).checkpoint.root


@pytest.mark.parametrize(
    "path",
    [
        "./audit-log/inclusion?sequence=300",
        "./audit-log/inclusion?sequence=5&size=5",
        "./audit-log/inclusion?sequence=0&size=301",
        "./audit-log/consistency?from=301",
        "./audit-log/consistency?from=7&to=6",
        "./audit-log/consistency?from=1&to=9007199254740991",
    ],
)
async def test_there_is_no_proof_of_what_is_not_there(owner: Caller, path: str) -> None:
    problem_of(await owner.get(path), 404, "not-found")


@pytest.mark.parametrize("query", ["", "?sequence=-1", "?sequence=x", "?sequence=9007199254740992"])
async def test_a_place_is_a_number(owner: Caller, query: str) -> None:
    answer = await owner.get(f"./audit-log/inclusion{query}")
    assert answer.status_code in {httpx.codes.BAD_REQUEST, httpx.codes.UNPROCESSABLE_ENTITY}


async def test_a_new_chain_has_no_checkpoint_yet(api: Api, tenant: Tenant) -> None:
    owner = await api.as_(Role.OWNER, tenant)
    assert await listed(owner) == []
    for path in ("checkpoint", "export", "inclusion?sequence=0", "consistency?from=0"):
        problem_of(await owner.get(f"./audit-log/{path}"), 404, "not-found")


async def test_the_export_is_a_file_that_another_program_verifies(api: Api, owner: Caller) -> None:
    answer = await owner.get("./audit-log/export")
    assert answer.headers["content-type"] == "application/jsonl"
    assert answer.headers["content-disposition"].endswith('.jsonl"')
    [key, *_] = (await api.http.get("/.well-known/audit-keys.json")).json()["keys"]
    assert answer.content.count(b'{"entry":') == 300
    assert first_bad(answer.content, key, [await checkpoint(owner)]) is None


async def test_what_was_erased_is_shown_as_erased(api: Api, tenant: Tenant) -> None:
    await record(api.installation, tenant, 2)
    await erase_details_of_chain(api.installation.owner_pool, tenant.chain, datetime.now(UTC))
    for entry in await listed(await api.as_(Role.ADMIN, tenant)):
        assert entry["erased_at"] is not None
        assert (entry["address"], entry["details"]) == (None, None)
        assert entry["action"] == "test.made"


async def test_the_platforms_people_read_the_platforms_chain_and_that_of_a_tenant_that_is_gone(
    api: Api, tenant: Tenant
) -> None:
    auditor = await api.as_(Role.AUDITOR)
    subject = f"test:{uuid4()}"
    async with platform_session(api.installation.pool) as session:
        await append_platform_entry(session, AuditEntry("test", subject, Actor(ActorKind.SYSTEM)))
    await record(api.installation, tenant, 1)
    owner = await api.as_(Role.OWNER, tenant)
    await put_into(api.installation, tenant, TenantState.DEPROVISIONING)
    assert (await auditor.get(f"/tenants/{tenant.id}/audit-log")).json()["items"]
    assert (await owner.get("./audit-log")).status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.GONE}
    found_there = await auditor.get("/audit-log", params={"subject": subject})
    [entry] = found_there.json()["items"]
    proof = await auditor.get("/audit-log/inclusion", params={"sequence": entry["sequence"]})
    assert proof.json()["leaf_hash"] == entry["leaf_hash"]
    consistency = await auditor.get("/audit-log/consistency", params={"from": 1})
    assert (
        consistency.json()["new"]
        == parse_note(await checkpoint(auditor, "/audit-log/checkpoint")).checkpoint.size
    )
    export = await auditor.get("/audit-log/export")
    assert export.content.startswith(b'{"chain":"platform"')


async def test_no_tenant_is_found_where_there_is_none(api: Api) -> None:
    auditor = await api.as_(Role.AUDITOR)
    problem_of(await auditor.get(f"/tenants/{uuid4()}/audit-log"), 404, "not-found")
