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

from core.audit import PLATFORM_CHAIN
from core.certificate import Statement, scan_of, signed_bytes, statement_of
from core.erasure import Identifiers
from core.erasure_scan import wanted
from core.errors import NotFound
from shell import erasures
from shell.erasure_scan import scan
from shell.queries import SQL
from shell.sealing import derived_key
from shell.session import Session
from shell.settings import Secret, Settings

PURPOSE = "certificates of erasure"

log = structlog.get_logger()


class Certificate(msgspec.Struct, frozen=True):
    """A statement, and the Ed25519 signature over its canonical bytes (RFC 8785), both in base64."""

    statement: Statement
    signature: str
    public_key: str


async def certify(
    session: Session, tenant_id: UUID, identifiers: Identifiers, *, settings: Settings, secret: Secret
) -> int:
    """Scan, and keep a signed certificate of the result; gives how many places name an erased person."""
    found = scan_of(identifiers, await scan(session, settings, wanted(identifiers)))
    now, erasure = datetime.now(UTC), await erasures.get(session, tenant_id)
    issuer = settings.seller_name
    statement = statement_of(erasure, found, issuer=issuer, chain=PLATFORM_CHAIN, now=now)
    content = signed_bytes(statement)
    signature = _key(secret).sign(content)
    await session.connection.execute(SQL["keep_certificate"], tenant_id, now, content.decode(), signature)
    if found.findings:
        places = [finding.place for finding in found.findings]
        log.warning("erasure.not_clean", tenant_id=str(tenant_id), places=places)
    return len(found.findings)


async def get(session: Session, tenant_id: UUID, secret: Secret) -> Certificate:
    """The latest certificate about a tenant; raises NotFound."""
    row = await session.connection.fetchrow(SQL["latest_certificate"], tenant_id)
    if row is None:
        raise NotFound(what="certificate of erasure")
    public_key = _key(secret).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
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


def _key(secret: Secret) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(derived_key(secret, PURPOSE))
