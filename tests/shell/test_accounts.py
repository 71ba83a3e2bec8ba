"""Accounts, and refresh tokens that can be used once."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from core.errors import NotFound
from core.identity import Account
from core.permission import Role
from core.tenant import Tenant
from shell import accounts
from shell.accounts import Client, UsedToken
from shell.session import platform_session, tenant_session
from shell.tokens import RefreshToken, new_refresh_token, slug_in_refresh_token
from tests.installation import Installation, add_account, rows

WEEK = timedelta(days=7)
CLIENT = Client("a test", None)


async def kept(
    installation: Installation, tenant: Tenant, *, lifetime: timedelta = WEEK
) -> tuple[Account, RefreshToken]:
    account = await add_account(installation, tenant, Role.OWNER)
    token = new_refresh_token(tenant.slug, datetime.now(UTC), lifetime)
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        session_id = await accounts.begin_session(session, account.id, CLIENT)
        await accounts.keep_refresh_token(
            session, token, account.id, session_id=session_id, session_life=5 * WEEK
        )
    return account, token


async def use(installation: Installation, tenant: Tenant, text: str) -> UsedToken | None:
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        return await accounts.use_refresh_token(session, text)


async def revoke(installation: Installation, tenant: Tenant, text: str) -> UsedToken | None:
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        return await accounts.revoke_family_of(session, text)


async def test_an_account_is_found_by_its_address_and_its_id(
    installation: Installation, tenant: Tenant
) -> None:
    account = await add_account(installation, tenant, Role.ADMIN, phc="phc")
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        assert await accounts.get(session, account.id) == account
        credentials = await accounts.credentials_of(session, account.email)
    assert credentials == accounts.Credentials(account, "phc")


async def test_an_unknown_account_is_not_found(installation: Installation, tenant: Tenant) -> None:
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        assert await accounts.credentials_of(session, "nobody@example.com") is None
        with pytest.raises(NotFound):
            await accounts.get(session, uuid4())


async def test_an_address_can_have_one_account_in_each_tenant(
    installation: Installation, tenant: Tenant, other_tenant: Tenant
) -> None:
    for each in (tenant, other_tenant):
        async with tenant_session(installation.pool, tenant_id=each.id) as session:
            first = Account(uuid4(), "ada@example.com", "Ada", Role.OWNER)
            assert await accounts.insert(session, first, "phc")
            second = Account(uuid4(), "ada@example.com", "Another Ada", Role.VIEWER)
            assert not await accounts.insert(session, second, "phc")
            assert await accounts.get(session, first.id) == first


async def test_the_platforms_accounts_are_apart_from_every_tenants(
    installation: Installation, tenant: Tenant
) -> None:
    operator = await add_account(installation, None, Role.OPERATOR)
    async with platform_session(installation.pool) as session:
        assert await accounts.get(session, operator.id) == operator
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        assert await accounts.credentials_of(session, operator.email) is None


async def test_a_password_hash_is_renewed(installation: Installation, tenant: Tenant) -> None:
    account = await add_account(installation, tenant, Role.OWNER, phc="old")
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        await accounts.renew_password_hash(session, account.id, "new")
        assert await accounts.credentials_of(session, account.email) == accounts.Credentials(account, "new")


async def test_credentials_do_not_show_their_hash_or_address() -> None:
    account = Account(uuid4(), "ada@example.com", "Ada", Role.OWNER)
    shown = repr(accounts.Credentials(account, "$argon2id$secret"))
    assert shown == f"Credentials(id={account.id})"


# --- refresh tokens -------------------------------------------------------------------------------


async def test_a_refresh_token_is_used_once(installation: Installation, tenant: Tenant) -> None:
    account, token = await kept(installation, tenant)
    used = await use(installation, tenant, token.text)
    assert used is not None
    assert used.user_id == account.id
    assert await use(installation, tenant, token.text) is None


async def test_of_fifty_simultaneous_uses_one_wins(installation: Installation, tenant: Tenant) -> None:
    _, token = await kept(installation, tenant)
    found = await asyncio.gather(*(use(installation, tenant, token.text) for _ in range(50)))
    assert len([used for used in found if used is not None]) == 1


async def test_a_revoked_refresh_token_revokes_its_family(installation: Installation, tenant: Tenant) -> None:
    account, first = await kept(installation, tenant)
    used = await use(installation, tenant, first.text)
    assert used is not None
    following = new_refresh_token(tenant.slug, datetime.now(UTC), WEEK)
    async with tenant_session(installation.pool, tenant_id=tenant.id) as session:
        await accounts.keep_refresh_token(
            session, following, account.id, session_id=used.family_id, session_life=5 * WEEK
        )
    assert await revoke(installation, tenant, first.text) == used
    assert await use(installation, tenant, following.text) is None


async def test_another_login_is_another_family(installation: Installation, tenant: Tenant) -> None:
    _, first = await kept(installation, tenant)
    _, second = await kept(installation, tenant)
    await revoke(installation, tenant, first.text)
    assert await use(installation, tenant, first.text) is None
    assert await use(installation, tenant, second.text) is not None


async def test_an_expired_refresh_token_is_refused(installation: Installation, tenant: Tenant) -> None:
    _, token = await kept(installation, tenant, lifetime=timedelta(seconds=-1))
    assert await use(installation, tenant, token.text) is None


async def test_an_unknown_refresh_token_is_refused_and_revokes_nothing(
    installation: Installation, tenant: Tenant
) -> None:
    _, token = await kept(installation, tenant)
    assert await use(installation, tenant, token.text + "x") is None
    assert await revoke(installation, tenant, token.text + "x") is None
    assert await use(installation, tenant, token.text) is not None


async def test_a_refresh_token_of_another_tenant_is_unknown(
    installation: Installation, tenant: Tenant, other_tenant: Tenant
) -> None:
    _, token = await kept(installation, tenant)
    assert await use(installation, other_tenant, token.text) is None
    assert await revoke(installation, other_tenant, token.text) is None
    assert await use(installation, tenant, token.text) is not None


async def test_only_the_hash_of_a_refresh_token_is_kept(installation: Installation, tenant: Tenant) -> None:
    _, token = await kept(installation, tenant)
    (row,) = await rows(
        installation, f"SELECT refresh_tokens::text AS row FROM {tenant.schema}.refresh_tokens"
    )
    secret = token.text.rpartition("_")[2]
    assert secret not in str(row["row"])
    assert secret.encode().hex() not in str(row["row"])


def test_a_refresh_token_names_its_tenant_and_no_two_are_alike() -> None:
    now = datetime.now(UTC)
    texts = {new_refresh_token("acme-cloud", now, WEEK).text for _ in range(100)}
    assert len(texts) == 100
    assert {slug_in_refresh_token(text) for text in texts} == {"acme-cloud"}
    assert {len(text) for text in texts} == {len("eur_acme-cloud_") + 43}, "256 bits in base64"


@pytest.mark.parametrize("text", ["", "eur", "eur_", "x_acme_abc", "acme", "EUR_acme_abc", "_acme_"])
def test_a_text_that_is_no_refresh_token_names_no_tenant(text: str) -> None:
    assert slug_in_refresh_token(text) == ""


def test_a_refresh_token_does_not_show_itself() -> None:
    token = new_refresh_token("acme", datetime.now(UTC), WEEK)
    assert repr(token) == str(token) == "RefreshToken(***)"
