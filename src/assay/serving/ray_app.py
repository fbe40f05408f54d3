"""The server as replicas on a Ray cluster, more of them while there is more to do (Ray Serve)."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from assay.runs.ray_engine import enter, refuse_missing, started

if TYPE_CHECKING:
    from fastapi import FastAPI

_APPLICATION = "assay"


@final
@dataclass(frozen=True, slots=True)
class Replicas:
    """How many replicas, each with all rewards of its own: ``least`` to ``most``, another while each of those there has
    ``busy`` requests under way on average. ``cpus`` and ``gpus`` are what each takes of a node, ``ongoing`` how many
    requests one is handed at a time; ``drain`` seconds are given to accepted work when one stops.

    Raises:
        ValueError: ``most`` is below ``least``, or a number that is not positive.
    """

    least: int = 1
    most: int = 1
    busy: float = 8.0
    cpus: float = 1.0
    gpus: float = 0.0
    ongoing: int = 256
    drain: float = 30.0

    def __post_init__(self) -> None:
        if not 1 <= self.least <= self.most:
            raise ValueError(f"replicas from {self.least} to {self.most}: need 1 <= least <= most")
        if self.busy <= 0 or self.cpus < 0 or self.gpus < 0 or self.ongoing < 1:
            raise ValueError("busy and ongoing must be positive, cpus and gpus not negative")


def deploy(make: Callable[[], FastAPI], host: str, port: int, replicas: Replicas) -> str:
    """Serve what ``make`` makes in every replica at ``host`` and ``port`` of this node; its address, once it answers.

    ``make`` is pickled: what it reads (rewards, caches) must be found on every node. A score cache is one file a node.
    A version that one replica promotes is not the others': versions are changed by deploying anew, without a gap.

    Raises:
        EngineMissingError: Ray is not installed.
        ClusterError: this machine, alone, has not the GPUs of one replica.
        RuntimeError: no replica could start; the message has the last error.
    """
    refuse_missing(started(), replicas.gpus)
    serve: Any = __import__("ray.serve", fromlist=["serve"])
    serve.start(http_options={"host": host, "port": port})
    options: dict[str, Any] = {
        "name": "Replica",
        "ray_actor_options": {"num_cpus": replicas.cpus, "num_gpus": replicas.gpus},
        "max_ongoing_requests": replicas.ongoing,
        "graceful_shutdown_timeout_s": replicas.drain,
    }
    if replicas.most > replicas.least:
        options["autoscaling_config"] = {
            "min_replicas": replicas.least,
            "max_replicas": replicas.most,
            "target_ongoing_requests": replicas.busy,
        }
    else:
        options["num_replicas"] = replicas.least

    folder = os.getcwd()

    def build() -> FastAPI:  # Ray takes only a plain function for a builder
        enter(folder)
        return make()

    deployment = serve.deployment(**options)(serve.ingress(build)(_Replica))
    serve.run(deployment.bind(), name=_APPLICATION, route_prefix="/", blocking=False)
    return f"http://{host}:{port}"


class _Replica:
    """What Ray makes one of in each replica; the application is all of it."""


def withdraw() -> None:
    """Stop serving: accepted work finishes, within the replicas' ``drain``."""
    serve: Any = __import__("ray.serve", fromlist=["serve"])
    serve.delete(_APPLICATION)
    serve.shutdown()


def told_to_stop() -> threading.Event:
    """What SIGTERM and SIGINT set from here on, in place of ending the program."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    return told
