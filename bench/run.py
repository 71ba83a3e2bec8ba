"""Run benchmarks: `python -m bench.run [names…] [--json FILE] [--quick]`."""

import argparse
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from rich.console import Console

from bench.audit import audit, verify
from bench.close import close
from bench.erase import erase
from bench.export import export
from bench.figures import Figure, Machine, machine, show
from bench.ingest import ingest
from bench.login import login
from bench.read import read
from bench.stage import postgres_version, stage
from bench.start import start
from bench.tenants import tenants
from shell.logs import configure_logs

WIDTH = 120
"""Of the table, where it does not go to a terminal."""

BENCHMARKS: dict[str, Callable[..., Awaitable[list[Figure]]]] = {
    "ingest": ingest,
    "read": read,
    "login": login,
    "close": close,
    "tenants": tenants,
    "erase": erase,
    "export": export,
    "start": start,
    "audit": audit,
    "verify": verify,
}


class Report(msgspec.Struct, frozen=True):
    """What `--json` writes."""

    machine: Machine
    is_quick: bool
    figures: list[dict[str, Any]]


def main() -> None:
    """Measure what was asked for, show it, and keep it."""
    arguments = _arguments()
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    configure_logs(service="bench", level="WARNING")
    names = arguments.names or list(BENCHMARKS)
    facts, figures = uvloop.run(_measured(console, names, quick=arguments.quick))
    show(console, facts, figures)
    if arguments.json is not None:
        report = Report(facts, arguments.quick, [_kept(figure) for figure in figures])
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")


def _kept(figure: Figure) -> dict[str, Any]:
    return {**msgspec.structs.asdict(figure), "reached": figure.is_reached}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="just bench", description="Measure the platform on this machine.")
    parser.add_argument(
        "names", nargs="*", metavar="name", choices=[[], *BENCHMARKS], help=", ".join(BENCHMARKS)
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to a file")
    parser.add_argument(
        "--quick", action="store_true", help="fewer and smaller rounds: does it run, not how fast"
    )
    return parser.parse_args()


async def _measured(console: Console, names: list[str], *, quick: bool) -> tuple[Machine, list[Figure]]:
    figures: list[Figure] = []
    for name in names:
        started = time.monotonic()
        with console.status(f"{name} …"):
            figures += await BENCHMARKS[name](quick=quick)
        console.print(f"{name}: measured in {time.monotonic() - started:.0f} s")
    async with stage() as here:
        return machine(await postgres_version(here)), figures


if __name__ == "__main__":
    main()
