"""Certificates of erasure: what was erased when, what is kept and why, and what a scan still found."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from core.classification import CLASSIFICATION
from core.classification import Erasure as Treatment
from core.erasure import Erasure, Identifiers, Step
from core.erasure_scan import Finding, Trace

FORMAT = "eu-platform/erasure-certificate/1"

PSEUDONYMS = (
    "public.audit_log.",
    "logs/",
    *(
        f"{table}.{name}"
        for table, columns in CLASSIFICATION.items()
        for name, column in columns.items()
        if column.erasure is Treatment.PSEUDONYMISE
    ),
)
"""Where ids of erased people may stay, which name nobody any more: hashed entries, and logs that run out."""


class Retained(msgspec.Struct, frozen=True):
    """What was not erased, and why."""

    what: str
    basis: str
    until: str


class EntryProof(msgspec.Struct, frozen=True):
    """The proof that the audit log has the entry about the erasure: docs/audit.md tells how to check it.

    `checkpoint` is the signed note over the tree of `size` entries; hashes are in hex.
    """

    chain: str
    entry: str
    sequence: int
    size: int
    leaf_hash: str
    root: str
    hashes: list[str]
    checkpoint: str


class Scan(msgspec.Struct, frozen=True):
    """How many identifiers were looked for, where one was found, and where one that names nobody stays."""

    emails: int
    names: int
    user_ids: int
    findings: list[Finding]
    pseudonyms: list[Finding]


class StepTaken(msgspec.Struct, frozen=True):
    """A step and when it was done."""

    step: Step
    finished_at: str


class Statement(msgspec.Struct, frozen=True):
    """What is signed; only texts, whole numbers and lists of them, so that it has one canonical form."""

    format: str
    issuer: str
    tenant_id: str
    requested_at: str
    issued_at: str
    is_clean: bool
    steps: list[StepTaken]
    retained: list[Retained]
    scan: Scan
    inclusion: EntryProof


def scan_of(identifiers: Identifiers, found: Sequence[Finding]) -> Scan:
    """Tell what names an erased person from ids that lead to nobody any more."""
    leads_nowhere = [
        finding for finding in found if finding.kind is Trace.USER_ID and finding.place.startswith(PSEUDONYMS)
    ]
    return Scan(
        emails=len(identifiers.emails),
        names=len(identifiers.names),
        user_ids=len(identifiers.user_ids),
        findings=[finding for finding in found if finding not in leads_nowhere],
        pseudonyms=leads_nowhere,
    )


def statement_of(
    erasure: Erasure, scan: Scan, inclusion: EntryProof, *, issuer: str, now: datetime
) -> Statement:
    """The statement about an erasure whose steps have all been done but the last."""
    facts = {done.step: done.facts for done in erasure.steps}
    return Statement(
        format=FORMAT,
        issuer=issuer,
        tenant_id=str(erasure.tenant_id),
        requested_at=_rfc3339(erasure.requested_at),
        issued_at=_rfc3339(now),
        is_clean=not scan.findings,
        steps=[StepTaken(done.step, _rfc3339(done.finished_at)) for done in erasure.steps],
        retained=_retained(facts.get(Step.ARCHIVE, {})),
        scan=scan,
        inclusion=inclusion,
    )


def signed_bytes(statement: Any) -> bytes:
    """The canonical bytes of a statement (RFC 8785), from its struct or from the object that JSON gives."""
    return msgspec.json.encode(statement, order="sorted")


def _retained(archived: dict[str, str]) -> list[Retained]:
    kept = [
        Retained(
            "audit log: entries without details and addresses", "Art. 5(2), Art. 17(3)(b) and (e) GDPR", ""
        )
    ]
    if archived.get("keep_until"):
        what = f"legal archive, encrypted: {archived['invoices']} issued invoices and what supports them"
        kept.append(Retained(what, archived["legal_basis"], archived["keep_until"]))
    return kept


def _rfc3339(instant: datetime) -> str:
    return instant.strftime("%Y-%m-%dT%H:%M:%SZ")
