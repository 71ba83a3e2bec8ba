"""Tenants: their slug, their schema's name, and their lifecycle."""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import UUID

import msgspec

from core.errors import TenantGone, TenantNotWritable, TransitionRefused

SLUG_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$(?!\n)"
"""Python's `$` also matches before a last line feed, and `\\Z` means nothing to readers of the OpenAPI."""

Slug = Annotated[
    str,
    msgspec.Meta(
        pattern=SLUG_PATTERN,
        min_length=3,
        max_length=40,
        description="Short name of the tenant: lower-case letters, digits and single hyphens.",
        examples=["acme-cloud"],
    ),
]

STANDARD_TIER = "standard"

Tier = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z][a-z0-9-]*$(?!\n)",
        max_length=40,
        description="Names the limits of the tenant's requests: `standard`, or one that settings name.",
        examples=[STANDARD_TIER],
    ),
]

PLATFORM_SLUG = "platform"
"""Names the platform itself where a tenant is asked for (an operator's login); no tenant may take it."""

RESERVED_SLUGS = frozenset({PLATFORM_SLUG, "public", "admin", "api", "www", "postgres"})


class TenantState(StrEnum):
    """Where a tenant is in its life."""

    PENDING = "PENDING"
    PROVISIONING = "PROVISIONING"
    ACTIVE = "ACTIVE"
    SUSPENDED = "SUSPENDED"
    DEPROVISIONING = "DEPROVISIONING"
    DELETED = "DELETED"


class TenantEvent(StrEnum):
    """What happens to a tenant."""

    PROVISION = "provision"
    COMPLETE = "complete"
    SUSPEND = "suspend"
    ACTIVATE = "activate"
    DELETE = "delete"
    ERASE = "erase"


TRANSITIONS: dict[tuple[TenantState, TenantEvent], TenantState] = {
    (TenantState.PENDING, TenantEvent.PROVISION): TenantState.PROVISIONING,
    (TenantState.PROVISIONING, TenantEvent.PROVISION): TenantState.PROVISIONING,
    (TenantState.PROVISIONING, TenantEvent.COMPLETE): TenantState.ACTIVE,
    (TenantState.ACTIVE, TenantEvent.SUSPEND): TenantState.SUSPENDED,
    (TenantState.SUSPENDED, TenantEvent.ACTIVATE): TenantState.ACTIVE,
    (TenantState.PENDING, TenantEvent.DELETE): TenantState.DEPROVISIONING,
    (TenantState.PROVISIONING, TenantEvent.DELETE): TenantState.DEPROVISIONING,
    (TenantState.ACTIVE, TenantEvent.DELETE): TenantState.DEPROVISIONING,
    (TenantState.SUSPENDED, TenantEvent.DELETE): TenantState.DEPROVISIONING,
    (TenantState.DEPROVISIONING, TenantEvent.ERASE): TenantState.DELETED,
}
"""The whole lifecycle; provisioning may begin again, since it is resumed after a crash."""


class Tenant(msgspec.Struct, frozen=True):
    """A customer of the platform: one organisation, one schema."""

    id: UUID
    slug: Slug
    name: str
    state: TenantState
    country: str
    vat_id: str | None
    time_zone: str
    currency: str
    created_at: datetime
    tier: str = STANDARD_TIER
    require_second_factor: bool = False
    """Whether its people may do nothing but enrol a second factor until they have one."""

    @property
    def schema(self) -> str:
        """The tenant's schema and database role."""
        return schema_name(self.slug)

    @property
    def chain(self) -> str:
        """The name of the tenant's audit chain: its id, since what is hashed cannot be erased."""
        return str(self.id)


def schema_name(slug: str) -> str:
    """The schema and role of the tenant with this slug; no two slugs share one, since none has an underscore.

    Raises ValueError for a text that is no slug: the name goes into SQL as an identifier.
    """
    if not re.fullmatch(SLUG_PATTERN, slug) or not 3 <= len(slug) <= 40:  # noqa: PLR2004 -- as in Slug
        raise ValueError("not a slug")
    return "tenant_" + slug.replace("-", "_")


def next_state(state: TenantState, event: TenantEvent) -> TenantState:
    """The state that follows; raises TransitionRefused where the lifecycle has no such step."""
    following = TRANSITIONS.get((state, event))
    if following is None:
        raise TransitionRefused(state=state, event=event)
    return following


def require_readable(state: TenantState) -> None:
    """Refuse a tenant that is on its way out: raises TenantGone."""
    if state in {TenantState.DEPROVISIONING, TenantState.DELETED}:
        raise TenantGone


def require_writable(state: TenantState) -> None:
    """Refuse changes to the data of a tenant that is not ACTIVE: raises TenantGone, TenantNotWritable."""
    require_readable(state)
    if state is not TenantState.ACTIVE:
        raise TenantNotWritable(state=state)
