"""TRL's GRPOTrainer trains a vision-language model on Assay rewards: briefly here, to the end where it is slow."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from assay.adapters.trl import attribute_functions, reward_function, reward_functions, reward_weights
from assay.media import Image
from assay.rewards import rules
from assay.rewards.base import scores_of
from assay.spec import Spec

pytest.importorskip("trl")


def benchmark():
    path = Path(__file__).parents[2] / "benchmarks" / "trl_grpo.py"
    spec = importlib.util.spec_from_file_location("of_benchmarks_trl_grpo", path)
    found = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = found
    spec.loader.exec_module(found)
    return found


grpo = benchmark()


class Redness:
    """How red the picture of the prompt is, more for an answer that says so; abstains on pictures without colour."""

    spec = Spec(modalities=frozenset({"image", "text"}), needs=("answer",))

    def __init__(self):
        self.pictures = []

    def __call__(self, records, /):
        shares = []
        for record in records:
            picture = next(part for message in record.prompt for part in message.parts if isinstance(part, Image))
            self.pictures.append((picture.content_hash, len(record.responses), record.context["answer"]))
            pixels = np.asarray(picture.pil(), dtype=float)
            share = float((pixels[..., 0] - pixels[..., 2]).clip(0).mean()) / 255
            shares += [share if share > 0 else float("nan")] * len(record.responses)
        said = [float("red" in response.text) for record in records for response in record.responses]
        values = torch.tensor(shares) + torch.tensor(said)
        return scores_of(records, values, attributes={"red": torch.tensor(shares), "said": torch.tensor(said)})


def test_a_few_steps_with_several_rewards_sync_async_and_by_attribute(tmp_path):
    model, processor = grpo.policy(0)
    redness = Redness()
    functions = [
        reward_function(redness, "redness"),
        *reward_functions({"words": rules.length(per_words=1)}, asynchronous=True),
        *attribute_functions(redness, ("said",), "told"),
    ]
    weights = reward_weights(functions, {"redness": 1.0, "words": 0.1, "told_said": 0.5})
    rows = grpo.asked(3 * 2, 5)
    before = [weight.clone() for weight in model.parameters()]
    trainer = grpo.trained(
        model, processor, rows, functions, str(tmp_path), per_device_train_batch_size=16, reward_weights=weights,
        log_completions=True, seed=0,
    )  # fmt: skip
    logged = [row for row in trainer.state.log_history if "rewards/redness/mean" in row]
    assert len(logged) == 3
    for row in logged:
        parts = row["rewards/redness/mean"], row["rewards/words/mean"], row["rewards/told_said/mean"]
        assert 0 <= row["redness/abstained"] <= 1
        assert row["rewards/told_said/mean"] == pytest.approx(row["redness/said"], abs=1e-6)
        if row["redness/abstained"] == 0:
            assert row["reward"] == pytest.approx(float(np.dot(parts, (1.0, 0.1, 0.5))), abs=1e-5)
    assert any(not torch.equal(old, new) for old, new in zip(before, model.parameters(), strict=True))
    assert len({digest for digest, *_ in redness.pictures}) == 6
    assert [count for _, count, _ in redness.pictures] == [8] * 12
    assert {answer for *_, answer in redness.pictures} == {row.answer for row in rows}
    tables = [pd.read_parquet(path) for path in sorted(tmp_path.rglob("completions_*.parquet"))]
    table = pd.concat(tables)
    assert len(table) == 48
    assert (table["redness_status"].eq("ok") == table["redness"].notna()).all()


def test_the_trainer_leaves_an_abstention_out(tmp_path):
    model, processor = grpo.policy(1)
    white = [grpo.Asked(row.picture, row.question, row.answer) for row in grpo.asked(2, 9, blank=True)]
    functions = [reward_function(Redness(), "redness"), reward_function(rules.length(per_words=1), "words")]
    trainer = grpo.trained(model, processor, white, functions, str(tmp_path), per_device_train_batch_size=16, seed=0)
    row = next(row for row in trainer.state.log_history if "rewards/words/mean" in row)
    assert row["redness/abstained"] == 1
    assert row["reward"] == pytest.approx(row["rewards/words/mean"], abs=1e-6)


@pytest.mark.slow
def test_a_picture_reward_trains_the_policy_and_blank_pictures_do_not():
    red, blue = (next(row for row in grpo.asked(99, 3) if row.answer == colour) for colour in ("red", "blue"))
    on_red, on_blue = reward_function(grpo.picture_reward())(
        prompts=[grpo.prompt_of(red), grpo.prompt_of(blue)],
        completions=[[{"role": "assistant", "content": "red"}]] * 2,
        image=[red.picture, blue.picture],
    )
    assert on_red > 0.5
    assert on_blue == grpo.FLOOR
    found = grpo.measure((110, 111, 112))
    print(grpo.table(found))
    assert all(len(course.rewards) == 80 for course in found.courses)
    assert all(course.abstained == 0 for course in found.courses)
    assert found.seen.rise.low > 0
    assert found.seen.after > found.seen.before + 0.05
    assert found.blank.rise.high < grpo.BLANK_LIMIT
    assert found.good
