"""Access tokens: what is issued is verified, and nothing else is."""

import base64
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import msgspec
import pytest

from core.errors import NotAuthenticated
from core.identity import Account
from core.permission import Role
from core.tenant import Tenant, TenantState
from shell.keys import LEEWAY_SECONDS, KeyRing, SigningKeys, ensure_key, rotate_key
from shell.settings import Settings
from shell.tokens import MAX_TOKEN_LENGTH, AccessTokens
from tests.forged_tokens import foreign_claims, foreign_forms, foreign_headers, foreign_signatures, signed

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
SETTINGS = Settings()
ADA = Account(uuid4(), "ada@example.com", "Ada Lovelace", Role.ADMIN)
ACME = Tenant(uuid4(), "acme", "Acme", TenantState.ACTIVE, "DE", None, "Europe/Berlin", "EUR", NOW)
SESSION = uuid4()
OPERATOR = Account(uuid4(), "op@example.com", "Operator", Role.OPERATOR)


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> KeyRing:
    settings = Settings(data=tmp_path_factory.mktemp("keys"))
    ensure_key(settings)
    return KeyRing(settings)


@pytest.fixture
def keys(ring: KeyRing) -> SigningKeys:
    return ring.keys


@pytest.fixture
def tokens(ring: KeyRing) -> AccessTokens:
    return AccessTokens(ring, SETTINGS)


def part(token: str, index: int) -> dict[str, Any]:
    text = token.split(".")[index]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def require_refused(tokens: AccessTokens, token: str, now: datetime = NOW) -> None:
    for _ in range(2):  # neither the first time nor from memory
        with pytest.raises(NotAuthenticated):
            tokens.verify(token, now)


def test_a_token_speaks_for_the_account_that_it_was_issued_to(tokens: AccessTokens) -> None:
    identity = tokens.verify(tokens.issue(ADA, ACME, NOW, session_id=SESSION), NOW)
    assert (identity.user_id, identity.tenant_id, identity.tenant_slug) == (ADA.id, ACME.id, "acme")
    assert identity.role is Role.ADMIN


def test_a_token_of_the_platform_has_no_tenant(tokens: AccessTokens) -> None:
    identity = tokens.verify(tokens.issue(OPERATOR, None, NOW, session_id=SESSION), NOW)
    assert (identity.tenant_id, identity.tenant_slug, identity.is_platform) == (None, None, True)


def test_a_token_names_its_key_and_says_what_it_must(tokens: AccessTokens, keys: SigningKeys) -> None:
    token = tokens.issue(ADA, ACME, NOW, session_id=SESSION)
    assert part(token, 0) == {"typ": "JWT", "alg": "RS256", "kid": keys.kid}
    claims = part(token, 1)
    assert len(claims.pop("jti")) >= 20
    assert claims == {
        "iss": "eu-platform",
        "aud": "eu-platform",
        "sub": str(ADA.id),
        "tenant_id": str(ACME.id),
        "tenant": "acme",
        "role": "ADMIN",
        "email": "ada@example.com",
        "iat": NOW.timestamp(),
        "nbf": NOW.timestamp(),
        "exp": NOW.timestamp() + 900,
        "sid": str(SESSION),
        "mfa_at": None,
    }


def test_no_two_tokens_have_one_id(tokens: AccessTokens) -> None:
    ids = {tokens.verify(tokens.issue(ADA, ACME, NOW, session_id=SESSION), NOW).jti for _ in range(10)}
    assert len(ids) == 10


def test_the_longest_token_of_ours_is_short_enough(tokens: AccessTokens) -> None:
    longest = msgspec.structs.replace(ADA, email="é" * 243 + "@example.com")
    token = tokens.issue(longest, msgspec.structs.replace(ACME, slug="a" * 40), NOW, session_id=SESSION)
    assert len(token) <= MAX_TOKEN_LENGTH
    assert tokens.verify(token, NOW).user_id == ADA.id


@pytest.mark.parametrize("is_remembered", [False, True])
def test_a_token_ends_when_it_says_with_some_leeway_for_clocks(
    tokens: AccessTokens, *, is_remembered: bool
) -> None:
    token = tokens.issue(ADA, ACME, NOW, session_id=SESSION)
    end = NOW + timedelta(seconds=SETTINGS.access_token_seconds)
    if is_remembered:
        tokens.verify(token, NOW)
    require_refused(tokens, token, end + timedelta(seconds=LEEWAY_SECONDS + 1))
    assert tokens.verify(token, end + timedelta(seconds=LEEWAY_SECONDS)).user_id == ADA.id


@pytest.mark.parametrize("is_remembered", [False, True])
def test_a_token_begins_when_it_says_with_some_leeway_for_clocks(
    tokens: AccessTokens, *, is_remembered: bool
) -> None:
    token = tokens.issue(ADA, ACME, NOW, session_id=SESSION)
    if is_remembered:
        tokens.verify(token, NOW)
    require_refused(tokens, token, NOW - timedelta(seconds=LEEWAY_SECONDS + 1))
    assert tokens.verify(token, NOW - timedelta(seconds=LEEWAY_SECONDS)).user_id == ADA.id


def test_every_forged_token_is_refused(tokens: AccessTokens, keys: SigningKeys) -> None:
    token = tokens.issue(ADA, ACME, NOW, session_id=SESSION)
    tokens.verify(token, NOW)
    claims = part(token, 1)
    assert tokens.verify(signed(keys, claims), NOW).user_id == ADA.id, "the forger's tools can make good ones"
    forged = {
        **foreign_signatures(keys, claims),
        **foreign_headers(keys, claims),
        **foreign_claims(keys, claims),
        **foreign_forms(keys, token, claims),
    }
    admitted = [name for name, text in forged.items() if _is_admitted(tokens, text)]
    assert admitted == []


def _is_admitted(tokens: AccessTokens, token: str) -> bool:
    try:
        tokens.verify(token, NOW)
    except NotAuthenticated:
        return False
    return True


def test_a_token_for_another_installation_is_refused(tokens: AccessTokens, ring: KeyRing) -> None:
    for field in ("token_issuer", "token_audience"):
        elsewhere = AccessTokens(ring, msgspec.structs.replace(SETTINGS, **{field: "elsewhere"}))
        require_refused(elsewhere, tokens.issue(ADA, ACME, NOW, session_id=SESSION))


def test_keys_rotate_without_a_token_being_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shell.keys.LOOK_AGAIN_SECONDS", 0.0)
    settings, now = Settings(data=tmp_path), datetime.now(UTC)
    ensure_key(settings)
    one_process = AccessTokens(KeyRing(settings), settings)
    token = one_process.issue(ADA, ACME, now, session_id=SESSION)

    rotate_key(settings, now + timedelta(seconds=1))
    another = AccessTokens(KeyRing(settings), settings)
    following = another.issue(ADA, ACME, now, session_id=SESSION)
    assert part(following, 0)["kid"] != part(token, 0)["kid"]
    for tokens in (one_process, another):
        assert tokens.verify(token, now).user_id == ADA.id
        assert tokens.verify(following, now).user_id == ADA.id

    rotate_key(settings, now + timedelta(seconds=2), keep_old=False)
    require_refused(one_process, token, now)
    require_refused(another, following, now)


def test_a_token_by_a_key_that_was_just_made_is_verified_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, now = Settings(data=tmp_path), datetime.now(UTC)
    ensure_key(settings)
    verifier = AccessTokens(KeyRing(settings), settings)
    rotate_key(settings, now + timedelta(seconds=1))
    token = AccessTokens(KeyRing(settings), settings).issue(ADA, ACME, now, session_id=SESSION)
    two_seconds_later = time.monotonic() + 2
    monkeypatch.setattr("shell.keys.time.monotonic", lambda: two_seconds_later)
    assert verifier.verify(token, now).user_id == ADA.id
