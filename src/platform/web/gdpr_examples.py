"""Examples of the schemas of data protection, by name; `web/examples.py` takes them in."""

from typing import Any

_INSTANT = "2026-11-23T10:00:00Z"
_TENANT_ID = "5f0c2f5e-8f0a-4c57-9a39-0d7a7c1b2a10"
_USER_ID = "0a3d3f4e-5b6c-4d7e-8f90-a1b2c3d4e5f6"
_OTHER_ID = "9b2d6a54-1c3e-4f58-8a7b-6c5d4e3f2a1b"

_DUE = {
    "target": "usage_events",
    "hide_before": "2026-08-26T22:00:00Z",
    "hidden_rows": 96,
    "delete_before": "2026-07-26T22:00:00Z",
    "deleted_rows": 1200,
}

_PROCESSING = {
    "activity": "accounts",
    "purpose": "letting people of a customer use the platform under a name and a role of their own",
    "legal_basis": "Art. 6(1)(b) GDPR: contract",
    "subjects": ["person"],
    "categories": ["contact", "credential", "identity"],
    "recipients": "administrators of the tenant; the operator of the platform",
    "kept": "until the account or the customer is erased",
    "security": "Argon2id, second factors, short-lived tokens",
    "tables": ["tenant.users", "tenant.invitations"],
}

GDPR_EXAMPLES: dict[str, list[Any]] = {
    "PersonErasure": [{"confirm": "ada@example.com"}],
    "Rectification": [
        {"full_name": "Ada King"},
        {"email": "ada@new.example.com", "password": "correct horse battery staple"},
    ],
    "CaseMove": [{"step": "report", "reason": "Reported to the authority, file 12.3-4"}],
    "CaseWanted": [
        {"kind": "BREACH", "summary": "Lost laptop, ticket 77", "began_at": _INSTANT, "tenant_id": None}
    ],
    "RegisterCase": [
        {
            "id": _OTHER_ID,
            "kind": "BREACH",
            "tenant_id": None,
            "summary": "Lost laptop, ticket 77",
            "began_at": _INSTANT,
            "due_at": "2026-11-26T10:00:00Z",
            "state": "OPEN",
            "reason": None,
            "created_at": _INSTANT,
            "changed_at": _INSTANT,
        }
    ],
    "ProcessingRegister": [{"controller": "EU Platform GmbH", "entries": [_PROCESSING]}],
    "RegisterEntry": [_PROCESSING],
    "Due": [_DUE],
    "RetentionPolicy": [
        {
            "transactional_days": 90,
            "user_activity_days": 180,
            "files_days": 365,
            "grace_days": 30,
            "audit_details_days": None,
            "deactivated_people_days": 365,
            "backups_days": 90,
        }
    ],
    "RetentionPreview": [{"items": [_DUE], "audit_details": 0, "deactivated_people": 0}],
    "Restriction": [{"reason": "The person disputes the address, ticket 4711"}],
    "HoldLift": [{"reason": "The case was settled on 2027-03-01"}],
    "HoldWanted": [{"reason": "Case 4 O 123/26, Landgericht Berlin", "user_id": None}],
    "LegalHold": [
        {
            "id": _OTHER_ID,
            "tenant_id": _TENANT_ID,
            "user_id": None,
            "reason": "Case 4 O 123/26, Landgericht Berlin",
            "placed_by": _USER_ID,
            "placed_at": _INSTANT,
            "lifted_by": None,
            "lifted_at": None,
            "lift_reason": None,
        }
    ],
}
