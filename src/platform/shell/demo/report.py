"""The report of `eu-platform demo`: what each tenant sees, and how good the rule for anomalies is."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from io import StringIO
from typing import Final

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from core.anomaly import Judgement, Severity
from core.evaluation import Evaluation, Score, total_score
from core.invoicing import Invoice
from core.money import Money, total
from core.period import Month
from core.vat import VatRule
from shell.anomalies import Anomaly
from shell.demo.reading import Findings, ResourceUse

WIDTH: Final = 100
INDENT: Final = (0, 0, 1, 2)
DIGITS: Final = 3
MANY: Final = 1_000
NOTHING: Final = "-"

VAT_NAMES: Final = {
    VatRule.DOMESTIC: "domestic",
    VatRule.REVERSE_CHARGE: "reverse charge",
    VatRule.EU_CONSUMER: "consumer's country",
    VatRule.OUTSIDE_EU: "outside the EU",
}


class Evaluated(msgspec.Struct, frozen=True):
    """A series by its name, and what the rule said about it."""

    name: str
    evaluation: Evaluation


class Reported(msgspec.Struct, frozen=True):
    """What one tenant sees, where it is, and what a reader should know of its anomalies."""

    place: str
    findings: Findings
    remark: str | None = None


class Report(msgspec.Struct, frozen=True):
    """All that is printed: where the usage came from, what each tenant sees, and how good the rule is.

    `heading` and `labels` tell what the rule is compared with.
    """

    origin: str
    tenants: list[Reported]
    evaluated: list[Evaluated]
    heading: str
    labels: str


def print_report(report: Report) -> None:
    """Print the report on standard output: a hundred columns at most, plain where that is no terminal."""
    console = Console(highlight=False)
    if console.is_terminal:
        console.width = min(console.width, WIDTH)
        console.print(_whole(report))
        return
    plain = Console(file=StringIO(), width=WIDTH, highlight=False, color_system=None)
    with plain.capture() as capture:
        plain.print(_whole(report))
    click.echo("\n".join(line.rstrip() for line in capture.get().rstrip().splitlines()))


def _whole(report: Report) -> RenderableType:
    tenants = [_tenant(reported) for reported in report.tenants]
    return Group(Text(report.origin), Text(""), *tenants, _quality(report))


# --- one tenant ---------------------------------------------------------------------------------


def _tenant(reported: Reported) -> RenderableType:
    findings = reported.findings
    tenant = findings.tenant
    return Group(
        _heading(f"{tenant.name} · {reported.place} · {tenant.time_zone}"),
        _block(f"Usage and cost in {_month(findings.month)}", _uses(findings.uses)),
        _anomalies(findings.anomalies, reported.remark),
        _invoice(findings.invoice),
    )


def _uses(uses: Sequence[ResourceUse]) -> Table:
    table = _table()
    table.add_column("resource", width=12)
    table.add_column("days", justify="right", width=6)
    table.add_column("usage", justify="right", width=18)
    table.add_column("unit", width=12)
    table.add_column("cost in EUR, exact", justify="right", width=23)
    for use in uses:
        table.add_row(use.resource, str(use.days), _quantity(use.quantity), use.unit, f"{use.cost:,.6f}")
    table.add_row("total", "", "", "", f"{total(use.cost for use in uses):,.6f}", style="bold")
    return table


def _anomalies(anomalies: Sequence[Anomaly], remark: str | None) -> RenderableType:
    title = "Anomalies: days that lie 2.5 standard deviations or more from the seven days before"
    if not anomalies:
        return _block(title, Text("none"))
    table = _table()
    table.add_column("day", width=10)
    table.add_column("resource", width=9)
    table.add_column("observed", justify="right", width=12)
    table.add_column("expected range", justify="right", width=23)
    table.add_column("z-score", justify="right", width=7)
    table.add_column("severity", justify="right", width=8)
    for anomaly in anomalies:
        table.add_row(
            str(anomaly.day),
            anomaly.resource,
            _quantity(anomaly.observed),
            _range(anomaly.expected_low, anomaly.expected_high),
            f"{anomaly.z_score:+.1f}",
            Text(anomaly.severity, "red" if anomaly.severity is Severity.HIGH else "yellow"),
        )
    return _block(title, table, *([Text(remark, "dim")] if remark else []))


def _invoice(invoice: Invoice) -> RenderableType:
    issued = "" if invoice.issued_at is None else f", issued {invoice.issued_at:%Y-%m-%d}"
    table = _table()
    table.add_column("", justify="right", width=2)
    table.add_column("line", width=33)
    table.add_column("quantity", justify="right", width=16)
    table.add_column("price", justify="right", width=8)
    table.add_column("EUR", justify="right", width=12)
    for line in invoice.lines:
        table.add_row(
            str(line.position),
            line.description,
            _quantity(line.quantity),
            f"{line.unit_price}",
            _cents(line.amount),
        )
    rate = f"VAT {invoice.vat_rate.normalize():f} % ({VAT_NAMES[VatRule(invoice.vat_rule)]})"
    table.add_row("", "net", "", "", _cents(invoice.net))
    table.add_row("", rate, "", "", _cents(invoice.vat))
    table.add_row("", "total", "", "", _cents(invoice.total), style="bold")
    title = f"Invoice {invoice.number}{issued}, due {invoice.due_on}"
    return _block(title, table, *([Text(invoice.note, "dim")] if invoice.note else []))


# --- the rule -------------------------------------------------------------------------------------


def _quality(report: Report) -> RenderableType:
    score = total_score(item.evaluation.score for item in report.evaluated)
    table = _table()
    table.add_column("series", width=27)
    table.add_column("flagged rightly", width=17)
    table.add_column("flagged wrongly", width=15)
    table.add_column("windows found", width=13)
    table.add_column("precision", justify="right", width=9)
    table.add_column("recall", justify="right", width=6)
    for name, evaluation in ((item.name, item.evaluation) for item in report.evaluated):
        if evaluation.score.flagged or evaluation.score.windows:
            rightly, wrongly = _days(evaluation.true_positives), _days(evaluation.false_positives)
            table.add_row(name, rightly, wrongly, *_figures(evaluation.score))
    flagged = (f"{score.true_positives} days", f"{score.flagged - score.true_positives} days")
    table.add_row("all", *flagged, *_figures(score), style="bold")
    return Group(
        _heading(report.heading), Padding(Group(table, Text(""), _meaning(score, report.labels)), INDENT)
    )


def _figures(score: Score) -> tuple[str, str, str]:
    return f"{score.found} of {score.windows}", _per_cent(score.precision), _per_cent(score.recall)


def _meaning(score: Score, labels: str) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_row(
        "precision",
        f"{score.true_positives} of the {score.flagged} flagged days overlap a labelled window; flagging "
        f"blindly would reach {_per_cent(score.by_chance)}, for {score.labelled} of the {score.judged} "
        "judged days do.",
    )
    table.add_row("recall", f"{score.found} of the {score.windows} windows overlap a flagged day.")
    table.add_row("judged", labels)
    return table


def _days(judgements: Iterable[Judgement]) -> str:
    return " ".join(f"{judgement.day:%m-%d}" for judgement in judgements) or NOTHING


# --- how things are written -------------------------------------------------------------------------


def _heading(text: str) -> RenderableType:
    return Padding(Rule(Text(text, "bold"), align="left", style="dim"), (0, 0, 1, 0))


def _block(title: str, *content: RenderableType) -> RenderableType:
    return Padding(Group(Text(title, "bold"), *content), INDENT)


def _table() -> Table:
    return Table(
        box=SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True, header_style="not bold"
    )


def _month(month: Month) -> str:
    return f"{month.first_day:%B %Y}"


def _cents(money: Money) -> str:
    return f"{money.amount:,.2f}"


def _quantity(quantity: Decimal) -> str:
    """With three decimals, or with as much space where there are none: the points stay below each other."""
    if quantity == quantity.to_integral_value():
        return f"{quantity:,.0f}" + " " * (DIGITS + 1)
    return f"{quantity:,.{DIGITS}f}"


def _range(low: float, high: float) -> str:
    digits = 0 if high >= MANY else DIGITS
    return f"{low:,.{digits}f} … {high:,.{digits}f}"


def _per_cent(share: float | None) -> str:
    return NOTHING if share is None else f"{share:.0%}"
