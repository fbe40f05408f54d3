"""The losses of TRL's DPOTrainer on real tiny models, from the same batch: the same values by these objectives."""

import pytest
import torch

from assay.objectives.likelihood import implicit_reward, mean_implicit_reward, token_log_probabilities
from assay.objectives.pairwise import bradley_terry, hinge, identity_preference
from assay.testing import tiny_text

trl = pytest.importorskip("trl")

BETA = 0.3
PROMPTS = ["Name a colour", "Say something kind to a friend who is late", "What is in the picture"]
ANSWERS = [
    (" red and blue", " no"),
    (" no worries, take your time", " hm"),
    (" a circle, I think", " nothing, go away"),
]


def causal(seed: int):
    from transformers import LlamaForCausalLM

    backbone = tiny_text(seed)
    backbone.config.pad_token_id = backbone.tokenizer.pad_token_id
    torch.manual_seed(seed)
    model = LlamaForCausalLM(backbone.config)
    with torch.no_grad():
        model.lm_head.weight.mul_(20)  # log-ratios large enough to tell losses apart
    return model, backbone.tokenizer


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    from datasets import Dataset

    model, tokenizer = causal(0)
    columns = {
        "prompt": PROMPTS,
        "chosen": [good for good, _ in ANSWERS],
        "rejected": [bad for _, bad in ANSWERS],
    }
    args = trl.DPOConfig(
        output_dir=str(tmp_path_factory.mktemp("dpo")),
        per_device_train_batch_size=3,
        beta=BETA,
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        disable_dropout=True,
        disable_tqdm=True,
        max_length=None,
    )
    return trl.DPOTrainer(
        model=model,
        ref_model=causal(1)[0],
        args=args,
        train_dataset=Dataset.from_dict(columns),
        processing_class=tokenizer,
    )


def theirs(trainer, batch, kind: str, smoothing: float = 0.0) -> float:
    trainer.loss_types, trainer.loss_weights, trainer.label_smoothing = [kind], [1.0], smoothing
    with torch.no_grad():
        return float(trainer.compute_loss(trainer.model, dict(batch)))


def ours(trainer, batch, of=implicit_reward, beta: float = BETA) -> tuple[torch.Tensor, torch.Tensor]:
    """Chosen and rejected implicit rewards from the models' own logits."""
    mask = batch["completion_mask"].bool()
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    with torch.no_grad():
        logp, reference = (
            token_log_probabilities(m(**inputs).logits, batch["input_ids"], mask)
            for m in (trainer.model, trainer.ref_model)
        )
    chosen, rejected = of(logp, reference, mask, beta=beta).chunk(2)
    return chosen, rejected


@pytest.fixture(scope="module")
def batch(trainer):
    return next(iter(trainer.get_train_dataloader()))


def single(batch, row: int = 0):
    """The batch of one pair."""
    half = len(batch["input_ids"]) // 2
    return {name: tensor[[row, half + row]] for name, tensor in batch.items()}


def test_direct_preference_optimisation_is_bradley_terry_of_implicit_rewards(trainer, batch) -> None:
    chosen, rejected = ours(trainer, batch)
    assert float((chosen - rejected).abs().max()) > 1.0, "a gap of nothing would tell no losses apart"
    assert float(bradley_terry(chosen, rejected).mean()) == pytest.approx(theirs(trainer, batch, "sigmoid"), abs=1e-5)


def test_the_mean_over_tokens_is_theirs(trainer, batch) -> None:
    chosen, rejected = ours(trainer, batch, mean_implicit_reward)
    expected = theirs(trainer, batch, "sigmoid_norm")
    assert float(bradley_terry(chosen, rejected).mean()) == pytest.approx(expected, abs=1e-5)


def test_hinge_is_theirs(trainer, batch) -> None:
    assert float(hinge(*ours(trainer, batch)).mean()) == pytest.approx(theirs(trainer, batch, "hinge"), abs=1e-5)


def test_identity_preference_is_theirs(trainer, batch) -> None:
    chosen, rejected = ours(trainer, batch, mean_implicit_reward, beta=1.0)
    expected = theirs(trainer, batch, "ipo")
    assert float(identity_preference(chosen, rejected, beta=BETA).mean()) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("row", [0, 1, 2])
def test_label_smoothing_is_a_soft_label(trainer, batch, row: int) -> None:
    """With one pair nothing is sorted, and TRL's alignment by optimal transport is smoothed preference optimisation."""
    one = single(batch, row)
    chosen, rejected = ours(trainer, one)
    smoothed = bradley_terry(chosen, rejected, probability=torch.full_like(chosen, 0.8))
    assert float(smoothed.mean()) == pytest.approx(theirs(trainer, one, "aot", 0.2), abs=1e-5)


def test_the_robust_loss_is_a_combination_of_both_labels(trainer, batch) -> None:
    chosen, rejected = ours(trainer, batch)
    right, flipped = bradley_terry(chosen, rejected), bradley_terry(rejected, chosen)
    robust = (0.8 * right - 0.2 * flipped) / (1 - 2 * 0.2)
    assert float(robust.mean()) == pytest.approx(theirs(trainer, batch, "robust", 0.2), abs=1e-5)
