"""One Ray cluster for all tests of this folder: starting it costs seconds."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """Two CPUs of a local cluster."""
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'assay[ray]'")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    yield
    ray.shutdown()
