"""The adapters called by the trainers and tools themselves, in an environment of their own (make_callers.py)."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from assay.adapters.lmms_eval import write_task
from assay.adapters.rewardbench import write_leaderboard, write_leaderboard2, write_outputs
from assay.benchmarks.official.rewardbench import BENCHMARKS as ONE
from assay.benchmarks.official.rewardbench import preference
from assay.benchmarks.official.rewardbench2 import BENCHMARKS as TWO
from assay.benchmarks.protocols import Item
from assay.benchmarks.run import run
from assay.media import Image
from assay.records import Preference, Record
from assay.rewards.rules import length

REAL = Path(__file__).with_name("real")
sys.path.insert(0, str(REAL))
from data import BRIGHT, GREYS, QUESTIONS, png  # noqa: E402

PLACE = os.environ.get("ASSAY_CALLERS")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not PLACE, reason="ASSAY_CALLERS names no environment; make one with python tests/contracts/make_callers.py DIR"
    ),
]


def called(script: str, folder: Path) -> dict:
    """What a script of the callers' environment printed last."""
    settings = {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    settings |= {"HOME": str(folder), "TOKENIZERS_PARALLELISM": "false"}
    done = subprocess.run(
        [f"{PLACE}/bin/python", str(REAL / script), str(folder)],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("ASSAY_")}, **settings},
        timeout=600,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


def test_verl(tmp_path):
    said = called("call_verl.py", tmp_path)
    assert said["scores"] == pytest.approx(BRIGHT[:3])
    assert said["matrix_sum"] == pytest.approx(BRIGHT[:3])
    assert [extra["right"] for extra in said["extra"]] == [1.0, 1.0, 0.0]
    assert [extra["status"] for extra in said["extra"]] == ["ok"] * 3
    assert said["batch"] == pytest.approx(BRIGHT[:3])
    assert said["batch_extra"]["right"] == [1.0, 1.0, 0.0]
    assert said["missing"].startswith("AbstainedError: no score (missing_context): no row of index=3")


def test_openrlhf(tmp_path):
    said = called("call_openrlhf.py", tmp_path)
    assert said["rewards"] == said["scores"] == [[0.0], [0.0], [0.0], [1.0]]
    assert said["logs"] == [{"abstained": 0.0}] * 4
    assert said["http"] == [[0.0], [1.0]]
    assert said["direct"] == {"rewards": [1.0], "scores": [1.0]}


def test_ms_swift(tmp_path):
    said = called("call_swift.py", tmp_path)
    assert said["names"] == ["assay", "assay_async"]
    assert said["bases"] == [True, True, True]
    assert said["matrix"][:2] == [pytest.approx([grey] * 3) for grey in BRIGHT[:2]]
    assert said["matrix"][2] == [None, None, None]
    assert said["steps"] == [[pytest.approx(BRIGHT[0])], [pytest.approx(BRIGHT[1])] * 2]
    assert said["smallest"] == pytest.approx(BRIGHT[:2])


def test_lmms_eval(tmp_path):
    records = [
        Record.of(
            [Image.from_bytes(png(grey)), question],
            ["better", "worse"],
            id=f"row-{place}",
            feedback=[Preference(0, 1)],
        )
        for place, (grey, question) in enumerate(zip(GREYS, QUESTIONS, strict=True))
    ]
    write_task(records, tmp_path / "task", "toy_preferences")
    said = called("call_lmms_eval.py", tmp_path)
    assert said["task"] == "ConfigurableTask"
    right = [float(doc["target"] == "A") for doc in said["docs"]]
    right[-1] = 0.0
    assert said["scores"] == right
    assert said["figures"]["accuracy,none"] == pytest.approx(sum(right) / 4)
    assert said["figures"]["no_verdict,none"] == pytest.approx(0.25)
    assert said["sizes"] == [[[8, 6]]] * 4
    assert said["responses"][-1] == "neither, really"


def test_rewardbench(tmp_path):
    pairs = [
        preference("alpacaeval-easy-1", "Say a.", "a long answer", "short", {"subset": "alpacaeval-easy"}),
        preference("alpacaeval-easy-2", "Say b.", "no", "longer one", {"subset": "alpacaeval-easy"}),
        preference("math-prm-3", "1 + 1?", "it is two", "three", {"subset": "math-prm"}),
    ]
    done = run(ONE[0], length(per_characters=10), pairs)
    write_outputs(done, tmp_path / "cli", "toy")
    write_leaderboard(done, tmp_path / "board", "org/toy")
    ties = [
        Item(
            "Ties-ref:0", (Record.of("q", ["aaaaaa", "a"], id="Ties-ref:0"),), (0,), {"subset": "Ties", "kind": "ref"}
        ),
        Item(
            "Ties-tied:0",
            (Record.of("q", ["aaaaaa", "aaaaa", "a"], id="Ties-tied:0"),),
            (0, 1),
            {"subset": "Ties", "kind": "tied"},
        ),
    ]
    ties = [replace(item, cluster="ties-0") for item in ties]
    second = run(TWO[0], length(per_characters=10), ties)
    write_leaderboard2(second, tmp_path / "board2", "org/toy")
    said = called("call_rewardbench.py", tmp_path)
    assert said["sections"]["Chat"] == 0.5
    assert said["sections"]["Reasoning"] == 1.0
    assert {"model", "average", "model_type", "alpacaeval-easy", "math-prm"} <= set(said["columns"])
    assert said["average"] == pytest.approx(0.75)
    assert said["margin"] > 0
    assert said["same_board"]
    assert said["ties"] == pytest.approx(second.figures()["Ties"])


def test_eval_protocol(tmp_path):
    if not list(Path(str(PLACE)).glob("lib/*/site-packages/eval_protocol")):
        pytest.skip("made without --more: eval-protocol brings 200 MB along")
    said = called("call_eval_protocol.py", tmp_path)
    assert said["scores"] == [0.0, 0.0, 0.0, 1.0]
    assert said["valid"] == [True] * 4
    assert said["blind"] == [False, "unreadable_media: no picture"]
    assert said["metrics"] == ["right"]


def test_openjudge(tmp_path):
    said = called("call_openjudge.py", tmp_path)
    assert said["kinds"] == ["GraderScore", "GraderScore", "GraderError"]
    assert said["scores"][:2] == pytest.approx(BRIGHT[:2])
    assert said["error"] == "unreadable_media: no picture"
    assert said["rank"] == [2, 1, 3]
    assert said["lengths"] == [1.0, 3.0, 2.0]
    assert said["ranks"] == [0.0, 2.0, 1.0]


def test_imitation(tmp_path):
    said = called("call_imitation.py", tmp_path)
    assert said["rewards"] == [pytest.approx([grey] * 2) for grey in (*BRIGHT[1:], BRIGHT[1])]
    assert said["dtypes"] == ["float32"]
    assert said["over"] == [False, False, True, False]


def test_verifiers_before_0_2(tmp_path):
    said = called("call_verifiers.py", tmp_path)
    assert said["release"].startswith("0.1.")
    assert said["alone"][0] == pytest.approx(BRIGHT[1] + 0.5 * said["alone"][1]["right"])
    assert said["singly"] == pytest.approx(BRIGHT[:3])
    assert said["grouped"] == pytest.approx(BRIGHT[:3])
    assert math.isnan(said["blind"][0])
    assert said["blind"][1] == pytest.approx(BRIGHT[1])
