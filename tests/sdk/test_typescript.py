"""The TypeScript client, by its own tests, against a platform that runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sdk.conftest import ROOT

FOLDER = ROOT / "sdk" / "typescript"
NODE = ROOT / "tools" / "node.py"


def node(*arguments: str, environment: dict[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """A run of npm or node in the package's folder."""
    return subprocess.run(
        [sys.executable, str(NODE), *arguments],
        cwd=FOLDER,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture(scope="module")
def installed() -> None:
    """The package's dependencies, and its generated part."""
    found = node("npm", "ci", "--prefer-offline")
    if found.returncode != 0 and not os.environ.get("CI"):
        pytest.skip(f"npm cannot install what the client needs: {found.stderr[-200:]}")
    assert found.returncode == 0, found.stderr
    generated = node("npm", "run", "generate")
    assert generated.returncode == 0, generated.stderr


@pytest.mark.usefixtures("installed")
def test_the_client_works(surroundings: dict[str, str], tmp_path: Path) -> None:
    done = node("npm", "test", environment=surroundings | {"STATE_DIRECTORY": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert "# fail 0" in done.stdout


@pytest.mark.usefixtures("installed")
def test_the_types_are_right() -> None:
    done = node("npm", "run", "check")
    assert done.returncode == 0, done.stdout
