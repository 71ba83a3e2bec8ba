"""Grafana's dashboards as code: `python ops/grafana/dashboards.py` writes them (`just dashboards`).

A dashboard is rows of graphs, a graph is queries; everything else follows from them.
"""

import json
from itertools import count
from pathlib import Path
from string import ascii_uppercase

import msgspec
from grafana_foundation_sdk.builders.common import VizLegendOptions, VizTooltipOptions
from grafana_foundation_sdk.builders.dashboard import Dashboard as DashboardBuilder
from grafana_foundation_sdk.builders.dashboard import DashboardLink, QueryVariable, Row
from grafana_foundation_sdk.builders.logs import Panel as LogsPanel
from grafana_foundation_sdk.builders.loki import Dataquery as LogQuery
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    VariableRefresh,
    VariableSort,
)

FOLDER = Path(__file__).parent / "dashboards"
PROMETHEUS = DataSourceRef("prometheus", "prometheus")
LOKI = DataSourceRef("loki", "loki")
TAG = "eu-platform"
WIDTH, HEIGHT = 12, 8
"""Of a graph: two beside each other, on Grafana's grid of 24 columns."""


class Query(msgspec.Struct, frozen=True):
    """An expression of PromQL, and how its series are named."""

    expression: str
    legend: str


class Graph(msgspec.Struct, frozen=True):
    """A panel: series over time, in a unit of Grafana's."""

    title: str
    unit: str
    queries: tuple[Query, ...]
    description: str = ""
    leads_to_tenant: bool = False


class Dashboard(msgspec.Struct, frozen=True):
    """A page: rows of graphs, and the log lines that belong to them."""

    uid: str
    title: str
    description: str
    rows: tuple[tuple[str, tuple[Graph, ...]], ...]
    logs: str
    of_one_tenant: bool = False


def graph(title: str, unit: str, *queries: tuple[str, str], about: str = "", tenants: bool = False) -> Graph:
    """A graph of pairs of expression and legend."""
    return Graph(title, unit, tuple(Query(*query) for query in queries), about, tenants)


LINES = '{service=~"api|worker|scheduler"}'
TRAFFIC = 'endpoint!~"/metrics|/health.*"'

PLATFORM = Dashboard(
    uid="platform-overview",
    title="Platform",
    description="Is everything well, and if not, what is the matter.",
    logs=LINES + ' | level=~"warning|error|critical"',
    rows=(
        (
            "Requests",
            (
                graph(
                    "Requests by status",
                    "reqps",
                    ("sum by (status) (rate(api_requests_total[5m]))", "{{status}}"),
                ),
                graph(
                    "Errors by route",
                    "reqps",
                    (
                        'sum by (method, endpoint, status) (endpoint:api_requests:rate5m{status=~"4..|5.."})',
                        "{{status}} {{method}} {{endpoint}}",
                    ),
                    about="Answers of 400 and above. 5xx are the platform's fault.",
                ),
                graph(
                    "Latency by route",
                    "s",
                    ("endpoint:api_request_seconds:p95_5m", "{{method}} {{endpoint}}"),
                    about="95th percentile of five minutes.",
                ),
                graph(
                    "Latency",
                    "s",
                    *(
                        (
                            f"histogram_quantile({share}, sum by (le) "
                            f"(rate(api_request_duration_seconds_bucket{{{TRAFFIC}}}[5m])))",
                            name,
                        )
                        for share, name in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
                    ),
                ),
            ),
        ),
        (
            "Parts",
            (
                graph("Parts that answer", "short", ("min by (part) (platform_part_up)", "{{part}}")),
                graph(
                    "Connections",
                    "short",
                    ("sum by (job) (database_pool_used)", "{{job}} used"),
                    ("sum by (job) (database_pool_size)", "{{job}} most"),
                ),
                graph(
                    "Wait for a connection",
                    "s",
                    (
                        "histogram_quantile(0.95, sum by (job, le) "
                        "(rate(database_pool_wait_seconds_bucket[5m])))",
                        "{{job}}, 95 %",
                    ),
                ),
                graph("Tenants", "short", ("max by (status) (tenant_count)", "{{status}}")),
            ),
        ),
        (
            "Processes",
            (
                graph(
                    "Memory",
                    "bytes",
                    ("sum by (service) (platform_process_resident_memory_bytes)", "{{service}}"),
                ),
                graph(
                    "Processors",
                    "short",
                    ("sum by (service) (rate(platform_process_cpu_seconds_total[5m]))", "{{service}}"),
                ),
                graph("Open files", "short", ("sum by (service) (platform_process_open_fds)", "{{service}}")),
                graph("Processes", "short", ("sum by (service) (platform_processes)", "{{service}}")),
            ),
        ),
    ),
)

TENANT = Dashboard(
    uid="platform-tenant",
    title="One tenant",
    description="What one tenant does, uses and is told.",
    of_one_tenant=True,
    logs=LINES + ' | tenant_id="$tenant"',
    rows=(
        (
            "Requests",
            (
                graph(
                    "Requests by status",
                    "reqps",
                    (
                        'sum by (status) (rate(api_requests_total{tenant_id="$tenant"}[5m]))',
                        "{{status}}",
                    ),
                ),
                graph(
                    "Requests by route",
                    "reqps",
                    (
                        'sum by (method, endpoint) (rate(api_requests_total{tenant_id="$tenant"}[5m]))',
                        "{{method}} {{endpoint}}",
                    ),
                ),
            ),
        ),
        (
            "Usage",
            (
                graph(
                    "Events",
                    "cps",
                    (
                        'sum by (outcome) (rate(usage_events_total{tenant_id="$tenant"}[5m]))',
                        "{{outcome}}",
                    ),
                ),
                graph(
                    "Usage of the running month",
                    "short",
                    (
                        'max by (resource) (tenant_resource_usage{tenant_id="$tenant"})',
                        "{{resource}}",
                    ),
                    about="In the resource's unit, as last aggregated.",
                ),
                graph(
                    "Time since the last aggregation",
                    "s",
                    (
                        'time() - max(tenant_last_aggregation_timestamp_seconds{tenant_id="$tenant"})',
                        "since",
                    ),
                    about="It grows while a tenant sends nothing.",
                ),
                graph(
                    "Anomalies detected",
                    "short",
                    (
                        'sum by (resource) (increase(cost_anomalies_total{tenant_id="$tenant"}[1d]))'
                        " or vector(0)",
                        "{{resource}}",
                    ),
                    about="In the day before.",
                ),
            ),
        ),
    ),
)

BILLING = Dashboard(
    uid="platform-billing",
    title="Billing pipeline",
    description="From usage to invoices: what is taken, what waits, what is closed.",
    logs=LINES + ' | json | kind=~"close_days|invoice_month"',
    rows=(
        (
            "Usage",
            (
                graph("Events", "cps", ("sum by (outcome) (rate(usage_events_total[5m]))", "{{outcome}}")),
                graph(
                    "Tenants that send most",
                    "cps",
                    ("topk(10, sum by (tenant_id) (rate(usage_events_total[5m])))", "{{tenant_id}}"),
                    tenants=True,
                ),
                graph("Batches that wait", "short", ("max(usage_batches_waiting)", "batches")),
                graph(
                    "Longest without aggregation",
                    "s",
                    (
                        "topk(10, time() - max by (tenant_id) (tenant_last_aggregation_timestamp_seconds))",
                        "{{tenant_id}}",
                    ),
                    tenants=True,
                ),
            ),
        ),
        (
            "Closing and invoices",
            (
                graph(
                    "Attempts at closing and invoicing",
                    "cps",
                    (
                        "sum by (kind, outcome) "
                        '(rate(job_duration_seconds_count{kind=~"close_days|invoice_month"}[5m]))',
                        "{{kind}} {{outcome}}",
                    ),
                ),
                graph(
                    "Duration of closing",
                    "s",
                    ('kind:job_duration_seconds:p95_15m{kind=~"close_days|invoice_month"}', "{{kind}}, 95 %"),
                ),
                graph(
                    "Anomalies by resource",
                    "short",
                    ("sum by (resource) (increase(cost_anomalies_total[1d])) or vector(0)", "{{resource}}"),
                ),
                graph(
                    "Usage by resource",
                    "short",
                    (
                        "sum by (resource) (max by (tenant_id, resource) (tenant_resource_usage))",
                        "{{resource}}",
                    ),
                    about="Of the running month, of all tenants.",
                ),
            ),
        ),
    ),
)

JOBS = Dashboard(
    uid="platform-jobs",
    title="Jobs",
    description="Which jobs wait, run and fail, and whether anybody looks for work.",
    logs=LINES + ' | job_id!=""',
    rows=(
        (
            "Jobs",
            (
                graph("Open jobs", "short", ("kind:jobs_open:max", "{{kind}} {{state}}")),
                graph("Longest overdue", "s", ("kind:job_overdue_seconds:max", "{{kind}}")),
                graph(
                    "Attempts",
                    "cps",
                    (
                        "sum by (kind, outcome) (rate(job_duration_seconds_count[5m]))",
                        "{{kind}} {{outcome}}",
                    ),
                ),
                graph("Duration", "s", ("kind:job_duration_seconds:p95_15m", "{{kind}}, 95 %")),
                graph(
                    "Given up",
                    "short",
                    (
                        'sum by (kind) (increase(job_duration_seconds_count{outcome="failed"}[1h]))',
                        "{{kind}}",
                    ),
                ),
                graph("Mails", "short", ("sum by (outcome) (increase(mails_total[1h]))", "{{outcome}}")),
            ),
        ),
        (
            "Finders and scheduler",
            (
                graph(
                    "Finders",
                    "s",
                    (
                        "time() - max by (finder) (finder_last_success_timestamp_seconds)",
                        "{{finder}}",
                    ),
                    about="Time since each finder last ended well.",
                ),
                graph(
                    "Duration of finders",
                    "s",
                    (
                        "sum by (finder) (rate(finder_duration_seconds_sum[15m]))"
                        " / (sum by (finder) (rate(finder_duration_seconds_count[15m])) > 0)",
                        "{{finder}}",
                    ),
                ),
                graph("Scheduler's lag", "s", ("max by (finder) (scheduler_lag_seconds)", "{{finder}}")),
                graph(
                    "Announcements",
                    "cps",
                    ("sum by (outcome) (rate(scheduler_announcements_total[5m]))", "{{outcome}}"),
                ),
            ),
        ),
    ),
)

SECURITY = Dashboard(
    uid="platform-security",
    title="Security",
    description="Who is refused, and whether the audit log is complete.",
    logs=LINES + ' | json | status=~"401|403|429"',
    rows=(
        (
            "Refusals",
            (
                graph("Logins", "cps", ("sum by (outcome) (rate(logins_total[5m]))", "{{outcome}}")),
                graph(
                    "Share of failed logins",
                    "percentunit",
                    (
                        'sum(rate(logins_total{outcome=~"failed|throttled"}[15m]))'
                        " / (sum(rate(logins_total[15m])) > 0)",
                        "failed or throttled",
                    ),
                ),
                graph(
                    "Refused by status",
                    "reqps",
                    (
                        'sum by (status) (rate(api_requests_total{status=~"401|403|404|429"}[5m]))',
                        "{{status}}",
                    ),
                    about="404 also answers those who ask for another tenant's data.",
                ),
                graph(
                    "Refused by tenant",
                    "reqps",
                    (
                        "topk(10, sum by (tenant_id) "
                        '(rate(api_requests_total{status=~"401|403|404|429", tenant_id!=""}[5m])))'
                        " or vector(0)",
                        "{{tenant_id}}",
                    ),
                    tenants=True,
                ),
            ),
        ),
        (
            "Audit log",
            (
                graph("Entries without a place", "short", ("max(audit_unsequenced_entries)", "entries")),
                graph("Oldest without a place", "s", ("max(audit_unsequenced_seconds)", "age")),
                graph(
                    "Time until entries have their place",
                    "s",
                    (
                        "histogram_quantile(0.95, sum by (le) "
                        "(rate(audit_sequencing_window_seconds_bucket[15m])))",
                        "95 %, at most",
                    ),
                ),
                graph(
                    "Witness away",
                    "short",
                    ("sum(increase(audit_witness_failures_total[1h]))", "times"),
                ),
            ),
        ),
    ),
)

DASHBOARDS = (PLATFORM, TENANT, BILLING, JOBS, SECURITY)


def panel(graph_: Graph) -> TimeSeries:
    """Grafana's panel of a graph."""
    built = (
        TimeSeries()
        .title(graph_.title)
        .description(graph_.description)
        .datasource(PROMETHEUS)
        .unit(graph_.unit)
        .min(0)
        .span(WIDTH)
        .height(HEIGHT)
        .fill_opacity(10)
        .legend(
            VizLegendOptions()
            .show_legend(True)
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
        .tooltip(VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING))
    )
    for letter, query in zip(ascii_uppercase, graph_.queries, strict=False):
        built.with_target(
            Dataquery().expr(query.expression).legend_format(query.legend).range().ref_id(letter)
        )
    if graph_.leads_to_tenant:
        built.data_links(
            [
                DashboardLink("This tenant")
                .type(DashboardLinkType.LINK)
                .url(f"/d/{TENANT.uid}?var-tenant=${{__field.labels.tenant_id}}")
            ]
        )
    return built


def lines(query: str) -> LogsPanel:
    """The log lines; each leads on to those of its request, job and tenant by the data source's links."""
    return (
        LogsPanel()
        .title("Log lines")
        .datasource(LOKI)
        .show_time(True)
        .enable_log_details(True)
        .with_target(LogQuery().expr(query).max_lines(200))
        .span(2 * WIDTH)
        .height(HEIGHT)
    )


def built(dashboard: Dashboard) -> DashboardBuilder:
    """Grafana's dashboard."""
    page = (
        DashboardBuilder(dashboard.title)
        .uid(dashboard.uid)
        .description(dashboard.description)
        .tags([TAG])
        .timezone("browser")
        .time("now-6h", "now")
        .refresh("30s")
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .link(DashboardLink("Dashboards").type(DashboardLinkType.DASHBOARDS).tags([TAG]).as_dropdown(True))
    )
    if dashboard.of_one_tenant:
        page.with_variable(
            QueryVariable("tenant")
            .label("Tenant")
            .datasource(PROMETHEUS)
            .query('label_values(api_requests_total{tenant_id!=""}, tenant_id)')
            .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
            .sort(VariableSort.ALPHABETICAL_ASC)
        )
    ids = count(1)
    for title, graphs in dashboard.rows:
        page.with_row(Row(title).id(next(ids)))
        for each in graphs:
            page.with_panel(panel(each).id(next(ids)))
    return page.with_row(Row("Logs").id(next(ids))).with_panel(lines(dashboard.logs).id(next(ids)))


def written(dashboard: Dashboard) -> str:
    """The dashboard as Grafana reads it."""
    return json.dumps(built(dashboard).build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for dashboard in DASHBOARDS:
        (FOLDER / f"{dashboard.uid}.json").write_text(written(dashboard), "utf-8")


if __name__ == "__main__":
    main()
