"""The register of processing (Art. 30 GDPR), made from the classification of columns."""

from html import escape

import msgspec

from core.classification import CLASSIFICATION, Activity, Category, Subject
from core.html_page import fact_list, html_page
from core.processing import PROCESSING

SECURITY = (
    "a database role and schema for each tenant; Argon2id, second factors, short-lived tokens; an audit log "
    "that anybody can check; see docs/security.md"
)


class RegisterEntry(msgspec.Struct, frozen=True):
    """A processing activity with what Art. 30(1) asks for; no data goes to third countries."""

    activity: Activity
    purpose: str
    legal_basis: str
    subjects: list[Subject]
    categories: list[Category]
    recipients: str
    kept: str
    security: str
    tables: list[str]


class ProcessingRegister(msgspec.Struct, frozen=True):
    """All activities, and who is responsible for them."""

    controller: str
    entries: list[RegisterEntry]


def processing_register(controller: str) -> ProcessingRegister:
    """The register as the classification has it today."""
    return ProcessingRegister(controller, [_entry(activity) for activity in Activity])


def markdown_of(register: ProcessingRegister) -> str:
    """The register for people to read, in Markdown."""
    chapters = (
        f"\n## {entry.activity.capitalize()}\n\n" + "".join(f"- **{k}**: {v}\n" for k, v in _facts(entry))
        for entry in register.entries
    )
    return f"# {_title(register)}\n" + "".join(chapters)


def page_of(register: ProcessingRegister) -> str:
    """The register for people to read, print or hand over, as one page of HTML."""
    chapters = (
        f"<h2>{escape(entry.activity.capitalize())}</h2>\n{fact_list(_facts(entry))}"
        for entry in register.entries
    )
    return html_page(_title(register), "".join(chapters))


def _title(register: ProcessingRegister) -> str:
    return f"Register of processing: {register.controller}"


def _entry(activity: Activity) -> RegisterEntry:
    what = PROCESSING[activity]
    tables = {table: columns for table, columns in CLASSIFICATION.items() if table.activity is activity}
    columns = [column for each in tables.values() for column in each.values()]
    return RegisterEntry(
        activity=activity,
        purpose=what.purpose,
        legal_basis=what.legal_basis,
        subjects=sorted({column.subject for column in columns} - {Subject.PLATFORM}),
        categories=sorted({column.category for column in columns}),
        recipients=what.recipients,
        kept=what.kept,
        security=SECURITY,
        tables=[str(table) for table in tables],
    )


def _facts(entry: RegisterEntry) -> list[tuple[str, str]]:
    return [
        ("Purpose", entry.purpose),
        ("Legal basis", entry.legal_basis),
        ("Data subjects", ", ".join(entry.subjects)),
        ("Categories of data", ", ".join(entry.categories)),
        ("Recipients", entry.recipients),
        ("Third countries", "none"),
        ("Kept", entry.kept),
        ("Security", entry.security),
        ("Tables", ", ".join(entry.tables)),
    ]
