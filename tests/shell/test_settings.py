from pathlib import Path

import msgspec
import pytest

from core.errors import SettingInvalid
from shell.processes import API, environment
from shell.settings import Secret, Settings, load_settings


def test_without_any_variable_the_defaults_stand() -> None:
    assert load_settings({}) == Settings()


def test_there_is_no_default_for_a_secret() -> None:
    secrets = [field for field in msgspec.structs.fields(Settings) if field.type == (Secret | None)]
    assert {field.name for field in secrets} == {
        "database_url",
        "owner_database_url",
        "redis_url",
        "signing_key",
        "secret_key",
        "previous_secret_key",
        "backup_key",
        "audit_key",
        "smtp_url",
        "s3_access_key_id",
        "s3_secret_access_key",
    }
    assert {field.default for field in secrets} == {None}


def test_variables_are_read_by_their_names() -> None:
    settings = load_settings(
        {
            "PLATFORM_DATABASE_URL": "postgresql://app:hunter2@db/platform",
            "PLATFORM_DATA": "/var/lib/platform",
            "PLATFORM_PORT": "9000",
            "PLATFORM_DEMO": "false",
            "PLATFORM_SIGNING_KEY_FILE": "/run/key.pem",
            "PLATFORM_SELLER_VAT_ID": "DE123456789",
        }
    )
    assert settings == Settings(
        database_url=Secret("postgresql://app:hunter2@db/platform"),
        data=Path("/var/lib/platform"),
        port=9000,
        demo=False,
        signing_key_file=Path("/run/key.pem"),
        seller_vat_id="DE123456789",
    )


def test_lists_are_read_with_commas_between_their_parts_and_handed_down_alike() -> None:
    environ = {
        "PLATFORM_TRUSTED_PROXIES": "10.0.0.0/8, fd00::/8",
        "PLATFORM_CORS_ORIGINS": "https://app.example.com,http://localhost:3000",
    }
    settings = load_settings(environ)
    assert settings.trusted_proxies == ("10.0.0.0/8", "fd00::/8")
    assert settings.cors_origins == ("https://app.example.com", "http://localhost:3000")
    handed_down = load_settings(environment(API, settings))
    assert handed_down.trusted_proxies == settings.trusted_proxies
    assert handed_down.cors_origins == settings.cors_origins


def test_foreign_and_empty_variables_are_left_alone() -> None:
    environ = {
        "PORT": "1",
        "PLATFORM_PORT": "",
        "PLATFORM_UNKNOWN": "1",
        "platform_port": "2",
        "PLATFORM_": "3",
    }
    assert load_settings(environ) == Settings()


def test_an_override_wins_over_the_environment_unless_it_is_none() -> None:
    environ = {"PLATFORM_PORT": "9000", "PLATFORM_HOST": "0.0.0.0"}  # noqa: S104 -- nothing binds here
    settings = load_settings(environ, port=9001, host=None)
    assert (settings.port, settings.host) == (9001, "0.0.0.0")  # noqa: S104


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PLATFORM_PORT", "eighty"),
        ("PLATFORM_PORT", "8000.5"),
        ("PLATFORM_PORT", "0"),
        ("PLATFORM_POOL_SIZE", "-1"),
        ("PLATFORM_API_PROCESSES", "0"),
        ("PLATFORM_PASSWORD_THREADS", "0"),
        ("PLATFORM_PASSWORD_QUEUE", "0"),
        ("PLATFORM_JOB_LEASE_SECONDS", "0"),
        ("PLATFORM_DEMO", "perhaps"),
        ("PLATFORM_DATA_PROTECTION_EMAIL", "nobody"),
        ("PLATFORM_DATA_PROTECTION_EMAIL", "a@b.example\nBcc: c@d.example"),
        ("PLATFORM_TRUSTED_PROXIES", "10.0.0.0/8,eighty"),
        ("PLATFORM_TRUSTED_PROXIES", "10.0.0.1/8"),
        ("PLATFORM_CORS_ORIGINS", "*"),
        ("PLATFORM_CORS_ORIGINS", "https://app.example.com/"),
        ("PLATFORM_CORS_ORIGINS", "https://*.example.com"),
        ("PLATFORM_TENANT_BURST", "0"),
        ("PLATFORM_TIERS", "gold"),
        ("PLATFORM_TIERS", "gold=0/1"),
        ("PLATFORM_TIERS", "gold=1/1,gold=2/2"),
        ("PLATFORM_TIERS", "standard=1/1"),
        ("PLATFORM_OBJECT_STORE", "s3://"),
        ("PLATFORM_OBJECT_STORE", "s3://Eighty/x"),
        ("PLATFORM_S3_ENDPOINT", "eighty"),
        ("PLATFORM_S3_ACCESS_KEY_ID", "eighty"),
        ("PLATFORM_SELLER_COUNTRY", "XX"),
        ("PLATFORM_SELLER_COUNTRY", "US"),
        ("PLATFORM_SELLER_FINANCIAL_YEAR_END_MONTH", "0"),
        ("PLATFORM_SELLER_FINANCIAL_YEAR_END_MONTH", "13"),
    ],
)
def test_a_wrong_setting_is_named_and_not_repeated(name: str, text: str) -> None:
    with pytest.raises(SettingInvalid) as refused:
        load_settings({name: text})
    assert refused.value.data["name"] == name
    assert "eighty" not in str(refused.value)


def test_no_secret_shows_itself() -> None:
    settings = load_settings(
        {
            "PLATFORM_DATABASE_URL": "postgresql://app:hunter2@db/platform",
            "PLATFORM_OWNER_DATABASE_URL": "postgresql://owner:hunter2@db/platform",
            "PLATFORM_REDIS_URL": "redis://:hunter2@redis",
            "PLATFORM_SIGNING_KEY": "hunter2",
        }
    )
    for shown in (repr(settings), str(settings), f"{settings}", f"{settings.database_url!s}"):
        assert "hunter2" not in shown
    assert repr(Secret("a")) == repr(Secret("a" * 99)) == "Secret(***)"


SECRETS = [field.name for field in msgspec.structs.fields(Settings) if field.type == (Secret | None)]
IN_FILES = [name for name in SECRETS if name not in {"signing_key", "audit_key"}]  # fields of their own
VALUES = {"smtp_url": "smtps://u:p@mail.example", "s3_access_key_id": "id", "s3_secret_access_key": "key"}
PAIR = {"s3_access_key_id": "s3_secret_access_key", "s3_secret_access_key": "s3_access_key_id"}


@pytest.mark.parametrize("field", IN_FILES)
def test_each_secret_may_stand_in_a_file(tmp_path: Path, field: str) -> None:
    value = VALUES.get(field, "hunter2")
    (tmp_path / "secret").write_text(value + "\n")
    environ = {f"PLATFORM_{field.upper()}_FILE": str(tmp_path / "secret")}
    if field in PAIR:
        environ[f"PLATFORM_{PAIR[field].upper()}"] = "other"
    assert getattr(load_settings(environ), field) == Secret(value)


@pytest.mark.parametrize("content", [None, b"", b"\n", b"\xff", b"x" * 70_000])
def test_a_file_without_a_secret_is_refused_by_its_variables_name(
    tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "secret"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingInvalid, match="PLATFORM_REDIS_URL_FILE") as refused:
        load_settings({"PLATFORM_REDIS_URL_FILE": str(file)})
    assert str(file) not in str(refused.value)


def test_a_secret_and_its_file_together_are_refused(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("redis://a")
    environ = {"PLATFORM_REDIS_URL": "redis://b", "PLATFORM_REDIS_URL_FILE": str(tmp_path / "secret")}
    with pytest.raises(SettingInvalid, match="PLATFORM_REDIS_URL_FILE"):
        load_settings(environ)


def test_the_owners_url_in_a_file_does_not_reach_the_api_either(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("postgresql://platform_owner:hunter2@db/platform")
    settings = load_settings({"PLATFORM_OWNER_DATABASE_URL_FILE": str(tmp_path / "secret")})
    assert not [name for name in environment(API, settings) if "OWNER" in name]
