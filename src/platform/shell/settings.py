"""Settings: one frozen value, read from the environment once at the start and passed down."""

import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from core.country import STANDARD_VAT
from core.errors import SettingInvalid
from core.network import parsed_networks
from core.record_keeping import DECEMBER
from core.registration import Email
from core.tenant import STANDARD_TIER
from core.throttling import parsed_tiers

PREFIX = "PLATFORM_"
FILE_SUFFIX = "_FILE"
LARGEST_SECRET = 64 * 1024
S3_SCHEME = "s3://"
BUCKET = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](/[A-Za-z0-9._/-]*)?")
AUDIT_ORIGIN = re.compile(r"[!-*,-~]{1,200}")
SHORTEST_SECONDS = 0.05
LAST_PORT = 65_535
WEB = ("http://", "https://")
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")


class Secret(msgspec.Struct, frozen=True, repr_omit_defaults=True):
    """A text that shows itself to nobody who does not ask for it by name."""

    value: str

    def __repr__(self) -> str:
        """No part of the secret, not even its length."""
        return "Secret(***)"

    __str__ = __repr__


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """How this process is to run; every field is the environment variable PLATFORM_<FIELD>.

    `secret_key` hashes API keys and encrypts second factors; it is made in the data folder unless given.
    While it is rotated, `previous_secret_key` still opens what depends on that one.
    `backup_key` seals backups; only the commands that make and restore them have it.
    `database_url` is what API and worker log in with; `owner_database_url` belongs to the worker and the
    command line alone. Without the first, and without `redis_url`, `eu-platform up` starts embedded servers
    in the folder `data`, where objects are kept, too, unless `object_store` names another folder or an
    S3-compatible bucket (`s3://bucket/prefix`). Without `smtp_url`
    (`smtps://user:password@host`), mail is kept in `data` as files; links in it lead to `public_url`.
    """

    database_url: Secret | None = None
    owner_database_url: Secret | None = None
    redis_url: Secret | None = None
    data: Path = Path(".platform")
    host: str = "127.0.0.1"
    port: int = 8000
    api_processes: int = 1
    worker_metrics_port: int | None = None
    scheduler_metrics_port: int | None = None
    request_seconds: int = 30
    drain_delay_seconds: int = 0
    tls: bool = False
    trusted_proxies: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()
    pool_size: int = 10
    statement_timeout_seconds: int = 30
    job_statement_timeout_seconds: int = 600
    signing_key: Secret | None = None
    signing_key_file: Path | None = None
    keys: Path | None = None
    secret_key: Secret | None = None
    previous_secret_key: Secret | None = None
    backup_key: Secret | None = None
    audit_key: Secret | None = None
    audit_key_file: Path | None = None
    audit_origin: str = "eu-platform/audit"
    audit_sequence_seconds: float = 1.0
    audit_checkpoint_seconds: float = 60.0
    audit_witness_file: Path | None = None
    audit_witness_url: str | None = None
    token_issuer: str = "eu-platform"  # noqa: S105 -- a name
    token_audience: str = "eu-platform"  # noqa: S105 -- a name
    access_token_seconds: int = 900
    refresh_token_days: int = 7
    session_days: int = 30
    argon2_memory_kib: int = 19_456
    argon2_time: int = 2
    argon2_parallelism: int = 1
    password_threads: int = 1
    password_queue: int = 64
    require_operator_totp: bool = False
    login_free_failures: int = 4
    address_free_failures: int = 50
    address_free_registrations: int = 20
    tenant_requests_per_second: float = 500
    tenant_burst: int = 2_000
    key_requests_per_second: float = 500
    key_burst: int = 2_000
    tiers: tuple[str, ...] = ("basic=100/400", "premium=2000/8000")
    smtp_url: Secret | None = None
    mail_from: str = "eu-platform@localhost"
    public_url: str | None = None
    object_store: str | None = None
    s3_endpoint: str | None = None
    s3_region: str = "eu-central-1"
    s3_access_key_id: Secret | None = None
    s3_secret_access_key: Secret | None = None
    export_hours: int = 72
    data_protection_email: str | None = None
    seller_name: str = "EU Platform GmbH"
    seller_country: str = "DE"
    seller_vat_id: str | None = None
    seller_financial_year_end_month: int = DECEMBER
    erasure_waiting_days: int = 30
    job_lease_seconds: int = 30
    job_sweep_seconds: int = 5
    close_days_seconds: int = 20
    invoice_scan_seconds: int = 3_600
    invoice_delay_hours: int = 24
    log_level: str = "INFO"
    otlp_endpoint: str | None = None
    trace_share: float = 1.0
    demo: bool = True

    @property
    def keys_folder(self) -> Path:
        """Where signing keys are kept when none is given: a folder that all API processes see."""
        return self.keys or self.data / "keys"

    @property
    def mail_folder(self) -> Path:
        """Where mail is kept that no server is set for."""
        return self.data / "mail"

    @property
    def object_store_is_bucket(self) -> bool:
        """Whether objects go into an S3-compatible bucket rather than a folder."""
        return (self.object_store or "").startswith(S3_SCHEME)

    @property
    def objects_folder(self) -> Path:
        """Where objects are kept when no bucket is set: a folder that API and worker both see."""
        return self.data / "objects" if self.object_store is None else Path(self.object_store)

    @property
    def metrics_folder(self) -> Path:
        """Where the processes of this machine add up their counters."""
        return self.data / "metrics"


def load_settings(environ: Mapping[str, str], **overrides: object) -> Settings:
    """Read the settings; raises SettingInvalid with the variable's name, never with its value.

    A secret may stand in a file instead, which PLATFORM_<FIELD>_FILE names: an environment is inherited,
    shown by `docker inspect` and kept in crash reports, and a mounted file is not.
    """
    known = {field.encode_name for field in msgspec.structs.fields(Settings)}
    values: dict[str, Any] = {}
    for name, text in environ.items():
        field = name.removeprefix(PREFIX).lower()
        if name.startswith(PREFIX) and field in known and text != "":
            values[field] = _parse(name, field, text)
    values |= _secrets_in_files(environ, known, values)
    values |= {name: value for name, value in overrides.items() if value is not None}
    settings = Settings(**values)
    _require_valid(settings)
    return settings


def _secrets_in_files(
    environ: Mapping[str, str], known: set[str], given: Mapping[str, object]
) -> dict[str, Secret]:
    # signing_key_file and audit_key_file are settings of their own, read by whoever needs the key.
    fields = [item.encode_name for item in msgspec.structs.fields(Settings) if item.type == (Secret | None)]
    found = {}
    for field in fields:
        name = PREFIX + field.upper() + FILE_SUFFIX
        if environ.get(name) and field + FILE_SUFFIX.lower() not in known:
            if field in given:
                raise SettingInvalid(name=name, reason=f"must not be set beside {PREFIX}{field.upper()}")
            found[field] = _secret_in(Path(environ[name]), name)
    return found


def _secret_in(file: Path, name: str) -> Secret:
    """What the file holds, without the end of its last line."""
    try:
        with file.open("rb") as opened:
            text = opened.read(LARGEST_SECRET + 1).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingInvalid(name=name, reason="must name a file of text that can be read") from error
    if not text or len(text) > LARGEST_SECRET:
        raise SettingInvalid(name=name, reason=f"must name a file of 1 to {LARGEST_SECRET} bytes")
    return Secret(text)


def _parse(name: str, field: str, text: str) -> object:
    declared = next(item.type for item in msgspec.structs.fields(Settings) if item.encode_name == field)
    if declared == (Secret | None):
        return Secret(text)
    if declared in (Path, Path | None):
        return Path(text)
    if declared == tuple[str, ...]:
        return tuple(part.strip() for part in text.split(","))
    try:
        return msgspec.convert(text, declared, strict=False)
    except msgspec.ValidationError as error:
        raise SettingInvalid(name=name, reason="has the wrong type") from error


def _require_valid_edge(settings: Settings) -> None:
    try:
        parsed_networks(settings.trusted_proxies)
    except ValueError as error:
        reason = "must be networks in CIDR notation, with commas between them"
        raise SettingInvalid(name=PREFIX + "TRUSTED_PROXIES", reason=reason) from error
    if not all(ORIGIN.fullmatch(origin) for origin in settings.cors_origins):
        reason = "must be exact origins (https://app.example.com), with commas between them"
        raise SettingInvalid(name=PREFIX + "CORS_ORIGINS", reason=reason)


def _require_valid_store(settings: Settings) -> None:
    if settings.object_store_is_bucket and not BUCKET.fullmatch(settings.object_store or ""):
        raise SettingInvalid(name=PREFIX + "OBJECT_STORE", reason="must be a folder, or s3://bucket/prefix")
    if settings.s3_endpoint is not None and not ORIGIN.fullmatch(settings.s3_endpoint):
        raise SettingInvalid(name=PREFIX + "S3_ENDPOINT", reason="must be an origin (https://s3.example.com)")
    if (settings.s3_access_key_id is None) != (settings.s3_secret_access_key is None):
        reason = "must be set together with PLATFORM_S3_SECRET_ACCESS_KEY, or neither"
        raise SettingInvalid(name=PREFIX + "S3_ACCESS_KEY_ID", reason=reason)


def _require_valid_address(address: str | None) -> None:
    try:
        msgspec.convert(address, Email | None)
    except msgspec.ValidationError as error:
        reason = "must be an e-mail address"
        raise SettingInvalid(name=PREFIX + "DATA_PROTECTION_EMAIL", reason=reason) from error


def _require_valid_tiers(settings: Settings) -> None:
    try:
        names = parsed_tiers(settings.tiers)
    except ValueError as error:
        reason = "must be name=requests per second/burst, with commas between them"
        raise SettingInvalid(name=PREFIX + "TIERS", reason=reason) from error
    if STANDARD_TIER in names or len(names) != len(settings.tiers):
        reason = f"must name each tier once, and not {STANDARD_TIER}, which has settings of its own"
        raise SettingInvalid(name=PREFIX + "TIERS", reason=reason)


def _require_valid_audit(settings: Settings) -> None:
    for field in ("audit_sequence_seconds", "audit_checkpoint_seconds"):
        if not getattr(settings, field) >= SHORTEST_SECONDS:
            raise SettingInvalid(name=PREFIX + field.upper(), reason=f"must be at least {SHORTEST_SECONDS}")
    if not AUDIT_ORIGIN.fullmatch(settings.audit_origin):
        raise SettingInvalid(
            name=PREFIX + "AUDIT_ORIGIN", reason="must be printable ASCII without spaces or plus signs"
        )
    if settings.audit_witness_url is not None and not settings.audit_witness_url.startswith(WEB):
        raise SettingInvalid(name=PREFIX + "AUDIT_WITNESS_URL", reason="must begin with http:// or https://")


def _require_valid_telemetry(settings: Settings) -> None:
    for field in ("worker_metrics_port", "scheduler_metrics_port"):
        if not 1 <= (getattr(settings, field) or 1) <= LAST_PORT:
            raise SettingInvalid(name=PREFIX + field.upper(), reason=f"must be from 1 to {LAST_PORT}")
    if settings.otlp_endpoint is not None and not settings.otlp_endpoint.startswith(WEB):
        raise SettingInvalid(name=PREFIX + "OTLP_ENDPOINT", reason="must begin with http:// or https://")
    if not 0 <= settings.trace_share <= 1:
        raise SettingInvalid(name=PREFIX + "TRACE_SHARE", reason="must be from 0 to 1")


def _require_valid(settings: Settings) -> None:
    positive = (
        "port",
        "api_processes",
        "pool_size",
        "request_seconds",
        "password_threads",
        "password_queue",
        "tenant_requests_per_second",
        "tenant_burst",
        "key_requests_per_second",
        "key_burst",
        "export_hours",
        "job_lease_seconds",
        "job_sweep_seconds",
        "close_days_seconds",
        "invoice_scan_seconds",
        "statement_timeout_seconds",
        "job_statement_timeout_seconds",
        "access_token_seconds",
        "refresh_token_days",
        "session_days",
        "argon2_memory_kib",
        "argon2_time",
        "argon2_parallelism",
    )
    for field in positive:
        if getattr(settings, field) < 1:
            raise SettingInvalid(name=PREFIX + field.upper(), reason="must be at least 1")
    for field in ("erasure_waiting_days", "drain_delay_seconds"):
        if getattr(settings, field) < 0:
            raise SettingInvalid(name=PREFIX + field.upper(), reason="must not be negative")
    if settings.log_level not in logging.getLevelNamesMapping():
        raise SettingInvalid(name=PREFIX + "LOG_LEVEL", reason="must be DEBUG, INFO, WARNING or ERROR")
    if settings.smtp_url is not None and not settings.smtp_url.value.startswith(("smtp://", "smtps://")):
        raise SettingInvalid(name=PREFIX + "SMTP_URL", reason="must begin with smtp:// or smtps://")
    _require_valid_telemetry(settings)
    _require_valid_edge(settings)
    _require_valid_audit(settings)
    _require_valid_tiers(settings)
    _require_valid_store(settings)
    _require_valid_address(settings.data_protection_email)
    if settings.seller_country not in STANDARD_VAT:
        raise SettingInvalid(name=PREFIX + "SELLER_COUNTRY", reason="must be a member state of the EU")
    if not 1 <= settings.seller_financial_year_end_month <= DECEMBER:
        raise SettingInvalid(
            name=PREFIX + "SELLER_FINANCIAL_YEAR_END_MONTH", reason="must be a month, from 1 to 12"
        )
