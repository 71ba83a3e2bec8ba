"""`just ops-check`: everything in ops that can be checked without a cloud, a cluster or an engine.

A check whose tool is not on this machine is skipped, and says so: the exit code tells of the others.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[1]
OPS = ROOT / "ops"
OVERLAYS = ("dev", "production")
KUBERNETES = "1.30"  # the newest whose schemas this release of kubectl-validate brings with it
CHECKOV = ("uv", "tool", "run", "--quiet", "checkov==3.3.30", "--config-file", str(OPS / "checkov.yaml"))
COMPOSE = ("go", "run", "github.com/compose-spec/compose-go/v2/cmd@v2.9.0")
VALIDATE = ("go", "run", "sigs.k8s.io/kubectl-validate@v0.0.4", "--version", KUBERNETES)
# Their schemas come with their operators, and nowhere that this check may look.
FOREIGN = {"PodMonitor", "ScaledObject", "ServiceMonitor"}
TIMEOUT = 500


class Skipped(Exception):
    """A check cannot be made here."""


class Failed(Exception):
    """A check found something."""


def main() -> int:
    """Make every check; 1 where one failed."""
    failed = False
    for name, check in CHECKS.items():
        started = time.monotonic()
        try:
            verdict, text = "ok", check()
        except Skipped as reason:
            verdict, text = "skipped", str(reason)
        except Failed as found:
            verdict, text, failed = "FAILED", f"\n{found}", True
        print(f"{verdict:<8} {name:<22} {time.monotonic() - started:5.1f} s  {text}", flush=True)  # noqa: T201
    return 1 if failed else 0


def rendered(overlay: str) -> list[dict[str, object]]:
    """The documents of an overlay; raises Skipped without kubectl."""
    text = _output("kubectl", "kustomize", str(OPS / "k8s" / "overlays" / overlay))
    return [document for document in yaml.safe_load_all(text) if document]


def _compose() -> str:
    file = str(OPS / "docker" / "compose.yaml")
    try:
        _output("docker", "compose", "version")
    except (Skipped, Failed):
        _output(*COMPOSE, file)
        return "by compose-go, which docker compose reads files with"
    _output("docker", "compose", "--file", file, "config", "--quiet")
    return "by docker compose"


def _manifests() -> str:
    skipped = set[str]()
    with tempfile.TemporaryDirectory() as folder:
        for overlay in OVERLAYS:
            documents = rendered(overlay)
            native = [document for document in documents if document["kind"] not in FOREIGN]
            skipped |= {str(document["kind"]) for document in documents} & FOREIGN
            (Path(folder) / f"{overlay}.yaml").write_text(yaml.safe_dump_all(native))
        _output(*VALIDATE, folder)
    return f"against Kubernetes {KUBERNETES}; without a schema here: {', '.join(sorted(skipped))}"


def _manifests_scanned() -> str:
    with tempfile.TemporaryDirectory() as folder:
        for overlay in OVERLAYS:
            (Path(folder) / f"{overlay}.yaml").write_text(yaml.safe_dump_all(rendered(overlay)))
        _output(*CHECKOV, "--framework", "kubernetes", "--directory", folder)
    return "by checkov"


def _image_scanned() -> str:
    _output(*CHECKOV, "--framework", "dockerfile", "--directory", str(OPS / "docker"))
    return "by checkov"


def _terraform_format() -> str:
    _output("terraform", "fmt", "-check", "-recursive", "-diff", str(OPS / "terraform"))
    return ""


def _terraform_valid() -> str:
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(OPS / "terraform", Path(folder) / "terraform")
        try:
            _output("terraform", f"-chdir={copy}", "init", "-backend=false", "-input=false", "-no-color")
        except Failed as error:
            if "registry" in str(error):
                raise Skipped("its providers' registry cannot be reached") from error
            raise
        _output("terraform", f"-chdir={copy}", "validate", "-no-color")
    return ""


def _terraform_scanned() -> str:
    _output(*CHECKOV, "--framework", "terraform", "--directory", str(OPS / "terraform"))
    return "by checkov"


def _output(*command: str) -> str:
    """What the command prints; raises Skipped without its program, Failed where it fails."""
    if shutil.which(command[0]) is None:
        raise Skipped(f"{command[0]} is not on this machine")
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise Failed(f"{command[0]} did not end within {TIMEOUT} seconds") from error
    if done.returncode != 0:
        raise Failed((done.stdout + done.stderr)[-6_000:])
    return done.stdout


CHECKS: dict[str, Callable[[], str]] = {
    "compose": _compose,
    "image, scanned": _image_scanned,
    "manifests": _manifests,
    "manifests, scanned": _manifests_scanned,
    "terraform, format": _terraform_format,
    "terraform, valid": _terraform_valid,
    "terraform, scanned": _terraform_scanned,
}

if __name__ == "__main__":
    sys.exit(main())
