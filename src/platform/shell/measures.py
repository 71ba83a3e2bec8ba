"""What is measured; import it only after `share_metrics`."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
AUDIT_WINDOWS = (0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300)

REQUESTS = Counter(
    "api_requests",
    "Requests answered.",
    ("method", "endpoint", "status", "tenant_id"),
)
REQUEST_SECONDS = Histogram(
    "api_request_duration_seconds",
    "How long requests took.",
    ("method", "endpoint"),
    buckets=DURATIONS,
)
TENANTS = Gauge(
    "tenant_count", "Tenants by state of their lifecycle.", ("status",), multiprocess_mode="mostrecent"
)
RESOURCE_USAGE = Gauge(
    "tenant_resource_usage",
    "Usage of the running month, in the resource's unit, as last aggregated.",
    ("tenant_id", "resource"),
    multiprocess_mode="mostrecent",
)
AUDIT_WINDOW = Histogram(
    "audit_sequencing_window_seconds",
    "How long entries may have been committed before they got their place in the audit log, at most.",
    buckets=AUDIT_WINDOWS,
)
AUDIT_UNSEQUENCED = Gauge(
    "audit_unsequenced_seconds",
    "Age of the oldest audit entry that has no place yet; 0 where all have one.",
    multiprocess_mode="mostrecent",
)
ANOMALIES = Counter("cost_anomalies", "Anomalies detected.", ("tenant_id", "resource"))


def exposition() -> bytes:
    """All processes' metrics together, in the text format."""
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]  # untyped in the library
    return generate_latest(registry)
