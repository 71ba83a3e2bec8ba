"""`eu-platform gdpr ledger`, `replay`, `archive` and `verify`, as an operator runs them after an erasure."""

from pathlib import Path
from uuid import uuid4

import msgspec

from jobs.context import WorkerContext
from jobs.runner import run_job
from shell import certificates
from shell.keys import secret_keys
from shell.session import platform_session
from tests.erasure import filled, requested
from tests.gdpr_command import run
from tests.installation import Installation, rows


async def test_an_erasure_is_checked_replayed_and_its_archive_read(
    own_installation: Installation, own_context: WorkerContext, tmp_path: Path
) -> None:
    tenant = await filled(own_installation)
    await run_job(own_context, (await requested(own_installation, tenant)).id)

    ledger = await run(own_installation, "ledger")
    assert [msgspec.json.decode(line)["kind"] for line in ledger.stdout.splitlines()] == ["tenant", "schema"]
    copy = tmp_path / "ledger.jsonl"
    copy.write_text(ledger.stdout)
    replayed = await run(own_installation, "replay", "--ledger", copy)
    assert replayed.stdout == "Erased again: 0 tenants, 0 schemas, 0 persons, 0 archives.\n"
    copy.write_text("{}")
    assert (await run(own_installation, "replay", "--ledger", copy)).exit_code == 1

    archive = await run(
        own_installation, "archive", "--tenant", tenant.id, "--reason", "Audit by the tax office"
    )
    assert [invoice["number"] for invoice in msgspec.json.decode(archive.stdout)["invoices"]] == [
        "ACME-2026-00001"
    ]
    query = "SELECT details FROM public.audit_log WHERE action = 'legal_archive.read'"
    assert "tax office" in str(await rows(own_installation, query))
    for reason in ("short", "x" * 501):
        refused = await run(own_installation, "archive", "--tenant", tenant.id, "--reason", reason)
        assert (refused.exit_code, "needs 10 to 500 characters" in refused.output) == (1, True)
    unknown = await run(
        own_installation, "archive", "--tenant", uuid4(), "--reason", "Audit by the tax office"
    )
    assert (unknown.exit_code, "no such legal archive" in unknown.output) == (1, True)

    async with platform_session(own_installation.pool) as session:
        certificate = await certificates.get(session, tenant.id, secret_keys(own_context.settings))
    file = tmp_path / "certificate.json"
    file.write_bytes(msgspec.json.encode(certificate))
    assert (await run(own_installation, "verify", file, "--key", certificate.public_key)).exit_code == 0
    forged = msgspec.json.encode(certificate).replace(b'"is_clean":true', b'"is_clean":false')
    file.write_bytes(forged)
    assert "NOT valid" in (await run(own_installation, "verify", file)).output
