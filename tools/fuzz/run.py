"""Send what Schemathesis makes from the OpenAPI document to a platform, as an owner and as an operator.

`python -m tools.fuzz.run [seconds]`, for `just api-fuzz`. It fails where an answer is a 5xx or not as
documented.
"""

import asyncio
import os
import sys
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from core.job import JobKind
from core.permission import Role
from core.resource import Resource
from shell.commands.operator import create_operator
from shell.processes import API, WORKER
from tests.e2e.platform_process import PASSWORD, Account, Client, running_platform
from tests.events import on

ROOT = Path(__file__).parents[2]
CONFIG = Path(__file__).with_name("schemathesis.toml")
UV = os.environ.get("UV", "uv")
SECONDS = 50
SHARES = {"owner": 0.6, "operator": 0.4}
"""Who sends requests, and for which part of the time."""

MANY = 1_000_000
UNLIMITED = {
    "tenant_requests_per_second": float(MANY),
    "tenant_burst": MANY,
    "key_requests_per_second": float(MANY),
    "key_burst": MANY,
    "login_free_failures": MANY,
    "address_free_failures": MANY,
}
"""Quotas are tested elsewhere; here they would hide what lies behind them."""

SHUTS_THE_CALLER_OUT = ("logoutEverywhere", "endSession", "suspendTenant", "deleteTenant", "deactivateUser")
OPERATOR = "operator@example.com"


async def main(seconds: int) -> int:
    """The exit code of the last run that failed."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        async with running_platform(Path(folder), API, WORKER, **UNLIMITED) as client:
            await client.ready()
            owner = await client.founded("fuzzed")
            known = await _furnish(client, owner)
            callers = {"owner": owner.token, "operator": await _operator(client)}
            codes = [
                await _run(client, known, token=callers[name], seconds=max(1, round(seconds * share)))
                for name, share in SHARES.items()
            ]
    return max(codes)


async def _furnish(client: Client, owner: Account) -> dict[str, str]:
    """Give the tenant usage, costs and an invoice, and the ids that are to stand in paths."""
    today = datetime.now(UTC).date()
    days = [today - timedelta(days=age) for age in range(40)]
    await client.store(owner, [on(day, "24", resource=Resource.CPU) for day in days])
    await client.done(await client.enqueue(JobKind.CLOSE_DAYS, owner))
    month = (today.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    job = await client.enqueue(JobKind.INVOICE_MONTH, owner, month=month)
    await client.done(job)
    invoices = await client.http.get(f"/api/v1/tenants/{owner.tenant_id}/invoices", headers=owner.headers)
    return {
        "TENANT_ID": str(owner.tenant_id),
        "JOB_ID": str(job),
        "INVOICE_ID": invoices.json()["items"][0]["id"],
    }


async def _operator(client: Client) -> str:
    """The access token of an operator."""
    await create_operator(
        client.connected, email=OPERATOR, full_name="Operator", role=Role.OPERATOR, password=PASSWORD
    )
    answer = await client.http.post(
        "/api/v1/auth/login", json={"tenant": "platform", "email": OPERATOR, "password": PASSWORD}
    )
    token: str = answer.json()["access_token"]
    return token


async def _run(client: Client, known: dict[str, str], *, token: str, seconds: int) -> int:
    """Schemathesis, in an environment of its own, against the platform."""
    excluded = [word for name in SHUTS_THE_CALLER_OUT for word in ("--exclude-operation-id", name)]
    process = await asyncio.create_subprocess_exec(
        *(UV, "run", "--isolated", "--only-group", "fuzz", "schemathesis", "--config-file", str(CONFIG)),
        *("run", f"{client.platform.url}/openapi.json", "--max-time", str(seconds), *excluded),
        *("--header", f"Authorization: Bearer {token}"),
        *sys.argv[2:],
        env=dict(os.environ) | known,
        cwd=ROOT,
    )
    return await process.wait()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else SECONDS)))
