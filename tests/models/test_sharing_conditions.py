"""The conditions under which sharing is exact, each with the case that breaks a careless implementation."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_sharing import BOUND, alone, scores, stock
from tiny_models import IMAGE, PICTURES, SIZES, TEXT, Case, batch_of, group, head, perturbed, words
from torch import nn
from transformers import (
    AutoModel,
    BertConfig,
    Gemma3TextConfig,
    GPT2Config,
    Lfm2Config,
    LlamaConfig,
    Mamba2Config,
    MambaConfig,
    T5Config,
)

from assay.models.base import Batch, Pixels, TokenSequence
from assay.models.check import SharingDisabledWarning
from assay.models.families import family_of
from assay.models.layout import cheapest, common_prefix, cost, flat, picture_spans
from assay.models.sharing import encode, padded, prepare_model, shared, sharing_report

LLAMA = TEXT[0]
LLAVA = PICTURES[0]
BY_NAME = {case.name: case for case in (*TEXT, *PICTURES)}


def sequence(*ids: int, images: tuple[str, ...] = (), reads: tuple[int, ...] = ()) -> TokenSequence:
    return TokenSequence(torch.tensor(ids), torch.tensor(reads or (len(ids) - 1,)), None, images)


def prefix_of(case: Case, *sequences: TokenSequence) -> int:
    return common_prefix(family_of(case.build()), sequences, batch_of(case, [sequences]).pixels)


def test_prefix_is_by_ids_where_a_merge_crosses_the_border() -> None:
    """'ab' + 'c' and 'ab' + 'd' where 'bc' is one token: the text prefix has two tokens, the id prefix one."""
    assert prefix_of(LLAMA, sequence(10, 99), sequence(10, 11, 12)) == 1


def test_prefix_of_identical_and_nested_sequences() -> None:
    assert prefix_of(LLAMA, sequence(5, 6, 7), sequence(5, 6, 7)) == 3
    assert prefix_of(LLAMA, sequence(5, 6), sequence(5, 6, 7)) == 2
    assert prefix_of(LLAMA, sequence(5, 6), sequence(4, 6, 7)) == 0


def test_no_cut_inside_a_picture() -> None:
    short = Pixels("s", {}, 3)
    pixels = {"a": Pixels("a", {}, 4), "s": short}
    family = family_of(LLAVA.build())
    one = sequence(5, 6, IMAGE, IMAGE, IMAGE, IMAGE, 8, images=("a",))
    other = sequence(5, 6, IMAGE, IMAGE, IMAGE, 9, 8, images=("s",))
    assert common_prefix(family, [one, other], pixels) == 2
    assert picture_spans(family, one, pixels) == [(2, 6)]


def test_tiles_of_one_picture_are_not_parted() -> None:
    case = BY_NAME["idefics3"]
    family = family_of(case.build())
    pixels = {"a": Pixels("a", {}, 4)}
    tiles = sequence(5, 30, IMAGE, IMAGE, 31, IMAGE, IMAGE, 8, 9, images=("a",))
    assert picture_spans(family, tiles, pixels) == [(2, 7)]


def test_pictures_must_have_the_same_content() -> None:
    picture = [IMAGE] * 16
    same = [sequence(5, *picture, 7, 8, images=("a",)), sequence(5, *picture, 7, 9, images=("a",))]
    other = [sequence(5, *picture, 7, 8, images=("a",)), sequence(5, *picture, 7, 9, images=("b",))]
    second = [
        sequence(5, *picture, 7, *picture, 8, images=("a", "b")),
        sequence(5, *picture, 7, *picture, 8, images=("a", "c")),
    ]
    assert prefix_of(LLAVA, *same) == 18
    assert prefix_of(LLAVA, *other) == 1
    assert prefix_of(LLAVA, *second) == 18


@torch.no_grad()
def test_other_picture_at_the_same_ids_is_scored_right() -> None:
    picture = [IMAGE] * 16
    pair = [sequence(5, *picture, 7, 8, images=("a",)), sequence(5, *picture, 7, 8, images=("b",))]
    batch = batch_of(LLAVA, [pair])
    found = scores(LLAVA.build(), batch, shared)
    assert (found - alone(LLAVA.build(), batch)).abs().max() <= BOUND
    assert abs(found[0] - found[1]) > 0.05


def test_types_end_the_prefix() -> None:
    case = BY_NAME["paligemma"]
    one = replace(sequence(5, 6, 7, 8), types=torch.tensor([0, 0, 1, 1]))
    other = replace(sequence(5, 6, 7, 9), types=torch.tensor([0, 0, 0, 1]))
    assert prefix_of(case, one, other) == 0
    assert prefix_of(case, one, replace(other, types=one.types)) == 3


@torch.no_grad()
def test_answers_in_the_bidirectional_part_are_not_shared_but_right() -> None:
    case = replace(BY_NAME["paligemma"], types=lambda ids, prompt: torch.zeros_like(ids))
    batch = batch_of(case, [group(case, 9, [5, 3, 5], ("a",))])
    family = family_of(case.build())
    assert not shared(family, batch).shares
    expected = alone(case.build(), batch)
    for layout in (shared, padded, None):
        assert (scores(case.build(), batch, layout) - expected).abs().max() <= BOUND


def test_paligemma_without_types_is_refused() -> None:
    case = replace(BY_NAME["paligemma"], types=None)
    batch = batch_of(case, [group(case, 9, [5, 3], ("a",))])
    with pytest.raises(ValueError, match="token_type_ids"):
        encode(case.build(), family_of(case.build()), batch)


def test_paligemma_positions_start_at_one() -> None:
    assert family_of(BY_NAME["paligemma"].build()).first_position == 1


@torch.no_grad()
@pytest.mark.parametrize("name", ["mistral-window", "gemma2", "gemma3-window", "paligemma2"])
@pytest.mark.parametrize("prompt", [2, 11, 12, 13, 30])
def test_window_counts_along_the_path(name: str, prompt: int) -> None:
    """Late branches sit further from the prompt in the row than the window reaches; their path does not."""
    case = BY_NAME[name]
    names = ("a",) if case.picture else ()
    batch = batch_of(case, [group(case, prompt, [14, 14, 3, 1, 25], names)])
    assert (scores(case.build(), batch, shared) - alone(case.build(), batch)).abs().max() <= BOUND


@torch.no_grad()
@pytest.mark.parametrize("name", ["qwen2.5-vl", "qwen3-vl"])
def test_mrope_continues_after_the_largest_position(name: str) -> None:
    case = BY_NAME[name]
    model = case.build()
    family = family_of(model)
    batch = batch_of(case, [group(case, 4, [3, 2], ("aa", "b"))])
    seen: list[torch.Tensor] = []
    model.language_model.register_forward_pre_hook(
        lambda module, args, kwargs: seen.append(kwargs["position_ids"]), with_kwargs=True
    )
    encode(model, family, batch, layout=shared)
    encode(model, family, batch, layout=padded)
    row, (first, second) = seen[0][:, 0], seen[1].unbind(1)
    prompt = row.shape[1] - 5
    assert torch.equal(row[:, :prompt], first[:, :prompt])
    assert torch.equal(row[:, prompt : prompt + 2], second[:, prompt : prompt + 2])
    assert torch.equal(row[:, prompt + 2 :], first[:, prompt : prompt + 3])
    assert int(row[:, prompt].max()) < prompt


RECURRENT = {
    "mamba": MambaConfig(hidden_size=32, num_hidden_layers=2, vocab_size=256, state_size=4),
    "mamba2": Mamba2Config(
        hidden_size=32, num_hidden_layers=2, vocab_size=256, state_size=4, num_heads=4, head_dim=16, n_groups=1
    ),
    "lfm2": Lfm2Config(**SIZES, layer_types=["conv", "full_attention"]),
}


@torch.no_grad()
@pytest.mark.parametrize("name", RECURRENT)
def test_recurrent_models_fall_back_with_a_reason(name: str) -> None:
    model = perturbed(AutoModel.from_config(RECURRENT[name]))
    family = family_of(model)
    assert not family.shares
    assert any(word in family.why_not for word in ("recurrent", "convolution", "conv"))
    batch = batch_of(LLAMA, [group(LLAMA, 9, [5, 3])])
    made = head(family.shape.width and model.config.hidden_size)
    found = torch.cat([made(states) for states in encode(model, family, batch)]).flatten()
    expected = torch.cat([made(stock(model, batch, each)[each.reads]) for each in flat(batch)]).flatten()
    assert (found - expected).abs().max() <= BOUND
    assert family.why_not in cheapest(family, batch).reason
    assert family.why_not in sharing_report(model)
    with pytest.raises(ValueError, match="cannot share"):
        encode(model, family, batch, layout=shared)


@torch.no_grad()
@pytest.mark.parametrize(
    "config",
    [
        BertConfig(hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, vocab_size=256),
        Gemma3TextConfig(**SIZES, use_bidirectional_attention=True),
    ],
    ids=["bert", "embedding-gemma"],
)
def test_bidirectional_models_fall_back_with_a_reason(config: Any) -> None:
    model = perturbed(AutoModel.from_config(config))
    family = family_of(model)
    assert not family.shares
    assert "bidirectional" in family.why_not
    batch = batch_of(LLAMA, [group(LLAMA, 9, [5, 3])])
    found = scores(model, batch, None)
    assert (found - alone(model, batch)).abs().max() <= BOUND


def test_encoder_decoders_and_unknown_things_are_refused() -> None:
    with pytest.raises(TypeError, match="encoder-decoder"):
        family_of(
            AutoModel.from_config(T5Config(d_model=16, d_ff=16, num_layers=1, num_heads=2, d_kv=8, vocab_size=64))
        )
    with pytest.raises(TypeError, match="config"):
        family_of(nn.Linear(2, 2))


@torch.no_grad()
def test_learned_absolute_positions() -> None:
    model = perturbed(AutoModel.from_config(GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=256, n_positions=64)))
    batch = batch_of(LLAMA, [group(LLAMA, 9, [5, 3, 5])])
    expected = alone(model, batch)
    assert (scores(model, batch, shared) - expected).abs().max() <= BOUND


@torch.no_grad()
def test_read_is_by_index_where_padding_equals_the_end_token() -> None:
    """Token 0 pads, ends and also stands inside; a search for the first or last 0 reads elsewhere."""
    rows = [sequence(5, 6, 0, 7, 0), sequence(5, 6, 0, 7, 9, 9, 0, 0), sequence(5, 6, 0)]
    batch = Batch([rows])
    expected = alone(LLAMA.build(), batch)
    for layout in (shared, padded):
        assert (scores(LLAMA.build(), batch, layout) - expected).abs().max() <= BOUND
    assert expected.unique().numel() == 3


@torch.no_grad()
def test_identical_nested_and_empty_responses() -> None:
    prompt = words(9, 1).tolist()
    group_ = [
        sequence(*prompt),
        sequence(*prompt, 4, 5),
        sequence(*prompt, 4, 5),
        sequence(*prompt, 4, 5, 6, reads=(3, 8, 11)),
        sequence(*prompt, 4, 5, 6, 7, reads=(12, 0, 9)),
    ]
    twins = [sequence(*prompt, 9), sequence(*prompt, 9)]
    batch = Batch([group_, twins, [sequence(3)]])
    model = LLAMA.build()
    found = encode(model, family_of(model), batch, layout=shared)
    assert [len(states) for states in found] == [1, 1, 1, 3, 3, 1, 1, 1]
    for states, each in zip(found, flat(batch), strict=True):
        assert (states - stock(LLAMA.build(), batch, each)[each.reads]).abs().max() <= BOUND


def test_gradient_reaches_a_prompt_that_is_read_itself() -> None:
    prompt = words(9, 1).tolist()
    batch = Batch([[sequence(*prompt, reads=(2, 8)), sequence(*prompt, 4, 5, reads=(10,))]])
    found, expected = LLAMA.build(), LLAMA.build()
    sum(states.sum() for states in encode(found, family_of(found), batch, layout=shared)).backward()
    sum(stock(expected, batch, each)[each.reads].sum() for each in flat(batch)).backward()
    pairs = zip(found.parameters(), expected.parameters(), strict=True)
    assert max(float((a.grad - b.grad).norm() / b.grad.norm()) for a, b in pairs if b.grad.norm() > 0) <= BOUND


@torch.no_grad()
def test_groups_larger_than_the_budget_are_split() -> None:
    batch = batch_of(LLAMA, [group(LLAMA, 20, [6] * 9), group(LLAMA, 50, [3, 30])])
    model = LLAMA.build()
    plan = shared(family_of(model), batch, 48)
    assert all(call.tokens <= 48 or len(call.trees) == len(call.trees[0].members) == 1 for call in plan.calls)
    assert len(plan.calls) == 5
    assert sorted(m for call in plan.calls for tree in call.trees for m in tree.members) == list(range(11))
    assert (scores(model, batch, shared, token_budget=48) - alone(LLAMA.build(), batch)).abs().max() <= BOUND


@torch.no_grad()
def test_score_does_not_depend_on_the_batch() -> None:
    groups = [group(LLAVA, 5 + i, [3, 3 + i], ("a",) if i % 2 else (), seed=i) for i in range(5)]
    model = LLAVA.build()
    together = scores(model, batch_of(LLAVA, groups), shared)
    backwards = scores(model, batch_of(LLAVA, [list(reversed(each)) for each in reversed(groups)]), None)
    assert (together - backwards.flip(0)).abs().max() <= BOUND


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("name", ["llama", "llava", "gemma3-window", "qwen3-vl", "paligemma2"])
def test_gradient_checkpointing(name: str, reentrant: bool) -> None:
    case = BY_NAME[name]
    batch = batch_of(case, [group(case, 9, [5, 3, 5, 8], ("a",) if case.picture else ())])
    plain, checkpointed = case.build(), case.build()
    checkpointed.activation_checkpointing_enable({"use_reentrant": reentrant})
    checkpointed.train()
    if reentrant:
        checkpointed.enable_input_require_grads()
    for model in (plain, checkpointed):
        scores(model, batch, shared).sum().backward()
    pairs = zip(plain.parameters(), checkpointed.parameters(), strict=True)
    both = [(a.grad, b.grad) for a, b in pairs if a.grad is not None and b.grad is not None]
    assert len(both) >= 20
    assert max(float((a - b).norm() / (a.norm() + 1e-6)) for a, b in both) <= BOUND


@pytest.mark.parametrize("name", ["llama", "llava", "qwen3-vl"])
def test_adapters(name: str) -> None:
    peft = pytest.importorskip("peft")
    case = BY_NAME[name]
    batch = batch_of(case, [group(case, 9, [5, 3, 5, 8], ("a",) if case.picture else ())])
    config = peft.LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)

    def build() -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(3)
            return peft.get_peft_model(case.build(), config)

    found, expected = build(), build()
    first, second = scores(found, batch, None), alone(expected, batch)
    assert (first - second).abs().max() <= BOUND
    assert (second - alone(case.build(), batch)).abs().max() > 0.05
    scores(found, batch, shared).sum().backward()
    second.sum().backward()
    pairs = [(a.grad, b.grad) for a, b in zip(found.parameters(), expected.parameters(), strict=True)]
    learned = [(a, b) for a, b in pairs if a is not None and b is not None]
    assert learned
    assert max(float((a - b).norm() / b.norm()) for a, b in learned) <= BOUND


def test_prompt_learning_adapters_do_not_share() -> None:
    peft = pytest.importorskip("peft")
    model = peft.get_peft_model(
        LLAMA.build(), peft.PromptTuningConfig(task_type="FEATURE_EXTRACTION", num_virtual_tokens=2)
    )
    assert "learned tokens" in family_of(model).why_not


class Leaky(nn.Module):
    """A backbone whose responses see each other: it drops the layout."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def get_base_model(self) -> Any:
        return self.model

    def forward(self, seg_layout: Any = None, **inputs: Any) -> Any:
        if seg_layout is not None:
            inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        return self.model(**inputs)


class Broken(Leaky):
    def forward(self, seg_layout: Any = None, **inputs: Any) -> Any:
        if seg_layout is not None:
            raise RuntimeError("no kernel for this layout")
        return self.model(**inputs)


@pytest.mark.parametrize(("wrapper", "reason"), [(Leaky, "differ by"), (Broken, "no kernel")])
@torch.no_grad()
def test_self_check_disables_sharing(wrapper: type[Leaky], reason: str) -> None:
    batch = batch_of(LLAMA, [group(LLAMA, 40, [5, 3, 5, 8, 9, 7]), group(LLAMA, 40, [4, 4, 5, 6, 7, 8], seed=2)])
    expected = alone(LLAMA.build(), batch)
    model = wrapper(LLAMA.build())
    assert cheapest(family_of(model), batch).layout == "shared"
    with pytest.warns(SharingDisabledWarning, match=reason):
        found = scores(model, batch, None)
    assert (found - expected).abs().max() <= BOUND
    assert reason in sharing_report(model)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert (scores(model, batch, None) - expected).abs().max() <= BOUND


def test_self_check_passes_once_and_keeps_training_modes() -> None:
    model = LLAVA.build().train()
    model.vision_tower.eval()
    modes = [module.training for module in model.modules()]
    batch = batch_of(LLAVA, [group(LLAVA, 40, [5, 3, 5, 8, 9, 7], ("a",))])
    calls: list[int] = []
    model.language_model.register_forward_hook(lambda *_: calls.append(1))
    for _ in range(2):
        scores(model, batch, None)
        calls.append(0)
    assert calls == [1, 1, 1, 1, 1, 0, 1, 0]
    assert modes == [module.training for module in model.modules()]
    assert "shares" in sharing_report(model)
    assert all(weight.grad is None for weight in model.parameters())


@torch.no_grad()
def test_self_check_without_any_group() -> None:
    batch = batch_of(LLAMA, [group(LLAMA, 30, [5], seed=1), group(LLAMA, 25, [5], seed=2)])
    model = LLAMA.build()
    assert (scores(model, batch, shared, token_budget=20) - alone(LLAMA.build(), batch)).abs().max() <= BOUND
    long = batch_of(LLAMA, [group(LLAMA, 60, [5], seed=1), group(LLAMA, 25, [5], seed=2)])
    assert cheapest(family_of(model), long).layout == "shared"
    assert (scores(model, long, None, token_budget=64) - alone(LLAMA.build(), long)).abs().max() <= BOUND
    assert "float32 on cpu: shares" in sharing_report(model)


@torch.no_grad()
def test_half_precision_is_compared_with_its_own_noise() -> None:
    model = BY_NAME["qwen3"].build().to(torch.bfloat16)
    batch = batch_of(LLAMA, [group(LLAMA, 40, [5, 3, 5, 8, 9, 7])])
    encode(model, family_of(model), batch)
    assert "bfloat16 on cpu: shares" in sharing_report(model)


def test_bad_sequences_are_refused() -> None:
    model, picture = LLAMA.build(), LLAVA.build()
    empty = TokenSequence(torch.tensor([], dtype=torch.long), torch.tensor([0]))
    with pytest.raises(ValueError, match="no tokens"):
        encode(model, family_of(model), Batch([[empty]]))
    with pytest.raises(ValueError, match="reads at"):
        encode(model, family_of(model), Batch([[sequence(1, 2, reads=(2,))]]))
    with pytest.raises(ValueError, match="pictures"):
        encode(model, family_of(model), Batch([[sequence(1, 2, images=("a",))]]))
    assert LLAVA.picture is not None
    pixels = {"a": LLAVA.picture("a")}
    with pytest.raises(ValueError, match="placeholders"):
        encode(picture, family_of(picture), Batch([[sequence(1, IMAGE, 2, images=("a",))]], pixels))
    with pytest.raises(ValueError, match="not among"):
        encode(picture, family_of(picture), Batch([[sequence(1, IMAGE, 2, images=("b",))]], pixels))
    wrong = {"a": replace(pixels["a"], tokens=3)}
    with pytest.raises(ValueError, match="do not belong together"):
        encode(picture, family_of(picture), Batch([[sequence(1, *[IMAGE] * 3, 2, images=("a",))]], wrong))
    assert encode(model, family_of(model), Batch([])) == []


def test_a_model_with_a_head_is_refused() -> None:
    from transformers import LlamaForCausalLM

    model = LlamaForCausalLM(LlamaConfig(**SIZES))
    with pytest.raises(TypeError, match="base model"):
        encode(model, family_of(model), Batch([[sequence(1, 2)]]), layout=padded)


@st.composite
def groups(draw: st.DrawFn) -> list[TokenSequence]:
    prompt = draw(st.lists(st.integers(3, 6), max_size=6))
    tails = draw(st.lists(st.lists(st.integers(3, 6), max_size=5), min_size=1, max_size=5))
    return [sequence(*(prompt + tail or [3])) for tail in tails]


@settings(max_examples=60, deadline=None)
@given(st.lists(groups(), min_size=1, max_size=4), st.integers(4, 60))
def test_any_text_batch_is_exact_in_any_layout(found: list[list[TokenSequence]], budget: int) -> None:
    batch = Batch(found)
    with torch.no_grad():
        expected = alone(_MODEL, batch)
        for layout in (shared, padded, None):
            assert (scores(_MODEL, batch, layout, token_budget=budget) - expected).abs().max() <= BOUND
    plan = shared(family_of(_MODEL), batch, budget)
    assert plan.tokens <= plan.tokens_alone + sum(
        tree.prefix for call in plan.calls for tree in call.trees if len(tree.members) == 1
    )
    assert cost(family_of(_MODEL).shape, plan.calls) > 0


_MODEL = LLAMA.build()
prepare_model(_MODEL)
