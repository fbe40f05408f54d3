"""How a judge behind an endpoint is held against the same one in this process; llama.cpp where there is one."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch

from assay import testing
from assay.models.answering import LocalModel
from assay.models.asking import Cost, Odds, Prompt
from assay.models.generate import LanguageModel, generator_from, load_generator
from assay.records import Record
from assay.rewards.comparers import Comparisons
from assay.scores import Status

ROOT = Path(__file__).parents[2]
SHELF = Path(os.environ.get("ASSAY_DATA") or ROOT.parent / "shared" / "data") / "bench-llmbar"
RECORDS = [
    Record.of(f"Name {kind} number {number}.", [f"It is {number}.", "I do not know."], id=f"{kind} {number}")
    for kind in ("an apple", "a house")
    for number in range(3)
]


@pytest.fixture(scope="module")
def bench() -> Iterator[Any]:
    """The benchmark, imported as the command imports it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield import_module("endpoint_parity")
    for name in ("endpoint_parity", "measure"):
        sys.modules.pop(name, None)


class Listens:
    """Keeps what it is asked."""

    def __init__(self) -> None:
        self.prompts: list[Prompt] = []

    def label_odds(self, prompts: Sequence[Prompt], labels: Sequence[str], /) -> list[Odds]:
        self.prompts.extend(prompts)
        return [Odds((-1.0,) * len(labels)) for _ in prompts]


def tiny(bench: Any) -> LanguageModel:
    """A model that finds A and B likely behind these questions, so that an endpoint lists them."""
    from transformers import AutoModelForCausalLM

    backbone = testing.tiny_text()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model: Any = AutoModelForCausalLM.from_config(backbone.config)
    model.base_model.load_state_dict(backbone.module.state_dict())
    head: Any = model.get_output_embeddings()
    torch.nn.init.normal_(head.weight, std=0.3, generator=torch.Generator().manual_seed(2))
    asked = Listens()
    bench.judged(asked, RECORDS)
    written = generator_from(model, backbone)
    with torch.no_grad():
        for prompt, label in zip(asked.prompts, "ABABAB", strict=True):
            prefix = written.prefix(Record("0", prompt, ())).ids
            states = model.base_model(input_ids=prefix[None]).last_hidden_state[0, -1]
            head.weight[backbone.tokenizer(label)["input_ids"][0]] += 3 * states / states.norm() ** 2
    return generator_from(model.eval(), backbone, max_new_tokens=8, temperature=0.0)


def side(values: Sequence[float], odds: Sequence[tuple[float, ...]], read: int = 7) -> Any:
    status = tuple([Status.UNPARSABLE if math.isnan(value) else Status.OK for value in values])
    found = [
        Odds(each, Status.UNPARSABLE if all(map(math.isnan, each)) else Status.OK, cost=Cost(read=read))
        for each in odds
    ]
    return Comparisons(torch.tensor(values, dtype=torch.float64), status), found, 1.0


def test_what_counts_as_equal(bench: Any) -> None:
    here = side([0.9, 0.2, 0.6, 0.7], [(-1.0, -2.0)] * 4)
    there = side(
        [0.8, 0.3, 0.45, math.nan],
        [(-1.0, -2.01), (-1.02, math.nan), (-1.0, -2.0), (math.nan, math.nan)],
    )
    found = bench.parity(bench.LLAMA, here, there)
    assert (found.pairs, found.agree, found.failed) == (4, 2, 1), "what one side cannot judge is not equal"
    assert (found.labels, found.unlisted) == (5, 3)
    assert found.difference == pytest.approx(0.02)
    assert found.margin == pytest.approx(0.2)
    assert found.lengths == 0
    assert not found.good
    assert bench.parity(bench.LLAMA, here, here).good
    far = side([0.9, 0.2, 0.6, 0.7], [(-1.06, -2.0)] * 4, read=8)
    apart = bench.parity(bench.LLAMA, here, far)
    assert apart.agreement == 1
    assert apart.lengths == 4
    assert not apart.good, "log-probabilities further apart than .05"
    assert bench.parity("another", here, far).good, "an endpoint of no known kind is held to its verdicts alone"


def test_the_same_model_over_http(bench: Any) -> None:
    model = tiny(bench)
    here = bench.judged(LocalModel(model), RECORDS)
    with bench.by_transformers(model) as url:
        found = bench.parity(bench.OURS, here, bench.judged(bench.endpoint(url), RECORDS))
    assert found.good, found.line()
    assert found.lengths == 0
    assert found.agree == len(RECORDS)
    with bench.by_transformers(model) as url:
        other = bench.judged(bench.endpoint(url), [replace(each, responses=each.responses[::-1]) for each in RECORDS])
    assert bench.parity(bench.OURS, here, other).difference > 1e-3, "another order is another question"


def test_the_pairs_are_short_and_of_every_part(bench: Any) -> None:
    if not SHELF.exists():
        pytest.skip(f"no {SHELF}; set ASSAY_DATA to the folder of public data")
    records = bench.pairs(SHELF, bench.PAIRS)
    assert len({record.id for record in records}) == bench.PAIRS
    assert len({record.id.split("-")[0] for record in records}) == 5


def test_a_server_that_ends_says_why(bench: Any, tmp_path: Path) -> None:
    script = tmp_path / "llama-server"
    script.write_text("#!/bin/sh\necho no such model: $2\nexit 1\n")
    script.chmod(0o755)
    with (
        pytest.raises(RuntimeError, match=r"no such model: .*none\.gguf"),
        bench.by_llama(script, tmp_path / "none.gguf"),
    ):
        pass


@pytest.mark.slow
def test_llama_cpp_judges_like_the_model_in_this_process(bench: Any) -> None:
    server, gguf, folder = (os.environ.get(name) for name in ("ASSAY_LLAMA_SERVER", "ASSAY_GGUF", "ASSAY_SMOLLM2"))
    if not (server and gguf and folder):
        pytest.skip(
            "set ASSAY_LLAMA_SERVER to llama.cpp's llama-server, ASSAY_GGUF to a float32 GGUF (convert_hf_to_gguf.py "
            "--outtype f32) and ASSAY_SMOLLM2 to the directory that it was made from"
        )
    if not SHELF.exists():
        pytest.skip(f"no {SHELF}; set ASSAY_DATA to the folder of public data")
    records = bench.pairs(SHELF, 12)
    here = bench.judged(LocalModel(load_generator(folder, max_new_tokens=8, temperature=0.0)), records)
    with bench.by_llama(Path(server), Path(gguf)) as url:
        found = bench.parity(bench.LLAMA, here, bench.judged(bench.endpoint(url), records))
    assert found.lengths == 0, "both cut texts into the same tokens"
    assert found.good, found.line()
