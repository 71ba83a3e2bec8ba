"""Signing keys, given by settings or made in the data folder."""

import base64
import hashlib
import json
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from core.errors import SettingInvalid
from shell.keys import (
    LEEWAY_SECONDS,
    ensure_key,
    forget_previous_secret_key,
    kept_secret,
    load_keys,
    rotate_key,
    rotate_secret_key,
    secret_keys,
    write_private,
)
from shell.sealing import SecretKeys
from shell.settings import Secret, Settings
from tests.forged_tokens import another_key, public_jwk, public_pem


def private_pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


PEM = private_pem(another_key())
NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)


def thumbprint(key: rsa.RSAPrivateKey) -> str:
    """RFC 7638, section 3."""
    members = json.dumps(public_jwk(key), sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha256(members.encode()).digest()).rstrip(b"=").decode()


def test_the_first_key_is_made_once_and_only_its_owner_can_read_it(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path / "data")
    ensure_key(settings)
    (file,) = settings.keys_folder.iterdir()
    made = file.read_bytes()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.keys_folder.stat().st_mode) == 0o700
    ensure_key(settings)
    assert [each.read_bytes() for each in settings.keys_folder.iterdir()] == [made]
    assert load_keys(settings, NOW).kid == load_keys(settings, NOW).kid


@pytest.mark.parametrize("given", ["text", "file"])
def test_no_key_is_made_where_one_is_given(tmp_path: Path, given: str) -> None:
    (tmp_path / "key.pem").write_bytes(PEM)
    settings = Settings(
        data=tmp_path / "data",
        signing_key=Secret(PEM.decode()) if given == "text" else None,
        signing_key_file=tmp_path / "key.pem" if given == "file" else None,
    )
    ensure_key(settings)
    assert not settings.keys_folder.exists()
    assert load_keys(settings, NOW).kid == thumbprint(another_key())


def test_without_any_key_it_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="PLATFORM_SIGNING_KEY_FILE"):
        load_keys(Settings(data=tmp_path), NOW)


def short_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2040)  # noqa: S505 -- it is to be refused


@pytest.mark.parametrize(
    ("pem", "reason"),
    [
        (b"", "no RSA key"),
        (b"garbage", "no RSA key"),
        (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "no RSA key"),
        (public_pem(another_key()), "public key"),
        (private_pem(ec.generate_private_key(ec.SECP256R1())), "no RSA key"),
        (private_pem(short_key()), "fewer than 2048 bits"),
    ],
    ids=["empty", "garbage", "damaged", "public", "another kind", "too short"],
)
def test_what_is_no_private_rsa_key_is_refused_without_being_repeated(
    tmp_path: Path, pem: bytes, reason: str
) -> None:
    (tmp_path / "key.pem").write_bytes(pem)
    for settings, name in (
        (Settings(signing_key=Secret(pem.decode())), "PLATFORM_SIGNING_KEY "),
        (Settings(signing_key_file=tmp_path / "key.pem"), "PLATFORM_SIGNING_KEY_FILE"),
    ):
        with pytest.raises(SettingInvalid, match=reason) as refused:
            load_keys(settings, NOW)
        assert name in str(refused.value)
        assert "AAAA" not in str(refused.value)


def test_a_key_file_that_cannot_be_read_is_named_by_its_setting(tmp_path: Path) -> None:
    with pytest.raises(SettingInvalid, match="PLATFORM_SIGNING_KEY_FILE"):
        load_keys(Settings(signing_key_file=tmp_path / "missing.pem"), NOW)


def test_a_key_is_named_by_its_thumbprint(tmp_path: Path) -> None:
    keys = load_keys(Settings(signing_key=Secret(PEM.decode())), NOW)
    assert keys.kid == thumbprint(another_key())


def test_the_newest_key_signs_and_the_ones_before_verify_while_their_tokens_live(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    first = rotate_key(settings, NOW)
    second = rotate_key(settings, NOW + timedelta(hours=1))
    life = timedelta(seconds=settings.access_token_seconds + LEEWAY_SECONDS)
    rotated = NOW + timedelta(hours=1)
    just_before = load_keys(settings, rotated + life - timedelta(seconds=1))
    assert just_before.kid == second
    assert just_before.kids == frozenset({first, second})
    assert load_keys(settings, rotated + life).kids == {second}


def test_keys_that_verify_no_more_are_deleted_when_the_next_one_is_made(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    for hours in range(3):
        rotate_key(settings, NOW + timedelta(hours=hours))
    assert len(list(settings.keys_folder.glob("*.pem"))) == 2


def test_old_keys_can_be_revoked_at_once(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    rotate_key(settings, NOW)
    newest = rotate_key(settings, NOW + timedelta(seconds=1), keep_old=False)
    assert load_keys(settings, NOW + timedelta(seconds=1)).kids == {newest}


def test_a_key_that_settings_give_is_not_rotated_here(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, signing_key=Secret(PEM.decode()))
    with pytest.raises(SettingInvalid, match="PLATFORM_SIGNING_KEY"):
        rotate_key(settings, NOW)


def test_what_is_public_has_no_private_part() -> None:
    keys = load_keys(Settings(signing_key=Secret(PEM.decode())), NOW)
    expected = public_jwk(another_key()) | {"use": "sig", "alg": "RS256", "kid": keys.kid}
    assert keys.public() == {"keys": [expected]}


def test_signing_keys_do_not_show_themselves() -> None:
    keys = load_keys(Settings(signing_key=Secret(PEM.decode())), NOW)
    assert repr(keys) == str(keys) == f"SigningKeys(kid={keys.kid})"


def test_a_private_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    write_private(file, b"first")
    left_behind = file.with_suffix(".part")
    left_behind.touch(mode=0o600)
    left_behind.write_bytes(b"what a crash has left behind, longer than the next")
    write_private(file, b"second")
    assert file.read_bytes() == b"second"
    assert [each.name for each in tmp_path.iterdir()] == ["secret"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_secret_key_in_the_data_folder_is_rotated_and_the_previous_one_forgotten(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    ensure_key(settings)
    old = secret_keys(settings).current
    rotate_secret_key(settings)
    rotated = secret_keys(settings)
    assert rotated.previous == old != rotated.current
    with pytest.raises(SettingInvalid, match="earlier rotation"):
        rotate_secret_key(settings)
    forget_previous_secret_key(settings)
    assert secret_keys(settings) == SecretKeys(rotated.current)
    assert all(file.stat().st_mode & 0o077 == 0 for file in (tmp_path / "secrets").iterdir())


def test_a_secret_key_that_settings_give_is_rotated_by_settings() -> None:
    settings = Settings(secret_key=Secret("new"), previous_secret_key=Secret("old"))
    assert secret_keys(settings) == SecretKeys(Secret("new"), Secret("old"))
    with pytest.raises(SettingInvalid, match="PLATFORM_SECRET_KEY"):
        rotate_secret_key(settings)


def test_a_secret_of_the_data_folder_is_made_once_and_may_be_replaced_by_a_line_of_text(
    tmp_path: Path,
) -> None:
    made = kept_secret(tmp_path, "app-password")
    assert kept_secret(tmp_path, "app-password") == made
    (tmp_path / "secrets" / "app-password").write_text("replaced\n")
    assert kept_secret(tmp_path, "app-password").value == "replaced"
