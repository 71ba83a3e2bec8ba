"""The legal archive of an erased tenant: issued invoices and what supports them, encrypted, for a time.

Each archive has a key of its own, wrapped under a key that is derived from the platform's secret key. The
object store holds the archive alone, the database the wrapped key alone. Forgetting the key destroys the
archive, wherever copies of it lie.
"""

import os
from collections.abc import Sequence
from datetime import UTC, date, datetime
from uuid import UUID

import asyncpg
import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.audit import Actor, AuditEntry
from core.deletion_ledger import destroyed_archive
from core.errors import NotFound
from core.record_keeping import Kept, kept_until
from core.tenant import Tenant
from core.vat import VatRule
from shell import deletion_ledger
from shell.audit import append_platform_entry
from shell.object_store import ObjectStore
from shell.queries import SQL
from shell.sealing import KEY_BYTES, NONCE_BYTES, Seal, SealBroken, SecretKeys
from shell.session import Session

FORMAT = "eu-platform/legal-archive/1"
PURPOSE = "keys of legal archives"


class LegalArchive(msgspec.Struct, frozen=True):
    """What is kept of an erased tenant, by which law, and until when."""

    tenant_id: UUID
    invoices: int
    country: str
    legal_basis: str
    keep_until: date
    created_at: datetime
    destroyed_at: datetime | None


class Content(msgspec.Struct, frozen=True):
    """What an archive says: rows as the database had them, numbers digit by digit."""

    format: str
    tenant: Tenant
    invoices: list[msgspec.Raw]
    invoice_lines: list[msgspec.Raw]
    cost_records: list[msgspec.Raw]
    daily_usage: list[msgspec.Raw]
    prices: list[msgspec.Raw]


async def keep(
    session: Session,
    tenant: Tenant,
    objects: ObjectStore,
    secret: SecretKeys,
    *,
    financial_year_end_month: int,
) -> LegalArchive | None:
    """Archive a tenant's issued invoices from its schema, which the owner's session has locked.

    None where none was ever issued. Run twice, it writes the same object under a new key. An archive that is
    there from an earlier erasure stays.
    """
    kept = await session.connection.fetchrow(SQL["lock_legal_archive"], tenant.id)
    if kept is not None and kept["destroyed_at"] is None:
        return _archive_of(kept)
    issued = await session.connection.fetch(SQL["issued_invoices"])
    if not issued:
        return None
    duty, country = _duty(issued, financial_year_end_month), issued[-1]["seller_country"]
    key, name = os.urandom(KEY_BYTES), f"legal-archive/{tenant.id}"
    content = msgspec.json.encode(await _content(session, tenant, issued))
    await objects.put(name, _sealed(content, key, tenant.id))
    wrapped = Seal(secret, PURPOSE).seal(key, belongs_to=tenant.id.bytes)
    await session.connection.execute(
        SQL["keep_legal_archive"],
        tenant.id, name, wrapped, len(issued), country, duty.basis, duty.until, datetime.now(UTC),
    )  # fmt: skip
    return await get(session, tenant.id)


async def get(session: Session, tenant_id: UUID) -> LegalArchive:
    """What is kept of a tenant; raises NotFound."""
    row = await session.connection.fetchrow(SQL["legal_archive"], tenant_id)
    if row is None:
        raise NotFound(what="legal archive")
    return _archive_of(row)


async def read(
    session: Session, tenant_id: UUID, objects: ObjectStore, secret: SecretKeys, *, actor: Actor, reason: str
) -> bytes:
    """The archive as JSON; who read it, and why, is audited. Raises NotFound, SealBroken."""
    row = await session.connection.fetchrow(SQL["legal_archive"], tenant_id)
    if row is None or row["wrapped_key"] is None:
        raise NotFound(what="legal archive")
    key = Seal(secret, PURPOSE).open(row["wrapped_key"], belongs_to=tenant_id.bytes)
    content = _opened(await objects.get(row["object_name"]), key, tenant_id)
    entry = AuditEntry("legal_archive.read", f"tenant:{tenant_id}", actor, details={"reason": reason})
    await append_platform_entry(session, entry)
    return content


async def expired(session: Session, today: date) -> list[UUID]:
    """The tenants whose archives the law lets go."""
    return [row["tenant_id"] for row in await session.connection.fetch(SQL["expired_archives"], today)]


async def destroy(session: Session, tenant_id: UUID, objects: ObjectStore, actor: Actor) -> None:
    """Forget the key, then the object; one that is destroyed already stays so. An owner's session."""
    row = await session.connection.fetchrow(SQL["lock_legal_archive"], tenant_id)
    if row is None or row["destroyed_at"] is not None:
        return
    await session.connection.execute(SQL["destroy_legal_archive"], tenant_id, datetime.now(UTC))
    await deletion_ledger.append(session, destroyed_archive(tenant_id))
    details = {"keep_until": row["keep_until"].isoformat(), "invoices": row["invoices"]}
    entry = AuditEntry("legal_archive.destroyed", f"tenant:{tenant_id}", actor, details=details)
    await append_platform_entry(session, entry)
    await objects.delete(row["object_name"])


def _duty(issued: Sequence[asyncpg.Record], financial_year_end_month: int) -> Kept:
    """The longest duty of all sellers that the invoices name, should the seller have moved."""
    days = [row["issued_at"].date() for row in issued]
    to_consumers = any(row["vat_rule"] == VatRule.EU_CONSUMER for row in issued)
    sellers = sorted({row["seller_country"] for row in issued})
    duties = [
        kept_until(
            seller,
            days,
            to_foreign_consumers=to_consumers,
            financial_year_end_month=financial_year_end_month,
        )
        for seller in sellers
    ]
    return max(duties, key=lambda duty: duty.until)


async def _content(session: Session, tenant: Tenant, issued: Sequence[asyncpg.Record]) -> Content:
    async def rows(query: str, *arguments: object) -> list[msgspec.Raw]:
        return [_raw(row) for row in await session.connection.fetch(SQL[query], *arguments)]

    return Content(
        format=FORMAT,
        tenant=tenant,
        invoices=[_raw(row) for row in issued],
        invoice_lines=await rows("lines_of_issued_invoices"),
        cost_records=await rows("costs_to_archive"),
        daily_usage=await rows("daily_usage_to_archive"),
        prices=await rows("prices_to_archive", tenant.id),
    )


def _raw(row: asyncpg.Record) -> msgspec.Raw:
    return msgspec.Raw(row["row"].encode())


def _sealed(content: bytes, key: bytes, tenant_id: UUID) -> bytes:
    nonce = os.urandom(NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, content, tenant_id.bytes)


def _opened(sealed: bytes, key: bytes, tenant_id: UUID) -> bytes:
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], tenant_id.bytes)
    except (InvalidTag, ValueError) as error:
        raise SealBroken from error


def _archive_of(row: asyncpg.Record) -> LegalArchive:
    return LegalArchive(**{name: row[name] for name in LegalArchive.__struct_fields__})
