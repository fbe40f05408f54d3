"""One judge in this process and behind endpoints with the same weights: `python benchmarks/endpoint_parity.py MODEL`.

MODEL is a language model's directory. By default it is also served here, by transformers over HTTP; with
``--llama-server PATH --gguf PATH`` by llama.cpp from a float32 GGUF of the same weights; with ``--url URL`` by whoever
is there. The judge is asked about pairs of LLMBar in ASSAY_DATA by the odds of its labels. With --json the figures go
to results/endpoint_parity.json, beside those of other endpoints. Exit code 1 if a goal is missed.

A GGUF: llama.cpp's ``convert_hf_to_gguf.py MODEL --outtype f32 --outfile FILE``. Both sides must cut texts into the
same tokens, and the count of prompts of another length says whether they do: a tokenizer that transformers made from a
GGUF of SmolLM2 has lost that digits stand alone, so give the original ``tokenizer.json``.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, final

import torch

from assay.benchmarks.official.llmbar import load
from assay.metrics import clustered_wilson
from assay.models.answering import LocalModel
from assay.models.asking import LabelReader, Odds, Prompt
from assay.models.endpoints import Endpoint
from assay.models.generate import LanguageModel, load_generator
from assay.records import Record
from assay.records.problems import Problem
from assay.rewards.comparers import Comparisons
from assay.rewards.judges import by_odds, pairwise
from assay.scores import Status
from measure import environment

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results" / "endpoint_parity.json"
SERVED_BY_TESTS = HERE.parent / "tests" / "models" / "local_endpoint.py"
OURS, LLAMA = "transformers over HTTP", "llama.cpp"
WITHIN = {OURS: 1e-3, LLAMA: 0.05}
AGREE = 0.98
PAIRS = 200
LONGEST = 700
"""Characters of a question and both answers together: longer pairs are left out, for time."""


@final
@dataclass(frozen=True, eq=False)
class Recorded:
    """A model whose odds are kept as they are read."""

    model: LabelReader
    seen: list[Odds] = field(default_factory=list[Odds])

    def label_odds(self, prompts: Sequence[Prompt], labels: Sequence[str], /) -> list[Odds]:
        """Those of the model."""
        found = self.model.label_odds(prompts, labels)
        self.seen.extend(found)
        return found


@final
@dataclass(frozen=True, slots=True)
class Parity:
    """How an endpoint differs from the model in this process.

    ``difference`` is the largest of a label's log-probability among ``labels`` that the endpoint listed (it lists the
    likeliest tokens only), ``lengths`` counts prompts that are not of as many tokens in both. ``agree`` of ``pairs``
    have the same verdict; ``margin`` is the largest distance from even, in process, of those that have not.
    """

    endpoint: str
    pairs: int
    agree: int
    labels: int
    unlisted: int
    failed: int
    difference: float
    mean_difference: float
    lengths: int
    margin: float
    within: float | None
    seconds: float

    @property
    def agreement(self) -> float:
        """The share of equal verdicts; a pair that one side could not judge is not equal."""
        return self.agree / self.pairs

    @property
    def good(self) -> bool:
        """Whether log-probabilities are as near, and verdicts as equal, as they must be."""
        near = self.within is None or self.difference <= self.within
        return near and self.agreement >= AGREE and self.labels > 0

    def line(self) -> str:
        """For a terminal."""
        low = clustered_wilson([1.0] * self.agree + [0.0] * (self.pairs - self.agree)).low
        return (
            f"{'ok  ' if self.good else 'MISS'} {self.endpoint}: {self.agree} of {self.pairs} verdicts equal "
            f"(95 % interval from {100 * low:.1f} %), log-probabilities of {self.labels} labels within "
            f"{self.difference:.1e} (mean {self.mean_difference:.1e}), {self.unlisted} not listed, {self.failed} pairs "
            f"failed, {self.lengths} prompts of another length, {self.seconds:.0f} s"
        )

    def as_json(self) -> dict[str, Any]:
        """Its fields and its verdict."""
        return {**asdict(self), "agreement": self.agreement, "good": self.good}


def pairs(root: Path, count: int) -> list[Record]:
    """The first pairs of LLMBar in each of its parts that are short, as even a number of each as there is."""
    parts: dict[str, list[Record]] = {}
    for item in load(root):
        if isinstance(item, Problem):
            raise SystemExit(str(item))
        record = item.records[0]
        said = "".join([record.prompt[0].text, *(each.text for each in record.responses)])
        if len(said) <= LONGEST:
            parts.setdefault(str(item.groups["subset"]), []).append(record)
    rows = [each for own in parts.values() for each in enumerate(own)]
    return [record for _, record in sorted(rows, key=lambda row: row[0])][:count]


def judged(model: LabelReader, records: Sequence[Record]) -> tuple[Comparisons, list[Odds], float]:
    """What the judge says of each pair, asked once, the odds that it read, and the seconds that it took."""
    recorded = Recorded(model)
    start = time.perf_counter()
    found = pairwise(by_odds(recorded), ties=False, both_orders=False)(records)
    return found, recorded.seen, time.perf_counter() - start


def parity(
    name: str, here: tuple[Comparisons, Sequence[Odds], float], there: tuple[Comparisons, Sequence[Odds], float]
) -> Parity:
    """The comparison of two sides that were asked the same."""
    ours, theirs = here[0].probability.tolist(), there[0].probability.tolist()
    odds = list(zip(here[1], there[1], strict=True))
    both = [pair for one, other in odds for pair in zip(one.logprobs, other.logprobs, strict=True)]
    gaps = [abs(a - b) for a, b in both if not math.isnan(a) and not math.isnan(b)]
    same = [not math.isnan(a + b) and (a > 0.5) == (b > 0.5) for a, b in zip(ours, theirs, strict=True)]
    apart = [abs(a - 0.5) for a, equal in zip(ours, same, strict=True) if not equal and not math.isnan(a)]
    return Parity(
        endpoint=name,
        pairs=len(same),
        agree=sum(same),
        labels=len(gaps),
        unlisted=sum(math.isnan(b) for _, b in both),
        failed=sum(status is not Status.OK for status in there[0].status),
        difference=max(gaps, default=math.nan),
        mean_difference=sum(gaps) / len(gaps) if gaps else math.nan,
        lengths=sum(one.cost.read != other.cost.read for one, other in odds if other.status is Status.OK),
        margin=max(apart, default=0.0),
        within=WITHIN.get(name),
        seconds=there[2],
    )


# -- endpoints --------------------------------------------------------------------------------------------------------


@contextmanager
def by_transformers(model: LanguageModel) -> Generator[str]:
    """The model behind the endpoint that the tests are made with."""
    spec = importlib.util.spec_from_file_location("local_endpoint", SERVED_BY_TESTS)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    with module.serving(module.model_handler(model.module, model.backbone.tokenizer)) as served:
        yield served.url


@contextmanager
def by_llama(server: Path, gguf: Path, *, threads: int = 1, seconds: float = 120.0) -> Generator[str]:
    """llama.cpp's server on a free port of this machine, until the block ends; ``--jinja``: it applies the GGUF's own
    chat template.

    Raises:
        RuntimeError: it ended, or was not ready in time; with what it wrote.
    """
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    told = [str(server), "-m", str(gguf), "--host", "127.0.0.1", "--port", str(port), "--jinja"]
    told += ["-c", "4096", "-np", "1", "-t", str(threads), "-tb", str(threads), "--no-warmup"]
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(told, stdout=log, stderr=subprocess.STDOUT)
        try:
            until = time.monotonic() + seconds
            while not _ready(f"http://127.0.0.1:{port}/health"):
                if process.poll() is not None or time.monotonic() > until:
                    log.seek(0)
                    raise RuntimeError(f"{server} is not ready: {log.read()[-2000:]}")
                time.sleep(0.25)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as reply:
            return reply.status == 200
    except (urllib.error.URLError, OSError):
        return False


@contextmanager
def given(url: str) -> Generator[str]:
    """An endpoint that is there already."""
    yield url


def endpoint(url: str, model: str = "local") -> Endpoint:
    """One that is asked a prompt at a time: it shares a core with this process."""
    return Endpoint(url, model, max_tokens=8, temperature=0.0, at_once=1, seconds=300.0)


# -- the command ------------------------------------------------------------------------------------------------------


def main() -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="directory of the language model")
    parser.add_argument("--transformers", action="store_true", help="serve it here too; what happens without others")
    parser.add_argument("--url", help="an endpoint with the same weights, up to /v1")
    parser.add_argument("--name", default="", help="what stands behind --url; llama.cpp is held to its goal")
    parser.add_argument("--llama-server", type=Path)
    parser.add_argument("--gguf", type=Path)
    parser.add_argument("--pairs", type=int, default=PAIRS)
    parser.add_argument("--json", action="store_true", help="write results/endpoint_parity.json")
    chosen = parser.parse_args()
    if (chosen.llama_server is None) != (chosen.gguf is None):
        parser.error("--llama-server and --gguf go together")
    torch.set_num_threads(1)
    root = Path(os.environ.get("ASSAY_DATA") or HERE.parents[1] / "shared" / "data") / "bench-llmbar"
    records = pairs(root, chosen.pairs)
    model = load_generator(chosen.model, max_new_tokens=8, temperature=0.0)
    served: dict[str, Callable[[], AbstractContextManager[str]]] = {}
    if chosen.url:
        served[chosen.name or chosen.url] = partial(given, chosen.url)
    if chosen.llama_server:
        served[LLAMA] = partial(by_llama, chosen.llama_server, chosen.gguf)
    if chosen.transformers or not served:
        served[OURS] = partial(by_transformers, model)
    here = judged(LocalModel(model), records)
    print(f"in process: {len(records)} pairs, {here[2]:.0f} s", flush=True)
    found: list[Parity] = []
    for name, serve in served.items():
        with serve() as url:
            found.append(parity(name, here, judged(endpoint(url), records)))
        print(found[-1].line(), flush=True)
    if chosen.json:
        write(found, Path(chosen.model).resolve().name)
    return int(not all(each.good for each in found))


def write(found: Sequence[Parity], model: str) -> None:
    """Add to what is known of other endpoints."""
    known: dict[str, Any] = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    rows = known.get("endpoints", {}) | {each.endpoint: each.as_json() for each in found}
    told = {"benchmark": "endpoint_parity", "model": model, "data": "LLMBar, one order", "environment": environment()}
    RESULTS.write_text(json.dumps({**told, "endpoints": rows}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
