"""Who a request comes from, as its access token says."""

from uuid import UUID

import msgspec

from core.membership import UserState
from core.permission import PLATFORM_ROLES, Permission, Role, is_permitted
from core.tenant import STANDARD_TIER


class Identity(msgspec.Struct, frozen=True):
    """An authenticated account or API key; `tenant_id` and `tenant_slug` are None for the platform's own.

    `permissions` is set for an API key alone, whose id is `user_id` and which has no role.
    `second_factor_at` is the second (since 1970) at which the session last showed a second factor. `tier`
    names the limits of its tenant's requests.
    """

    user_id: UUID
    tenant_id: UUID | None
    tenant_slug: str | None
    role: Role | None
    jti: str
    session_id: UUID | None = None
    second_factor_at: int | None = None
    permissions: frozenset[Permission] | None = None
    tier: str = STANDARD_TIER

    @property
    def is_platform(self) -> bool:
        """Whether this is an account of the platform itself."""
        return self.role in PLATFORM_ROLES

    def may(self, permission: Permission) -> bool:
        """Whether the account's role, or the key's scopes, include a permission."""
        if self.permissions is not None:
            return permission in self.permissions
        return self.role is not None and is_permitted(self.role, permission)

    def may_reach(self, tenant_id: UUID) -> bool:
        """Whether the account may know that a tenant exists: its own, or any for the platform's accounts."""
        return self.is_platform or self.tenant_id == tenant_id


class Account(msgspec.Struct, frozen=True):
    """A person who can log in, as others may see them."""

    id: UUID
    email: str
    full_name: str
    role: Role
    state: UserState = UserState.ACTIVE
    has_second_factor: bool = False


def normalised_email(email: str) -> str:
    """One spelling for each mailbox, as far as case and surrounding space go."""
    return email.strip().lower()
