"""verifiers scores traces through the adapter: its own Task.score. (The Rubric of 0.1: test_real_callers.py.)"""

import asyncio
import base64
import importlib
import io
import time

import PIL.Image
import pytest
import torch

from assay.adapters.abstaining import worth
from assay.adapters.verifiers import reward_traces, rubric, trace_reward
from assay.media import Image
from assay.rewards import rules
from assay.rewards.base import scores_of
from assay.rewards.rules.judging import Abstention, Rule, judge_responses
from assay.scores import Status
from assay.spec import Spec


def width(record, response):
    found = [part for message in record.prompt for part in message.parts if isinstance(part, Image)]
    return float(found[0].size[0]) if found else Abstention(Status.EMPTY, "no picture")


WIDTH = Rule("width", width, Spec(modalities=frozenset({"image"})), through=judge_responses)


class Rank:
    """The place of a response among those of its prompt by length; the length as an attribute."""

    spec = Spec(scale="within_group")

    def __call__(self, records, /):
        lengths = [[len(response.text) for response in record.responses] for record in records]
        ranks = [float(sorted(row).index(length)) for row in lengths for length in row]
        flat = torch.tensor([float(length) for row in lengths for length in row])
        return scores_of(records, ranks, attributes={"length": flat})


def picture_url(side):
    buffer = io.BytesIO()
    PIL.Image.new("RGB", (side, 4)).save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}"


@pytest.fixture
def vf():
    return pytest.importorskip("verifiers.v1")


def trace_of(vf, data, *messages):
    """A finished trace: the sampled messages are the assistant's."""
    from verifiers.v1.graph import MessageNode

    made = {"user": vf.UserMessage, "assistant": vf.AssistantMessage, "tool": vf.ToolMessage}
    nodes = []
    for number, (role, fields) in enumerate(messages):
        parent = number - 1 if number else None
        given = fields if isinstance(fields, dict) else {"content": fields}
        nodes.append(MessageNode(parent=parent, message=made[role](**given), sampled=role == "assistant"))
    task = vf.TraceTask(type="Task", data=data)
    return vf.Trace(task=task, agent=vf.AgentInfo(config=vf.AgentConfig()), nodes=nodes)


def scored(vf, reward, data, trace, config=None):
    """The trace after the package's own scoring of a task that has the reward."""
    kind = type("Judged", (vf.Task,), {"judged": reward} if reward is not None else {})
    asyncio.run(kind(data, config).score(trace))
    return trace


def test_a_task_scores_its_trace(vf):
    class Question(vf.TaskData):
        answer: str = ""

    data = Question(prompt="which?", answer="B")
    trace = trace_of(vf, data, ("user", "which?"), ("assistant", "B"))
    scored(vf, trace_reward(rules.choice(), weight=2.0), data, trace)
    assert {name: (reward.score, reward.weight) for name, reward in trace.rewards.items()} == {"choice": (1.0, 2.0)}
    assert trace.reward == 2.0
    assert trace.info["assay"]["choice"]["status"] == "ok"


def test_pictures_and_turns_of_tools_are_seen(vf):
    parts = [{"type": "image_url", "image_url": {"url": picture_url(9)}}, {"type": "text", "text": "?"}]
    call = {"tool_calls": [{"id": "1", "name": "look", "arguments": "{}"}]}
    data = vf.TaskData(prompt="?")
    turns = (("user", {"content": parts}), ("assistant", call), ("tool", {"tool_call_id": "1", "content": "red"}))
    trace = trace_of(vf, data, *turns, ("assistant", "it is red"))
    assert scored(vf, trace_reward(WIDTH), data, trace).rewards["width"].score == 9.0
    seen = []

    def look(record, response):
        seen.append([message.role for message in (*record.prompt, *response.messages)])
        return 1.0

    scored(vf, trace_reward(Rule("look", look, Spec(), through=judge_responses)), data, trace)
    assert seen == [["user", "assistant", "tool", "assistant"]]


def test_an_abstention_is_an_error_of_the_trace_or_worth_what_was_said(vf):
    data = vf.TaskData(prompt="?")
    trace = trace_of(vf, data, ("user", "?"), ("assistant", "a"))
    with pytest.raises(vf.TaskError, match="no picture"):
        scored(vf, trace_reward(WIDTH), data, trace)
    assert trace.rewards == {"width": None}
    assert trace.info["assay"]["width"] == {"status": "empty", "message": "no picture"}
    assert scored(vf, trace_reward(WIDTH, on_abstain=worth(-1.0)), data, trace).rewards["width"].score == -1.0


def test_a_module_plugs_it_by_configuration(vf, tmp_path):
    plugin = tmp_path / "plugged.py"
    plugin.write_text(
        "from assay.adapters.verifiers import trace_reward\nfrom assay.rewards import rules\n"
        "words = trace_reward(rules.length(per_words=1), weight=0.5)\n"
    )
    data = vf.TaskData(prompt="?")
    trace = trace_of(vf, data, ("user", "?"), ("assistant", "one two three"))
    config = vf.TaskConfig(rewards={"short": {"fn": f"{plugin}:words"}})
    scored(vf, None, data, trace, config)
    assert (trace.rewards["short"].score, trace.rewards["short"].weight) == (3.0, 0.5)


def test_traces_of_an_episode_are_judged_together(vf):
    data = vf.TaskData(prompt="?")
    traces = [trace_of(vf, data, ("user", "?"), ("assistant", text)) for text in ("aaa", "a", "aa")]
    with pytest.raises(ValueError, match="reward_traces"):
        trace_reward(Rank())
    judgements = asyncio.run(reward_traces(Rank(), traces, "rank", weight=0.5))
    assert [trace.rewards["rank"].score for trace in traces] == [2, 0, 1] == [j.value for j in judgements]
    assert [trace.metrics for trace in traces] == [{"rank/length": 3}, {"rank/length": 1}, {"rank/length": 2}]
    assert traces[0].reward == 1.0


def test_many_rollouts_at_once_are_few_calls(vf):
    class Counted:
        spec = Spec()
        calls = 0

        def __call__(self, records, /):
            type(self).calls += 1
            time.sleep(0.5 if type(self).calls == 1 else 0.0)
            return scores_of(records, [float(len(r.text)) for record in records for r in record.responses])

    reward, data = trace_reward(Counted(), "counted"), vf.TaskData(prompt="?")
    traces = [trace_of(vf, data, ("user", "?"), ("assistant", "a" * n)) for n in range(1, 25)]

    async def together():
        return await asyncio.gather(*(reward(task=data, trace=trace) for trace in traces))

    assert asyncio.run(together()) == list(range(1, 25))
    assert Counted.calls < 24


def test_this_release_has_no_rubrics_and_says_what_to_do(vf):
    if hasattr(importlib.import_module("verifiers"), "Rubric"):
        pytest.skip("this release has rubrics")
    with pytest.raises(ImportError, match="trace_reward"):
        rubric({"length": rules.length(per_words=1)})


def test_what_a_rubric_refuses():
    from assay.adapters.abstaining import refuse

    with pytest.raises(ValueError, match="as_nan"):
        rubric({"choice": rules.choice()}, on_abstain=refuse)
    with pytest.raises(ValueError, match="weights for"):
        rubric({"choice": rules.choice()}, {"other": 1.0})
    with pytest.raises(ValueError, match="group=True"):
        rubric({"rank": Rank()})
