"""LearnedReward: one score a response, the same however it is computed; failures are rows with a reason."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import assay
from assay import testing
from assay.media import Image
from assay.models.layout import padded, shared
from assay.models.prepare import truncate_prompt
from assay.records import Record
from assay.rewards.base import HasSpec, score
from assay.rewards.learned import LearnedReward, Reference
from assay.scores import Status

VISION = {
    "llava": testing.tiny_llava,
    "idefics3": testing.tiny_idefics3,
    "smolvlm": testing.tiny_smolvlm,
    "paligemma": testing.tiny_paligemma,
    "gemma3": testing.tiny_gemma3,
    "qwen2_5_vl": testing.tiny_qwen2_5_vl,
    "qwen3_vl": testing.tiny_qwen3_vl,
}


def records(picture: Callable[..., Image] | None = None) -> list[Record]:
    text = [
        Record.of("why is the sky blue?", ["because", "because light scatters on the air", ""], id="a"),
        Record.of("count to three", ["one two three", "1 2 3 4 5 6"], id="b"),
    ]
    if picture is None:
        return text
    shown = picture(90, 70, seed=1)
    seen = [Record.of([shown, "what colour?"], ["red", "it is a dark blue shape", "green"], id="c")]
    seen += [Record.of([shown, "or", picture(64, 64, seed=2), "?"], ["the first", "the second one"], id="d")]
    return [*text, *seen]


@pytest.mark.parametrize("name", VISION)
def test_a_score_does_not_depend_on_what_is_beside_it(name: str, picture: Callable[..., Image]) -> None:
    reward = testing.learned_reward(VISION[name]())
    rows = records(picture)
    whole = reward(rows).values
    alone = torch.cat([reward([Record(r.id, r.prompt, (response,))]).values for r in rows for response in r.responses])
    backwards = reward(list(reversed(rows)))
    place = {name: i for i, name in enumerate(backwards.ids)}
    turned = torch.stack([backwards.values[place[name]] for name in assay.score(reward, rows).ids])
    assert whole.std() > 0.05
    torch.testing.assert_close(whole, alone, rtol=0, atol=1e-5)
    torch.testing.assert_close(whole, turned, rtol=0, atol=1e-5)


def test_budget_and_layout_change_no_score() -> None:
    backbone = testing.tiny_text()
    kinds = [{"token_budget": 40}, {"token_budget": 100_000}, {"layout": padded}, {"layout": shared}]
    found = [testing.learned_reward(backbone, **options)(records()).values for options in kinds]
    for other in found[1:]:
        torch.testing.assert_close(other, found[0], rtol=0, atol=1e-5)


def test_many_records_keep_their_order() -> None:
    reward = testing.learned_reward()
    many = [Record.of(f"question {i}" * (i % 5 + 1), [f"answer {i}", "no " * (i % 7)], id=str(i)) for i in range(150)]
    finished: list[int] = []
    scores = reward(many, progress=finished.append)
    assert scores.ids == tuple(r.response_id(j) for r in many for j in range(2))
    assert scores.group.tolist() == [i for i in range(150) for _ in range(2)]
    assert sum(finished) == 300
    assert len(finished) > 1
    for i in (0, 77, 149):
        torch.testing.assert_close(scores.values[2 * i : 2 * i + 2], reward([many[i]]).values, rtol=0, atol=1e-5)


def test_nothing_to_score() -> None:
    reward = testing.learned_reward()
    assert len(reward([])) == 0
    assert len(reward([Record.of("q", [])])) == 0


def test_values_are_the_scores_with_their_graph() -> None:
    reward = testing.learned_reward()
    prepared = reward.prepare(records())
    values = reward.values(prepared.batch)
    torch.testing.assert_close(values.detach(), reward(records()).values, rtol=0, atol=1e-6)
    values.sum().backward()
    grads = [weight.grad for weight in reward.parameters()]
    assert all(grad is not None and torch.isfinite(grad).all() for grad in grads)
    assert sum(float(grad.abs().sum()) for grad in grads if grad is not None) > 0


def test_scoring_leaves_training_mode_and_gradients_as_they_were() -> None:
    reward = testing.learned_reward(testing.tiny_text(attention_dropout=0.5))
    reward.model.train()
    first, second = reward(records()).values, reward(records()).values
    assert torch.equal(first, second)
    assert not first.requires_grad
    assert reward.model.training


def test_the_spec_says_what_it_takes() -> None:
    text, seeing = testing.learned_reward(), testing.learned_reward(testing.tiny_llava())
    assert isinstance(text, HasSpec)
    assert (text.spec.modalities, seeing.spec.modalities) == (
        frozenset({"text"}),
        frozenset({"text", "image", "video"}),
    )
    weights = list(text.parameters())
    assert text.spec.memory_bytes >= 4 * sum(weight.numel() for weight in weights)
    assert score(text, records()).ids == ("a/0", "a/1", "a/2", "b/0", "b/1")


def test_the_fingerprint_changes_with_everything_a_score_depends_on() -> None:
    base = testing.learned_reward()
    known = {base.fingerprint()}
    assert testing.learned_reward().fingerprint() in known

    def is_new(reward: LearnedReward) -> bool:
        found = reward.fingerprint()
        new = found not in known
        known.add(found)
        return new

    assert is_new(testing.learned_reward(seed=1))
    assert is_new(testing.learned_reward(testing.tiny_text(chat=False)))
    assert is_new(testing.learned_reward(testing.tiny_text(rope_theta=500.0)))
    assert is_new(testing.learned_reward(max_length=100))
    assert is_new(testing.learned_reward(on_too_long=truncate_prompt))
    with torch.no_grad():
        base.backbone.module.get_parameter("layers.0.mlp.up_proj.weight").view(-1)[0] += 1e-3
    assert is_new(base)
    small, large = (testing.learned_reward(testing.tiny_llava(image_size=size)) for size in (64, 32))
    assert is_new(small)
    assert is_new(large)
    half = testing.learned_reward()
    half.backbone.module.bfloat16()
    assert is_new(half)


def test_numbers_that_are_not_finite_are_rows_with_a_reason() -> None:
    reward = testing.learned_reward()
    with torch.no_grad():
        token = reward.backbone.tokenizer("red")["input_ids"][0]
        reward.backbone.module.get_parameter("embed_tokens.weight")[token] = torch.inf
    scores = reward([Record.of("q", ["red", "one two"])])
    assert scores.status == (Status.NON_FINITE, Status.OK)
    assert torch.isnan(scores.values[0])
    assert scores.messages[0].startswith("the model computed")


def test_float16_overflow_is_not_a_score() -> None:
    backbone = testing.tiny_text()
    with torch.no_grad():
        for name, weight in backbone.module.named_parameters():
            if "down_proj" in name:
                weight.mul_(1e5)
    assert set(testing.learned_reward(backbone)(records()).status) == {Status.OK}
    backbone.module.half()
    assert set(testing.learned_reward(backbone)(records()).status) == {Status.NON_FINITE}


def limited(reward: LearnedReward, most_tokens: int, seen: list[int]) -> None:
    """A model that runs out of memory where a forward holds more than ``most_tokens`` tokens."""

    def refuse(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        ids: Tensor = kwargs["input_ids"]
        seen.append(ids.numel())
        if ids.numel() > most_tokens:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    reward.backbone.module.register_forward_pre_hook(refuse, with_kwargs=True)


def test_out_of_memory_halves_the_budget_once() -> None:
    rows = [Record.of(f"question {i}", ["answer " * 8]) for i in range(12)]
    plain = testing.learned_reward(layout=padded)
    length = plain.prepare(rows).batch.groups[0][0].ids.numel() + 2
    reward = testing.learned_reward(token_budget=8 * length, layout=padded)
    seen: list[int] = []
    limited(reward, 5 * length, seen)
    scores = reward(rows)
    assert set(scores.status) == {Status.OK}
    assert max(seen) > 5 * length
    assert max(seen[1:]) <= 4 * length
    torch.testing.assert_close(scores.values, plain(rows).values, rtol=0, atol=1e-5)


def test_what_still_does_not_fit_is_a_row_of_its_own() -> None:
    rows = [Record.of("short", ["a"]), Record.of("long " * 60, ["b"]), Record.of("short too", ["c"])]
    reward = testing.learned_reward(layout=padded)
    limited(reward, 60, [])
    scores = reward(rows)
    assert scores.status == (Status.OK, Status.OUT_OF_MEMORY, Status.OK)
    assert "token budget" in scores.messages[1]
    plain = testing.learned_reward()(rows).values
    torch.testing.assert_close(scores.values[[0, 2]], plain[[0, 2]], rtol=0, atol=1e-5)


def test_an_error_of_the_model_is_not_taken_for_memory() -> None:
    reward = testing.learned_reward()

    def broken(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
        raise RuntimeError("size mismatch")

    reward.backbone.module.register_forward_pre_hook(broken, with_kwargs=True)
    with pytest.raises(RuntimeError, match="size mismatch"):
        reward(records())


def test_one_picture_runs_through_the_tower_once(picture: Callable[..., Image]) -> None:
    reward = testing.learned_reward(testing.tiny_llava())
    shown = picture()
    rows = [Record.of([shown, f"question {i}"], ["a", "b", "c", "d"]) for i in range(3)]
    reward(rows)
    reward(rows)
    features = reward.model.features
    assert (features.tower_calls, features.tower_images) == (1, 1)
    assert reward.backbone.pictures is not None
    assert reward.backbone.pictures.decoded == 1


def test_the_reference_leaves_abstentions_out() -> None:
    reference = Reference.of(torch.tensor([1.0, 3.0, torch.nan, 5.0]))
    assert (reference.mean, reference.std, reference.rows) == (3.0, 2.0, 3)
    assert (reference.quantiles[0], reference.quantiles[50], reference.quantiles[100]) == (1.0, 3.0, 5.0)
    with pytest.raises(ValueError, match="at least 2"):
        Reference.of(torch.tensor([1.0, torch.nan]))


def test_a_fresh_head_comes_from_its_seed() -> None:
    backbone = testing.tiny_text()
    first, again, other = (LearnedReward.fresh(backbone, seed)(records()).values for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    with pytest.raises(ValueError, match="token_budget"):
        LearnedReward.fresh(backbone, token_budget=0)
