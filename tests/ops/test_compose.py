import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "ops" / "docker"
OURS = ("api-1", "api-2", "worker", "scheduler", "migrate")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded = yaml.safe_load((DOCKER / "compose.yaml").read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def secrets(service: dict[str, Any]) -> set[str]:
    return {item if isinstance(item, str) else item["source"] for item in service.get("secrets", [])}


def test_only_worker_and_migration_have_the_owners_secrets(compose: dict[str, Any]) -> None:
    owners = {"owner-database-url", "owner-password", "admin-database-url"}
    assert {name for name, service in compose["services"].items() if secrets(service) & owners} == {
        "worker",
        "migrate",
    }


def test_our_containers_are_read_only_and_without_capabilities(compose: dict[str, Any]) -> None:
    for name in OURS:
        service = compose["services"][name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_no_container_sees_the_engines_socket(compose: dict[str, Any]) -> None:
    assert "docker.sock" not in str(compose)


def test_images_of_others_are_named_by_an_exact_version(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if name not in OURS:
            tag = service["image"].rpartition(":")[2]
            assert tag.count(".") >= 1, name
            assert tag != "latest"


def test_only_the_ingress_and_a_loopback_port_are_reachable(compose: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in compose["services"].items() if "ports" in service}
    assert set(ports) == {"caddy", "grafana"}
    assert all(port.startswith("127.0.0.1:") for port in ports["grafana"])


def test_every_secret_is_made_and_made_once(compose: dict[str, Any], tmp_path: Path) -> None:
    subprocess.run([DOCKER / "make-secrets", tmp_path / "secrets"], check=True, capture_output=True)
    made = {file.name: file.read_bytes() for file in (tmp_path / "secrets").iterdir()}
    assert {Path(secret["file"]).name for secret in compose["secrets"].values()} <= set(made)
    assert (tmp_path / "secrets").stat().st_mode & 0o077 == 0
    subprocess.run([DOCKER / "make-secrets", tmp_path / "secrets"], check=True, capture_output=True)
    assert {file.name: file.read_bytes() for file in (tmp_path / "secrets").iterdir()} == made
    assert not [name for name, content in made.items() if not content]


def test_the_image_is_pinned_and_runs_as_nobody_special() -> None:
    lines = (DOCKER / "Dockerfile").read_text("utf-8").splitlines()
    assert [line for line in lines if line.startswith("FROM")] == [
        "FROM ${BASE} AS build",
        "FROM build AS client",
        "FROM ${BASE}",
    ]
    (base,) = [line for line in lines if line.startswith("ARG BASE=")]
    assert len(base.partition("@sha256:")[2]) == 64
    assert "USER 10001:10001" in lines
    assert any("--no-default-groups" in line for line in lines)
