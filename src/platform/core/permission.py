"""Who may do what: roles and their permissions, as one table."""

from enum import StrEnum


class Role(StrEnum):
    """What an account is: the first four within a tenant, the last two for the platform."""

    OWNER = "OWNER"
    ADMIN = "ADMIN"
    MEMBER = "MEMBER"
    VIEWER = "VIEWER"
    OPERATOR = "OPERATOR"
    AUDITOR = "AUDITOR"


PLATFORM_ROLES = frozenset({Role.OPERATOR, Role.AUDITOR})


class Permission(StrEnum):
    """What a request needs to be allowed."""

    TENANT_READ = "tenant:read"
    TENANT_UPDATE = "tenant:update"
    TENANT_POLICY = "tenant:policy"
    TENANT_DELETE = "tenant:delete"
    TENANTS_LIST = "tenants:list"
    TENANTS_CREATE = "tenants:create"
    TENANTS_SUSPEND = "tenants:suspend"
    TENANTS_TIER = "tenants:tier"
    USAGE_WRITE = "usage:write"
    USAGE_READ = "usage:read"
    USAGE_BACKFILL = "usage:backfill"
    BILLING_READ = "billing:read"
    BILLING_WRITE = "billing:write"
    ANOMALIES_READ = "anomalies:read"
    ANOMALIES_ACKNOWLEDGE = "anomalies:acknowledge"
    JOBS_READ = "jobs:read"
    PRICES_READ = "prices:read"
    PRICES_WRITE = "prices:write"
    USERS_READ = "users:read"
    USERS_WRITE = "users:write"
    API_KEYS_READ = "api-keys:read"
    API_KEYS_WRITE = "api-keys:write"
    CERTIFICATES_READ = "certificates:read"
    ARCHIVES_READ = "archives:read"
    DATA_EXPORT = "data:export"
    RETENTION_READ = "retention:read"
    RETENTION_WRITE = "retention:write"
    REGISTERS_READ = "registers:read"
    REGISTERS_WRITE = "registers:write"
    LEGAL_HOLDS_READ = "legal-holds:read"
    LEGAL_HOLDS_WRITE = "legal-holds:write"
    AUDIT_READ = "audit:read"
    PLATFORM_AUDIT_READ = "platform-audit:read"


_VIEWER = frozenset(
    {
        Permission.TENANT_READ,
        Permission.USAGE_READ,
        Permission.BILLING_READ,
        Permission.ANOMALIES_READ,
        Permission.JOBS_READ,
        Permission.PRICES_READ,
    }
)
_MEMBER = _VIEWER | {Permission.USAGE_WRITE, Permission.ANOMALIES_ACKNOWLEDGE}
_ADMIN = _MEMBER | {
    Permission.TENANT_UPDATE,
    Permission.USERS_READ,
    Permission.USERS_WRITE,
    Permission.API_KEYS_READ,
    Permission.API_KEYS_WRITE,
    Permission.RETENTION_READ,
    Permission.DATA_EXPORT,
    Permission.AUDIT_READ,
}
_OWNER = _ADMIN | {Permission.TENANT_POLICY, Permission.TENANT_DELETE, Permission.RETENTION_WRITE}
_AUDITOR = frozenset(
    {
        Permission.TENANTS_LIST,
        Permission.CERTIFICATES_READ,
        Permission.LEGAL_HOLDS_READ,
        Permission.REGISTERS_READ,
        Permission.RETENTION_READ,
        Permission.AUDIT_READ,
        Permission.PLATFORM_AUDIT_READ,
    }
)

PERMISSIONS: dict[Role, frozenset[Permission]] = {
    Role.VIEWER: _VIEWER,
    Role.MEMBER: _MEMBER,
    Role.ADMIN: _ADMIN,
    Role.OWNER: _OWNER,
    Role.OPERATOR: frozenset(Permission),
    Role.AUDITOR: _VIEWER | _AUDITOR,
}


def is_permitted(role: Role, permission: Permission) -> bool:
    """Whether a role has a permission."""
    return permission in PERMISSIONS[role]
