"""A policy trained in TRL on a picture reward: `python benchmarks/trl_grpo.py [--steps N] [--seeds N ...] [--json]`.

A tiny LLaVA, warm-started on few steps of supervised answers, answers questions about the colour or the shape of the
thing in a picture. TRL's GRPOTrainer then trains it on pictures that it sees once each, on a learned reward alone: a
tiny Idefics3 that says how likely an answer is true of the picture that it is shown. The same run again with blank
pictures for both. Exit code 1 unless the mean reward of the last quarter of the steps is above that of the first, its
interval above 0, and with blank pictures it rises by less than `BLANK_LIMIT`, upper end of the interval.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch.nn import functional

from assay import chain
from assay.adapters.trl import reward_function
from assay.media import Image
from assay.metrics import Interval
from assay.models.scratch import Size, picture_backbone, picture_tokens, word_tokenizer
from assay.objectives.pointwise import binary_cross_entropy
from assay.records import Rating, Record
from assay.rewards.base import Reward
from assay.rewards.learned import LearnedReward
from assay.training.budgets import Steps
from assay.training.loop import train
from assay.training.settings import Settings
from assay.training.supervision import on_ratings
from assay.transforms.shape import clip, sigmoid
from assay.worlds.scenes import COLOURS, SHAPES, render, sample_scene

HERE = Path(__file__).resolve().parent
SIDE = 32
QUESTIONS = {"what colour is it ?": tuple(COLOURS), "what shape is it ?": SHAPES}
WORDS = tuple(sorted({*COLOURS, *SHAPES, *" ".join(QUESTIONS).split()}))
FLOOR = 1 / 16
BLANK_LIMIT = 0.01
NAME = "true_of_picture"
TEMPLATE = (
    "{% for message in messages %}{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{{ '<image>' if part['type'] == 'image' else part['text'] }}{% endfor %}"
    "{% endif %}{% endfor %}"
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A picture ``[side, side]``, a question about it, and the answer that is true."""

    picture: PIL.Image.Image
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Course:
    """One run: the mean reward of each step, and the probability of the true answer to held-out
    questions before and after."""

    seed: int
    blank: bool
    rewards: tuple[float, ...]
    before: float
    after: float
    abstained: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Arm:
    """Courses of one arm: the mean reward in the first and the last quarter of the steps, and the rise between them."""

    first: float
    last: float
    rise: Interval
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class GrpoResult:
    """The policy that sees, and is judged on, pictures; and the one for which both are blank."""

    seen: Arm
    blank: Arm
    courses: tuple[Course, ...]

    @property
    def good(self) -> bool:
        return self.seen.rise.low > 0 and self.blank.rise.high < BLANK_LIMIT


def asked(count: int, seed: int, blank: bool = False) -> list[Asked]:
    """``count`` questions about as many pictures; a blank picture is white, and the answer is that of the unseen."""
    chance = np.random.default_rng(seed)
    rows: list[Asked] = []
    for _ in range(count):
        scene = sample_scene(chance, 1)
        thing = scene.things[0]
        question = tuple(QUESTIONS)[int(chance.integers(2))]
        drawn = np.full((SIDE, SIDE, 3), 255, np.uint8) if blank else render(scene, SIDE // 4)
        rows.append(Asked(PIL.Image.fromarray(drawn), question, thing.colour if "colour" in question else thing.shape))
    return rows


def tokenizer() -> Any:
    """One word a token: the questions and their answers."""
    special = dict.fromkeys(("<image>", *picture_tokens()))
    made = word_tokenizer(WORDS, special=tuple(special))
    made.padding_side = "left"
    return made


@lru_cache(maxsize=1)
def picture_reward(steps: int = 250, seed: int = 0) -> Reward:
    """How likely an answer is true of the picture: trained on pictures, a quarter of them blank, of which none is.

    What is less likely than `FLOOR` counts as that. Without a floor the trainer, which divides by a group's
    deviation, follows differences of 1e-4 between words that are all false: with blank pictures the policy learned to
    say one word, and its reward doubled, to 0.002. The floor is a power of two, so that a mean of equal rewards is
    exactly theirs.
    """
    size = Size(hidden=48, layers=2, vision_hidden=48, vision_layers=2)
    backbone = picture_backbone(tokenizer(), size, side=SIDE, patch=4, seed=seed)
    reward = LearnedReward.fresh(backbone, seed=seed)
    settings = Settings(budget=Steps(steps), batch=24, learning_rate=3e-3, seed=seed)
    train(reward, list(_labelled(24 * steps, 1 + seed)), on_ratings(binary_cross_entropy), settings)
    return chain(reward, sigmoid(), clip(low=FLOOR))


def _labelled(count: int, seed: int) -> Iterator[Record]:
    """Each with the true answer and some of all other words that the policy could say."""
    chance = np.random.default_rng(seed)
    blank = asked(count // 4, seed, blank=True)
    for number, row in enumerate([*blank, *asked(count - len(blank), seed + 1)]):
        others = [word for word in WORDS if word != row.answer]
        answers = [row.answer, *chance.choice(others, 7, replace=False).tolist()]
        ratings = [Rating(place, float(place == 0 and number >= len(blank))) for place in range(len(answers))]
        yield Record.of([Image.from_pil(row.picture), row.question], answers, id=f"{number}", feedback=ratings)


def policy(seed: int) -> tuple[Any, Any]:
    """A LLaVA of some 60,000 weights, untrained, and its processor."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    words = tokenizer()
    pictures = CLIPImageProcessorPil(
        size={"height": SIDE, "width": SIDE}, do_center_crop=False, image_mean=[0.92] * 3, image_std=[0.25] * 3
    )
    processor = LlavaProcessor(
        image_processor=pictures, tokenizer=words, patch_size=8, vision_feature_select_strategy="default",
        num_additional_image_tokens=1, chat_template=TEMPLATE,
    )  # fmt: skip
    narrow = {"hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 1, "num_attention_heads": 2}
    seeing = CLIPVisionConfig(**narrow, image_size=SIDE, patch_size=8, initializer_range=0.1)
    saying = LlamaConfig(
        **narrow, vocab_size=len(words), initializer_range=0.1, max_position_embeddings=64,
        pad_token_id=words.pad_token_id, bos_token_id=words.bos_token_id, eos_token_id=words.eos_token_id,
    )  # fmt: skip
    image = words.convert_tokens_to_ids("<image>")
    torch.manual_seed(seed)
    config = LlavaConfig(vision_config=seeing, text_config=saying, image_token_id=image, vision_feature_layer=-1)
    return LlavaForConditionalGeneration(config), processor


def prompt_of(row: Asked) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": row.question}]}]


def _inputs(processor: Any, rows: Sequence[Asked]) -> Any:
    texts = [processor.apply_chat_template(prompt_of(row), tokenize=False) for row in rows]
    return processor(images=[row.picture for row in rows], text=texts, return_tensors="pt", padding=True)


def warm_start(model: Any, processor: Any, steps: int, seed: int) -> None:
    """Supervised: the true answers of ``steps`` batches of 64."""
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3)
    for step in range(steps):
        rows = asked(64, seed * 1000 + step)
        wanted = processor.tokenizer.convert_tokens_to_ids([row.answer for row in rows])
        loss = functional.cross_entropy(model(**_inputs(processor, rows)).logits[:, -1], torch.tensor(wanted))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


@torch.no_grad()
def truth(model: Any, processor: Any, rows: Sequence[Asked]) -> float:
    """How likely the policy says the true answer: the mean probability of it."""
    said = model(**_inputs(processor, rows)).logits[:, -1].softmax(-1)
    right = torch.tensor(processor.tokenizer.convert_tokens_to_ids([row.answer for row in rows]))
    return float(said.gather(1, right[:, None]).mean())


def trained(model: Any, processor: Any, rows: Sequence[Asked], functions: Any, folder: str, **options: Any) -> Any:
    """A GRPOTrainer that has trained the model: the rows once, in order of the trainer's own shuffle, 8 answers each.

    ``options`` are further ones of its configuration.
    """
    from datasets import Dataset, Features, Value
    from datasets import Image as Picture
    from transformers import PrinterCallback
    from trl import GRPOConfig, GRPOTrainer

    message = {"role": Value("string"), "content": [{"type": Value("string"), "text": Value("string")}]}
    data = Dataset.from_dict(
        {
            "prompt": [prompt_of(row) for row in rows],
            "image": [row.picture for row in rows],
            "answer": [row.answer for row in rows],
        },
        features=Features({"prompt": [message], "image": Picture(), "answer": Value("string")}),
    )
    settings = GRPOConfig(
        output_dir=folder, num_train_epochs=1, num_generations=8, max_completion_length=1,
        lr_scheduler_type="constant", beta=0.0, logging_steps=1, gradient_checkpointing=False, bf16=False,
        use_cpu=True, report_to=[], save_strategy="no", disable_tqdm=True, **options,
    )  # fmt: skip
    trainer = GRPOTrainer(model, functions, args=settings, train_dataset=data, processing_class=processor)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return trainer


def course(
    reward: Reward, seed: int, blank: bool, steps: int = 80, warm: int = 30, prompts: int = 16, rate: float = 5e-4
) -> Course:
    """One run of GRPO: ``prompts`` fresh pictures a step."""
    started = time.process_time()
    model, processor = policy(seed)
    warm_start(model, processor, warm, seed + 1)
    held_out = asked(300, 10_000_000 + seed)
    before = truth(model, processor, held_out)
    rows = asked(steps * prompts, 20_000_000 + seed, blank)
    options = {"per_device_train_batch_size": 8 * prompts, "learning_rate": rate, "seed": seed}
    with tempfile.TemporaryDirectory() as folder:
        trainer = trained(model, processor, rows, reward_function(reward, NAME), folder, **options)
    logged = [row for row in trainer.state.log_history if f"rewards/{NAME}/mean" in row]
    return Course(
        seed,
        blank,
        tuple(float(row[f"rewards/{NAME}/mean"]) for row in logged),
        before,
        truth(model, processor, held_out),
        float(np.mean([row[f"{NAME}/abstained"] for row in logged])),
        time.process_time() - started,
    )


def arm(courses: Sequence[Course], draws: int = 10_000) -> Arm:
    """Means over the courses; the interval draws courses, and the steps within each quarter of each."""
    curves = np.array([each.rewards for each in courses])
    count, quarter = len(curves), curves.shape[1] // 4
    chance = np.random.default_rng(0)
    drawn = chance.integers(count, size=(draws, count, 1))
    first, last = (
        part[drawn, chance.integers(quarter, size=(draws, count, quarter))].mean((1, 2))
        for part in (curves[:, :quarter], curves[:, -quarter:])
    )
    low, high = np.quantile(last - first, (0.025, 0.975))
    means = float(curves[:, :quarter].mean()), float(curves[:, -quarter:].mean())
    rise = Interval(means[1] - means[0], float(low), float(high), curves.size, count)
    return Arm(*means, rise, float(np.mean([c.before for c in courses])), float(np.mean([c.after for c in courses])))


def measure(seeds: Sequence[int], steps: int = 80) -> GrpoResult:
    """Both arms, each seed."""
    reward = picture_reward()
    courses = tuple(course(reward, seed, blank, steps) for seed in seeds for blank in (False, True))
    seen, blank = (arm([each for each in courses if each.blank is blank]) for blank in (False, True))
    return GrpoResult(seen, blank, courses)


def table(result: GrpoResult) -> str:
    lines = [
        "| pictures | mean reward, first quarter | last quarter | rise (95 %) | true answers said before | after |",
        "|---|---|---|---|---|---|",
    ]
    for name, each in (("shown", result.seen), ("blank, to policy and reward", result.blank)):
        rise = f"{each.rise.value:+.3f} ({each.rise.low:+.3f} to {each.rise.high:+.3f})"
        lines.append(f"| {name} | {each.first:.3f} | {each.last:.3f} | {rise} | {each.before:.2f} | {each.after:.2f} |")
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description="TRL's GRPOTrainer on a learned picture reward.")
    parser.add_argument("--steps", type=int, default=80)
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102])
    parser.add_argument("--json", action="store_true", help="write results/trl_grpo.json")
    given = parser.parse_args()
    torch.set_num_threads(1)
    found = measure(given.seeds, given.steps)
    spent = sum(each.cpu_seconds for each in found.courses)
    print(f"{table(found)}\n\n{len(given.seeds)} seeds, {given.steps} steps, {spent:.0f} CPU seconds")
    if given.json:
        from measure import environment

        told = {"benchmark": "trl_grpo", "environment": environment(), "rows": asdict(found)}
        (HERE / "results" / "trl_grpo.json").write_text(json.dumps(told, indent=2) + "\n")
    return 0 if found.good else 1


if __name__ == "__main__":
    sys.exit(main())
