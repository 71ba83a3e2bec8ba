"""A package becomes a tenant whose own package holds the same files; anything else becomes nothing."""

import gzip
import hashlib
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
import pytest_asyncio

from core.errors import SlugTaken
from core.job import JobKind
from core.package import PackageRefused
from core.portability import Format
from core.tenant import Tenant, TenantState
from shell.commands.connect import AT_THE_MACHINE
from shell.portability import sources_of
from shell.restoration import Restored, restore
from shell.session import owner_session
from tests.installation import Installation, current, found, new_slug, queued, register, rows
from tests.odd_tenant import fill
from tests.packages import files_in, packaged, payload_of

LIMIT = 64 * 2**20
Change = Callable[[dict[str, bytes]], None]


async def restored(installation: Installation, path: Path, slug: str, *, most_bytes: int = LIMIT) -> Restored:
    with path.open("rb") as file:
        return await restore(
            installation.pool,
            installation.owner_pool,
            file,
            slug=slug,
            actor=AT_THE_MACHINE,
            most_bytes=most_bytes,
            read=lambda _: None,
        )


@pytest_asyncio.fixture(scope="module")
async def packages(
    installation: Installation, tmp_path_factory: pytest.TempPathFactory
) -> dict[Format, Path]:
    """An odd tenant's package in each format."""
    tenant, folder = await found(installation), tmp_path_factory.mktemp("packages")
    await fill(installation, tenant)
    return {
        format_: await packaged(installation, tenant, format_, folder / f"{format_}.tar.gz")
        for format_ in Format
    }


@pytest.mark.parametrize("format_", Format)
async def test_exported_again_an_imported_package_has_the_same_files(
    installation: Installation, packages: dict[Format, Path], format_: Format, tmp_path: Path
) -> None:
    made = await restored(installation, packages[format_], new_slug())
    for each in Format:
        again = await packaged(installation, made.tenant, each, tmp_path / each)
        assert payload_of(again) == payload_of(packages[each])
    tenant = await current(installation, made.tenant)
    assert (tenant.state, tenant.country, tenant.name) == (TenantState.ACTIVE, "DE", "Acme GmbH")


async def test_imported_people_have_no_way_in_and_what_waits_is_aggregated(
    installation: Installation, packages: dict[Format, Path]
) -> None:
    made = await restored(installation, packages[Format.JSON], new_slug())
    schema = made.tenant.schema
    (user,) = await rows(installation, f"SELECT * FROM {schema}.users")
    assert user["password_hash"] == "!"
    assert (user["totp_secret"], user["totp_confirmed_at"]) == (None, None)
    (invitation,) = await rows(installation, f"SELECT token_hash FROM {schema}.invitations")
    assert invitation["token_hash"] != b"secret-invitation"
    assert not await rows(installation, f"SELECT FROM {schema}.refresh_tokens")
    assert await rows(installation, f"SELECT FROM {schema}.usage_batches")
    entries = await rows(
        installation, "SELECT action FROM public.audit_log WHERE subject = $1", f"tenant:{made.tenant.id}"
    )
    assert "tenant.imported" in {entry["action"] for entry in entries}


async def test_no_table_that_leaves_counts_its_rows_by_itself(
    installation: Installation, tenant: Tenant
) -> None:
    """An identity column would go on from one after an import, and give ids that are there already."""
    async with owner_session(installation.owner_pool, schema=tenant.schema) as session:
        leaving = {source.table.name for source in await sources_of(session)}
    identities = await rows(
        installation,
        "SELECT table_name FROM information_schema.columns WHERE table_schema = $1 AND is_identity = 'YES'",
        tenant.schema,
    )
    assert not leaving & {row["table_name"] for row in identities}


# --- what is refused ------------------------------------------------------------------------------------


def bag(files: dict[str, bytes], path: Path, *, with_manifests: bool = False) -> Path:
    """A package of these files; with manifests that fit them, as a forger would make it."""
    files = dict(files)
    if with_manifests:
        for manifest, is_payload in (("manifest-sha256.txt", True), ("tagmanifest-sha256.txt", False)):
            files.pop(manifest, None)
            listed = {
                name: content for name, content in files.items() if name.startswith("data/") is is_payload
            }
            lines = [f"{hashlib.sha256(content).hexdigest()}  {name}\n" for name, content in listed.items()]
            files[manifest] = "".join(lines).encode()
    with tarfile.open(path, "w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(f"acme/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return path


def changed(files: dict[str, bytes]) -> None:
    files["data/users.jsonl"] = files["data/users.jsonl"].replace(b"Ada", b"Eve")


def without_a_table(files: dict[str, bytes]) -> None:
    del files["data/users.jsonl"]


def with_a_stranger(files: dict[str, bytes]) -> None:
    files["data/other.jsonl"] = b"{}\n"


def without_a_manifest(files: dict[str, bytes]) -> None:
    del files["manifest-sha256.txt"]


def with_another_guide(files: dict[str, bytes]) -> None:
    files["index.html"] += b"<script>alert(1)</script>"


def of_another_size(files: dict[str, bytes]) -> None:
    files["bag-info.txt"] = files["bag-info.txt"].replace(b"Payload-Oxum: ", b"Payload-Oxum: 1")


def of_another_layout(files: dict[str, bytes]) -> None:
    files["bag-info.txt"] = files["bag-info.txt"].replace(b"EU-Platform-Layout: 1", b"EU-Platform-Layout: 2")


@pytest.mark.parametrize(
    "change", [changed, without_a_table, with_a_stranger, without_a_manifest, with_another_guide]
)
async def test_a_tampered_package_makes_nothing(
    installation: Installation, packages: dict[Format, Path], change: Change, tmp_path: Path
) -> None:
    files, slug = files_in(packages[Format.JSON]), new_slug()
    change(files)
    with pytest.raises(PackageRefused):
        await restored(installation, bag(files, tmp_path / "p"), slug)
    assert not await rows(installation, "SELECT FROM public.tenants WHERE slug = $1", slug)


@pytest.mark.parametrize("change", [with_a_stranger, without_a_table, of_another_size, of_another_layout])
async def test_a_package_that_is_no_export_is_refused_though_its_manifests_fit(
    installation: Installation, packages: dict[Format, Path], change: Change, tmp_path: Path
) -> None:
    files, slug = files_in(packages[Format.JSON]), new_slug()
    change(files)
    with pytest.raises(PackageRefused):
        await restored(installation, bag(files, tmp_path / "p", with_manifests=True), slug)
    assert not await rows(
        installation, "SELECT FROM public.tenants WHERE slug = $1 AND state = 'ACTIVE'", slug
    )


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../../etc/cron.d/x", tarfile.REGTYPE),
        ("/etc/passwd", tarfile.REGTYPE),
        ("acme/data/../../x", tarfile.REGTYPE),
        ("other/data/x.jsonl", tarfile.REGTYPE),
        ("acme/data/users.jsonl", tarfile.REGTYPE),
        ("acme/data/link", tarfile.SYMTYPE),
        ("acme/data/link", tarfile.LNKTYPE),
        ("acme/data/pipe", tarfile.FIFOTYPE),
        ("acme/data/long", tarfile.XHDTYPE),
        ("acme/data/long", tarfile.GNUTYPE_LONGNAME),
    ],
)
async def test_what_leads_elsewhere_is_refused(
    installation: Installation, packages: dict[Format, Path], name: str, kind: bytes, tmp_path: Path
) -> None:
    files = files_in(packages[Format.JSON])
    path = bag(files, tmp_path / "p", with_manifests=True)
    unpacked = gzip.decompress(path.read_bytes()).rstrip(b"\0")
    unpacked += b"\0" * (-len(unpacked) % tarfile.BLOCKSIZE)
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, "/etc/passwd"
    path.write_bytes(gzip.compress(unpacked + entry.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 1024))
    with pytest.raises(PackageRefused):
        await restored(installation, path, new_slug())


async def test_a_package_that_unpacks_to_more_than_is_allowed_is_refused(
    installation: Installation, packages: dict[Format, Path], tmp_path: Path
) -> None:
    files = files_in(packages[Format.JSON]) | {"data/usage_events.jsonl": b"\0" * 4 * 2**20}
    path = bag(files, tmp_path / "bomb", with_manifests=True)
    assert path.stat().st_size < 200_000
    with pytest.raises(PackageRefused, match="more than is allowed"):
        await restored(installation, path, new_slug(), most_bytes=2**20)


async def test_a_large_file_beside_the_payload_is_refused(
    installation: Installation, packages: dict[Format, Path], tmp_path: Path
) -> None:
    files = files_in(packages[Format.JSON]) | {"index.html": b"\0" * (17 * 2**20)}
    with pytest.raises(PackageRefused, match="too large"):
        await restored(installation, bag(files, tmp_path / "p", with_manifests=True), new_slug())


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", gzip.compress(b"no tar" * 1000), gzip.compress(b"")],
    ids=["empty", "no gzip", "no tar", "an empty tar"],  # of their own, since gzip writes the time
)
async def test_what_is_no_package_is_refused(
    installation: Installation, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(PackageRefused):
        await restored(installation, tmp_path / "p", new_slug())


async def test_a_package_that_was_cut_off_or_has_a_wrong_bit_is_refused(
    installation: Installation, packages: dict[Format, Path], tmp_path: Path
) -> None:
    content = packages[Format.JSON].read_bytes()
    for at in range(600, len(content), len(content) // 8):
        for broken in (content[:at], content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]):
            (tmp_path / "p").write_bytes(broken)
            with pytest.raises(PackageRefused):
                await restored(installation, tmp_path / "p", new_slug())


# --- what is interrupted ------------------------------------------------------------------------------------


async def test_an_import_that_failed_is_begun_again_under_the_same_slug(
    installation: Installation, packages: dict[Format, Path], tmp_path: Path
) -> None:
    files, slug = files_in(packages[Format.JSON]), new_slug()
    broken = files | {
        "data/sessions.jsonl": files["data/sessions.jsonl"].replace(b'"device":"', b'"device":7,"x":"')
    }
    broken["bag-info.txt"] = broken["bag-info.txt"].replace(*oxums(files, broken))
    with pytest.raises(PackageRefused):
        await restored(installation, bag(broken, tmp_path / "p", with_manifests=True), slug)
    schema = f"tenant_{slug.replace('-', '_')}"
    assert not await rows(installation, f"SELECT FROM {schema}.users")
    made = await restored(installation, packages[Format.JSON], slug)
    assert await rows(installation, f"SELECT FROM {schema}.users")
    assert (await current(installation, made.tenant)).state is TenantState.ACTIVE


def oxums(*bags: dict[str, bytes]) -> tuple[bytes, bytes]:
    """Payload-Oxum of each bag."""
    first, second = (
        str(sum(len(content) for name, content in files.items() if name.startswith("data/"))).encode() + b"."
        for files in bags
    )
    return first, second


async def test_the_slug_of_a_tenant_that_is_there_is_taken(
    installation: Installation, packages: dict[Format, Path], tenant: Tenant
) -> None:
    with pytest.raises(SlugTaken):
        await restored(installation, packages[Format.JSON], tenant.slug)


async def test_a_tenant_that_is_just_being_founded_is_left_alone(
    installation: Installation, packages: dict[Format, Path]
) -> None:
    founding = await register(installation)
    await queued(installation, JobKind.PROVISION_TENANT, founding)
    with pytest.raises(SlugTaken):
        await restored(installation, packages[Format.JSON], founding.slug)
