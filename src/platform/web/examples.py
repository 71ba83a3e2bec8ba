"""Examples of what is sent and answered, by the name of the schema; a test decodes each as its type."""

from typing import Any

from web.gdpr_examples import GDPR_EXAMPLES

_DAY = "2026-11-22"
_INSTANT = "2026-11-23T10:00:00Z"
_TENANT_ID = "5f0c2f5e-8f0a-4c57-9a39-0d7a7c1b2a10"
_USER_ID = "0a3d3f4e-5b6c-4d7e-8f90-a1b2c3d4e5f6"
_OTHER_ID = "9b2d6a54-1c3e-4f58-8a7b-6c5d4e3f2a1b"

_ORGANISATION = {"name": "Acme Cloud", "slug": "acme-cloud", "country": "DE", "vat_id": "DE123456789"}
_TENANT = {
    "id": _TENANT_ID,
    "slug": "acme-cloud",
    "name": "Acme Cloud",
    "state": "ACTIVE",
    "country": "DE",
    "vat_id": "DE123456789",
    "time_zone": "Europe/Berlin",
    "currency": "EUR",
    "created_at": _INSTANT,
    "tier": "standard",
    "require_second_factor": False,
}
_ACCOUNT = {"id": _USER_ID, "email": "ada@example.com", "full_name": "Ada Lovelace", "role": "OWNER"}
_JOB = {
    "id": _OTHER_ID,
    "kind": "provision_tenant",
    "tenant_id": _TENANT_ID,
    "args": {},
    "state": "DONE",
    "step": "founder",
    "progress": 1.0,
    "attempts": 1,
    "error": None,
    "request_id": "b6d8f0c2",
    "created_at": _INSTANT,
    "finished_at": _INSTANT,
}
_EVENT = {
    "id": _INSTANT,
    "source": "vm-1",
    "resource": "cpu",
    "quantity": "0.25",
    "occurred_at": _INSTANT,
}
_LINE = {
    "position": 1,
    "resource": "cpu",
    "description": "cpu (vCPU-hour)",
    "quantity": "720",
    "unit": "vCPU-hour",
    "unit_price": "0.02",
    "amount": {"amount": "14.40", "currency": "EUR"},
}
_PRICE = {
    "id": _OTHER_ID,
    "tenant_id": None,
    "resource": "cpu",
    "unit_price": "0.02",
    "currency": "EUR",
    "effective_from": "2026-01-01",
}
_SUMMARY = {
    "id": _OTHER_ID,
    "month": "2026-10",
    "state": "ISSUED",
    "number": "ACME-CLOUD-2026-00001",
    "currency": "EUR",
    "net": {"amount": "14.40", "currency": "EUR"},
    "vat": {"amount": "2.74", "currency": "EUR"},
    "total": {"amount": "17.14", "currency": "EUR"},
    "created_at": "2026-11-02T01:00:00Z",
    "issued_at": "2026-11-02T01:00:00Z",
    "due_on": "2026-11-16",
}
_CONTENT = {
    "month": "2026-10",
    "currency": "EUR",
    "seller": {"name": "EU Platform GmbH", "country": "DE", "vat_id": "DE987654321"},
    "buyer": {"name": "Acme Cloud", "country": "DE", "vat_id": "DE123456789"},
    "lines": [_LINE],
    "net": _SUMMARY["net"],
    "vat_rule": "domestic",
    "vat_rate": "19",
    "vat": _SUMMARY["vat"],
    "total": _SUMMARY["total"],
    "note": "",
}
_API_KEY = {
    "id": _OTHER_ID,
    "tenant_id": _TENANT_ID,
    "name": "Meter of rack 7",
    "hint": "eup_5DpqYb2T",
    "scopes": ["usage:write"],
    "networks": ["203.0.113.0/24"],
    "created_by": _USER_ID,
    "created_at": _INSTANT,
    "expires_at": None,
    "last_used_at": _INSTANT,
    "revoked_at": None,
}
_INVITATION = {
    "id": _OTHER_ID,
    "email": "grace@example.com",
    "role": "MEMBER",
    "invited_by": _USER_ID,
    "created_at": _INSTANT,
    "expires_at": "2026-11-30T10:00:00Z",
    "accepted_at": None,
    "revoked_at": None,
}

_STATEMENT = {
    "format": "eu-platform/erasure-certificate/1",
    "issuer": "EU Platform GmbH",
    "tenant_id": _TENANT_ID,
    "requested_at": _INSTANT,
    "issued_at": "2026-12-23T10:00:02Z",
    "is_clean": True,
    "steps": [{"step": "freeze", "finished_at": "2026-12-23T10:00:00Z"}],
    "retained": [
        {
            "what": "legal archive, encrypted: 12 issued invoices and what supports them",
            "basis": "§ 147 Abs. 1 Nr. 4, Abs. 3 AO",
            "until": "2034-12-31",
        }
    ],
    "scan": {
        "emails": 4,
        "names": 4,
        "user_ids": 4,
        "findings": [],
        "pseudonyms": [{"place": "public.audit_log.actor_id", "kind": "user_id", "count": 31}],
    },
    "inclusion": {
        "chain": "platform",
        "entry": _OTHER_ID,
        "sequence": 2,
        "size": 3,
        "leaf_hash": "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "root": "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "hashes": ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
        "checkpoint": "eu-platform/audit/platform\n3\nrra8/idLcKFPsGel5VeCZNsPqbUa9eC6FZFY8yngbnc=\n\n— …\n",
    },
}

_ERASURE: dict[str, Any] = {
    "tenant_id": _TENANT_ID,
    "state": "REQUESTED",
    "requested_at": _INSTANT,
    "due_at": "2026-12-23T10:00:00Z",
    "job_id": _OTHER_ID,
    "steps": [],
    "ended_at": None,
}
_EXPORT = {
    "id": _OTHER_ID,
    "tenant_id": _TENANT_ID,
    "format": "json",
    "state": "DONE",
    "progress": 1.0,
    "error": None,
    "requested_by": _USER_ID,
    "created_at": _INSTANT,
    "finished_at": _INSTANT,
    "expires_at": "2026-11-26T10:00:00Z",
    "deleted_at": None,
    "size": 482_113,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "rows": 20_418,
}

EXAMPLES: dict[str, list[dict[str, Any]]] = {
    "Acceptance": [
        {
            "invitation": "eui_acme-cloud_q83vEjRWeJA…",
            "password": "correct horse battery staple",
            "full_name": "Grace Hopper",
        }
    ],
    "Account": [_ACCOUNT],
    "AccessToken": [{"access_token": "eyJhbGciOiJSUzI1NiIs…", "token_type": "Bearer", "expires_in": 900}],
    "Acknowledgement": [{"note": "A load test; nothing to mend."}],
    "AuditRecord": [
        {
            "sequence": 0,
            "id": "9b2d6a54-1c3e-4f58-8a7b-6c5d4e3f2a11",
            "occurred_at": _INSTANT,
            "actor_kind": "user",
            "actor_id": _USER_ID,
            "action": "auth.login",
            "subject": f"user:{_USER_ID}",
            "outcome": "success",
            "request_id": "b6d8f0c2",
            "address": "192.0.2.7",
            "details": {},
            "erased_at": None,
            "leaf_hash": "16101971aaa713fbee8cd8f1108bec35f85513b9b73a40684df937a51d3cdecb",
            "entry_hash": "d945cf4138852fc06c325db88ac4bfe33e299d31b97646a985edacdc1e26536d",
        }
    ],
    "AuditKeys": [{"keys": ["ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"]}],
    "Inclusion": [
        {
            "sequence": 0,
            "size": 3,
            "leaf_hash": "16101971aaa713fbee8cd8f1108bec35f85513b9b73a40684df937a51d3cdecb",
            "root": "37966025c7ccec4b5500e603db38c715052597b9c233d758e8979b866861834b",
            "hashes": [
                "c3b880b841451288337532830e3c24342461303246a75ced277f69486dbe5e7e",
                "333bc9a023bfc7ce6eedf4f12ef1999e097690f71929266edc6793a861a498ef",
            ],
            "checkpoint": (
                "eu-platform/audit/5f0c2f5e-8f0a-4c57-9a39-0d7a7c1b2a10\n"
                "3\nN5ZgJcfM7EtVAOYD2zjHFQUll7nCM9dY6Jebhmhhg0s=\n\n"
                "— eu-platform/audit/5f0c2f5e-8f0a-4c57-9a39-0d7a7c1b2a10 "
                "4reFdTuNQPnJluxxl9twR3XMzF51Mp5krK9haLXWQlfgYHCoCKC+QKMT9un91G0xu8AEVYRmNd3iQslEebiROwMN9gc=\n"
            ),
        }
    ],
    "Consistency": [
        {
            "old": 2,
            "new": 3,
            "old_root": "d36dd6cabb2ad0bb564cfbd7ffa7591b027e57469a8b17a79757716d0b25f537",
            "new_root": "37966025c7ccec4b5500e603db38c715052597b9c233d758e8979b866861834b",
            "hashes": ["333bc9a023bfc7ce6eedf4f12ef1999e097690f71929266edc6793a861a498ef"],
        }
    ],
    "Anomaly": [
        {
            "id": _OTHER_ID,
            "day": _DAY,
            "resource": "network",
            "observed": "812.5",
            "expected": 240.1,
            "expected_low": 190.0,
            "expected_high": 290.2,
            "z_score": 28.5,
            "severity": "high",
            "detected_at": _INSTANT,
            "acknowledged_at": None,
            "acknowledged_by": None,
            "note": None,
        }
    ],
    "ApiKey": [_API_KEY],
    "ApiKeyMade": [_API_KEY | {"last_used_at": None, "key": "eup_5DpqYb2T…_1a2B3c"}],
    "ApiKeyWanted": [{"name": "Meter of rack 7", "scopes": ["usage:write"], "networks": ["203.0.113.0/24"]}],
    "ArchiveWanted": [{"reason": "Audit by the tax office, file 12/345/67890"}],
    "Certificate": [
        {
            "statement": _STATEMENT,
            "signature": "0bS5kTqR2hZVmPfL3yPZ9w…",
            "public_key": "k1n8Yp6v2QmJd0aG5uXc…",
        }
    ],
    "CloudEvent": [
        {
            "specversion": "1.0",
            "id": _INSTANT,
            "source": "vm-1",
            "type": "usage.cpu",
            "time": _INSTANT,
            "data": {"quantity": "0.25"},
        }
    ],
    "CostRecord": [
        {
            "day": _DAY,
            "resource": "cpu",
            "quantity": "24",
            "unit_price": "0.02",
            "price_id": _OTHER_ID,
            "cost": {"amount": "0.480000", "currency": "EUR"},
        }
    ],
    "CurrentCosts": [
        {
            "month": "2026-11",
            "total": {"amount": "10.56", "currency": "EUR"},
            "resources": [
                {
                    "resource": "cpu",
                    "unit": "vCPU-hour",
                    "quantity": "528",
                    "cost": {"amount": "10.560000", "currency": "EUR"},
                }
            ],
            "up_to": _DAY,
        }
    ],
    "Enrolment": [
        {
            "secret": "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP",
            "otpauth_uri": "otpauth://totp/eu-platform:ada%40example.com"
            "?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=eu-platform",
        }
    ],
    "Erasure": [_ERASURE],
    "ErasureProgress": [
        _ERASURE
        | {"certificate_url": f"/api/v1/erasures/{_TENANT_ID}/certificate?signature=3a7bd3e2360a3d29…"}
    ],
    "ErasureWanted": [{"confirm": "acme-cloud"}],
    "Export": [_EXPORT],
    "ExportState": [
        _EXPORT
        | {
            "download": {
                "url": f"/api/v1/downloads/{_OTHER_ID}?expires=1795687200&signature=3a7bd3e2360a3d29…",
                "expires_at": "2026-11-26T10:00:00Z",
            }
        }
    ],
    "ExportWanted": [{"format": "json"}],
    "Health": [{"status": "ok", "checks": {"database": "ok", "redis": "ok"}, "duration_ms": 1.2}],
    "Invitation": [_INVITATION],
    "InvitationMade": [_INVITATION | {"token": "eui_acme-cloud_q83vEjRWeJA…"}],
    "InvitationWanted": [{"email": "grace@example.com", "role": "MEMBER"}],
    "Invoice": [
        _CONTENT
        | {key: _SUMMARY[key] for key in ("id", "state", "number", "issued_at", "due_on", "created_at")}
    ],
    "InvoiceContent": [_CONTENT],
    "InvoiceSummary": [_SUMMARY],
    "Job": [_JOB],
    "Joined": [
        {
            "user": _ACCOUNT | {"email": "grace@example.com", "full_name": "Grace Hopper", "role": "MEMBER"},
            "tenant": _TENANT,
        }
    ],
    "KeySet": [
        {
            "keys": [
                {
                    "kty": "RSA",
                    "kid": "2026-11",
                    "n": "0vx7agoebGcQ…",
                    "e": "AQAB",
                    "alg": "RS256",
                    "use": "sig",
                }
            ]
        }
    ],
    "Liveness": [{"status": "ok"}],
    "Login": [
        {"tenant": "acme-cloud", "email": "ada@example.com", "password": "correct horse battery staple"}
    ],
    "LostPassword": [{"tenant": "acme-cloud", "email": "ada@example.com"}],
    "Me": [{"user": _ACCOUNT, "tenant": _TENANT}],
    "Money": [{"amount": "12.34", "currency": "EUR"}],
    "NewPrice": [{"resource": "cpu", "unit_price": "0.018", "effective_from": "2027-01-01"}],
    "OpenSession": [
        {
            "id": _OTHER_ID,
            "device": "Mozilla/5.0 (X11; Linux x86_64)",
            "address": "203.0.113.7",
            "created_at": _INSTANT,
            "last_used_at": _INSTANT,
            "current": True,
        }
    ],
    "Organisation": [_ORGANISATION],
    "OwnPassword": [{"password": "correct horse battery staple"}],
    "PasswordChange": [
        {"current_password": "correct horse battery staple", "new_password": "seven quiet rivers, no bridge"}
    ],
    "PasswordReset": [
        {"token": "epr_acme-cloud_q83vEjRWeJA…", "new_password": "seven quiet rivers, no bridge"}
    ],
    "Price": [_PRICE],
    "Prices": [{"items": [_PRICE | {"tenant_id": _TENANT_ID, "unit_price": "0.018"}], "default": [_PRICE]}],
    "Problem": [
        {
            "type": "urn:eu-platform:problem:invalid-input",
            "title": "Invalid input",
            "status": 422,
            "detail": "The request is not valid; see errors.",
            "request_id": "b6d8f0c2",
            "errors": [{"index": 3, "detail": "quantity: must not be negative"}],
        }
    ],
    "Projection": [
        {
            "month": "2026-11",
            "so_far": {"amount": "10.56", "currency": "EUR"},
            "projected": {"amount": "14.40", "currency": "EUR"},
            "complete_days": 22,
            "days_in_month": 30,
        }
    ],
    "RecoveryCodes": [{"recovery_codes": ["mfra-ggzd-emtf-q2lb-ovzc-a43p"]}],
    "Refresh": [{"refresh_token": "eur_acme-cloud_q83vEjRWeJA…"}],
    "Registration": [
        {
            "organisation": _ORGANISATION,
            "email": "ada@example.com",
            "password": "correct horse battery staple",
            "full_name": "Ada Lovelace",
        }
    ],
    "ResetAsked": [{"detail": "If there is such an account, a mail with a token is on its way to it."}],
    "ShownCode": [{"code": "287082"}],
    "StoredEvent": [_EVENT | {"received_at": _INSTANT, "attributes": None}],
    "Tenant": [_TENANT],
    "TenantChanges": [{"name": "Acme Cloud SE"}],
    "TenantToFound": [_ORGANISATION | {"tier": "premium"}],
    "TenantFounded": [{"tenant": _TENANT, "job": _JOB, "user": _ACCOUNT}],
    "Tokens": [
        {
            "access_token": "eyJhbGciOiJSUzI1NiIs…",
            "refresh_token": "eur_acme-cloud_q83vEjRWeJA…",
            "token_type": "Bearer",
            "expires_in": 900,
        }
    ],
    "User": [_ACCOUNT | {"state": "ACTIVE", "has_second_factor": False, "created_at": _INSTANT}],
    "UserChanges": [{"role": "ADMIN"}],
    "UsageAccepted": [
        {
            "accepted": 998,
            "duplicates": 1,
            "rejected": [{"index": 3, "detail": "quantity: must not be negative"}],
        }
    ],
    "UsageEvent": [_EVENT],
    **GDPR_EXAMPLES,
}
