"""The server as replicas on a Ray cluster: offline scores, and a replica that dies comes back."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

import assay
from assay import testing
from assay.cli.serve import Site, read_replicas, replica
from assay.records import Record
from assay.rewards.learned import LearnedReward
from assay.serving.policy import MediaPolicy
from assay.serving.queue import QueueLimits
from assay.serving.ray_app import Replicas, deploy, withdraw

SAID = ["yes", "no, not at all", "perhaps it is so"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return testing.learned_reward().save(tmp_path_factory.mktemp("reward") / "saved")


@pytest.fixture(scope="module")
def address(cluster: None, saved: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    site = Site(
        rewards=(("tiny", str(saved)),),
        isolate=False,
        device="cpu",
        dtype="auto",
        seed=0,
        cache=None,
        limits=QueueLimits(),
        policy=MediaPolicy(),
        tokens=(),
        pickle=False,
        upstream=None,
        form=None,
        drain=5.0,
        alone=False,
    )
    yield deploy(partial(replica, site), "127.0.0.1", port, Replicas(cpus=0.5, least=1, most=2, busy=2.0, drain=5.0))
    withdraw()


def asked(address: str) -> list[float]:
    """The values of one request, asked again while no replica is ready."""
    body: dict[str, Any] = {"records": [{"prompt": f"question {i}?", "responses": SAID} for i in range(3)]}
    ends = time.monotonic() + 240
    while True:
        try:
            answer = httpx.post(f"{address}/v1/scores", json=body, timeout=60)
            if answer.status_code == 200:
                return [row["value"] for row in answer.json()["rows"]]
        except httpx.TransportError:
            answer = None
        assert time.monotonic() < ends, answer and answer.text
        time.sleep(0.2)


def offline(saved: Path) -> list[float]:
    records = [Record.of(f"question {i}?", SAID, id=str(i)) for i in range(3)]
    return assay.score(LearnedReward.load(saved, device="cpu"), records).values.tolist()


def test_scores_are_those_of_offline(address: str, saved: Path) -> None:
    assert asked(address) == pytest.approx(offline(saved), abs=1e-5)
    assert httpx.get(f"{address}/health", timeout=60).status_code == 200


def test_a_replica_that_is_killed_comes_back(address: str, saved: Path) -> None:
    before = {each.pid for each in psutil.process_iter(["cmdline"]) if _is_replica(each)}
    assert before
    for pid in before:
        psutil.Process(pid).kill()
    assert asked(address) == pytest.approx(offline(saved), abs=1e-5)
    after = {each.pid for each in psutil.process_iter(["cmdline"]) if _is_replica(each)}
    assert after
    assert not after & before


def _is_replica(process: psutil.Process) -> bool:
    return any("ServeReplica" in part for part in process.info["cmdline"] or ())


def test_replicas_are_read_as_they_are_written() -> None:
    assert read_replicas("here", "1", 0.0, 30.0) is None
    assert read_replicas("ray", "2-5", 1.0, 9.0) == Replicas(least=2, most=5, gpus=1.0, drain=9.0)
    for wrong in (("ray", "many", 0.0), ("here", "2", 0.0), ("spark", "1", 0.0), ("ray", "3-2", 0.0)):
        with pytest.raises(ValueError, match=r"replicas|engine"):
            read_replicas(*wrong, 30.0)


def test_replicas_are_checked() -> None:
    with pytest.raises(ValueError, match="least <= most"):
        Replicas(least=3, most=2)
