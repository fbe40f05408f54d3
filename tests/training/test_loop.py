"""The loop learns, resumes exactly, and counts what it leaves out."""

import math
import warnings
from functools import partial

import PIL.Image
import pytest
import torch

from assay.media import Image
from assay.models.outputs import states_of
from assay.objectives import listwise, pairwise, pointwise
from assay.records import Preference, Ranking, Rating, Record
from assay.rewards.learned import LearnedReward
from assay.scores import Status
from assay.testing import learned_reward, tiny_text
from assay.training import checkpoint, freeze
from assay.training.budgets import Constant, Epochs, Linear, Minutes, Steps
from assay.training.evaluation import evaluate
from assay.training.loop import TrainingError, train, workplace
from assay.training.settings import Lora, Settings, highest_accuracy
from assay.training.states import StateStore
from assay.training.supervision import on_pairs, supervise

WORDS = ("red", "blue", "green", "black", "white", "grey")


def pairs(count: int, *, start: int = 0) -> list[Record]:
    """The longer answer is better, whatever its words."""
    return [
        Record.of(
            f"Name some colours, number {i}.",
            [" ".join(WORDS[(i + k) % 6] for k in range(n)) for n in ((4, 1) if i % 2 else (1, 4))],
            id=f"r{i}",
            feedback=[Preference(0, 1) if i % 2 else Preference(1, 0)],
        )
        for i in range(start, start + count)
    ]


BT = supervise(pairwise.bradley_terry)
FAST = Settings(budget=Epochs(4), batch=8, learning_rate=2e-3, log_every=1)


def changed(settings: Settings, **changes) -> Settings:
    from dataclasses import replace

    return replace(settings, **changes)


def weights(reward: LearnedReward) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in reward.model.state_dict().items()}


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize(
    ("objective", "feedback"),
    [
        (pairwise.centred(pairwise.bradley_terry), lambda good: Preference(*((0, 1) if good == 0 else (1, 0)))),
        (listwise.plackett_luce, lambda good: Ranking((good, 1 - good))),
        (pointwise.squared_error, lambda good: (Rating(good, 1.0), Rating(1 - good, 0.0))),
    ],
)
def test_each_shape_of_feedback_is_learned(objective, feedback) -> None:
    def with_feedback(record: Record) -> Record:
        found = feedback(record.feedback[0].better)
        return Record(record.id, record.prompt, record.responses, found if isinstance(found, tuple) else (found,))

    records = [with_feedback(record) for record in pairs(40)]
    reward = learned_reward()
    before = evaluate(reward, records[32:], supervise(objective))
    result = train(reward, records[:32], supervise(objective), FAST, evaluate=records[32:])
    after = evaluate(reward, records[32:], supervise(objective))
    assert after["loss"] < 0.5 * before["loss"]
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert after["loss"] == pytest.approx(result.figures["loss"], abs=1e-6)
    scores = reward(pairs(8, start=32))
    assert evaluate(reward, pairs(8, start=32), BT)["accuracy"] == 1.0
    assert all(status is Status.OK for status in scores.status)


class Stopped(Exception):  # noqa: N818 - not an error, the end of a test
    pass


def stop_after(steps: int):
    def report(event) -> None:
        if event.step == steps and event.stage == "training":
            raise Stopped

    return report


@pytest.mark.parametrize(
    "settings",
    [
        changed(FAST, checkpoint_every=1),
        changed(FAST, checkpoint_every=3, gradient_accumulation=2, token_budget=100, batch=4),
        changed(FAST, checkpoint_every=1, lora=Lora(rank=4, dropout=0.2)),
        changed(FAST, checkpoint_every=2, freeze=freeze.backbone),
        changed(FAST, checkpoint_every=1, autocast=torch.bfloat16),
    ],
    ids=["plain", "accumulated", "lora with dropout", "frozen backbone", "bfloat16"],
)
def test_an_interrupted_run_ends_bit_equal(tmp_path, settings) -> None:
    records, held_out = pairs(24), pairs(8, start=50)
    whole = learned_reward()
    expected = train(whole, records, BT, settings, evaluate=held_out, output=tmp_path / "whole")
    for stop in (2, 7):
        with pytest.raises(Stopped):
            train(
                learned_reward(),
                records,
                BT,
                settings,
                evaluate=held_out,
                output=tmp_path / "cut",
                report=stop_after(stop),
            )
    again = learned_reward()
    result = train(again, records, BT, settings, evaluate=held_out, output=tmp_path / "cut")
    assert result.resumed_from is not None
    assert same(weights(again), weights(whole))
    assert result.evaluations == expected.evaluations
    assert [entry["loss"] for entry in result.history] == [entry["loss"] for entry in expected.history]
    assert result.steps == expected.steps


def test_a_finished_run_is_not_run_again(tmp_path) -> None:
    train(learned_reward(), pairs(16), BT, FAST, output=tmp_path / "out")
    steps: list[int] = []
    again = learned_reward()
    result = train(again, pairs(16), BT, FAST, output=tmp_path / "out", report=lambda event: steps.append(event.step))
    assert steps == []
    assert result.stopped == "budget"
    assert same(weights(again), weights(LearnedReward.load(tmp_path / "out", dtype="float32")))


def test_a_checkpoint_of_another_run_is_refused_and_what_differs_is_named(tmp_path) -> None:
    train(learned_reward(), pairs(16), BT, FAST, output=tmp_path / "out")
    with pytest.raises(TrainingError, match=r"learning_rate: 0\.002 then, 0\.01 now"):
        train(learned_reward(), pairs(16), BT, changed(FAST, learning_rate=0.01), output=tmp_path / "out")
    with pytest.raises(TrainingError, match="records"):
        train(learned_reward(), pairs(15), BT, FAST, output=tmp_path / "out")
    with pytest.raises(TrainingError, match="model"):
        train(learned_reward(seed=5), pairs(16), BT, FAST, output=tmp_path / "out")
    result = train(learned_reward(), pairs(15), BT, FAST, output=tmp_path / "out", resume=False)
    assert result.resumed_from is None


def test_the_mean_is_over_items_however_the_batch_is_cut() -> None:
    records = [*pairs(3), Record.of("no feedback", ["a", "b"], id="silent"), *pairs(4, start=9)]
    records[1] = Record(
        records[1].id, records[1].prompt, records[1].responses, (Preference(0, 1), Preference(1, 0), Preference(0, 1))
    )
    one = changed(FAST, budget=Steps(1), batch=8, schedule=Constant(), max_grad_norm=0.0)
    cut = [changed(one, token_budget=1), changed(one, batch=2, gradient_accumulation=4)]
    first, *others = (learned_reward() for _ in range(3))
    expected = train(first, records, BT, one)
    for reward, settings in zip(others, cut, strict=True):
        result = train(reward, records, BT, settings)
        assert result.history[0]["loss"] == pytest.approx(expected.history[0]["loss"], abs=1e-6)
        assert result.history[0]["gradient_norm"] == pytest.approx(expected.history[0]["gradient_norm"], rel=1e-4)
    assert expected.silent == 1


def test_what_abstains_is_left_out_and_counted() -> None:
    records = pairs(8)
    records[3] = Record.of("q", ["word " * 3000, "short"], id="long", feedback=[Preference(0, 1)])
    result = train(learned_reward(), records, BT, FAST)
    assert result.status == {Status.OK: 15, Status.TOO_LONG: 1}
    assert result.excluded == 1


def test_nothing_to_learn_from_is_an_error_that_says_why() -> None:
    records = [Record.of("q", ["a", "b"], id=str(i)) for i in range(4)]
    with pytest.raises(TrainingError, match="all 4 records tried have no feedback of the objective's shape"):
        train(learned_reward(), records, BT, FAST)


def test_a_backbone_of_text_given_pictures_says_so_with_the_rows_own_reason_and_a_remedy() -> None:
    picture = Image.from_pil(PIL.Image.new("RGB", (8, 8)))
    records = [Record.of([picture, f"what? {i}"], ["a", "b"], id=str(i), feedback=[Preference(0, 1)]) for i in range(6)]
    with pytest.raises(TrainingError) as raised:
        train(learned_reward(), records, BT, FAST)
    said = str(raised.value)
    assert "in 6 records: all 6 items tried have a response that cannot be scored" in said
    reason = "this backbone reads text only, but the message holds an image"
    assert f"(responses: 12 unsupported_modality: {reason})" in said
    assert "`assay new picture`" in said
    assert "--dry-run" in said
    assert "no feedback" not in said


def test_patience_ends_the_run_and_the_best_weights_are_kept(tmp_path) -> None:
    wrong = [Record(r.id, r.prompt, r.responses[::-1], r.feedback) for r in pairs(8, start=50)]
    settings = changed(FAST, budget=Epochs(50), patience=2, watch=highest_accuracy, evaluate_every=1)
    for output in (None, tmp_path / "out"):
        reward = learned_reward()
        result = train(reward, pairs(24), BT, settings, evaluate=wrong, output=output)
        assert result.stopped == "patience"
        assert result.steps < 50
        best = max(each["accuracy"] for each in result.evaluations)
        assert result.figures["accuracy"] == best
        assert evaluate(reward, wrong, BT)["accuracy"] == best


def test_frozen_parts_do_not_move() -> None:
    reward = learned_reward()
    before = weights(reward)
    train(reward, pairs(8), BT, changed(FAST, freeze=freeze.first_layers(1)))
    moved = {name for name, weight in weights(reward).items() if not torch.equal(weight, before[name])}
    assert moved
    assert not any("embed_tokens" in name or "layers.0." in name for name in moved)
    assert any("layers.1." in name for name in moved)
    assert all(weight.requires_grad for weight in reward.parameters())
    with pytest.raises(ValueError, match="no vision tower"):
        train(reward, pairs(8), BT, changed(FAST, freeze=freeze.vision))


def test_states_of_a_frozen_backbone_are_computed_once_and_shared_between_runs(tmp_path) -> None:
    records, settings = pairs(16), changed(FAST, freeze=freeze.backbone, learning_rate=0.05)
    live = learned_reward()
    train(live, records, BT, changed(settings, freeze=lambda r: [*r.backbone.module.parameters()][:-1]))
    store = StateStore(tmp_path)
    reward = learned_reward()
    before = {name: weight for name, weight in weights(reward).items() if name.startswith("encoder")}
    result = train(reward, records, BT, settings, states=store)
    assert (store.computed, store.found) == (32, 32 * 3 + 32)  # three more epochs, and the reference
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert same(before, {name: weight for name, weight in weights(reward).items() if name.startswith("encoder")})
    again = StateStore(tmp_path)
    train(learned_reward(), records[:8], BT, settings, states=again)
    assert again.computed == 0
    other = StateStore(tmp_path)
    train(learned_reward(tiny_text(seed=3)), records[:8], BT, changed(settings, budget=Epochs(1)), states=other)
    assert other.computed == 16


def test_states_give_the_values_that_the_backbone_gives() -> None:
    reward = learned_reward()
    batch = reward.prepare(pairs(6)).batch
    states = StateStore().open(reward, None)
    found = reward.head(states_of(states(batch)))
    assert torch.allclose(found.values, reward.values(batch), atol=1e-6)


@pytest.mark.parametrize("merge", [True, False])
def test_lora_and_its_head_survive_saving_and_loading(tmp_path, merge: bool) -> None:
    start = tiny_text()
    start.module.save_pretrained(tmp_path / "base")
    start.tokenizer.save_pretrained(tmp_path / "base")
    from assay.models.hf import load_backbone

    reward = LearnedReward.fresh(load_backbone(tmp_path / "base", device="cpu", dtype="float32"))
    before = weights(reward)
    settings = changed(FAST, lora=Lora(rank=4, merge=merge), learning_rate=5e-3)
    with warnings.catch_warnings():
        warnings.simplefilter("error", FutureWarning)
        result = train(reward, pairs(24), BT, settings, output=tmp_path / "out")
        reloaded = LearnedReward.load(tmp_path / "out", device="cpu", dtype="float32")
    trained = result.reward(pairs(8))
    assert torch.allclose(trained.values, reloaded(pairs(8)).values, atol=1e-5)
    assert evaluate(reloaded, pairs(8, start=60), BT)["accuracy"] == 1.0
    after = weights(result.reward)
    assert any("lora" in name for name in after) is not merge
    if merge:
        assert not torch.equal(
            after["encoder.layers.0.mlp.up_proj.weight"], before["encoder.layers.0.mlp.up_proj.weight"]
        )
        assert torch.equal(after["encoder.embed_tokens.weight"], before["encoder.embed_tokens.weight"])


def test_adapters_are_taken_off_when_a_run_fails() -> None:
    reward = learned_reward()
    before = weights(reward)
    with pytest.raises(Stopped):
        train(reward, pairs(8), BT, changed(FAST, lora=Lora(rank=2)), report=stop_after(1))
    after = weights(reward)
    assert same(
        {name: weight for name, weight in before.items() if name.startswith("encoder")},
        {name: weight for name, weight in after.items() if name.startswith("encoder")},
    )


def test_targets_that_fit_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"no_such.*q_proj"):
        train(learned_reward(), pairs(4), BT, changed(FAST, lora=Lora(targets=("no_such",))))


def test_minutes_follow_their_clock_and_the_rate_reaches_its_end() -> None:
    now = iter(range(0, 100_000, 3))
    settings = changed(FAST, budget=Minutes(1.0, clock=lambda: float(next(now))), schedule=Linear())
    result = train(learned_reward(), pairs(16), BT, settings)
    assert result.steps == 20
    rates = [entry["learning_rate"] for entry in result.history]
    assert rates[0] == pytest.approx(2e-3)
    assert rates[-1] == pytest.approx(2e-3 * (1 - 57 / 60))


def test_bfloat16_arithmetic_leaves_head_and_weights_in_float32() -> None:
    reward = learned_reward()
    result = train(reward, pairs(24), BT, changed(FAST, autocast=torch.bfloat16))
    assert {weight.dtype for weight in reward.parameters()} == {torch.float32}
    assert result.history[-1]["loss"] < result.history[0]["loss"]


def test_a_backbone_loaded_in_bfloat16_is_trained_in_float32_and_given_back() -> None:
    backbone = tiny_text()
    from dataclasses import replace

    backbone.module.to(torch.bfloat16)
    placement = replace(backbone.placement, dtype=torch.bfloat16)
    reward = learned_reward(replace(backbone, placement=placement))
    result = train(reward, pairs(24), BT, FAST)
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    assert {weight.dtype for weight in reward.backbone.module.parameters()} == {torch.bfloat16}
    assert reward.head.linear.weight.dtype == torch.float32


def test_recomputing_activations_gives_the_same_weights() -> None:
    kept, recomputed = learned_reward(), learned_reward()
    train(kept, pairs(16), BT, FAST)
    forwards = []
    layer = recomputed.backbone.module.layers[0].input_layernorm
    handle = layer.register_forward_hook(lambda *_: forwards.append(torch.is_grad_enabled()))
    train(recomputed, pairs(16), BT, changed(FAST, recompute=True))
    handle.remove()
    assert sum(forwards) == 2 * 8  # every layer runs forward twice a step
    after = weights(recomputed)
    assert all(torch.allclose(after[name], weight, atol=1e-5) for name, weight in weights(kept).items())


def test_ties_are_trained_by_rao_kupper() -> None:
    records = [
        Record.of(f"q{i}", ["red red red", "blue"], id=f"t{i}", feedback=[Preference(0, 1, tie=True)])
        for i in range(16)
    ]
    reward = learned_reward()
    gap = float(reward(records[:1]).values.diff().abs())
    train(reward, records, on_pairs(partial(pairwise.bradley_terry, tie_theta=5.0)), FAST)
    assert float(reward(records[:1]).values.diff().abs()) < 0.5 * gap


def test_an_evaluation_without_feedback_is_refused() -> None:
    with pytest.raises(TrainingError, match="no evaluation record"):
        train(learned_reward(), pairs(8), BT, FAST, evaluate=[Record.of("q", ["a", "b"])])


def test_checkpoints_lie_beside_the_output_and_the_output_is_whole(tmp_path) -> None:
    output = tmp_path / "out"
    with pytest.raises(Stopped):
        train(learned_reward(), pairs(16), BT, changed(FAST, checkpoint_every=1), output=output, report=stop_after(5))
    assert not output.exists()
    assert checkpoint.newest(workplace(output) / "checkpoints").path is not None
    train(learned_reward(), pairs(16), BT, changed(FAST, checkpoint_every=1), output=output)
    assert (output / "COMPLETE.json").is_file()


def test_settings_refuse_nonsense() -> None:
    for change in ({"batch": 0}, {"learning_rate": 0.0}, {"learning_rate": math.nan}):
        with pytest.raises(ValueError, match=r"at least 1|positive"):
            Settings(**change)
    with pytest.raises(ValueError, match="positive"):
        Epochs(0)
