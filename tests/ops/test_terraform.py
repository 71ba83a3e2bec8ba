"""What Terraform refuses before it asks any cloud; `just ops-check` formats, validates and scans the rest."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

TERRAFORM = Path(__file__).parents[2] / "ops" / "terraform"
GOOD: dict[str, object] = {
    "administrators": ["198.51.100.0/28"],
    "ssh_public_keys": {"ada": "ssh-ed25519 AAAA"},
    "k3s_token": "0123456789abcdef0123456789abcdef",
    "domain": "platform.example",
    "bucket": "eu-platform-objects",
}

pytestmark = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not on this machine")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The variables alone: without a provider, terraform needs nobody to check them."""
    folder = tmp_path_factory.mktemp("terraform")
    shutil.copy(TERRAFORM / "variables.tf", folder)
    return folder


def refusal(folder: Path, **changed: object) -> str:
    (folder / "terraform.tfvars.json").write_text(json.dumps(GOOD | changed))
    command = ["terraform", f"-chdir={folder}", "plan", "-input=false", "-no-color", "-lock=false"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == ("Error" not in done.stderr)
    return " ".join(done.stderr.split()) if done.returncode else ""


@pytest.mark.parametrize("location", ["fsn1", "nbg1", "hel1"])
def test_locations_in_the_eu_are_allowed(folder: Path, location: str) -> None:
    assert refusal(folder, location=location) == ""


@pytest.mark.parametrize("location", ["ash", "hil", "sin", "FSN1", ""])
def test_other_locations_are_refused(folder: Path, location: str) -> None:
    assert "Only locations in the EU are allowed" in refusal(folder, location=location)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"administrators": ["0.0.0.0/0"]}, "not the whole internet"),
        ({"administrators": ["::/0"]}, "not the whole internet"),
        ({"administrators": []}, "Name at least one network"),
        ({"servers": 2}, "1, 3 or 5 servers"),
        ({"k3s_token": "short"}, "At least 32 characters"),
        ({"ssh_public_keys": {}}, "Without a key"),
        ({"bucket": "Not_A_Bucket"}, "small letters"),
        ({"k3s_version": "latest"}, "exact release"),
    ],
)
def test_values_that_would_open_or_break_something_are_refused(
    folder: Path, changed: dict[str, object], message: str
) -> None:
    assert message in refusal(folder, **changed)


def test_state_is_encrypted_and_locked() -> None:
    backend = (TERRAFORM / "versions.tf").read_text("utf-8").partition('backend "s3"')[2]
    assert "encrypt                     = true" in backend
    assert "use_lockfile                = true" in backend


@pytest.mark.parametrize("example", ["small", "production"])
def test_the_examples_name_only_variables_that_there_are(folder: Path, example: str) -> None:
    shutil.copy(TERRAFORM / "examples" / example / "terraform.tfvars", folder / "example.auto.tfvars")
    try:
        assert refusal(folder) == ""
    finally:
        (folder / "example.auto.tfvars").unlink()
