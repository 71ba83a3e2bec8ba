"""Audit entries: who did what to which subject, with which outcome."""

from enum import StrEnum
from uuid import UUID

import msgspec

PLATFORM_CHAIN = "platform"


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
    """One thing that happened; `details` hold texts only, so that they have one canonical form."""

    action: str
    subject: str
    actor: Actor
    outcome: Outcome = Outcome.SUCCESS
    details: dict[str, str] = {}
