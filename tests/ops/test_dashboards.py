"""Dashboards are what their code says, and logs are shipped and kept as the platform says."""

import json
import re
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops"
FILES = sorted((OPS / "grafana" / "dashboards").glob("*.json"))
LOG_DAYS = 365
"""docs/gdpr.md: how long log lines are kept."""


def generator() -> Any:
    spec = spec_from_file_location("dashboards", OPS / "grafana" / "dashboards.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def test_the_files_are_what_the_code_writes() -> None:
    module = generator()
    expected = {f"{each.uid}.json": module.written(each) for each in module.DASHBOARDS}
    assert {file.name: file.read_text("utf-8") for file in FILES} == expected, "run `just dashboards`"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_dashboard_tells_panels_and_queries_apart(file: Path) -> None:
    dashboard = json.loads(file.read_text("utf-8"))
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(ids)) == len(ids)
    for panel in panels(dashboard):
        letters = [target["refId"] for target in panel["targets"]]
        assert len(set(letters)) == len(letters) > 0


def test_data_sources_that_dashboards_name_are_provisioned() -> None:
    sources = (OPS / "grafana" / "provisioning" / "datasources" / "platform.yml").read_text("utf-8")
    provisioned = set(re.findall(r"^    uid: (\w+)$", sources, re.MULTILINE))
    named = {
        panel["datasource"]["uid"] for file in FILES for panel in panels(json.loads(file.read_text("utf-8")))
    }
    assert named == provisioned == {"prometheus", "loki"}


def test_links_lead_to_dashboards_that_exist() -> None:
    texts = [file.read_text("utf-8") for file in (*FILES, *(OPS / "grafana" / "provisioning").rglob("*.yml"))]
    targets = {uid for text in texts for uid in re.findall(r"/d/([\w-]+)", text)}
    assert targets
    assert targets <= {file.stem for file in FILES}


def test_tenant_and_request_are_metadata_and_no_labels() -> None:
    config = (OPS / "loki" / "config.alloy").read_text("utf-8")

    def values(stage: str) -> set[str]:
        (block,) = re.findall(rf"stage\.{stage} {{\s+values = {{([^}}]*)}}", config)
        return set(re.findall(r"(\w+)\s*=", block))

    (expressions,) = re.findall(r"expressions = {([^}]*)}", config)
    read = set(re.findall(r"(\w+)\s*=", expressions))
    assert values("labels") == {"service", "level"}
    assert values("structured_metadata") == {"tenant_id", "request_id", "job_id", "trace_id"}
    assert read == values("labels") | values("structured_metadata") | {"timestamp"}


def test_logs_are_kept_as_long_as_the_documents_say() -> None:
    (hours,) = re.findall(
        r"^  retention_period: (\d+)h", (OPS / "loki" / "loki.yml").read_text("utf-8"), re.MULTILINE
    )
    assert int(hours) == LOG_DAYS * 24
    assert f"{LOG_DAYS} days" in (ROOT / "docs" / "gdpr.md").read_text("utf-8")


def test_alloy_is_balanced_and_forwards_to_what_is_declared() -> None:
    config = re.sub(r"(?m)^\s*//.*", "", (OPS / "loki" / "config.alloy").read_text("utf-8"))
    for opening, closing in ("{}", "[]", "()"):
        assert config.count(opening) == config.count(closing)
    declared = {f"{kind}.{name}" for kind, name in re.findall(r'^([\w.]+) "(\w+)" {', config, re.MULTILINE)}
    used = {
        name
        for name, _ in re.findall(
            r"((?:local|loki)\.\w+(?:\.\w+)*?\.(?:platform|loki))\.(targets|receiver)", config
        )
    }
    assert used <= declared
    assert len(used) == len(declared) - 1, "all but the first source is fed by another"
