"""Access tokens: what is issued is verified, and nothing else is."""

import base64
import json
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
from shell.keys import SigningKeys, ensure_key, load_keys
from shell.settings import Settings
from shell.tokens import LEEWAY_SECONDS, MAX_TOKEN_LENGTH, AccessTokens
from tests.forged_tokens import foreign_claims, foreign_forms, foreign_headers, foreign_signatures, signed

NOW = datetime(2026, 11, 23, 10, tzinfo=UTC)
SETTINGS = Settings()
ADA = Account(uuid4(), "ada@example.com", "Ada Lovelace", Role.ADMIN)
ACME = Tenant(uuid4(), "acme", "Acme", TenantState.ACTIVE, "DE", None, "Europe/Berlin", "EUR", NOW)
OPERATOR = Account(uuid4(), "op@example.com", "Operator", Role.OPERATOR)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> SigningKeys:
    settings = Settings(data=tmp_path_factory.mktemp("keys"))
    ensure_key(settings)
    return load_keys(settings)


@pytest.fixture
def tokens(keys: SigningKeys) -> AccessTokens:
    return AccessTokens(keys, SETTINGS)


def part(token: str, index: int) -> dict[str, Any]:
    text = token.split(".")[index]
    found: dict[str, Any] = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def require_refused(tokens: AccessTokens, token: str, now: datetime = NOW) -> None:
    for _ in range(2):  # neither the first time nor from memory
        with pytest.raises(NotAuthenticated):
            tokens.verify(token, now)


def test_a_token_speaks_for_the_account_that_it_was_issued_to(tokens: AccessTokens) -> None:
    identity = tokens.verify(tokens.issue(ADA, ACME, NOW), NOW)
    assert (identity.user_id, identity.tenant_id, identity.tenant_slug) == (ADA.id, ACME.id, "acme")
    assert identity.role is Role.ADMIN


def test_a_token_of_the_platform_has_no_tenant(tokens: AccessTokens) -> None:
    identity = tokens.verify(tokens.issue(OPERATOR, None, NOW), NOW)
    assert (identity.tenant_id, identity.tenant_slug, identity.is_platform) == (None, None, True)


def test_a_token_names_its_key_and_says_what_it_must(tokens: AccessTokens, keys: SigningKeys) -> None:
    token = tokens.issue(ADA, ACME, NOW)
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
    }


def test_no_two_tokens_have_one_id(tokens: AccessTokens) -> None:
    ids = {tokens.verify(tokens.issue(ADA, ACME, NOW), NOW).jti for _ in range(10)}
    assert len(ids) == 10


def test_the_longest_token_of_ours_is_short_enough(tokens: AccessTokens) -> None:
    longest = msgspec.structs.replace(ADA, email="é" * 243 + "@example.com")
    token = tokens.issue(longest, msgspec.structs.replace(ACME, slug="a" * 40), NOW)
    assert len(token) <= MAX_TOKEN_LENGTH
    assert tokens.verify(token, NOW).user_id == ADA.id


@pytest.mark.parametrize("is_remembered", [False, True])
def test_a_token_ends_when_it_says_with_some_leeway_for_clocks(
    tokens: AccessTokens, *, is_remembered: bool
) -> None:
    token = tokens.issue(ADA, ACME, NOW)
    end = NOW + timedelta(seconds=SETTINGS.access_token_seconds)
    if is_remembered:
        tokens.verify(token, NOW)
    require_refused(tokens, token, end + timedelta(seconds=LEEWAY_SECONDS + 1))
    assert tokens.verify(token, end + timedelta(seconds=LEEWAY_SECONDS)).user_id == ADA.id


@pytest.mark.parametrize("is_remembered", [False, True])
def test_a_token_begins_when_it_says_with_some_leeway_for_clocks(
    tokens: AccessTokens, *, is_remembered: bool
) -> None:
    token = tokens.issue(ADA, ACME, NOW)
    if is_remembered:
        tokens.verify(token, NOW)
    require_refused(tokens, token, NOW - timedelta(seconds=LEEWAY_SECONDS + 1))
    assert tokens.verify(token, NOW - timedelta(seconds=LEEWAY_SECONDS)).user_id == ADA.id


def test_every_forged_token_is_refused(tokens: AccessTokens, keys: SigningKeys) -> None:
    token = tokens.issue(ADA, ACME, NOW)
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


def test_a_token_for_another_installation_is_refused(tokens: AccessTokens, keys: SigningKeys) -> None:
    for field in ("token_issuer", "token_audience"):
        elsewhere = AccessTokens(keys, msgspec.structs.replace(SETTINGS, **{field: "elsewhere"}))
        require_refused(elsewhere, tokens.issue(ADA, ACME, NOW))


def test_keys_rotate_without_a_token_being_refused(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path)
    ensure_key(settings)
    (first,) = settings.keys_folder.glob("*.pem")
    first.rename(first.with_name("20260101T000000Z.pem"))
    old = AccessTokens(load_keys(settings), settings)
    token = old.issue(ADA, ACME, NOW)

    ensure_key(Settings(data=tmp_path / "new"))
    (second,) = (tmp_path / "new" / "keys").glob("*.pem")
    second.rename(settings.keys_folder / "20260201T000000Z.pem")
    rotated = AccessTokens(load_keys(settings), settings)
    assert rotated.verify(token, NOW).user_id == ADA.id
    assert part(rotated.issue(ADA, ACME, NOW), 0)["kid"] != part(token, 0)["kid"]
    require_refused(old, rotated.issue(ADA, ACME, NOW))

    (settings.keys_folder / "20260101T000000Z.pem").unlink()
    require_refused(AccessTokens(load_keys(settings), settings), token)
