"""Second factors against the known answers of RFC 6238, and against a database."""

import asyncio
import base64
from datetime import UTC, datetime, timedelta

import pytest
from pyotp.totp import TOTP

from core.errors import SecondFactorExists
from core.identity import Account
from core.permission import Role
from core.second_factor import RECOVERY_CODES, Showing
from core.tenant import Tenant
from shell import second_factor
from shell.queries import SQL
from shell.sealing import Seal, SecretKeys
from shell.second_factor import SecondFactors
from shell.settings import Secret
from tests.installation import Installation, account_session, add_account, rows

KEY = SecretKeys(Secret("a secret key of the tests"))
FACTORS = SecondFactors(KEY, "eu-platform")
RFC_6238_SECRET = b"12345678901234567890"
# RFC 6238, appendix B, SHA-1: the last six of its eight digits.
KNOWN_ANSWERS = [
    (59, "287082"),
    (1_111_111_109, "081804"),
    (1_111_111_111, "050471"),
    (1_234_567_890, "005924"),
    (2_000_000_000, "279037"),
    (20_000_000_000, "353130"),
]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def confirmed(
    installation: Installation, tenant: Tenant | None, *, role: Role = Role.MEMBER, now: datetime = NOW
) -> tuple[Account, TOTP, list[str]]:
    """An account with a second factor that was confirmed two steps ago."""
    account = await add_account(installation, tenant, role)
    async with account_session(installation, tenant) as session:
        totp = TOTP((await FACTORS.enrol(session, account)).secret)
        before = now - timedelta(minutes=1)
        codes = await FACTORS.confirm(session, account.id, totp.at(before), now=before)
    assert codes is not None
    return account, totp, codes


async def show(
    installation: Installation, tenant: Tenant | None, account: Account, code: str | None, now: datetime = NOW
) -> Showing:
    async with account_session(installation, tenant) as session:
        return await FACTORS.show(session, account.id, code, now=now)


@pytest.mark.parametrize(("second", "code"), KNOWN_ANSWERS)
async def test_codes_are_those_of_rfc_6238(
    installation: Installation, tenant: Tenant, second: int, code: str
) -> None:
    account = await add_account(installation, tenant, Role.MEMBER)
    sealed = Seal(KEY, "second factor").seal(RFC_6238_SECRET, belongs_to=account.id.bytes)
    async with account_session(installation, tenant) as session:
        assert await session.connection.fetchval(SQL["enrol_second_factor"], account.id, sealed)
        at = datetime.fromtimestamp(second, UTC)
        assert await FACTORS.confirm(session, account.id, code, now=at + timedelta(minutes=2)) is None
        assert await FACTORS.confirm(session, account.id, code, now=at) is not None


@pytest.mark.parametrize(
    ("off", "showing"),
    [
        (-60, Showing.WRONG),
        (-30, Showing.CODE),
        (0, Showing.CODE),
        (30, Showing.CODE),
        (60, Showing.WRONG),
    ],
)
async def test_a_clock_may_be_off_by_one_step(
    installation: Installation, tenant: Tenant, off: int, showing: Showing
) -> None:
    account, totp, _ = await confirmed(installation, tenant, now=NOW - timedelta(minutes=5))
    assert await show(installation, tenant, account, totp.at(NOW + timedelta(seconds=off))) is showing


async def test_a_code_is_used_once_and_so_are_those_before_it(
    installation: Installation, tenant: Tenant
) -> None:
    account, totp, _ = await confirmed(installation, tenant)
    assert await show(installation, tenant, account, totp.at(NOW)) is Showing.CODE
    assert await show(installation, tenant, account, totp.at(NOW)) is Showing.WRONG
    earlier = totp.at(NOW - timedelta(seconds=30))
    assert await show(installation, tenant, account, earlier) is Showing.WRONG
    later = totp.at(NOW + timedelta(seconds=30))
    assert await show(installation, tenant, account, later) is Showing.CODE


async def test_the_code_that_confirmed_is_used_up(installation: Installation, tenant: Tenant) -> None:
    account, totp, _ = await confirmed(installation, tenant)
    before = NOW - timedelta(minutes=1)
    assert await show(installation, tenant, account, totp.at(before), before) is Showing.WRONG


async def test_of_many_simultaneous_uses_of_a_code_one_wins(
    installation: Installation, tenant: Tenant
) -> None:
    account, totp, codes = await confirmed(installation, tenant)
    for code, good in [(totp.at(NOW), Showing.CODE), (codes[0], Showing.RECOVERY_CODE)]:
        shown = await asyncio.gather(*[show(installation, tenant, account, code) for _ in range(15)])
        assert sorted(shown) == sorted([good] + [Showing.WRONG] * 14)


async def test_every_recovery_code_can_be_used_once(installation: Installation, tenant: Tenant) -> None:
    account, _, codes = await confirmed(installation, tenant)
    assert len(set(codes)) == RECOVERY_CODES
    for code in codes:
        assert await show(installation, tenant, account, code.upper()) is Showing.RECOVERY_CODE
        assert await show(installation, tenant, account, code) is Showing.WRONG


async def test_the_recovery_code_of_another_account_is_wrong(
    installation: Installation, tenant: Tenant
) -> None:
    account, _, _ = await confirmed(installation, tenant)
    _, _, others = await confirmed(installation, tenant)
    assert await show(installation, tenant, account, others[0]) is Showing.WRONG


async def test_nothing_is_asked_of_an_account_whose_factor_was_never_confirmed(
    installation: Installation, tenant: Tenant
) -> None:
    account = await add_account(installation, tenant, Role.MEMBER)
    assert await show(installation, tenant, account, None) is Showing.NOT_NEEDED
    async with account_session(installation, tenant) as session:
        await FACTORS.enrol(session, account)
    assert await show(installation, tenant, account, "000000") is Showing.NOT_NEEDED


async def test_a_missing_and_a_malformed_code_are_told_apart(
    installation: Installation, tenant: Tenant
) -> None:
    account, _, _ = await confirmed(installation, tenant)
    assert await show(installation, tenant, account, None) is Showing.MISSING
    for code in ("12345", "1234567", "٣٣٣٣٣٣", "abcdef", "a" * 24):
        assert await show(installation, tenant, account, code) is Showing.WRONG


async def test_enrolling_again_replaces_a_secret_that_was_never_confirmed(
    installation: Installation, tenant: Tenant
) -> None:
    account = await add_account(installation, tenant, Role.MEMBER)
    async with account_session(installation, tenant) as session:
        first = TOTP((await FACTORS.enrol(session, account)).secret)
        second = TOTP((await FACTORS.enrol(session, account)).secret)
        assert await FACTORS.confirm(session, account.id, first.at(NOW), now=NOW) is None
        assert await FACTORS.confirm(session, account.id, second.at(NOW), now=NOW) is not None
        with pytest.raises(SecondFactorExists):
            await FACTORS.confirm(session, account.id, second.at(NOW), now=NOW)
        with pytest.raises(SecondFactorExists):
            await FACTORS.enrol(session, account)


async def test_a_disabled_factor_leaves_nothing_behind(installation: Installation) -> None:
    account, _, codes = await confirmed(installation, None, role=Role.OPERATOR)
    async with account_session(installation, None) as session:
        await second_factor.disable(session, account.id)
    assert await show(installation, None, account, codes[0]) is Showing.NOT_NEEDED
    kept = await rows(installation, "SELECT * FROM public.recovery_codes WHERE user_id = $1", account.id)
    assert kept == []
    (user,) = await rows(installation, "SELECT * FROM public.users WHERE id = $1", account.id)
    assert user["totp_secret"] is None
    assert user["totp_last_step"] is None


async def test_neither_secret_nor_recovery_codes_are_kept_readable(installation: Installation) -> None:
    account, totp, codes = await confirmed(installation, None, role=Role.OPERATOR)
    (user,) = await rows(installation, "SELECT * FROM public.users WHERE id = $1", account.id)
    assert isinstance(user["totp_secret"], bytes)
    assert base64.b32decode(totp.secret) not in user["totp_secret"]
    kept = await rows(installation, "SELECT * FROM public.recovery_codes WHERE user_id = $1", account.id)
    plain = codes[0].replace("-", "").upper().encode()
    assert len(kept) == RECOVERY_CODES
    assert all(row["code_hash"] != plain for row in kept)
