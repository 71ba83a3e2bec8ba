"""What the rendered overlays promise; `just ops-check` holds them against the schemas of Kubernetes."""

import shutil
from typing import Any

import pytest

from core.errors import SettingInvalid
from shell.settings import load_settings
from tools.ops_check import OVERLAYS, rendered

pytestmark = pytest.mark.skipif(shutil.which("kubectl") is None, reason="kubectl renders the overlays")

OURS = {"api", "worker", "scheduler", "migrate"}
OWNER = "owner-database-url"


@pytest.fixture(scope="module", params=OVERLAYS)
def documents(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return rendered(request.param)


def of_kind(documents: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {item["metadata"]["name"]: item for item in documents if item["kind"] == kind}


def pods(documents: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {
        item["metadata"]["name"]: item["spec"]["template"]["spec"]
        for item in documents
        if item["kind"] in {"Deployment", "StatefulSet", "Job"}
    }


def files(pod: dict[str, Any]) -> set[str]:
    """The names of all secrets' files that a pod sees."""
    found: set[str] = set()
    for volume in pod["volumes"]:
        sources = volume.get("projected", {}).get("sources", [volume])
        for source in sources:
            found |= {item["path"] for item in source.get("secret", {}).get("items", [])}
    return found


def test_all_of_our_processes_are_there(documents: list[dict[str, Any]]) -> None:
    assert set(pods(documents)) >= OURS


def test_only_worker_and_migration_may_become_the_owner(documents: list[dict[str, Any]]) -> None:
    whole = pods(documents)
    for name in ("api", "scheduler"):
        assert "owner" not in str(whole[name]).lower(), name
        assert not {OWNER, "admin-database-url", "audit-key.pem"} & files(whole[name])
    assert OWNER in files(whole["worker"])
    assert {OWNER, "admin-database-url"} & files(whole["migrate"])


def test_no_secret_is_an_environment_variable_or_stands_in_a_manifest(
    documents: list[dict[str, Any]],
) -> None:
    assert of_kind(documents, "Secret") == {}
    for pod in pods(documents).values():
        for container in pod["containers"]:
            assert "secretKeyRef" not in str(container)
            assert "secretRef" not in str(container.get("envFrom"))


def test_every_secret_that_a_setting_names_is_mounted(documents: list[dict[str, Any]]) -> None:
    for name, pod in pods(documents).items():
        named = {
            variable["value"].removeprefix("/run/secrets/")
            for container in pod["containers"]
            for variable in container.get("env", [])
            if variable.get("value", "").startswith("/run/secrets/")
        }
        assert named <= files(pod), name


def test_every_variable_is_a_setting_with_a_valid_value(
    documents: list[dict[str, Any]], tmp_path: Any
) -> None:
    (maps,) = [item for item in documents if item["kind"] == "ConfigMap"]
    (tmp_path / "secret").write_text("x")
    for name in OURS:
        variables = {item["name"]: item["value"] for item in pods(documents)[name]["containers"][0]["env"]}
        secret = str(tmp_path / "secret")
        given = {name: secret if name.endswith("_FILE") else value for name, value in variables.items()}
        environ = maps["data"] | given
        load_settings(environ)
        for variable in environ:
            if variable.endswith("_FILE") and "KEY_FILE" not in variable:
                with pytest.raises(SettingInvalid):
                    load_settings(environ | {variable: "/nowhere"})


def test_every_pod_is_restricted(documents: list[dict[str, Any]]) -> None:
    for name, pod in pods(documents).items():
        context = pod["securityContext"]
        assert context["runAsNonRoot"] is True, name
        assert context["runAsUser"] > 0, name
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert pod["automountServiceAccountToken"] is False, name
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod), name
        assert not [volume for volume in pod["volumes"] if "hostPath" in volume], name
        for container in pod["containers"]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert set(container["resources"]["limits"]) == {"cpu", "memory"}
            assert ":" in container["image"]
            assert not container["image"].endswith(":latest")
    (namespace,) = of_kind(documents, "Namespace").values()
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"


def test_what_no_policy_names_is_denied(documents: list[dict[str, Any]]) -> None:
    policies = of_kind(documents, "NetworkPolicy")
    deny = policies["deny-all"]["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        for way in ("ingress", "egress"):
            for rule in policy["spec"].get(way, []):
                assert rule.get("to" if way == "egress" else "from"), name
                assert rule.get("ports"), name


def test_the_outside_is_not_the_private_networks(documents: list[dict[str, Any]]) -> None:
    (rule,) = of_kind(documents, "NetworkPolicy")["outside"]["spec"]["egress"]
    (four,) = [peer["ipBlock"] for peer in rule["to"] if peer["ipBlock"]["cidr"] == "0.0.0.0/0"]
    assert {"10.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16"} <= set(four["except"])


def test_the_api_survives_a_drained_machine_and_a_rollout(documents: list[dict[str, Any]]) -> None:
    api = of_kind(documents, "Deployment")["api"]["spec"]
    assert api["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "replicas" not in api  # the HPA's: a rollout must not set them back
    scaler = of_kind(documents, "HorizontalPodAutoscaler")["api"]["spec"]
    assert scaler["minReplicas"] >= 2
    assert of_kind(documents, "PodDisruptionBudget")["api"]["spec"]["minAvailable"] >= 1
    (container,) = api["template"]["spec"]["containers"]
    grace = api["template"]["spec"]["terminationGracePeriodSeconds"]
    (delay,) = [
        int(each["value"]) for each in container["env"] if each["name"] == "PLATFORM_DRAIN_DELAY_SECONDS"
    ]
    probe = container["readinessProbe"]
    assert probe["periodSeconds"] * probe["failureThreshold"] < delay
    assert delay + 30 < grace
    assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"
    assert container["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def test_there_is_never_a_second_scheduler(documents: list[dict[str, Any]]) -> None:
    scheduler = of_kind(documents, "Deployment")["scheduler"]["spec"]
    assert scheduler["replicas"] == 1
    assert scheduler["strategy"] == {"type": "Recreate"}


def test_the_worker_is_scaled_by_a_metric_that_there_is(documents: list[dict[str, Any]]) -> None:
    (trigger,) = of_kind(documents, "ScaledObject")["worker"]["spec"]["triggers"]
    (namespace,) = of_kind(documents, "Namespace")
    assert trigger["metadata"]["query"].startswith(f'max(job_overdue_seconds{{namespace="{namespace}"}})')


def test_the_ingress_has_tls_and_keeps_operations_inside(documents: list[dict[str, Any]]) -> None:
    (ingress,) = of_kind(documents, "Ingress").values()
    (rule,) = ingress["spec"]["rules"]
    assert ingress["spec"]["tls"][0]["hosts"] == [rule["host"]]
    paths = {path["path"] for path in rule["http"]["paths"]}
    assert not [path for path in paths if path == "/" or path.startswith(("/metrics", "/health"))]
