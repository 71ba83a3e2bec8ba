"""Prometheus metrics, added up over the processes of one machine through files in a shared folder."""

import os
from pathlib import Path

FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share_metrics(folder: Path) -> None:
    """Choose the folder; must be called before anything imports prometheus_client."""
    folder.mkdir(parents=True, exist_ok=True)
    os.environ[FOLDER_VARIABLE] = str(folder)


def folder() -> Path:
    """The folder that was chosen."""
    return Path(os.environ[FOLDER_VARIABLE])
