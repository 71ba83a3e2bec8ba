"""Generate `eu_platform_client.generated` from openapi.json: run by the build, and by `just sdk`.

A source distribution brings the generated part with it and has no openapi.json beside it: then nothing is
done.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
DOCUMENT = HERE.parents[1] / "openapi.json"
GENERATED = HERE / "src" / "eu_platform_client" / "generated"

KNOWN_TYPES = {"application/json", "application/problem+json", "text/plain"}
FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}

KEYED = '''"""The paths whose POST takes an Idempotency-Key, as patterns."""

KEYED = (
{patterns})
'''


def generate() -> None:
    """Write the generated part anew, whole or not at all."""
    document = json.loads(DOCUMENT.read_bytes())
    with tempfile.TemporaryDirectory(dir=HERE / "src") as folder:
        source, made = Path(folder) / "openapi.json", Path(folder) / "generated"
        source.write_text(json.dumps(_simplified(document)), "utf-8")
        _run_generator(source, made)
        (made / "keyed.py").write_text(KEYED.format(patterns=_patterns(document)), "utf-8")
        shutil.rmtree(GENERATED, ignore_errors=True)
        made.rename(GENERATED)


def _run_generator(source: Path, made: Path) -> None:
    config = source.with_name("config.yaml")
    config.write_text("post_hooks: []\n", "utf-8")  # its own linter, which is not needed to import the result
    done = subprocess.run(
        [
            *(sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"),
            *("--fail-on-warning", "--config", str(config)),
            *("--path", str(source), "--output-path", str(made)),
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise SystemExit(f"{done.stdout}{done.stderr}")


def _simplified(document: dict[str, Any]) -> dict[str, Any]:
    """The document as the generator understands it: one type of a body, and files as bytes."""
    for operation in _operations(document):
        content = operation.get("requestBody", {}).get("content", {})
        for other in [each for each in content if each != "application/json"] if len(content) > 1 else []:
            del content[other]
        for response in operation["responses"].values():
            if response.get("content", {}).keys() - KNOWN_TYPES:
                response["content"] = FILE
    return document


def _patterns(document: dict[str, Any]) -> str:
    keyed = [
        path
        for path, item in sorted(document["paths"].items())
        if any(each["name"] == "Idempotency-Key" for each in item.get("post", {}).get("parameters", []))
    ]
    patterns = [
        "^" + "/".join("[^/]+" if "{" in part else part for part in path.split("/")) + "$" for path in keyed
    ]
    return "".join(f'    r"{pattern}",\n' for pattern in patterns)


def _operations(document: dict[str, Any]) -> list[dict[str, Any]]:
    return [operation for item in document["paths"].values() for operation in item.values()]


try:
    from hatchling.builders.hooks.plugin.interface import BuildHookInterface
except ImportError:  # run by hand
    pass
else:

    class GenerateHook(BuildHookInterface[Any]):
        """Generates before anything is packed."""

        def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
            """Generate, where the document is at hand; the arguments are the builder's."""
            if DOCUMENT.exists():
                generate()


if __name__ == "__main__":
    generate()
