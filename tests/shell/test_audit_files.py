"""`eu-platform audit`: files that are written whole, and checked without a database."""

from datetime import UTC, datetime
from pathlib import Path

import click.testing
import msgspec
import pytest
import pytest_asyncio

from core.audit import SYSTEM, AuditEntry
from core.checkpoint import public_key_text
from core.errors import SettingInvalid
from core.tenant import Tenant
from shell.audit import append_entry
from shell.audit_key import audit_signer, ensure_audit_key
from shell.commands.audit import audit, write_export
from shell.commands.connect import Connected
from shell.sequencing import sequence_pending, sign_checkpoints
from shell.session import tenant_session
from shell.settings import Secret, Settings
from shell.witness import Witness
from tests.installation import Installation, found
from tests.naive_verifier import first_bad


class Exported(msgspec.Struct, frozen=True):
    """An exported log, the key, a checkpoint that was kept, and what a witness saw."""

    file: Path
    key: str
    checkpoint: Path
    witness: Path


@pytest_asyncio.fixture(scope="module")
async def exported(installation: Installation, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    tenant, folder = await found(installation), tmp_path_factory.mktemp("audit")
    signer = audit_signer(installation.settings)
    witness = folder / "witness.jsonl"
    await append(installation, tenant)
    await sequence_pending(installation.owner_pool)
    notes = await sign_checkpoints(installation.owner_pool, signer, datetime.now(UTC), wait=True)
    Witness(msgspec.structs.replace(installation.settings, audit_witness_file=witness), notes).tell([])
    [kept] = [note for note in notes if tenant.chain in note]
    (folder / "checkpoint").write_text(kept)
    await append(installation, tenant)
    platform = Connected(installation.settings, installation.pool, installation.owner_pool)
    assert await write_export(platform, tenant.chain, folder / "log.jsonl") == 2
    key = public_key_text(signer.public_key)
    return Exported(folder / "log.jsonl", key, folder / "checkpoint", witness)


async def append(installation: Installation, tenant: Tenant) -> None:
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        await append_entry(session, AuditEntry("test", "test:1", SYSTEM))


def verify(exported: Exported, *options: str | Path, file: Path | None = None) -> click.testing.Result:
    """What the command says, and its exit code."""
    arguments = ["verify", str(file or exported.file), "--key", exported.key, *map(str, options)]
    return click.testing.CliRunner().invoke(audit, arguments)


def changed(exported: Exported, folder: Path, old: str, new: str) -> Path:
    """A copy of the file in which a text stands for another."""
    text = exported.file.read_text("utf-8")
    assert old in text
    copy = folder / "changed.jsonl"
    copy.write_text(text.replace(old, new), "utf-8")
    return copy


def test_a_file_is_as_it_was_signed_and_holds_what_was_kept_and_seen(exported: Exported) -> None:
    answer = verify(exported, "--checkpoint", exported.checkpoint, "--witness", exported.witness)
    assert answer.exit_code == 0, answer.output
    assert "As signed: 2 entries" in answer.output
    assert "4 checkpoints hold" in answer.output
    assert first_bad(exported.file.read_bytes(), exported.key, [exported.checkpoint.read_text()]) is None
    assert verify(exported, "--witness", exported.file).exit_code == 0


def test_the_first_bad_entry_is_named_with_an_exit_code_of_its_own(
    exported: Exported, tmp_path: Path
) -> None:
    answer = verify(exported, file=changed(exported, tmp_path, '"sequence":1', '"sequence":2'))
    assert answer.exit_code == 3
    assert "Not as signed: Entry 1 is missing" in answer.output


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("eu-platform-audit/1", "eu-platform-audit/2"),
        ('"origin":"eu-platform/audit/', '"origin":"other/audit/'),
        ('{"checkpoint":', '{"check":'),
        ('"salt":"', '"salt":"x'),
        ("\\n1\\n", "\\n0\\n"),
        ('"version":1', '"version":1,"note":"hidden"'),
        ('"action":"test"', '"action":"test","action":"test"'),
        ('"details":{}', '"details":{ }'),
    ],
)
def test_a_file_of_another_form_is_not_as_it_was_signed(
    exported: Exported, tmp_path: Path, old: str, new: str
) -> None:
    answer = verify(exported, file=changed(exported, tmp_path, old, new))
    assert answer.exit_code == 3, answer.output


def test_a_log_whose_beginning_alone_is_left_is_found_by_a_later_checkpoint(
    exported: Exported, tmp_path: Path
) -> None:
    lines = exported.file.read_bytes().splitlines(keepends=True)
    short, last = tmp_path / "short.jsonl", tmp_path / "last"
    short.write_bytes(b"".join(lines[:3]))
    last.write_text(msgspec.json.decode(lines[-1])["checkpoint"])
    assert verify(exported, file=short).exit_code == 0
    answer = verify(exported, "--checkpoint", last, file=short)
    assert answer.exit_code == 3
    assert "Entry 1 is missing, and so are all after it: 2 entries were signed" in answer.output


RUBBISH = {
    "empty": b"",
    "no-json": b"{",
    "not-utf8": b"\xff\xfe\n",
    "null": b"null\n",
    "nested": b"[" * 100_000,
}


@pytest.mark.parametrize(("name", "content"), list(RUBBISH.items()))
def test_rubbish_is_no_log_and_no_checkpoint(
    exported: Exported, tmp_path: Path, name: str, content: bytes
) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    assert verify(exported, file=file).exit_code == 3
    answer = verify(exported, "--checkpoint", file)
    assert answer.exit_code == 1
    assert answer.output.startswith("Error: ")


def test_a_checkpoint_of_another_log_proves_nothing(exported: Exported, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text(exported.checkpoint.read_text().replace("eu-platform/audit", "other/audit"))
    answer = verify(exported, "--checkpoint", other)
    assert answer.exit_code == 1
    assert "has no checkpoint of eu-platform/audit/" in answer.output


def test_each_checkpoint_needs_one_of_the_keys(exported: Exported) -> None:
    other = public_key_text(bytes(32))
    assert verify(exported, "--key", other).exit_code == 0
    answer = verify(msgspec.structs.replace(exported, key=other))
    assert answer.exit_code == 3
    assert "is not signed by this key" in answer.output


def test_what_is_missing_or_no_key_is_said_in_a_sentence(exported: Exported, tmp_path: Path) -> None:
    assert verify(exported, file=tmp_path / "nothing").exit_code == 1
    answer = verify(msgspec.structs.replace(exported, key="rubbish"))
    assert answer.exit_code == 2


# --- the key that signs ---------------------------------------------------------------------------------


def test_the_key_is_made_once_and_shown_to_nobody(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    with pytest.raises(SettingInvalid):
        audit_signer(settings)
    ensure_audit_key(settings)
    first = audit_signer(settings)
    ensure_audit_key(settings)
    assert audit_signer(settings).public_key == first.public_key
    [file] = (tmp_path / "secrets").iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    assert repr(first) == "AuditSigner(eu-platform/audit)"
    given = Settings(data=tmp_path / "other", audit_key=Secret(file.read_text()))
    ensure_audit_key(given)
    assert audit_signer(given).public_key == first.public_key
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    "pem", ["", "rubbish", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"]
)
def test_a_key_that_is_none_is_refused(tmp_path: Path, pem: str) -> None:
    with pytest.raises(SettingInvalid, match="PLATFORM_AUDIT_KEY"):
        audit_signer(Settings(data=tmp_path, audit_key=Secret(pem)))
