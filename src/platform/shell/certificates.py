"""Certificates of erasure: made when a tenant is gone, signed with Ed25519, kept, and shown."""

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
import structlog
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.certificate import EntryProof, Statement, scan_of, signed_bytes, statement_of
from core.erasure import Erasure, Identifiers, Step
from core.erasure_scan import wanted
from core.errors import NotFound
from shell import audit_log, erasures
from shell.erasure_scan import scan
from shell.queries import SQL
from shell.sealing import SealBroken, SecretKeys
from shell.session import Session
from shell.settings import Settings

PURPOSE = "certificates of erasure"

log = structlog.get_logger()


class Certificate(msgspec.Struct, frozen=True):
    """A statement, and the Ed25519 signature over its canonical bytes (RFC 8785), both in base64."""

    statement: Statement
    signature: str
    public_key: str


async def certify(
    session: Session, tenant_id: UUID, identifiers: Identifiers, *, settings: Settings, secret: SecretKeys
) -> int:
    """Scan, and keep a signed certificate of the result; gives how many places name an erased person."""
    found = scan_of(identifiers, await scan(session, settings, wanted(identifiers)))
    now, erasure = datetime.now(UTC), await erasures.get(session, tenant_id)
    proof = await _proof(session, erasure)
    statement = statement_of(erasure, found, proof, issuer=settings.seller_name, now=now)
    content = signed_bytes(statement)
    signature = _keys(secret)[0].sign(content)
    await session.connection.execute(SQL["keep_certificate"], tenant_id, now, content.decode(), signature)
    if found.findings:
        places = [finding.place for finding in found.findings]
        log.warning("erasure.not_clean", tenant_id=str(tenant_id), places=places)
    return len(found.findings)


async def get(session: Session, tenant_id: UUID, secret: SecretKeys) -> Certificate:
    """The latest certificate about a tenant; raises NotFound, SealBroken."""
    row = await session.connection.fetchrow(SQL["latest_certificate"], tenant_id)
    if row is None:
        raise NotFound(what="certificate of erasure")
    signer = _signed_by(row["statement"].encode(), row["signature"], secret)
    public_key = signer.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return Certificate(
        statement=msgspec.json.decode(row["statement"], type=Statement),
        signature=base64.b64encode(row["signature"]).decode(),
        public_key=base64.b64encode(public_key).decode(),
    )


def is_genuine(statement: Any, signature: str, public_key: str) -> bool:
    """Whether a statement, as its struct or as JSON gives it, was signed with this key."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key))
        key.verify(base64.b64decode(signature), signed_bytes(statement))
    except (InvalidSignature, ValueError):
        return False
    return True


async def sign_anew(session: Session, secret: SecretKeys) -> tuple[int, list[UUID]]:
    """Sign all certificates with the current key, but those that were signed with neither.

    Gives how many it signed, and the tenants of the others. A certificate that somebody holds names the key
    that signed it, and still verifies.
    """
    good, others = [], []
    for row in await session.connection.fetch(SQL["lock_certificates"]):
        try:
            _signed_by(row["statement"].encode(), row["signature"], secret)
        except SealBroken:
            others.append(row["tenant_id"])
        else:
            good.append(row)
    signatures = [_keys(secret)[0].sign(row["statement"].encode()) for row in good]
    tenant_ids, instants = [row["tenant_id"] for row in good], [row["issued_at"] for row in good]
    await session.connection.execute(SQL["sign_certificates_anew"], tenant_ids, instants, signatures)
    return len(good), others


async def _proof(session: Session, erasure: Erasure) -> EntryProof:
    """The proof that the entry about an erasure is in the log, by the latest checkpoint; raises NotFound."""
    entry = next(done.facts["audit_entry"] for done in erasure.steps if done.step is Step.AUDIT)
    place = await session.connection.fetchrow(SQL["place_of_entry"], UUID(entry))
    if place is None:
        raise NotFound(what="place of the entry about the erasure")
    found = await audit_log.inclusion(session, place["chain"], place["sequence"])
    return EntryProof(
        chain=place["chain"],
        entry=entry,
        sequence=found.sequence,
        size=found.size,
        leaf_hash=found.leaf_hash,
        root=found.root,
        hashes=found.hashes,
        checkpoint=found.checkpoint or "",
    )


def _signed_by(content: bytes, signature: bytes, secret: SecretKeys) -> Ed25519PublicKey:
    """The key that signed, of the current secret or of the previous one; raises SealBroken."""
    for key in _keys(secret):
        try:
            key.public_key().verify(signature, content)
        except InvalidSignature:
            continue
        return key.public_key()
    raise SealBroken


def _keys(secret: SecretKeys) -> list[Ed25519PrivateKey]:
    return [Ed25519PrivateKey.from_private_bytes(key) for key in secret.derived(PURPOSE)]
