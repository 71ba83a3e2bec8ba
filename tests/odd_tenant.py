"""A tenant whose rows hold what formats trip over."""

from datetime import UTC, datetime
from uuid import UUID, uuid4

from core.tenant import Tenant
from shell.session import owner_session
from tests.installation import Installation

ODD_TEXTS = [
    "",
    " ",
    "NULL",
    "<row>&amp;</row>]]>",
    "\\N",
    "\\\\N",
    "\\n",
    "\\",
    '"',
    '""',
    "a,b;c\td",
    "line\nfeed\r\nand\rreturn",
    "\n",
    "\r",
    "\x01\x02\x08\x0b\x0c\x0e\x1f\x7f\x85",
    "\\u0041\x01",
    "=1+1",
    "Grüße, 東京, 🇪🇺, \u00e9 and e\u0301",
    "\u2028\u2029\ufeff\ufffe\uffff\ufffd",
    "x" * 20_000,
]
NOW = datetime(2026, 11, 25, 1, 2, 3, 456_789, tzinfo=UTC)
HUGE = "123456789012.000000000000000000000000000001"
ODD_JSON = (
    '{"n": 1.10000000000000000000000001, "b": [1, null, true, {"": "\\""}], "big": 12345678901234567890}'
)

# $1 an instant, $2 a user, $3 … as each statement needs.
PEOPLE = """
INSERT INTO users (id, email, full_name, password_hash, role, created_at, totp_secret, totp_confirmed_at)
VALUES ($2, $3, 'Ada', 'secret-hash', 'OWNER', $1, 'secret-totp', $1)
"""
TOKENS = "INSERT INTO refresh_tokens VALUES ('secret-token', $2, $2, $1, $1)"
INVITATIONS = """
INSERT INTO invitations (id, email, role, token_hash, invited_by, created_at, expires_at, idempotency_key)
VALUES ($2, 'x@example.com', 'VIEWER', 'secret-invitation', $2, $1, $1, 'k')
"""
SESSIONS = "INSERT INTO sessions VALUES ($2, $2, 'a browser', NULL, $1, $1, NULL, NULL)"
EVENTS = """
INSERT INTO usage_events
SELECT text, number::text, 'cpu', $3::text::numeric, $1, $1, jsonb_build_object('text', text)
FROM unnest($2::text[]) WITH ORDINALITY AS odd (text, number)
"""
JSON_EVENT = "INSERT INTO usage_events VALUES ('json', 'j', 'cpu', 0, $1, $1, $2)"
ANOMALIES = f"""
INSERT INTO anomalies
SELECT gen_random_uuid(), date '2026-01-01' + number::int, 'cpu', {HUGE}, 0.1, '-Infinity', 'NaN', 1e300,
       'high', $1, NULL, NULL, text
FROM unnest($2::text[]) WITH ORDINALITY AS odd (text, number)
"""
KNOWN = "INSERT INTO anomalies VALUES ($2, '2027-01-01', 'cpu', 1.50, 1, 2, 3, 4, 'low', $1, $1, $2, NULL)"
INVOICE = """
INSERT INTO invoices VALUES ($2, '2026-10', 'ISSUED', 'N-1', 'EUR', '{}', '{}', 1, 'domestic', 19, 0.19, 1.19,
                             '', $1, $1, '2026-11-16')
"""
LINE = "INSERT INTO invoice_lines VALUES ($1, 1, 'cpu', 'cpu', 1, 'h', 1, 1)"
DAY = "INSERT INTO daily_usage VALUES ('2026-11-24', 'cpu', 1, 1, $1, true)"


async def fill(installation: Installation, tenant: Tenant) -> None:
    """Put odd rows into the tenant's tables, and secrets that must not leave."""
    user = uuid4()
    async with owner_session(installation.owner_pool, schema=tenant.schema) as session:
        execute = session.connection.execute
        await execute(PEOPLE, NOW, user, f"ada@{tenant.slug}.example")
        for statement in (TOKENS, INVITATIONS, SESSIONS, KNOWN):
            await execute(statement, NOW, user)
        await execute(EVENTS, NOW, ODD_TEXTS, HUGE)
        await execute(JSON_EVENT, NOW, ODD_JSON)
        await execute(ANOMALIES, NOW, ODD_TEXTS)
        await execute(INVOICE, NOW, UUID(int=2))
        await execute(LINE, UUID(int=2))
        await execute(DAY, NOW)
