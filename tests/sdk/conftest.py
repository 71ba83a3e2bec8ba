"""A platform for the clients' tests, and the generated part of the Python client, made where it is old."""

import fcntl
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from shell.processes import API, WORKER
from tests.e2e.platform_process import PASSWORD, Account, Client, running_platform

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / "sdk" / "python"
GENERATED = PYTHON / "src" / "eu_platform_client" / "generated"
UV = os.environ.get("UV", "uv")


@contextmanager
def alone(name: str) -> Iterator[None]:
    """One test process at a time."""
    with (ROOT / ".venv" / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def generate_python() -> None:
    """Make the generated part of the Python client, unless it is younger than what it is made of."""
    sources = (ROOT / "openapi.json", PYTHON / "generate.py")
    with alone("sdk-python"):
        made = GENERATED / "keyed.py"
        if made.exists() and made.stat().st_mtime > max(source.stat().st_mtime for source in sources):
            return
        command = [UV, "run", "--isolated", "--only-group", "sdk", "python", str(PYTHON / "generate.py")]
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


generate_python()


@pytest_asyncio.fixture(scope="module")
async def served(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Client]:
    """A platform with an API and a worker."""
    async with running_platform(tmp_path_factory.mktemp("platform"), API, WORKER) as client:
        await client.ready()
        yield client


@pytest_asyncio.fixture(scope="module")
async def owner(served: Client) -> Account:
    """The owner of a tenant; its password is PASSWORD."""
    return await served.founded("acme")


@pytest.fixture(scope="module")
def url(served: Client) -> str:
    return served.platform.url


@pytest.fixture(scope="module")
def api_key(url: str, owner: Account) -> str:
    """A key that writes and reads usage, and reads costs."""
    answer = httpx.post(
        f"{url}/api/v1/tenants/{owner.tenant_id}/api-keys",
        json={"name": "Tests", "scopes": ["usage:write", "usage:read", "costs:read"]},
        headers=owner.headers,
    )
    key: str = answer.json()["key"]
    return key


@pytest.fixture(scope="module")
def surroundings(url: str, owner: Account, api_key: str) -> dict[str, str]:
    """What the examples in a README read from the environment."""
    return dict(os.environ) | {
        "EU_PLATFORM_URL": url,
        "EU_PLATFORM_TENANT": owner.slug,
        "EU_PLATFORM_TENANT_ID": str(owner.tenant_id),
        "EU_PLATFORM_EMAIL": f"owner@{owner.slug}.example",
        "EU_PLATFORM_PASSWORD": PASSWORD,
        "EU_PLATFORM_KEY": api_key,
    }
