"""The deletion ledger: what was erased, as salted hashes, to be erased again after a backup was restored."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

SALT_BYTES = 16


class ErasedKind(StrEnum):
    """What kind of thing was erased."""

    TENANT = "tenant"
    SCHEMA = "schema"
    PERSON = "person"
    ARCHIVE = "archive"


class Erased(msgspec.Struct, frozen=True):
    """Something that is gone for good, by a name that never changes."""

    kind: ErasedKind
    name: str


class LedgerEntry(msgspec.Struct, frozen=True):
    """What the ledger keeps of it; from the digest nobody learns whom it speaks of."""

    id: UUID
    kind: ErasedKind
    salt: bytes
    digest: bytes
    erased_at: datetime


def erased_tenant(tenant_id: UUID) -> Erased:
    """A tenant with all its data."""
    return Erased(ErasedKind.TENANT, str(tenant_id))


def erased_schema(schema: str) -> Erased:
    """The schema of a tenant, whose name no other tenant may have: it is in the numbers of invoices."""
    return Erased(ErasedKind.SCHEMA, schema)


def erased_person(tenant_id: UUID, user_id: UUID) -> Erased:
    """One person inside a tenant."""
    return Erased(ErasedKind.PERSON, f"{tenant_id}:{user_id}")


def destroyed_archive(tenant_id: UUID) -> Erased:
    """The legal archive of a tenant."""
    return Erased(ErasedKind.ARCHIVE, str(tenant_id))


def digest_of(erased: Erased, salt: bytes) -> bytes:
    """SHA-256 over the salt, the kind and the name."""
    return hashlib.sha256(salt + f"{erased.kind}:{erased.name}".encode()).digest()


def still_there(entries: Iterable[LedgerEntry], candidates: Iterable[Erased]) -> list[Erased]:
    """Those of the candidates that the ledger says were erased."""
    digests: dict[bytes, set[bytes]] = defaultdict(set)
    for entry in entries:
        digests[entry.salt].add(entry.digest)
    return [
        candidate
        for candidate in candidates
        if any(digest_of(candidate, salt) in known for salt, known in digests.items())
    ]
