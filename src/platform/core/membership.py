"""Who may give which role to whom, and what a tenant must never lose: its last owner."""

from datetime import timedelta
from enum import StrEnum

from core.errors import LastOwner, NotRestricted, ProcessingRestricted, RoleTooHigh
from core.permission import PLATFORM_ROLES, Role

RANKS: dict[Role, int] = {Role.VIEWER: 1, Role.MEMBER: 2, Role.ADMIN: 3, Role.OWNER: 4, Role.OPERATOR: 5}
"""The order of the roles that can act on people; an AUDITOR only looks."""


INVITATION_LIFETIME = timedelta(days=7)


class UserState(StrEnum):
    """Whether an account can be used."""

    ACTIVE = "ACTIVE"
    DEACTIVATED = "DEACTIVATED"
    RESTRICTED = "RESTRICTED"
    """Kept, and nothing else done with it (Art. 18 GDPR); lifting brings the state from before."""


def require_may_give(giver: Role, role: Role) -> None:
    """Refuse to give, or to take away, a role above one's own: raises RoleTooHigh."""
    if RANKS.get(giver, 0) < RANKS[role]:
        raise RoleTooHigh(role=role)


def require_owner_remains(role: Role, *, becomes: Role | None, other_owners: int) -> None:
    """Refuse to demote or remove the last active OWNER: raises LastOwner."""
    if role is Role.OWNER and becomes is not Role.OWNER and other_owners == 0:
        raise LastOwner


def require_unrestricted(state: UserState) -> None:
    """Refuse to do anything with an account but keep it: raises ProcessingRestricted."""
    if state is UserState.RESTRICTED:
        raise ProcessingRestricted


def require_restricted(state: UserState) -> None:
    """Refuse to lift a restriction that there is not: raises NotRestricted."""
    if state is not UserState.RESTRICTED:
        raise NotRestricted


def state_objections(state: UserState | None) -> list[tuple[str, str]]:
    """What is wrong with a state that an account is to be put into, if anything."""
    return [("state", "has a route of its own")] if state is UserState.RESTRICTED else []


def roles_beyond(role: Role | None) -> list[Role]:
    """The roles of a tenant that somebody with this role cannot give; all of them without one."""
    highest = 0 if role is None else RANKS[role]
    return [each for each in Role if each not in PLATFORM_ROLES and RANKS[each] > highest]


def role_objections(role: Role | None) -> list[tuple[str, str]]:
    """What is wrong with a role that somebody in a tenant is to have, if anything."""
    return [("role", "is a role of the platform, not of a tenant")] if role in PLATFORM_ROLES else []
