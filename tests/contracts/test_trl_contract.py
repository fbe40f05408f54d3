"""TRL calls the adapter by keyword with every column; what comes back is one number or None a row."""

import asyncio
import inspect
import math
import pickle

import numpy as np
import PIL.Image
import pytest
import torch

from assay.adapters.rows import judge, judge_async
from assay.adapters.trl import attribute_functions, reward_function, reward_functions, reward_weights
from assay.media import Image, Text
from assay.records import Message, Record
from assay.rewards import rules
from assay.rewards.base import scores_of
from assay.rewards.rules.judging import Abstention, Rule, judge_responses
from assay.scores import Status
from assay.spec import Spec


def width(record, response):
    found = [part for message in record.prompt for part in message.parts if isinstance(part, Image)]
    return float(found[0].size[0]) if found else Abstention(Status.EMPTY, "no picture")


WIDTH = Rule("width", width, Spec(modalities=frozenset({"image"})), through=judge_responses)


class Aspects:
    """Length as the value; as attributes its square and, of some, a number of its own."""

    spec = Spec()

    def __init__(self):
        self.calls = 0

    def __call__(self, records, /):
        self.calls += 1
        lengths = torch.tensor([float(len(r.text)) for record in records for r in record.responses])
        known = torch.where(lengths > 1, lengths, torch.nan)
        return scores_of(records, lengths, attributes={"square": lengths**2, "known": known})


class Logs:
    """What `GRPOTrainer` gives as ``log_extra`` and ``log_metric``."""

    def __init__(self):
        self.extra, self.metrics = {}, {}

    def keywords(self):
        return {"log_extra": self.extra.__setitem__, "log_metric": self.metrics.__setitem__, "trainer_state": object()}


def conversation(*answers):
    return [[{"role": "assistant", "content": answer}] for answer in answers]


def asked(text):
    return [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": text}]}]


def called(function, **given):
    """The call of `_calculate_rewards`: sync, or awaited."""
    made = function(**given)
    return asyncio.run(made) if inspect.iscoroutine(made) else made


@pytest.mark.parametrize("asynchronous", [False, True])
def test_the_fixture_of_a_multimodal_batch(asynchronous):
    function = reward_function(WIDTH, "width", asynchronous=asynchronous)
    logs, picture = Logs(), PIL.Image.new("RGB", (7, 5))
    got = called(
        function,
        prompts=[asked("a?"), asked("b?"), asked("c?")],
        completions=conversation("A", "B", "C"),
        completion_ids=[[1], [2], [3]],
        images=[[picture], [picture], None],
        solution=["A", "B", "C"],
        **logs.keywords(),
    )
    assert got == [7.0, 7.0, None]
    assert logs.extra["width_status"] == ["ok", "ok", "unreadable_media"]
    assert "placeholder" in logs.extra["width_message"][2]
    assert logs.metrics == {"width/abstained": pytest.approx(1 / 3)}
    assert function.__name__ == "width"
    assert inspect.iscoroutinefunction(function.__call__) is asynchronous
    again = pickle.loads(pickle.dumps(reward_function(rules.length(per_words=1), "n", asynchronous=asynchronous)))
    assert called(again, prompts=["p"], completions=["a b"], completion_ids=[[1, 2]]) == [2.0]


def test_columns_of_needed_context_reach_the_reward_and_others_do_not():
    seen = []

    def look(record, response):
        seen.append(dict(record.context))
        return 1.0

    function = reward_function(Rule("look", look, Spec(needs=("answer",)), through=judge_responses))
    assert function(prompts=["p"], completions=["a"], answer=["x"], secret=["y"]) == [1.0]
    assert seen == [{"answer": "x"}]


def test_several_rewards_and_their_weights():
    functions = reward_functions({"short": rules.length(per_words=1), "wide": WIDTH})
    assert [function.__name__ for function in functions] == ["short", "wide"]
    assert reward_weights(functions, {"wide": 2.0, "short": -1.0}) == [-1.0, 2.0]
    for wrong in ({"wide": 1.0}, {"wide": 1.0, "short": 1.0, "other": 1.0}):
        with pytest.raises(ValueError, match="weights for"):
            reward_weights(functions, wrong)


def test_attributes_as_functions_ask_the_reward_once_a_batch():
    reward, logs = Aspects(), Logs()
    square, known = attribute_functions(reward, ("square", "known"), "aspects")
    assert (square.__name__, known.__name__) == ("aspects_square", "aspects_known")
    prompts, completions = ["p", "p"], ["a", "bcd"]
    assert square(prompts=prompts, completions=completions, **logs.keywords()) == [1.0, 9.0]
    assert known(prompts=prompts, completions=completions, **logs.keywords()) == [None, 3.0]
    assert reward.calls == 1
    assert logs.metrics == {"aspects/abstained": 0.0, "aspects/square": 5.0, "aspects/known": 3.0}
    assert square(prompts=list(prompts), completions=completions) == [1.0, 9.0]
    assert reward.calls == 2
    other = attribute_functions(reward, ("missing",))[0]
    assert other(prompts=prompts, completions=completions) == [None, None]


def test_attribute_functions_survive_pickling():
    functions = attribute_functions(Aspects(), ("square",), "aspects")
    assert functions[0](["p"], ["abc"]) == [9.0]
    assert pickle.loads(pickle.dumps(functions))[0](["p"], ["ab"]) == [4.0]


def test_turns_of_tools_are_part_of_the_completion():
    turns = [
        {"role": "assistant", "content": "", "tool_calls": [{"type": "function", "function": {"name": "f"}}]},
        {"role": "tool", "name": "f", "content": "5"},
        {"role": "assistant", "content": "five"},
    ]
    seen = []

    def look(record, response):
        seen.append(response)
        return 1.0

    function = reward_function(Rule("look", look, Spec(), through=judge_responses))
    assert function(prompts=[[{"role": "user", "content": "?"}]], completions=[turns]) == [1.0]
    assert [message.role for message in seen[0].messages] == ["assistant", "tool", "assistant"]
    assert seen[0].messages[0].tool_calls[0]["function"]["name"] == "f"


def looking():
    """A reward, and the list of what it saw of each prompt."""
    seen = []

    def look(record, response):
        seen.append([type(part).__name__ for message in record.prompt for part in message.parts])
        return 1.0

    return seen, Rule("look", look, Spec(), through=judge_responses)


def test_videos_audios_and_media_inside_prompts(tmp_path):
    seen, reward = looking()
    film = [PIL.Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    inside = [{"role": "user", "content": [{"type": "audio", "audio": "a.wav"}, {"type": "text", "text": "b?"}]}]
    judged = judge(
        reward,
        ["a?", inside, "c?", "<image> and <image>?"],
        ["x"] * 4,
        images=[None, None, None, film],
        videos=[[film], None, "clip.mp4", None],
        audios=[None, "a.wav", ["b.wav", "c.wav"], None],
        root=tmp_path,
    )
    assert [j.status for j in judged] == [Status.OK] * 4
    assert seen == [
        ["Video", "Text"],
        ["Audio", "Text"],
        ["Audio", "Audio", "Video", "Text"],
        ["Image", "Image", "Text"],
    ]
    seen.clear()
    judge(reward, ["<image> and <image>?"], ["x"], images=[film], tags=True)
    assert seen == [["Image", "Text", "Image", "Text"]]


def test_assay_values_as_prompts_and_completions():
    picture = Image.from_array(np.zeros((3, 6, 3), np.uint8))
    judged = judge(
        WIDTH, [(Message("user", (picture, Text("?"))),), [picture, "?"], picture], ["a", picture, [picture]]
    )
    assert [j.value for j in judged] == [6.0] * 3


@pytest.mark.parametrize(
    ("prompt", "completion", "images", "status"),
    [
        (asked("?"), "a", None, Status.UNREADABLE_MEDIA),
        (asked("?"), "a", [["x.png", "y.png"]], Status.UNREADABLE_MEDIA),
        ("?", "a", ["https://example.org/a.png"], Status.UNREADABLE_MEDIA),
        ("?", None, None, Status.INVALID),
        ([{"content": "no role"}], "a", None, Status.INVALID),
        ("?", [{"role": "assistant", "content": 5}], None, Status.INVALID),
        (7, "a", None, Status.INVALID),
    ],
)
def test_a_row_that_cannot_be_read_has_a_status_and_its_neighbours_their_scores(prompt, completion, images, status):
    given = {} if images is None else {"images": [*images, None]}
    first, second = judge(rules.length(per_words=1), [prompt, "?"], [completion, "b c"], **given)
    assert (first.value, first.status) == (None, status)
    assert first.message
    assert second.value == 2.0


def test_a_picture_that_is_not_there_is_found_when_it_is_read():
    answer = [{"role": "assistant", "content": [{"type": "image", "path": "missing.png"}]}]
    judged = judge(rules.picture_statistics(), ["?"], [answer])[0]
    assert judged.status is Status.UNREADABLE_MEDIA
    assert "missing.png" in judged.message


def test_lower_is_better_is_negated_and_steps_come_along():
    class Cost:
        spec = Spec(better="lower")

        def __call__(self, records, /):
            return scores_of(records, [2.0, 3.0], steps=(torch.tensor([1.0, 2.0]), torch.tensor([3.0])))

    judged = judge(Cost(), ["p", "q"], ["a", "b"])
    assert [(j.value, j.steps) for j in judged] == [(-2.0, (1.0, 2.0)), (-3.0, (3.0,))]


def test_columns_of_other_lengths_are_refused_and_no_rows_are_none():
    with pytest.raises(ValueError, match="2 prompts, but"):
        judge(WIDTH, ["a", "b"], ["c"])
    with pytest.raises(ValueError, match="image"):
        judge(WIDTH, ["a"], ["c"], images=[])
    assert judge(WIDTH, [], []) == []
    assert asyncio.run(judge_async(rules.length(per_words=1), ["p"], ["a b c"]))[0].value == 3.0


def test_records_in_and_rows_out_give_the_same_numbers():
    reward = rules.exact_match()
    records = [Record.of("p", ["yes", "no"], answer="yes"), Record.of("q", ["no"], answer="yes")]
    offline = reward(records).values.tolist()
    rows = [("p", "yes"), ("p", "no"), ("q", "no")]
    judged = judge(reward, [p for p, _ in rows], [c for _, c in rows], context={"answer": ["yes"] * 3})
    assert [j.value for j in judged] == offline
    assert not any(math.isnan(value) for value in offline)


def test_a_prompt_that_is_repeated_is_read_once():
    seen = []

    def look(record, response):
        seen.append(record.prompt)
        return 1.0

    reward = Rule("look", look, Spec(needs=("answer",)), through=judge_responses)
    pictures = [PIL.Image.new("RGB", (7, 5), colour) for colour in ("red", "red", "blue")]
    given = {"images": [[picture] for picture in pictures], "context": {"answer": [1, 2, 3]}}
    judge(reward, [asked("?")] * 3, ["a", "b", "c"], **given)
    assert seen[0] is seen[1]
    assert seen[1] != seen[2]
    left = judge(
        reward, ["?"] * 2, [[{"role": "assistant", "content": [{"type": "image"}]}]] * 2, images=[pictures[:1]] * 2
    )
    assert [judgement.status for judgement in left] == [Status.UNREADABLE_MEDIA] * 2


def test_arrays_in_columns_are_never_taken_for_equal():
    seen = []

    def look(record, response):
        seen.append(len(record.responses))
        return 1.0

    reward = Rule("look", look, Spec(needs=("box",)), through=judge_responses)
    boxes = [np.array([1, 2]), np.array([1, 2]), torch.tensor([1, 2])]
    judged = judge(reward, ["?"] * 3, ["a", "b", "c"], context={"box": boxes})
    assert [judgement.value for judgement in judged] == [1.0] * 3
    assert seen == [1, 1, 1]
