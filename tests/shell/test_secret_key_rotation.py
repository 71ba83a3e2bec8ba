"""The secret key is rotated: API keys and second factors that depend on the previous one go on working."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from pyotp.totp import TOTP

from core.api_key import Scope
from core.errors import NotAuthenticated
from core.permission import Role
from core.second_factor import Showing
from core.tenant import Tenant
from shell import certificates, legal_archive
from shell.api_keys import ApiKeys, NewApiKey
from shell.commands.connect import Connected
from shell.commands.keys import reseal_audited
from shell.resealing import Resealed
from shell.sealing import Seal, SealBroken, SecretKeys
from shell.second_factor import SecondFactors
from shell.session import platform_session
from shell.settings import Secret
from tests.installation import Installation, account_session, add_account, administrator, found, rows

OLD, NEW = Secret("the old secret key"), Secret("the new secret key")
ROTATING = SecretKeys(NEW, previous=OLD)
NOW = datetime.now(UTC)


async def test_an_api_key_of_the_previous_secret_is_kept_by_the_current_one_once_it_is_used(
    installation: Installation, tenant: Tenant
) -> None:
    before = ApiKeys(installation.pool, SecretKeys(OLD))
    new = NewApiKey("meter", [Scope.USAGE_WRITE], [], None)
    async with platform_session(installation.pool) as session:
        key, text = await before.make(session, tenant.id, new, by=tenant.id)
    with pytest.raises(NotAuthenticated):
        await ApiKeys(installation.pool, SecretKeys(NEW)).identify(text, address=None, now=NOW)
    for keys in (ROTATING, SecretKeys(NEW), ROTATING):
        identity = await ApiKeys(installation.pool, keys).identify(text, address=None, now=NOW)
        assert identity.user_id == key.id
    with pytest.raises(NotAuthenticated):
        await ApiKeys(installation.pool, SecretKeys(OLD)).identify(text, address=None, now=NOW)


async def test_second_factors_are_resealed_for_tenants_and_for_the_platform(
    own_installation: Installation,
) -> None:
    installation = own_installation
    tenant, then = await found(installation), NOW - timedelta(minutes=5)
    before, shown = SecondFactors(SecretKeys(OLD), "eu-platform"), []
    for home, role in ((tenant, Role.OWNER), (None, Role.OPERATOR)):
        account = await add_account(installation, home, role)
        async with account_session(installation, home) as session:
            totp = TOTP((await before.enrol(session, account)).secret)
            assert await before.confirm(session, account.id, totp.at(then), now=then)
        shown.append((home, account, totp))
    settings = msgspec.structs.replace(installation.settings, secret_key=NEW, previous_secret_key=OLD)
    under = Seal(SecretKeys(OLD), legal_archive.PURPOSE).seal(b"key", belongs_to=tenant.id.bytes)
    async with administrator(installation.admin_url) as admin:
        await admin.execute(
            "INSERT INTO public.legal_archives (tenant_id, object_name, wrapped_key, invoices, country,"
            " legal_basis, keep_until, created_at)"
            " VALUES ($1, 'x', $2, 1, 'DE', 'a law', '2034-01-01', now())",
            tenant.id,
            under,
        )
    platform = Connected(settings, installation.pool, installation.owner_pool)
    stranger, lost = await found(installation), SecretKeys(Secret("a lost one"))
    async with administrator(installation.admin_url) as admin:
        await admin.execute(
            "INSERT INTO public.legal_archives (tenant_id, object_name, wrapped_key, invoices, country,"
            " legal_basis, keep_until, created_at)"
            " VALUES ($1, 'y', $2, 1, 'DE', 'a law', '2034-01-01', now())",
            stranger.id,
            Seal(lost, legal_archive.PURPOSE).seal(b"key", belongs_to=stranger.id.bytes),
        )
        await admin.execute(
            "INSERT INTO public.erasure_certificates (tenant_id, issued_at, statement, signature)"
            " VALUES ($1, now(), '{}', $2), ($3, now(), '{}', 'not a signature')",
            tenant.id,
            certificates._keys(SecretKeys(OLD))[0].sign(b"{}"),  # noqa: SLF001 -- as one that was issued
            stranger.id,
        )
    unopened = (f"certificate of erasure {stranger.id}", f"{legal_archive.PURPOSE} {stranger.id}")
    assert [await reseal_audited(platform) for _ in range(2)] == [Resealed(4, unopened)] * 2
    [signature] = await rows(
        installation, "SELECT signature FROM public.erasure_certificates WHERE tenant_id = $1", tenant.id
    )
    assert signature == {"signature": certificates._keys(SecretKeys(NEW))[0].sign(b"{}")}  # noqa: SLF001
    for home, account, totp in shown:
        async with account_session(installation, home) as session:
            with pytest.raises(SealBroken):
                await before.show(session, account.id, totp.at(NOW), now=NOW)
            after = SecondFactors(SecretKeys(NEW), "eu-platform")
            assert await after.show(session, account.id, totp.at(NOW), now=NOW) is Showing.CODE
    query = "SELECT wrapped_key FROM public.legal_archives WHERE tenant_id = $1"
    [archive] = await rows(installation, query, tenant.id)
    seal = Seal(SecretKeys(NEW), legal_archive.PURPOSE)
    assert isinstance(archive["wrapped_key"], bytes)
    assert seal.open(archive["wrapped_key"], belongs_to=tenant.id.bytes) == b"key"
    query = "SELECT outcome, address FROM public.audit_log WHERE action = 'secret_key.resealed'"
    assert await rows(installation, query) == [{"outcome": "success", "address": "local"}] * 2
