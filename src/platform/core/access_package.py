"""The answer to a request for access (Art. 15 GDPR): what is held of a person, why, and for how long."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from html import escape
from typing import Any
from uuid import UUID

import msgspec

from core.classification import Scope, exported_columns, table_named
from core.html_page import fact_list, html_page
from core.processing import PROCESSING, Processing

Row = Mapping[str, Any]

SHARED = frozenset({"api_keys", "audit_log"})
"""Tables of the shared schema that hold rows of a tenant's people; all others are the tenant's own."""

RIGHTS = (
    "You may ask for correction of what is wrong (Art. 16), for erasure (Art. 17), for restriction of "
    "processing (Art. 18) and for your data in a machine-readable form (Art. 20), object to processing "
    "(Art. 21), and complain to a supervisory authority (Art. 77). No decision about you is made by machines "
    "alone (Art. 22). The data came from you, from whoever invited you, and from your use of the platform."
)


class Holding(msgspec.Struct, frozen=True):
    """The rows of one table that speak of a person, and why they are there."""

    table: str
    processing: Processing
    rows: list[dict[str, Any]]


class AccessPackage(msgspec.Struct, frozen=True):
    """All that is held of a person at one moment; `complete` is false where audit entries are left out."""

    controller: str
    tenant: str
    user_id: UUID
    made_at: datetime
    complete: bool
    rights: str
    holdings: list[Holding]


def holdings(found: Iterable[tuple[str, Row]]) -> list[Holding]:
    """The rows found, by table, without what the classification keeps secret or internal."""
    rows: dict[str, list[dict[str, Any]]] = {}
    for name, row in found:
        shown = exported_columns(_scope(name), name)
        rows.setdefault(name, []).append({column: row[column] for column in shown if column in row})
    return [Holding(name, _processing(name), rows[name]) for name in sorted(rows)]


def page_of(package: AccessPackage) -> str:
    """The package as one page of HTML that needs no network and runs no script."""
    limits = "" if package.complete else "<p>Only the latest audit entries are shown.</p>\n"
    return html_page(
        "What is held of you",
        f"{fact_list(_facts(package))}<p>{escape(package.rights)}</p>\n{limits}"
        f"{''.join(map(_section, package.holdings))}",
    )


def _facts(package: AccessPackage) -> list[tuple[str, str]]:
    return [
        ("Responsible", package.controller),
        ("Organisation", package.tenant),
        ("Your account", str(package.user_id)),
        ("As of", package.made_at.isoformat()),
    ]


def _section(holding: Holding) -> str:
    why = holding.processing
    facts = [
        ("Why", why.purpose),
        ("Ground", why.legal_basis),
        ("For how long", why.kept),
        ("Disclosed to", why.recipients),
    ]
    return f"<h2>{escape(holding.table)}</h2>\n{fact_list(facts)}{_table(holding.rows)}"


def _table(rows: list[dict[str, Any]]) -> str:
    names = list(rows[0])
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(_text(row[name]))}</td>" for name in names) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>\n'


def _text(value: object) -> str:
    return "" if value is None else value if isinstance(value, str) else msgspec.json.encode(value).decode()


def _processing(name: str) -> Processing:
    return PROCESSING[table_named(_scope(name), name).activity]


def _scope(name: str) -> Scope:
    return Scope.PUBLIC if name in SHARED else Scope.TENANT
