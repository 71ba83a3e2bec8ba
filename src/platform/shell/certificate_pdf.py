"""A certificate of erasure as PDF, for people: one page or two, the same bytes each time."""

import io
import unicodedata
from collections.abc import Sequence
from xml.sax.saxutils import escape

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from core.certificate import EntryProof, Statement
from core.erasure import Step
from core.erasure_scan import Finding
from shell.certificates import Certificate

TITLE = ParagraphStyle("title", fontName="Helvetica-Bold", fontSize=18, leading=24, spaceAfter=2 * mm)
HEAD = ParagraphStyle(
    "head", fontName="Helvetica-Bold", fontSize=11, leading=14, spaceBefore=4 * mm, spaceAfter=1 * mm
)
TEXT = ParagraphStyle("text", fontName="Helvetica", fontSize=9.5, leading=13)
SMALL = ParagraphStyle("small", fontName="Courier", fontSize=7.5, leading=10, wordWrap="CJK")
WIDTHS = [46 * mm, 119 * mm]
GRID = TableStyle(
    [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, colors.Color(0.8, 0.8, 0.8)),
        ("LEFTPADDING", (0, 0), (0, -1), 0),
        ("TOPPADDING", (0, 0), (-1, -1), 2),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ]
)

UNDECOMPOSED = str.maketrans("ŁłĐđĦħŦŧ", "LlDdHhTt")
"""Letters of EU languages whose marks Unicode does not take apart."""

STEPS: dict[Step, str] = {
    Step.FREEZE: "Closed to its users",
    Step.ARCHIVE: "What the law requires archived",
    Step.DELETE_DATA: "Data deleted",
    Step.DROP_SCHEMA: "Schema and database role dropped",
    Step.PURGE_REDIS: "Redis purged",
    Step.AUDIT: "Entered in the audit log",
    Step.CLOSE: "Registered as deleted",
}


def pdf_of(certificate: Certificate) -> bytes:
    """The certificate on paper; what is signed is the JSON statement, whose signature it shows."""
    statement, output = certificate.statement, io.BytesIO()
    story: list[Flowable] = [
        Paragraph("Certificate of erasure", TITLE),
        Paragraph("Article 17, Regulation (EU) 2016/679 (GDPR)", TEXT),
        *_section("Subject", _subject(statement)),
        *_section("Steps", [(STEPS.get(step.step, step.step), step.finished_at) for step in statement.steps]),
        *_section("Not erased", [(each.what, _why(each.basis, each.until)) for each in statement.retained]),
        *_section("Scan", _scan(statement)),
        *_section(
            "Proof",
            _proof(statement.inclusion),
            small=[
                ("Root of that tree", statement.inclusion.root),
                ("Ed25519 signature", certificate.signature),
                ("Public key", certificate.public_key),
            ],
        ),
        Spacer(0, 4 * mm),
        Paragraph(
            "Signed are the canonical bytes (RFC 8785) of the statement in the certificate's JSON form, "
            "which also holds the inclusion proof of the audit entry.",
            TEXT,
        ),
    ]
    document = SimpleDocTemplate(
        output,
        pagesize=A4,
        leftMargin=20 * mm,
        rightMargin=20 * mm,
        topMargin=16 * mm,
        bottomMargin=14 * mm,
        title="Certificate of erasure",
        author=_printable(statement.issuer),
        invariant=1,
    )
    document.build(story)
    return output.getvalue()


def _subject(statement: Statement) -> list[tuple[str, str]]:
    return [
        ("Issued by", statement.issuer),
        ("Issued at", statement.issued_at),
        ("Tenant", statement.tenant_id),
        ("Erasure requested at", statement.requested_at),
    ]


def _proof(proof: EntryProof) -> list[tuple[str, str]]:
    place = f"number {proof.sequence} of the chain {proof.chain}, in the tree of {proof.size} entries"
    return [("Audit entry", proof.entry), ("Its place", place)]


def _scan(statement: Statement) -> list[tuple[str, str]]:
    scan = statement.scan
    looked_for = f"e-mail addresses: {scan.emails}, names: {scan.names}, ids of accounts: {scan.user_ids}"
    return [
        ("Looked for", looked_for),
        ("In", "every table of the shared schema, all keys and values of Redis, the logs of the worker"),
        ("Result", "Nothing was found." if statement.is_clean else "NOT CLEAN: " + _places(scan.findings)),
        ("Ids that lead nowhere", _places(scan.pseudonyms) if scan.pseudonyms else "none"),
    ]


def _places(findings: Sequence[Finding]) -> str:
    return "; ".join(f"{each.place}: {each.count} ({each.kind})" for each in findings)


def _why(basis: str, until: str) -> str:
    return f"{basis}; until {until}" if until else basis


def _section(
    title: str, rows: Sequence[tuple[str, str]], small: Sequence[tuple[str, str]] = ()
) -> list[Flowable]:
    cells = [[_paragraph(name, TEXT), _paragraph(value, TEXT)] for name, value in rows]
    cells += [[_paragraph(name, TEXT), _paragraph(value, SMALL)] for name, value in small]
    return [Paragraph(title, HEAD), Table(cells, colWidths=WIDTHS, style=GRID, hAlign="LEFT")]


def _paragraph(text: str, style: ParagraphStyle) -> Paragraph:
    return Paragraph(escape(_printable(text)), style)


def _printable(text: str) -> str:
    """The text in Windows-1252, which the fonts of every PDF reader have; other letters lose their marks."""
    return "".join(
        letter
        if _is_printable(letter)
        else unicodedata.normalize("NFKD", letter).encode("ascii", "ignore").decode() or "?"
        for letter in text.translate(UNDECOMPOSED)
    )


def _is_printable(letter: str) -> bool:
    try:
        letter.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True
