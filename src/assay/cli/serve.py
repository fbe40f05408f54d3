"""`assay serve`: rewards over HTTP, in the dialects of the clients that ask for them."""

from __future__ import annotations

import gc
import importlib.util
import os
import re
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, final

import typer

from assay.cli.inputs import UsageError, open_reward, show
from assay.cli.options import Device, DryRun, Dtype, Json, NoLimit, Seed

if TYPE_CHECKING:
    from fastapi import FastAPI

    from assay.serving.cores import Cores
    from assay.serving.dialects.chat import Upstream
    from assay.serving.policy import MediaPolicy
    from assay.serving.processes import Report
    from assay.serving.ray_app import Replicas
    from assay.serving.service import Service
    from assay.serving.templated import Untemplate

MEBIBYTE = 2**20
_NAME_OF_FILE = re.compile(r"^.+\.py:(\w+)$")
_UNFIT = re.compile(r"[^A-Za-z0-9._-]+")
_TOKEN = re.compile(r"[\x21-\x7e]{8,}")
_SHORT = 12
_Http = typer.Option


def serve(
    rewards: Annotated[
        list[str] | None,
        typer.Argument(metavar="REWARD...", help="Saved directories, hub ids, file.py:name, judge:MODEL@URL."),
    ] = None,
    name: Annotated[
        list[str] | None,
        _Http("--name", help="NAME=REWARD: serve it by that name, before those without; a name twice: two versions."),
    ] = None,
    host: Annotated[str, _Http("--host", help="Where to listen. Beyond this machine only with a token.")] = "127.0.0.1",
    port: Annotated[int, _Http("--port", help="Port; 0 takes a free one.", min=0, max=65_535)] = 8000,
    workers: Annotated[
        int, _Http("--workers", help="Processes on the same port, each with all rewards of its own.", min=1)
    ] = 1,
    engine: Annotated[
        str, _Http("--engine", help="here, or ray: replicas on a cluster (by RAY_ADDRESS, or this machine).")
    ] = "here",
    replicas: Annotated[
        str, _Http("--replicas", help="With --engine ray: how many, or LEAST-MOST of them as there is to do.")
    ] = "1",
    gpus: Annotated[float, _Http("--gpus", help="With --engine ray: GPUs of each replica.", min=0.0)] = 0.0,
    threads: Annotated[
        int | None,
        _Http("--threads", help="Threads of a reward's arithmetic on a CPU; as many as answering leaves cores.", min=1),
    ] = None,
    isolate: Annotated[bool, _Http("--isolate", help="Each reward in a process of its own.")] = False,
    cache: Annotated[Path | None, _Http("--cache", help="File of scores to be kept, as of `assay score`.")] = None,
    token_file: Annotated[
        Path | None, _Http("--token-file", help="Tokens that let clients in, one a line; or set ASSAY_TOKENS.")
    ] = None,
    insecure: Annotated[bool, _Http("--insecure", help="Listen beyond this machine without a token.")] = False,
    media_root: Annotated[
        Path | None, _Http("--media-root", help="Folder that paths of media may lead into; without it none is taken.")
    ] = None,
    allow_host: Annotated[
        list[str] | None, _Http("--allow-host", help="Host that media may be fetched from; without it none is.")
    ] = None,
    max_body: Annotated[int, _Http("--max-body", help="Largest request, in MiB.", min=1)] = 64,
    max_media: Annotated[int, _Http("--max-media", help="Largest picture, video or sound, in MiB.", min=1)] = 32,
    max_pixels: Annotated[int, _Http("--max-pixels", help="Largest picture, in pixels.", min=1)] = 64_000_000,
    queue_tokens: Annotated[
        int, _Http("--queue-tokens", help="Tokens that may wait for a reward; beyond them 429.", min=1)
    ] = 262_144,
    batch_tokens: Annotated[int, _Http("--batch-tokens", help="Tokens computed together.", min=1)] = 16_384,
    keep_prompts: Annotated[
        int, _Http("--keep-prompts", help="MiB a reward for prompts that later requests may share; 0: none.", min=0)
    ] = 256,
    seconds: Annotated[float, _Http("--seconds", help="Deadline of requests that name none.", min=0.001)] = 60.0,
    drain: Annotated[float, _Http("--drain", help="Seconds for accepted work when stopping.", min=0.0)] = 30.0,
    upstream: Annotated[
        str | None, _Http("--upstream", help="MODEL@URL of an OpenAI-compatible address, for best of n.")
    ] = None,
    upstream_key: Annotated[
        str | None, _Http("--upstream-key", help="Environment variable that holds its key.")
    ] = None,
    budget: Annotated[int, _Http("--budget", help="Candidates of best of n, where a request says none.", min=1)] = 8,
    template: Annotated[
        str | None,
        _Http("--template", help="Policy's tokenizer (directory or hub id), to read templated texts into turns."),
    ] = None,
    pickle: Annotated[bool, _Http("--pickle", help="Also flow_grpo's pickles, read as data and nothing else.")] = False,
    limit: NoLimit = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Serve rewards over HTTP.

    The native protocol is POST /v1/scores; the clients of vLLM, Cohere, Jina, OpenRLHF, slime, UniRL, LLaMA-Factory and
    OpenAI find their own addresses. GET /openapi.json lists all, GET /ready says when the rewards are loaded. SIGTERM
    lets accepted work finish. With --engine ray replicas on a cluster answer, more of them while there is more to do.

    Exit code 2 when a reward cannot be loaded or the address cannot be had.

    Example: assay serve out/my-reward --port 8000
    """
    refuse_without_packages()
    from assay.serving.policy import MediaPolicy
    from assay.serving.processes import Patience, listener, serve_here, serve_many
    from assay.serving.queue import QueueLimits
    from assay.serving.templated import untemplate_of

    del limit
    tokens = read_tokens(token_file)
    refuse_open_door(host, tokens, insecure)
    site = Site(
        rewards=named_rewards(rewards or [], name or []),
        isolate=isolate,
        device=device,
        dtype=dtype,
        seed=seed,
        cache=cache,
        limits=QueueLimits(tokens=queue_tokens, batch_tokens=batch_tokens, seconds=seconds),
        policy=MediaPolicy(
            root=media_root,
            hosts=tuple(allow_host or ()),
            max_bytes=max_media * MEBIBYTE,
            max_pixels=max_pixels,
            max_body=max_body * MEBIBYTE,
        ),
        tokens=tokens,
        pickle=pickle,
        upstream=read_upstream(upstream, upstream_key, budget),
        form=None if template is None else untemplate_of(template),
        drain=drain,
        workers=workers,
        alone=workers == 1 and engine == "here",
        prefix_bytes=keep_prompts * MEBIBYTE,
        threads=threads,
    )
    cluster = read_replicas(engine, replicas, gpus, drain)
    if cluster is not None and workers != 1:
        raise UsageError("--workers are processes of this machine; with --engine ray give --replicas")
    if dry_run:
        found = site.described()
        facts = {"host": host, "port": port, "workers": workers, "rewards": found}
        show(facts, as_json, [*_table(found), f"would be served at http://{_shown(host, port)}"])
        return
    if cluster is not None:
        _on_cluster(site, host, port, cluster, as_json)
        return
    bound = listener(host, port)
    address = f"http://{_shown(host, bound.getsockname()[1])}"
    make = partial(application, site)

    def ready(served: Any) -> None:
        facts = {"address": address, "workers": workers, "token": bool(tokens), "rewards": served}
        door = "a token lets in" if tokens else "no token asked"
        several = f", {workers} processes" if workers > 1 else ""
        show(facts, as_json, [*_table(served), f"serving at {address} ({door}{several})"])
        sys.stdout.flush()

    patience = Patience(site.policy.seconds, drain)
    if workers == 1:
        serve_here(make, bound, patience, ready)
    else:
        serve_many(make, bound, workers, patience, ready)


@final
@dataclass(frozen=True, slots=True)
class Site:
    """All that a process needs to know to serve; picklable."""

    rewards: tuple[tuple[str, str], ...]
    isolate: bool
    device: str
    dtype: str
    seed: int
    cache: Path | None
    limits: Any
    policy: MediaPolicy
    tokens: tuple[str, ...]
    pickle: bool
    upstream: Upstream | None
    form: Untemplate | None
    drain: float
    alone: bool
    workers: int = 1
    prefix_bytes: int = 256 * MEBIBYTE
    threads: int | None = None

    def service(self) -> Service:
        """The rewards, not yet loaded."""
        from assay.runs.score_cache import ScoreCache
        from assay.serving.service import Entry, Service

        entries = [
            Entry(name, partial(self.loaded, reference), self.isolate, self.prefix_bytes)
            for name, reference in self.rewards
        ]
        cache = None if self.cache is None else ScoreCache(self.cache)
        return Service(entries, limits=self.limits, cache=cache, cores=self.cores())

    def cores(self) -> Cores | None:
        """This process's share of the machine; None where the number of threads is given, or OMP_NUM_THREADS is set."""
        import torch

        from assay.serving.cores import Cores

        if self.threads is not None or "OMP_NUM_THREADS" in os.environ:
            return None
        return Cores(max(1, torch.get_num_threads() // self.workers))

    def loaded(self, reference: str) -> Any:
        """A reward, on its device."""
        import torch

        if self.threads is not None:
            torch.set_num_threads(self.threads)
        return open_reward(reference, self.device, self.dtype, self.seed)

    def described(self) -> list[dict[str, Any]]:
        """What would be served: every reward is loaded to know it."""
        from assay.rewards.base import fingerprint, name_of

        found: list[dict[str, Any]] = []
        for name, reference in self.rewards:
            reward = self.loaded(reference)
            found.append({"name": name, "fingerprint": fingerprint(reward), "recipe": name_of(reward)})
        return found


def application(site: Site, report: Report) -> FastAPI:
    """The application of a site; ``report`` hears when its rewards are loaded."""
    from assay.serving.app import create_app
    from assay.serving.native import described

    service = site.service()

    def started(error: BaseException | None) -> None:
        gc.collect()
        gc.freeze()  # what was loaded stays: looking through it for garbage would stop every reply for half a second
        report(None if error is not None else [described(each) for each in service.served()], error)

    return create_app(
        service,
        policy=site.policy,
        tokens=site.tokens,
        pickle=site.pickle,
        upstream=site.upstream,
        form=site.form,
        drain_seconds=site.drain,
        started=started,
        alone=site.alone,
    )


def _on_cluster(site: Site, host: str, port: int, cluster: Replicas, as_json: bool) -> None:
    from assay.serving.ray_app import deploy, told_to_stop, withdraw

    if not port:
        raise UsageError("--engine ray: name a --port, every node listens at it")
    told = told_to_stop()  # before Ray is there, so that what it started is always withdrawn
    address = deploy(partial(replica, site), host, port, cluster)
    facts = {"address": address, "replicas": [cluster.least, cluster.most], "rewards": dict(site.rewards)}
    lines = [f"{name}: {reference}" for name, reference in site.rewards]
    show(facts, as_json, [*lines, f"serving at {address} ({cluster.least} to {cluster.most} replicas)"])
    sys.stdout.flush()
    told.wait()
    withdraw()


def read_replicas(engine: str, text: str, gpus: float, drain: float) -> Replicas | None:
    """The replicas of a cluster; None where this process serves.

    Raises:
        UsageError: another engine, or replicas that are not written ``N`` or ``LEAST-MOST``.
    """
    if engine not in ("here", "ray"):
        raise UsageError(f"--engine {engine}: give here or ray")
    least, _, most = text.partition("-")
    if not least.isdecimal() or not (most or least).isdecimal():
        raise UsageError(f"--replicas {text}: write N, or LEAST-MOST")
    if engine == "here":
        if text != "1" or gpus:
            raise UsageError("--replicas and --gpus are of --engine ray; --workers are processes of this machine")
        return None
    from assay.serving.ray_app import Replicas

    return Replicas(least=int(least), most=int(most or least), gpus=gpus, drain=drain)


def replica(site: Site) -> FastAPI:
    """The application of a site as one of many replicas, which nobody waits for."""
    return application(site, lambda served, error: None)


def named_rewards(references: list[str], named: list[str]) -> tuple[tuple[str, str], ...]:
    """Names and references, those with a name of their own first.

    Raises:
        UsageError: none, a name that is none, or two rewards that would share one by chance.
    """
    found = [_named(each) for each in named]
    taken = {name for name, _ in found}
    for reference in references:
        if "=" in reference.partition("?")[0] and not Path(reference).exists():
            raise UsageError(f"{reference}: a name is given by --name {reference}")
        name = name_for(reference)
        if name in taken:
            raise UsageError(f"{reference}: {name!r} is taken; give it a name by --name NAME={reference}")
        taken.add(name)
        found.append((name, reference))
    if not found:
        raise UsageError("no reward to serve: give one, or --name NAME=REWARD")
    return tuple(found)


def _named(text: str) -> tuple[str, str]:
    from assay.serving.catalogue import check_name

    name, mark, reference = text.partition("=")
    if not mark or not reference:
        raise UsageError(f"--name {text}: write NAME=REWARD")
    try:
        check_name(name)
    except ValueError as error:
        raise UsageError(f"--name {text}: {error}") from error
    return name, reference


def name_for(reference: str) -> str:
    """The name of a reward that was given none: what the function, the directory or the model is called."""
    of_file = _NAME_OF_FILE.match(reference)
    if of_file:
        return of_file[1]
    tail = reference.removeprefix("judge:").partition("?")[0].partition("@")[0].rstrip("/").rpartition("/")[2]
    return _UNFIT.sub("-", tail).strip("-._") or "reward"


def read_tokens(file: Path | None) -> tuple[str, ...]:
    """The tokens of a file, one a line (``#`` begins a comment), and of ASSAY_TOKENS.

    Raises:
        UsageError: a file without one, or one that is short or holds spaces.
    """
    lines = [] if file is None else file.read_text(encoding="utf-8-sig").splitlines()
    found = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if file is not None and not found:
        raise UsageError(f"{file}: no token in it; write one a line")
    found += os.environ.get("ASSAY_TOKENS", "").replace(",", " ").split()
    if any(not _TOKEN.fullmatch(token) for token in found):
        raise UsageError("a token has at least 8 characters of ASCII and no space; `openssl rand -hex 24` makes one")
    return tuple(dict.fromkeys(found))


def refuse_without_packages() -> None:
    """What the server is made of is an extra.

    Raises:
        UsageError: some of it is not installed.
    """
    missing = [name for name in ("fastapi", "uvicorn", "prometheus_client") if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"the server needs {' and '.join(missing)}: pip install 'assay[serve]'")


def refuse_open_door(host: str, tokens: tuple[str, ...], insecure: bool) -> None:
    """Nobody beyond this machine is let in without a token unless it was said twice.

    Raises:
        UsageError: they would be.
    """
    import ipaddress

    try:
        own = ipaddress.ip_address(host).is_loopback
    except ValueError:
        own = host == "localhost"
    if not (own or tokens or insecure):
        raise UsageError(f"--host {host} lets others in: give a --token-file, set ASSAY_TOKENS, or say --insecure")


def read_upstream(reference: str | None, key: str | None, budget: int) -> Upstream | None:
    """The model of best of n, from ``MODEL@URL``.

    Raises:
        UsageError: it is not written so.
        ValueError: an address that is none, or a key that would go unencrypted over a network.
    """
    if reference is None:
        return None
    from assay.models.endpoints import Endpoint
    from assay.serving.dialects.chat import Upstream

    model, mark, url = reference.partition("@")
    if not mark or not model or not url:
        raise UsageError(f"--upstream {reference}: write MODEL@URL, such as llama@http://127.0.0.1:8080/v1")
    return Upstream(Endpoint(url, model, key=key), budget, max(64, budget))


def _table(served: list[dict[str, Any]]) -> list[str]:
    width = max(len(each["name"]) for each in served)
    return [f"{each['name']:<{width}}  {each['fingerprint'][:_SHORT]}  {each['recipe']}" for each in served]


def _shown(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
