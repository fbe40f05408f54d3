"""The call of lerobot's reward models: a dictionary of tensors in, ``[B]`` float32 out."""

import pytest
import torch

from assay.adapters.abstaining import AbstainedError, worth
from assay.adapters.lerobot import BatchReward
from assay.media import Image, Video
from assay.rewards.rules.judging import Abstention, Rule, judge_responses
from assay.scores import Status
from assay.spec import Spec

KINDS = frozenset({"image", "video", "text"})


def seen(record, response):
    """100 a film's frame, plus the brightness of the last one, plus the letters of the task."""
    total = float(len("".join(message.text for message in record.prompt)))
    for part in response.messages[0].parts:
        frames = part.frames if isinstance(part, Video) else (part,)
        total += 100 * len(frames) * isinstance(part, Video) + frames[-1].pil().getpixel((0, 0))[0]
    return total


SEEN = Rule("seen", seen, Spec(modalities=KINDS), through=judge_responses)


def dark(record, response):
    picture = response.messages[0].parts[0]
    assert isinstance(picture, Image)
    bright = picture.pil().getpixel((0, 0))[0]
    return float(bright) if bright else Abstention(Status.EMPTY, "all is dark")


DARK = Rule("dark", dark, Spec(modalities=KINDS), through=judge_responses)


def frames(*levels, steps=0):
    """``[B, 3, 4, 6]``, or ``[B, steps, 3, 4, 6]``, floats in 0..1 of one grey each."""
    flat = torch.tensor(levels, dtype=torch.float32).view(-1, 1, 1, 1) / 255
    still = flat.expand(-1, 3, 4, 6)
    return still[:, None].expand(-1, steps, -1, -1, -1) if steps else still


def test_pictures_films_and_several_cameras():
    reward = BatchReward(SEEN)
    got = reward.compute_reward({"observation.image": frames(10, 20), "task": ["lift", "push it"]})
    assert (got.tolist(), got.dtype, got.shape) == ([14, 27], torch.float32, (2,))
    film = reward.compute_reward({"observation.image": frames(10, 20, steps=3), "action": torch.zeros(2, 4)})
    assert film.tolist() == [310, 320]
    both = BatchReward(SEEN, cameras=("observation.images.top", "observation.images.wrist"), task="go")
    batch = {"observation.images.top": frames(1, 2), "observation.images.wrist": frames(10, 20, steps=2)}
    assert both.compute_reward(batch).tolist() == [213, 224]
    eight_bits = reward.compute_reward({"observation.image": torch.full((2, 3, 4, 6), 7, dtype=torch.uint8)})
    assert eight_bits.tolist() == [7, 7]
    reward.reset()
    assert reward.compute_reward({"observation.image": frames(10, 20)}).tolist() == [10, 20]


def test_one_task_for_all_rows_and_no_rows():
    reward = BatchReward(SEEN, task="default")
    batch = {"observation.image": frames(*[10] * 4), "task": "push"}
    assert reward.compute_reward(batch).tolist() == [14] * 4
    assert reward.compute_reward({**batch, "task": None}).tolist() == [17] * 4
    assert reward.compute_reward({**batch, "task": ["a", "bb", "ccc", ""]}).tolist() == [11, 12, 13, 10]
    none = reward.compute_reward({"observation.image": torch.zeros(0, 3, 4, 6), "task": []})
    assert (none.shape, none.dtype) == ((0,), torch.float32)


def test_abstentions_and_batches_that_do_not_fit():
    batch = {"observation.image": frames(5, 0)}
    with pytest.raises(AbstainedError, match="all is dark"):
        BatchReward(DARK).compute_reward(batch)
    assert BatchReward(DARK, on_abstain=worth(-1)).compute_reward(batch).tolist() == [5, -1]
    assert [judgement.status for judgement in BatchReward(DARK).judged(batch)] == [Status.OK, Status.EMPTY]
    with pytest.raises(KeyError, match=r"observation\.image"):
        BatchReward(SEEN).compute_reward({"observation.images.top": frames(1)})
    with pytest.raises(ValueError, match="height, width"):
        BatchReward(SEEN).compute_reward({"observation.image": torch.zeros(3, 4, 6)})
    with pytest.raises(ValueError, match="not finite"):
        BatchReward(SEEN).compute_reward({"observation.image": frames(float("nan"))})
    two = BatchReward(SEEN, cameras=("a", "b"))
    with pytest.raises(ValueError, match="rows"):
        two.compute_reward({"a": frames(1), "b": frames(1, 2)})
