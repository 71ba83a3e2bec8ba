import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from shell.metrics import share_metrics

# A slow machine makes no test fail: what must be fast is measured by `just bench`.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# Chosen before anything imports prometheus_client, hence before the fixtures, which import the application.
METRICS = tempfile.TemporaryDirectory(prefix="metrics-")
share_metrics(Path(METRICS.name))

pytest_plugins = ["tests.fixtures"]


def pytest_unconfigure(config: pytest.Config) -> None:
    METRICS.cleanup()
