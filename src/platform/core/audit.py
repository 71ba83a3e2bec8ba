"""Audit entries: who did what to which subject, with which outcome; docs/audit.md specifies their form."""

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

import msgspec

from core.canonical import Scalar, canonical_json, require_canonical

PLATFORM_CHAIN = "platform"
VERSION: Final = 1

ACTION = re.compile(r"[a-z_]+(\.[a-z_]+)*")
SUBJECT = re.compile(r"[a-z_]+(:[A-Za-z0-9._-]+)?")
"""A kind of thing and its id: what is hashed for good holds no names and no e-mail addresses."""


class ActorKind(StrEnum):
    """What kind of account acts."""

    USER = "user"
    OPERATOR = "operator"
    API_KEY = "api_key"
    SYSTEM = "system"
    ANONYMOUS = "anonymous"


class Outcome(StrEnum):
    """How it ended."""

    SUCCESS = "success"
    DENIED = "denied"


class Actor(msgspec.Struct, frozen=True):
    """Who acts, and from where."""

    kind: ActorKind
    id: UUID | None = None
    request_id: str | None = None
    address: str | None = None


SYSTEM = Actor(ActorKind.SYSTEM)


class AuditEntry(msgspec.Struct, frozen=True):
    """One thing that happened; personal data belongs into `details`, which can be erased like the address."""

    action: str
    subject: str
    actor: Actor
    outcome: Outcome = Outcome.SUCCESS
    details: Mapping[str, Scalar] = {}

    def __post_init__(self) -> None:
        """Refuse what has no canonical form, and a subject that may name a person: raises ValueError."""
        if not ACTION.fullmatch(self.action):
            raise ValueError(f"{self.action!r} is no action")
        if not SUBJECT.fullmatch(self.subject):
            raise ValueError("a subject is a kind and an id")
        require_canonical(self.details)


class Written(msgspec.Struct, frozen=True):
    """An entry as it was appended, before it has a place in its chain."""

    id: UUID
    chain: str
    occurred_at: datetime
    actor_kind: str
    actor_id: UUID | None
    action: str
    subject: str
    outcome: str
    request_id: str | None
    address: str | None
    details: str


class CanonicalEntry(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True
):
    """What is hashed of an entry; the fields stand in the order of their names, as RFC 8785 has them."""

    action: str
    actor_id: str | None = None
    actor_kind: str
    chain: str
    commitment: str
    id: str
    occurred_at: str
    outcome: str
    request_id: str | None = None
    sequence: int
    subject: str
    version: int


def canonical_entry(entry: Written, *, sequence: int, salt: bytes) -> bytes:
    """The entry's canonical bytes at its place in the chain, counted from 0."""
    return msgspec.json.encode(
        CanonicalEntry(
            action=entry.action,
            actor_id=None if entry.actor_id is None else str(entry.actor_id),
            actor_kind=entry.actor_kind,
            chain=entry.chain,
            commitment=commitment(salt, private_part(entry.address, entry.details)).hex(),
            id=str(entry.id),
            occurred_at=rfc3339(entry.occurred_at),
            outcome=entry.outcome,
            request_id=entry.request_id,
            sequence=sequence,
            subject=entry.subject,
            version=VERSION,
        )
    )


def private_part(address: str | None, details: str) -> bytes:
    """What can be erased of an entry, canonical: its address, and its details, given as JSON text.

    A text that is no object of strings, integers and booleans is kept as it is under the name `text`.
    """
    where: dict[str, str] = {} if address is None else {"address": address}
    try:
        found = msgspec.json.decode(details, type=dict[str, Scalar])
        return canonical_json({**where, "details": found})
    except (ValueError, TypeError):  # of msgspec, and of what is not canonical
        return canonical_json({**where, "details": {"text": details}})


def commitment(salt: bytes, private: bytes) -> bytes:
    """What binds an entry to its private part, and tells nothing of it once the salt is gone."""
    return hashlib.sha256(salt + private).digest()


def rfc3339(instant: datetime) -> str:
    """An instant as text: UTC, with six digits after the second."""
    return instant.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
