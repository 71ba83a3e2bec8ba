"""The classification of data: whom each column of each table speaks of, and what becomes of it.

One line a column. A test compares the table with the live schema: a new column without a line fails, and so
does a line without its column. Erasure, portability, access and the register of processing follow it.
"""

from enum import StrEnum

import msgspec


class Scope(StrEnum):
    """Where a table is: once in the shared schema, or in every tenant's."""

    PUBLIC = "public"
    TENANT = "tenant"


class Subject(StrEnum):
    """Whom a column speaks of: nobody but the platform, a tenant as a customer, or a natural person."""

    PLATFORM = "platform"
    TENANT = "tenant"
    PERSON = "person"


class Category(StrEnum):
    """What kind of data it is, as the register of processing lists it (Art. 30(1)(c) GDPR)."""

    IDENTITY = "identity"
    CONTACT = "contact"
    CREDENTIAL = "credential"
    ACTIVITY = "activity"
    USAGE = "usage"
    BILLING = "billing"
    AUDIT = "audit"
    OPERATIONAL = "operational"


class Erasure(StrEnum):
    """What becomes of a column when its subject is erased; all of a tenant's schema goes with the tenant."""

    DELETE_ROW = "delete row"
    """The whole row goes."""
    CLEAR = "clear"
    """The value is emptied, the row stays."""
    PSEUDONYMISE = "pseudonymise"
    """An identifier stays, and what led from it to its subject is gone."""
    ARCHIVE = "archive"
    """The law requires it for a time: it moves to the legal archive, or stays until that time is over."""
    KEEP = "keep"
    """It says nothing of its subject once the other columns are done with."""


class Export(StrEnum):
    """Whether a column leaves with an export (Art. 20) or an access package (Art. 15)."""

    YES = "exported"
    INTERNAL = "internal"
    """Bookkeeping of the platform, of no use elsewhere."""
    SECRET = "secret"  # noqa: S105 -- the name of a kind
    """Would let its holder in; leaves the database for nobody."""


class Activity(StrEnum):
    """What a table is for: a processing activity of the register (Art. 30)."""

    CUSTOMERS = "customers"
    ACCOUNTS = "accounts"
    SECURITY = "security"
    METERING = "metering"
    BILLING = "billing"
    AUDIT = "audit"
    OPERATION = "operation"
    DATA_PROTECTION = "data protection"


class Table(msgspec.Struct, frozen=True):
    """A table, and what it is for; two are the same where scope and name are."""

    scope: Scope
    name: str
    activity: Activity

    def __str__(self) -> str:
        """`public.users`, or `tenant.users` for the one that every tenant has."""
        return f"{self.scope}.{self.name}"


class Column(msgspec.Struct, frozen=True):
    """How a column is classified."""

    subject: Subject
    category: Category
    erasure: Erasure
    export: Export


PLATFORM, TENANT, PERSON = Subject
IDENTITY, CONTACT, CREDENTIAL, ACTIVITY, USAGE, BILLING, AUDIT, OPERATIONAL = Category
DELETE_ROW, CLEAR, PSEUDONYMISE, ARCHIVE, KEEP = Erasure
EXPORTED, INTERNAL, SECRET = Export


def _public(name: str, activity: Activity) -> Table:
    return Table(Scope.PUBLIC, name, activity)


def _tenant(name: str, activity: Activity) -> Table:
    return Table(Scope.TENANT, name, activity)


CLASSIFICATION: dict[Table, dict[str, Column]] = {
    _public("tenants", Activity.CUSTOMERS): {
        "id": Column(TENANT, IDENTITY, PSEUDONYMISE, EXPORTED),
        "slug": Column(TENANT, IDENTITY, PSEUDONYMISE, EXPORTED),
        "name": Column(TENANT, IDENTITY, CLEAR, EXPORTED),
        "state": Column(TENANT, OPERATIONAL, KEEP, EXPORTED),
        "country": Column(TENANT, BILLING, KEEP, EXPORTED),
        "vat_id": Column(TENANT, BILLING, CLEAR, EXPORTED),
        "time_zone": Column(TENANT, OPERATIONAL, KEEP, EXPORTED),
        "currency": Column(TENANT, BILLING, KEEP, EXPORTED),
        "created_at": Column(TENANT, OPERATIONAL, KEEP, EXPORTED),
        "tier": Column(TENANT, OPERATIONAL, KEEP, EXPORTED),
        "require_second_factor": Column(TENANT, OPERATIONAL, KEEP, EXPORTED),
    },
    _public("founders", Activity.CUSTOMERS): {
        "tenant_id": Column(TENANT, IDENTITY, DELETE_ROW, EXPORTED),
        "user_id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "email": Column(PERSON, CONTACT, DELETE_ROW, EXPORTED),
        "full_name": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "password_hash": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
    },
    _public("users", Activity.ACCOUNTS): {
        "id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "email": Column(PERSON, CONTACT, DELETE_ROW, EXPORTED),
        "full_name": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "password_hash": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
        "role": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "created_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "state": Column(PERSON, OPERATIONAL, DELETE_ROW, EXPORTED),
        "totp_secret": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
        "totp_confirmed_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "totp_last_step": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
    },
    _public("refresh_tokens", Activity.SECURITY): {
        "token_hash": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
        "family_id": Column(PERSON, CREDENTIAL, DELETE_ROW, INTERNAL),
        "user_id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "created_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "expires_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "used_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "revoked_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
    },
    _public("sessions", Activity.SECURITY): {
        "id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "user_id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "device": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "address": Column(PERSON, CONTACT, DELETE_ROW, EXPORTED),
        "created_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "last_used_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "second_factor_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "revoked_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
    },
    _public("recovery_codes", Activity.SECURITY): {
        "user_id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "code_hash": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
        "used_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
    },
    _public("password_resets", Activity.SECURITY): {
        "token_hash": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
        "user_id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "created_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "expires_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "used_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
    },
    _public("api_keys", Activity.SECURITY): {
        "id": Column(TENANT, IDENTITY, DELETE_ROW, EXPORTED),
        "tenant_id": Column(TENANT, IDENTITY, DELETE_ROW, EXPORTED),
        "name": Column(TENANT, IDENTITY, DELETE_ROW, EXPORTED),
        "key_hmac": Column(TENANT, CREDENTIAL, DELETE_ROW, SECRET),
        "hint": Column(TENANT, CREDENTIAL, DELETE_ROW, EXPORTED),
        "scopes": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "networks": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "created_by": Column(PERSON, IDENTITY, PSEUDONYMISE, EXPORTED),
        "created_at": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "expires_at": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "last_used_at": Column(TENANT, ACTIVITY, DELETE_ROW, EXPORTED),
        "revoked_at": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
    },
    _public("prices", Activity.BILLING): {
        "id": Column(TENANT, BILLING, DELETE_ROW, EXPORTED),
        "tenant_id": Column(TENANT, IDENTITY, DELETE_ROW, EXPORTED),
        "resource": Column(TENANT, BILLING, DELETE_ROW, EXPORTED),
        "unit_price": Column(TENANT, BILLING, DELETE_ROW, EXPORTED),
        "currency": Column(TENANT, BILLING, DELETE_ROW, EXPORTED),
        "effective_from": Column(TENANT, BILLING, DELETE_ROW, EXPORTED),
        "created_at": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
    },
    _public("idempotency_keys", Activity.OPERATION): {
        "caller": Column(PERSON, IDENTITY, DELETE_ROW, INTERNAL),
        "key": Column(PERSON, OPERATIONAL, DELETE_ROW, INTERNAL),
        "request_hash": Column(PERSON, OPERATIONAL, DELETE_ROW, INTERNAL),
        "result": Column(TENANT, OPERATIONAL, DELETE_ROW, INTERNAL),
        "created_at": Column(PERSON, OPERATIONAL, DELETE_ROW, INTERNAL),
    },
    _public("jobs", Activity.OPERATION): {
        "id": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "kind": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "tenant_id": Column(TENANT, IDENTITY, DELETE_ROW, EXPORTED),
        "dedupe_key": Column(TENANT, OPERATIONAL, DELETE_ROW, INTERNAL),
        "args": Column(PERSON, CONTACT, CLEAR, INTERNAL),
        "state": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "step": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "progress": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "attempts": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "error": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "request_id": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "not_before": Column(TENANT, OPERATIONAL, DELETE_ROW, INTERNAL),
        "leased_by": Column(PLATFORM, OPERATIONAL, KEEP, INTERNAL),
        "leased_to": Column(PLATFORM, OPERATIONAL, KEEP, INTERNAL),
        "created_at": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "finished_at": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "traceparent": Column(PLATFORM, OPERATIONAL, KEEP, INTERNAL),
    },
    _public("usage_marks", Activity.OPERATION): {
        "id": Column(TENANT, OPERATIONAL, DELETE_ROW, INTERNAL),
        "tenant_id": Column(TENANT, IDENTITY, DELETE_ROW, INTERNAL),
    },
    _public("exports", Activity.DATA_PROTECTION): {
        "id": Column(TENANT, OPERATIONAL, KEEP, EXPORTED),
        "tenant_id": Column(TENANT, IDENTITY, PSEUDONYMISE, EXPORTED),
        "format": Column(TENANT, OPERATIONAL, KEEP, EXPORTED),
        "requested_by": Column(PERSON, IDENTITY, PSEUDONYMISE, EXPORTED),
        "created_at": Column(PERSON, ACTIVITY, KEEP, EXPORTED),
        "object_name": Column(PLATFORM, OPERATIONAL, KEEP, INTERNAL),
        "size": Column(TENANT, OPERATIONAL, KEEP, EXPORTED),
        "sha256": Column(TENANT, OPERATIONAL, KEEP, EXPORTED),
        "rows": Column(TENANT, OPERATIONAL, KEEP, EXPORTED),
        "finished_at": Column(TENANT, OPERATIONAL, KEEP, EXPORTED),
        "expires_at": Column(TENANT, OPERATIONAL, KEEP, EXPORTED),
        "deleted_at": Column(TENANT, OPERATIONAL, KEEP, EXPORTED),
    },
    _public("audit_log", Activity.AUDIT): {
        "id": Column(TENANT, AUDIT, KEEP, EXPORTED),
        "chain": Column(TENANT, IDENTITY, PSEUDONYMISE, EXPORTED),
        "occurred_at": Column(PERSON, AUDIT, KEEP, EXPORTED),
        "actor_kind": Column(PERSON, AUDIT, KEEP, EXPORTED),
        "actor_id": Column(PERSON, IDENTITY, PSEUDONYMISE, EXPORTED),
        "action": Column(PERSON, AUDIT, KEEP, EXPORTED),
        "subject": Column(PERSON, IDENTITY, PSEUDONYMISE, EXPORTED),
        "outcome": Column(PERSON, AUDIT, KEEP, EXPORTED),
        "request_id": Column(TENANT, AUDIT, KEEP, EXPORTED),
        "address": Column(PERSON, CONTACT, CLEAR, EXPORTED),
        "details": Column(PERSON, AUDIT, CLEAR, EXPORTED),
        "salt": Column(PERSON, AUDIT, CLEAR, EXPORTED),
        "sequence": Column(TENANT, AUDIT, KEEP, EXPORTED),
        "canonical": Column(PERSON, AUDIT, KEEP, EXPORTED),
        "leaf_hash": Column(PERSON, AUDIT, KEEP, EXPORTED),
        "entry_hash": Column(PERSON, AUDIT, KEEP, EXPORTED),
        "erased_at": Column(PERSON, AUDIT, KEEP, EXPORTED),
    },
    _public("audit_chains", Activity.AUDIT): {
        "chain": Column(TENANT, IDENTITY, PSEUDONYMISE, EXPORTED),
        "size": Column(TENANT, AUDIT, KEEP, EXPORTED),
        "head": Column(TENANT, AUDIT, KEEP, EXPORTED),
        "frontier": Column(TENANT, AUDIT, KEEP, INTERNAL),
    },
    _public("audit_nodes", Activity.AUDIT): {
        "chain": Column(TENANT, IDENTITY, PSEUDONYMISE, INTERNAL),
        "level": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "position": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "hash": Column(TENANT, AUDIT, KEEP, INTERNAL),
    },
    _public("audit_checkpoints", Activity.AUDIT): {
        "chain": Column(TENANT, IDENTITY, PSEUDONYMISE, EXPORTED),
        "size": Column(TENANT, AUDIT, KEEP, EXPORTED),
        "note": Column(TENANT, AUDIT, KEEP, EXPORTED),
        "created_at": Column(TENANT, AUDIT, KEEP, EXPORTED),
    },
    _public("audit_keys", Activity.AUDIT): {
        "public_key": Column(PLATFORM, AUDIT, KEEP, EXPORTED),
        "first_used_at": Column(PLATFORM, AUDIT, KEEP, EXPORTED),
    },
    _public("deletion_ledger", Activity.DATA_PROTECTION): {
        "id": Column(PLATFORM, AUDIT, KEEP, INTERNAL),
        "kind": Column(PLATFORM, AUDIT, KEEP, INTERNAL),
        "salt": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "digest": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "erased_at": Column(PLATFORM, AUDIT, KEEP, INTERNAL),
        "mirrored_at": Column(PLATFORM, OPERATIONAL, KEEP, INTERNAL),
    },
    _public("erasures", Activity.DATA_PROTECTION): {
        "tenant_id": Column(TENANT, IDENTITY, PSEUDONYMISE, INTERNAL),
        "state": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "requested_at": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "due_at": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "resumes_as": Column(TENANT, OPERATIONAL, KEEP, INTERNAL),
        "job_id": Column(TENANT, OPERATIONAL, KEEP, INTERNAL),
        "identifiers": Column(PERSON, CONTACT, CLEAR, SECRET),
        "ended_at": Column(TENANT, AUDIT, KEEP, INTERNAL),
    },
    _public("erasure_steps", Activity.DATA_PROTECTION): {
        "tenant_id": Column(TENANT, IDENTITY, PSEUDONYMISE, INTERNAL),
        "step": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "finished_at": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "facts": Column(TENANT, AUDIT, KEEP, INTERNAL),
    },
    _public("legal_archives", Activity.BILLING): {
        "tenant_id": Column(TENANT, IDENTITY, PSEUDONYMISE, INTERNAL),
        "object_name": Column(TENANT, OPERATIONAL, KEEP, INTERNAL),
        "wrapped_key": Column(TENANT, BILLING, ARCHIVE, SECRET),
        "invoices": Column(TENANT, BILLING, KEEP, INTERNAL),
        "country": Column(PLATFORM, BILLING, KEEP, INTERNAL),
        "legal_basis": Column(PLATFORM, BILLING, KEEP, INTERNAL),
        "keep_until": Column(TENANT, BILLING, KEEP, INTERNAL),
        "created_at": Column(TENANT, OPERATIONAL, KEEP, INTERNAL),
        "destroyed_at": Column(TENANT, AUDIT, KEEP, INTERNAL),
    },
    _public("erasure_certificates", Activity.DATA_PROTECTION): {
        "tenant_id": Column(TENANT, IDENTITY, PSEUDONYMISE, INTERNAL),
        "issued_at": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "statement": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "signature": Column(TENANT, AUDIT, KEEP, INTERNAL),
    },
    _public("legal_holds", Activity.DATA_PROTECTION): {
        "id": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "tenant_id": Column(TENANT, IDENTITY, DELETE_ROW, EXPORTED),
        "user_id": Column(PERSON, IDENTITY, PSEUDONYMISE, EXPORTED),
        "reason": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "placed_by": Column(PERSON, IDENTITY, PSEUDONYMISE, EXPORTED),
        "placed_at": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "lifted_by": Column(PERSON, IDENTITY, PSEUDONYMISE, EXPORTED),
        "lifted_at": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "lift_reason": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
    },
    _public("register_cases", Activity.DATA_PROTECTION): {
        "id": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "kind": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "tenant_id": Column(TENANT, IDENTITY, PSEUDONYMISE, INTERNAL),
        "summary": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "began_at": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "due_at": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "state": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "reason": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "created_at": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "changed_at": Column(TENANT, AUDIT, KEEP, INTERNAL),
        "reminded_at": Column(PLATFORM, OPERATIONAL, KEEP, INTERNAL),
    },
    _public("retention_policies", Activity.DATA_PROTECTION): {
        "tenant_id": Column(TENANT, IDENTITY, DELETE_ROW, EXPORTED),
        "transactional_days": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "user_activity_days": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "files_days": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "grace_days": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "audit_details_days": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "deactivated_people_days": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "backups_days": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "changed_at": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
    },
    _public("schema_migrations", Activity.OPERATION): {
        "version": Column(PLATFORM, OPERATIONAL, KEEP, INTERNAL),
        "name": Column(PLATFORM, OPERATIONAL, KEEP, INTERNAL),
        "checksum": Column(PLATFORM, OPERATIONAL, KEEP, INTERNAL),
        "applied_at": Column(PLATFORM, OPERATIONAL, KEEP, INTERNAL),
    },
    _tenant("users", Activity.ACCOUNTS): {
        "id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "email": Column(PERSON, CONTACT, DELETE_ROW, EXPORTED),
        "full_name": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "password_hash": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
        "role": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "created_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "state": Column(PERSON, OPERATIONAL, DELETE_ROW, EXPORTED),
        "totp_secret": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
        "totp_confirmed_at": Column(PERSON, ACTIVITY, DELETE_ROW, INTERNAL),
        "totp_last_step": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
        "restricted_from": Column(PERSON, OPERATIONAL, DELETE_ROW, EXPORTED),
        "restricted_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "restriction_reason": Column(PERSON, OPERATIONAL, DELETE_ROW, EXPORTED),
        "deactivated_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
    },
    _tenant("refresh_tokens", Activity.SECURITY): {
        "token_hash": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
        "family_id": Column(PERSON, CREDENTIAL, DELETE_ROW, INTERNAL),
        "user_id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "created_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "expires_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "used_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "revoked_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
    },
    _tenant("sessions", Activity.SECURITY): {
        "id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "user_id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "device": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "address": Column(PERSON, CONTACT, DELETE_ROW, EXPORTED),
        "created_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "last_used_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "second_factor_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "revoked_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
    },
    _tenant("recovery_codes", Activity.SECURITY): {
        "user_id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "code_hash": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
        "used_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
    },
    _tenant("password_resets", Activity.SECURITY): {
        "token_hash": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
        "user_id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "created_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "expires_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "used_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
    },
    _tenant("invitations", Activity.ACCOUNTS): {
        "id": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "email": Column(PERSON, CONTACT, DELETE_ROW, EXPORTED),
        "role": Column(PERSON, IDENTITY, DELETE_ROW, EXPORTED),
        "token_hash": Column(PERSON, CREDENTIAL, DELETE_ROW, SECRET),
        "invited_by": Column(PERSON, IDENTITY, PSEUDONYMISE, EXPORTED),
        "created_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "expires_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "accepted_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "revoked_at": Column(PERSON, ACTIVITY, DELETE_ROW, EXPORTED),
        "idempotency_key": Column(PLATFORM, OPERATIONAL, DELETE_ROW, INTERNAL),
    },
    _tenant("usage_events", Activity.METERING): {
        "source": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "id": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "resource": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "quantity": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "occurred_at": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "received_at": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "attributes": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
    },
    _tenant("usage_batches", Activity.METERING): {
        "id": Column(PLATFORM, OPERATIONAL, DELETE_ROW, INTERNAL),
        "quarter_hours": Column(TENANT, USAGE, DELETE_ROW, INTERNAL),
        "received_at": Column(PLATFORM, OPERATIONAL, DELETE_ROW, INTERNAL),
    },
    _tenant("usage_imports", Activity.METERING): {
        "id": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "file_name": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "rows_done": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "accepted": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "duplicates": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "rejected": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "started_at": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "updated_at": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
    },
    _tenant("daily_usage", Activity.METERING): {
        "day": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "resource": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "quantity": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "events": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "aggregated_at": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
        "judged": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
    },
    _tenant("cost_records", Activity.BILLING): {
        "day": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "resource": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "quantity": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "unit_price": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "price_id": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "currency": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "amount": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "invoiced_quantity": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "invoiced_amount": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
    },
    _tenant("anomalies", Activity.METERING): {
        "id": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "day": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "resource": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "observed": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "expected": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "expected_low": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "expected_high": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "z_score": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "severity": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "detected_at": Column(TENANT, USAGE, DELETE_ROW, EXPORTED),
        "acknowledged_at": Column(TENANT, ACTIVITY, DELETE_ROW, EXPORTED),
        "acknowledged_by": Column(PERSON, IDENTITY, PSEUDONYMISE, EXPORTED),
        "note": Column(PERSON, ACTIVITY, CLEAR, EXPORTED),
    },
    _tenant("invoices", Activity.BILLING): {
        "id": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "month": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "state": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "number": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "currency": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "seller": Column(PLATFORM, BILLING, ARCHIVE, EXPORTED),
        "buyer": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "net": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "vat_rule": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "vat_rate": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "vat": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "total": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "note": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "created_at": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "issued_at": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "due_on": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
    },
    _tenant("invoice_lines", Activity.BILLING): {
        "invoice_id": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "position": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "resource": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "description": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "quantity": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "unit": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "unit_price": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "amount": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
    },
    _tenant("invoice_numbers", Activity.BILLING): {
        "year": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
        "last": Column(TENANT, BILLING, ARCHIVE, EXPORTED),
    },
    _tenant("retention_marks", Activity.DATA_PROTECTION): {
        "target": Column(TENANT, OPERATIONAL, DELETE_ROW, INTERNAL),
        "before": Column(TENANT, OPERATIONAL, DELETE_ROW, INTERNAL),
        "marked_at": Column(TENANT, OPERATIONAL, DELETE_ROW, INTERNAL),
        "deleted_at": Column(TENANT, OPERATIONAL, DELETE_ROW, INTERNAL),
    },
    _tenant("spent_keys", Activity.METERING): {
        "key": Column(TENANT, OPERATIONAL, DELETE_ROW, EXPORTED),
    },
    _tenant("schema_migrations", Activity.OPERATION): {
        "version": Column(PLATFORM, OPERATIONAL, DELETE_ROW, INTERNAL),
        "name": Column(PLATFORM, OPERATIONAL, DELETE_ROW, INTERNAL),
        "checksum": Column(PLATFORM, OPERATIONAL, DELETE_ROW, INTERNAL),
        "applied_at": Column(PLATFORM, OPERATIONAL, DELETE_ROW, INTERNAL),
    },
}


def table_named(scope: Scope, name: str) -> Table:
    """The classified table of this name; raises KeyError for one that is not classified."""
    for table in CLASSIFICATION:
        if (table.scope, table.name) == (scope, name):
            return table
    raise KeyError(f"{scope}.{name}")


def columns_of(scope: Scope, name: str) -> dict[str, Column]:
    """A table's columns and how they are classified; raises KeyError."""
    return CLASSIFICATION[table_named(scope, name)]


def exported_columns(scope: Scope, name: str) -> tuple[str, ...]:
    """The columns that an export holds, in the table's order; none for a table of pure bookkeeping."""
    return tuple(column for column, how in columns_of(scope, name).items() if how.export is Export.YES)
