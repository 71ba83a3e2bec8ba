"""What is measured; a process counts together with others where `shell.metrics` has named a folder first.

A label is a route's template, a name from one of our tables, or a tenant's id; nothing that a caller chooses.
"""

from prometheus_client import Counter, Gauge, Histogram

DURATIONS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
AUDIT_WINDOWS = (0.1, 0.25, 0.5, 1, 1.5, 2, 3, 5, 10, 30, 60, 300)
WAITS = (0.0005, 0.001, 0.005, 0.025, 0.1, 0.5, 1, 5, 30)
JOB_DURATIONS = (0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 900, 3600)

# --- requests ---------------------------------------------------------------------------------------

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
USAGE_EVENTS = Counter(
    "usage_events", "Usage events sent: accepted, duplicate or rejected.", ("tenant_id", "outcome")
)
LOGINS = Counter(
    "logins",
    "Logins with a password: succeeded, failed, throttled, or refused since too many waited.",
    ("outcome",),
)
FOREIGN_ACCESSES = Counter("foreign_accesses", "Requests for a tenant that is not the caller's.")
MAILS = Counter("mails", "Mails handed on: sent or failed.", ("outcome",))

for _outcome in ("succeeded", "failed", "throttled", "refused"):
    LOGINS.labels(_outcome)  # from the first scrape on: the first failure must be an increase
for _outcome in ("sent", "failed"):
    MAILS.labels(_outcome)

# --- connections ------------------------------------------------------------------------------------

POOL_WAIT = Histogram(
    "database_pool_wait_seconds", "How long transactions waited for a connection.", buckets=WAITS
)
POOL_USED = Gauge("database_pool_used", "Connections that a transaction holds.", multiprocess_mode="livesum")
POOL_SIZE = Gauge("database_pool_size", "Connections that the pools may open.", multiprocess_mode="livesum")

# --- the pipeline -----------------------------------------------------------------------------------

RESOURCE_USAGE = Gauge(
    "tenant_resource_usage",
    "Usage of the running month, in the resource's unit, as last aggregated.",
    ("tenant_id", "resource"),
    multiprocess_mode="mostrecent",
)
AGGREGATED = Gauge(
    "tenant_last_aggregation_timestamp_seconds",
    "When a tenant's days were last closed.",
    ("tenant_id",),
    multiprocess_mode="max",
)
ANOMALIES = Counter("cost_anomalies", "Anomalies detected.", ("tenant_id", "resource"))

# --- jobs and schedule ------------------------------------------------------------------------------

JOB_SECONDS = Histogram(
    "job_duration_seconds",
    "How long attempts at jobs took: done, retried (it will be tried again) or failed (for good).",
    ("kind", "outcome"),
    buckets=JOB_DURATIONS,
)
FINDER_SECONDS = Histogram(
    "finder_duration_seconds",
    "How long looking for work took: done or failed.",
    ("finder", "outcome"),
    buckets=JOB_DURATIONS,
)
FINDER_RUN = Gauge(
    "finder_last_success_timestamp_seconds",
    "When a finder last ended well.",
    ("finder",),
    multiprocess_mode="max",
)
FINDER_INTERVAL = Gauge(
    "finder_interval_seconds", "How often a finder is to run.", ("finder",), multiprocess_mode="mostrecent"
)
ANNOUNCEMENTS = Counter(
    "scheduler_announcements", "Finders announced on time: sent or missed.", ("finder", "outcome")
)
SCHEDULER_LAG = Gauge(
    "scheduler_lag_seconds",
    "By how much a finder's last announcement came later than its interval.",
    ("finder",),
    multiprocess_mode="mostrecent",
)

# --- the audit log ----------------------------------------------------------------------------------

AUDIT_WINDOW = Histogram(
    "audit_sequencing_window_seconds",
    "How long entries may have been committed before they got their place in the audit log, at most.",
    buckets=AUDIT_WINDOWS,
)
WITNESS_FAILURES = Counter("audit_witness_failures", "Times that a witness did not take checkpoints.")

# --- processes --------------------------------------------------------------------------------------

PROCESS_STARTED = Gauge(
    "platform_process_started_seconds",
    "When a process of a service started.",
    ("service",),
    multiprocess_mode="liveall",
)
