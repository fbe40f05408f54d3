"""A vision-language reward learns from real public pictures, looks at them, and sees each of them once."""

import pytest
import torch

import assay.records
from assay.media import Text
from assay.models.features import FeatureStore
from assay.models.hf import Backbone
from assay.objectives.listwise import top_one
from assay.records import Ranking, Record
from assay.testing import learned_reward, tiny_llava
from assay.training import freeze
from assay.training.budgets import Cosine, Epochs
from assay.training.evaluation import evaluate
from assay.training.loop import train
from assay.training.order import batches, batches_by_key
from assay.training.settings import Lora, Settings
from assay.training.supervision import supervise

pytest.importorskip("easy_vqa")
COLOURS = ("black", "yellow", "blue")
TOP = supervise(top_one)


def colours(split: str, pictures: int) -> list[Record]:
    """Questions about one of three colours in the first pictures of a split, with the three as answers."""
    found: list[Record] = []
    for record in assay.records.read(f"easy-vqa:{split}"):
        if record.context["answer"] in COLOURS and len(record.prompt[0].parts) == 2:
            ranks = tuple(0 if colour == record.context["answer"] else 1 for colour in COLOURS)
            found.append(Record.of(record.prompt, COLOURS, id=record.id, feedback=[Ranking(ranks)]))
        if len(found) == pictures:
            break
    return found


def fresh_llava() -> Backbone:
    """The tiny LLaVA with weights as its own class initialises them, wide enough to learn in a minute."""
    from transformers import LlavaModel

    backbone = tiny_llava()
    config = backbone.config
    for part in (config, config.text_config, config.vision_config):
        part.initializer_range = 0.1
    torch.manual_seed(0)
    return backbone.with_module(LlavaModel(config).eval())


def swapped(records: list[Record]) -> list[Record]:
    """Each question with the picture of another record."""
    pictures = [record.prompt[0].parts[0] for record in records]
    others = pictures[7:] + pictures[:7]
    return [
        Record.of([other, Text(r.prompt[0].text)], r.responses, id=r.id, feedback=r.feedback)
        for r, other in zip(records, others, strict=True)
    ]


def test_a_picture_reward_learns_and_looks_at_the_picture() -> None:
    records, held_out = colours("train", 580), colours("test", 190)
    reward = learned_reward(fresh_llava())
    before = evaluate(reward, held_out, TOP)
    settings = Settings(
        budget=Epochs(5), batch=16, by_picture=True, learning_rate=1e-3, betas=(0.9, 0.98), schedule=Cosine(0.05)
    )
    result = train(reward, records, TOP, settings, evaluate=held_out)
    assert result.evaluations[0]["loss"] != result.evaluations[1]["loss"]
    reward.model.features = FeatureStore(max_bytes=0)
    after = evaluate(reward, held_out, TOP)
    blind = evaluate(reward, swapped(held_out), TOP)
    assert after["loss"] == pytest.approx(result.figures["loss"], abs=1e-5)  # no evaluation saw features of old weights
    assert after["loss"] < before["loss"] - 0.2
    assert after["accuracy"] > 0.85
    assert blind["accuracy"] < 0.62
    assert result.history[-1]["loss"] < 0.8 * result.history[0]["loss"]
    assert reward.backbone.pictures is not None
    assert reward.backbone.pictures.decoded == len({r.prompt[0].parts[0].content_hash for r in (*records, *held_out)})


def test_a_frozen_tower_sees_each_picture_once_in_all_epochs() -> None:
    records = colours("train", 24)
    reward = learned_reward(fresh_llava())
    distinct = len({record.prompt[0].parts[0].content_hash for record in records})
    before = {name: weight.clone() for name, weight in reward.model.encoder.vision_tower.state_dict().items()}
    train(reward, records, TOP, Settings(budget=Epochs(3), batch=8, learning_rate=1e-3, freeze=freeze.vision))
    assert reward.model.features.tower_images == distinct
    assert all(torch.equal(w, before[name]) for name, w in reward.model.encoder.vision_tower.state_dict().items())


def test_adapters_sit_on_the_language_model_alone_and_the_tower_runs_once_a_picture() -> None:
    records = colours("train", 24)
    reward = learned_reward(fresh_llava())
    distinct = len({record.prompt[0].parts[0].content_hash for record in records})
    before = {name: weight.clone() for name, weight in reward.model.state_dict().items()}
    train(reward, records, TOP, Settings(budget=Epochs(3), batch=8, learning_rate=1e-2, lora=Lora(rank=4)))
    moved = {name for name, weight in reward.model.state_dict().items() if not torch.equal(weight, before[name])}
    assert any("language_model" in name for name in moved)
    assert all("language_model" in name or "head" in name for name in moved)
    assert reward.model.features.tower_images == distinct


def test_a_step_encodes_a_picture_once_for_all_its_questions_and_answers() -> None:
    picture = colours("train", 1)[0].prompt[0].parts[0]
    records = [
        Record.of([picture, Text(f"What colour is shape {i}?")], COLOURS, id=str(i), feedback=[Ranking((0, 1, 1))])
        for i in range(8)
    ]
    reward = learned_reward(fresh_llava())
    counted = reward.model.features
    train(reward, records, TOP, Settings(budget=Epochs(2), batch=8, by_picture=True, learning_rate=1e-3))
    assert counted.tower_images <= 3  # one a step, and one for the reference scores


@pytest.mark.parametrize("epoch", [0, 1])
def test_the_order_depends_on_seed_and_epoch_only_and_loses_nothing(epoch: int) -> None:
    for made in (
        lambda seed, epoch: batches(100, 7, seed=seed, epoch=epoch),
        lambda seed, epoch: batches_by_key([i // 3 for i in range(100)], 7, seed=seed, epoch=epoch),
    ):
        order = made(1, epoch)
        assert order == made(1, epoch)
        assert order != made(2, epoch)
        assert order != made(1, epoch + 1)
        assert sorted(index for batch in order for index in batch) == list(range(100))
        assert max(map(len, order)) <= 7


def test_records_of_one_picture_share_a_batch() -> None:
    keys = [i // 5 for i in range(100)]
    for batch in batches_by_key(keys, 12, seed=0, epoch=0):
        assert all(sum(keys[i] == key for i in batch) == 5 for key in {keys[i] for i in batch})
    large = batches_by_key(["a"] * 10, 4, seed=0, epoch=0)
    assert [len(batch) for batch in large] == [4, 4, 2]
