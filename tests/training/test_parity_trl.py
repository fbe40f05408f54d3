"""TRL's RewardTrainer and this loop, from the same weights on the same tokens: the same losses and gradients."""

import pytest
import torch

from assay.models.heads import ScalarHead
from assay.models.hf import backbone_from
from assay.objectives.pairwise import bradley_terry, centred
from assay.records import Preference, Record
from assay.rewards.learned import LearnedReward
from assay.testing import tiny_text
from assay.training.budgets import Linear, Steps
from assay.training.loop import train
from assay.training.settings import Settings
from assay.training.supervision import supervise

trl = pytest.importorskip("trl")

PROMPTS = ["Name a colour", "Say something kind to a friend who is late", "What is in the picture"]
ANSWERS = [
    (" red and blue", " no"),
    (" no worries, take your time", " hm"),
    (" a circle, I think", " nothing at all, go away"),
]
MARGINS = [0.5, 0.0, 1.25]


def classifier(seed: int = 0):
    """The tiny model as transformers' sequence classifier, which is what TRL trains."""
    from transformers import LlamaForSequenceClassification

    backbone = tiny_text(seed)
    config = backbone.config
    config.num_labels = 1
    config.pad_token_id = backbone.tokenizer.pad_token_id
    torch.manual_seed(seed)
    model = LlamaForSequenceClassification(config)
    model.model.load_state_dict(backbone.module.state_dict())
    return model, backbone.tokenizer


def by_trl(steps: int, centre: float | None, margins: bool, tmp_path):
    from datasets import Dataset

    model, tokenizer = classifier()
    columns = {
        "prompt": [[{"role": "user", "content": prompt}] for prompt in PROMPTS],
        "chosen": [[{"role": "assistant", "content": good}] for good, _ in ANSWERS],
        "rejected": [[{"role": "assistant", "content": bad}] for _, bad in ANSWERS],
        **({"margin": MARGINS} if margins else {}),
    }
    args = trl.RewardConfig(
        output_dir=str(tmp_path),
        per_device_train_batch_size=3,
        max_steps=steps,
        learning_rate=1e-2,
        lr_scheduler_type="linear",
        weight_decay=0.0,
        max_grad_norm=1e9,
        center_rewards_coefficient=centre,
        logging_steps=1,
        report_to=[],
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        save_strategy="no",
        disable_dropout=True,
        max_length=None,
        dataset_num_proc=None,
        disable_tqdm=True,
    )
    gradients: dict[str, torch.Tensor] = {}
    trainer = trl.RewardTrainer(
        model=model, args=args, train_dataset=Dataset.from_dict(columns), processing_class=tokenizer
    )
    step = trainer.create_optimizer().step

    def recording(*arguments, **named):
        if not gradients:
            gradients.update({name: w.grad.clone() for name, w in model.named_parameters() if w.grad is not None})
        return step(*arguments, **named)

    trainer.optimizer.step = recording
    trainer.train()
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    return model, gradients, losses


def by_us(steps: int, centre: float | None, margins: bool):
    model, tokenizer = classifier()
    backbone = backbone_from(model.model, tokenizer)
    head = ScalarHead(backbone.hidden_size)
    head.linear.weight.data.copy_(model.score.weight.data)
    reward = LearnedReward(backbone, head)
    records = [
        Record.of(prompt, list(answers), id=str(i), feedback=[Preference(0, 1, margin=MARGINS[i] if margins else None)])
        for i, (prompt, answers) in enumerate(zip(PROMPTS, ANSWERS, strict=True))
    ]
    gradients: dict[str, torch.Tensor] = {}

    def keep(name: str):
        def hook(weight: torch.Tensor) -> None:
            gradients.setdefault(name, weight.grad)  # the tensor that the loop then divides in place

        return hook

    handles = [w.register_post_accumulate_grad_hook(keep(name)) for name, w in reward.model.named_parameters()]
    settings = Settings(
        budget=Steps(steps),
        batch=3,
        learning_rate=1e-2,
        schedule=Linear(),
        weight_decay=0.0,
        max_grad_norm=0.0,
        log_every=1,
    )
    objective = bradley_terry if centre is None else centred(bradley_terry, centre)
    result = train(reward, records, supervise(objective), settings)
    for handle in handles:
        handle.remove()
    return reward, gradients, [entry["loss"] for entry in result.history]


@pytest.mark.parametrize(("centre", "margins"), [(None, False), (0.01, True)])
def test_loss_and_gradients_and_the_curve_are_those_of_trl(centre, margins, tmp_path) -> None:
    steps = 6
    model, expected, curve = by_trl(steps, centre, margins, tmp_path)
    reward, gradients, ours = by_us(steps, centre, margins)
    assert ours == pytest.approx(curve, abs=1e-4)
    assert curve[-1] < curve[0]
    for name, weight in model.model.named_parameters():
        own = reward.model.encoder.get_parameter(name)
        assert torch.allclose(own, weight, atol=2e-4), name
    assert torch.allclose(reward.head.linear.weight, model.score.weight, atol=2e-4)
    assert len(gradients) == len(expected)
    for name, gradient in expected.items():
        own = gradients["head.linear.weight" if name == "score.weight" else name.replace("model.", "encoder.", 1)]
        assert torch.linalg.norm(own - gradient) <= 1e-5 * torch.linalg.norm(gradient) + 1e-7, name
