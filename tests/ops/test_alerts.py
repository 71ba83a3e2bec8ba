"""Alerts: each has its section in the runbook and its unit test, and Prometheus itself accepts all files."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OPS = ROOT / "ops" / "prometheus"
ALERTS = re.findall(r"^ +- alert: (\w+)$", (OPS / "rules" / "alerts.yml").read_text("utf-8"), re.MULTILINE)
PROMTOOL = shutil.which("promtool")

needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason="needs promtool (Debian package prometheus)")


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    assert PROMTOOL is not None
    return subprocess.run(
        [PROMTOOL, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=60
    )


def test_each_alert_has_a_section_of_the_runbook() -> None:
    runbook = (ROOT / "docs" / "runbook.md").read_text("utf-8")
    assert re.findall(r"^## (\w+)$", runbook, re.MULTILINE) == ALERTS
    for section in runbook.split("\n## ")[1:]:
        assert re.findall(r"^\*\*([\w ]+)\.\*\*", section, re.MULTILINE) == ["Meaning", "First look", "Cure"]


def test_the_runbook_says_how_urgent_each_alert_is() -> None:
    rules = (OPS / "rules" / "alerts.yml").read_text("utf-8").split("- alert: ")[1:]
    sections = (ROOT / "docs" / "runbook.md").read_text("utf-8").split("\n## ")[1:]
    for rule, section in zip(rules, sections, strict=True):
        (severity,) = re.findall(r"severity: (\w+)", rule)
        assert f"({severity})" in section, section


def test_each_alert_leads_to_its_section() -> None:
    links = re.findall(r"runbook: docs/runbook\.md#(\w+)", (OPS / "rules" / "alerts.yml").read_text("utf-8"))
    assert links == [alert.lower() for alert in ALERTS]


def test_each_alert_is_tested_firing_and_silent() -> None:
    names = re.findall(r"- name: (.+)", (OPS / "tests" / "alerts_test.yml").read_text("utf-8"))
    assert names == [f"{alert} {how}" for alert in ALERTS for how in ("is silent", "fires")]


@needs_promtool
def test_prometheus_accepts_the_files() -> None:
    rules = sorted((OPS / "rules").glob("*.yml"))
    for done in (
        promtool("check", "config", "--syntax-only", OPS / "prometheus.yml"),
        promtool("check", "rules", *rules),
    ):
        assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_alerts_fire_when_they_should_and_only_then() -> None:
    done = promtool("test", "rules", OPS / "tests" / "alerts_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
