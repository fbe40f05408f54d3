"""OpenRLHF, ms-swift, EasyR1, slime, NeMo-RL and flow_grpo: what each hands over, and what it reads of the answer."""

from __future__ import annotations

import asyncio
import importlib.util
import math
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import pytest
import torch

from assay.adapters import easyr1, environment, flow_grpo, nemo_rl, openrlhf, slime, swift
from assay.adapters.abstaining import AbstainedError, as_nan, worth
from assay.adapters.media_index import media_of
from assay.media import Image, Text
from assay.records import Preference, Record
from assay.records.problems import BadRowError
from assay.rewards.base import ContractError, score, scores_of
from assay.rewards.rules import exact_match
from assay.scores import Status
from assay.spec import Spec

sys.path.insert(0, str(Path(__file__).with_name("real")))
from data import ANSWERS, BRIGHT, GREYS, QUESTIONS, picture, png

from rewards import Brightness

FILES = Path(environment.__file__).with_name("files")


@dataclass(frozen=True)
class GroupSize:
    """Compares responses: the number of them is each one's score."""

    spec: ClassVar[Spec] = Spec(scale="within_group", low=0.0, high=4.0)

    def __call__(self, records):
        return scores_of(records, [float(len(record.responses)) for record in records for _ in record.responses])


def loaded(file: str) -> Any:
    """A file as trainers load it: by its path, and without an entry in ``sys.modules``."""
    found = importlib.util.spec_from_file_location("reward_func", FILES / file)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


@pytest.fixture
def configured(monkeypatch):
    """``ASSAY_REWARD`` names the rule of real/rewards.py."""

    def clear():
        for made in (environment.configured, openrlhf._made, easyr1._made, slime._made):
            made.cache_clear()

    monkeypatch.setenv("ASSAY_REWARD", f"{Path(__file__).with_name('real') / 'rewards.py'}:right")
    clear()
    yield
    clear()


# OpenRLHF


def test_openrlhf_reads_tensors_of_equal_length():
    function = openrlhf.reward_function(exact_match("answer"))
    queries = ["<s>Q: 1?\nA: dark<|im_end|>\n", "<s>Q: 2?\nA: blue</s>"]
    said = function(queries, ["Q: 1?\nA: ", "Q: 2?\nA: "], ["dark", "red"])
    assert set(said) == {"rewards", "scores", "extra_logs"}
    assert said["rewards"].tolist() == said["scores"].tolist() == [1.0, 0.0]
    assert said["rewards"].dtype == torch.float32
    assert all(isinstance(column, torch.Tensor) and len(column) == 2 for column in said["extra_logs"].values())


def test_openrlhf_scores_are_within_0_and_1_by_the_declared_range():
    said = openrlhf.reward_function(Ranged(2.0))(["q a"], ["q "], ["x"])
    assert (said["rewards"].item(), said["scores"].item()) == (2.0, 0.75)
    low = openrlhf.reward_function(Ranged(2.0, "lower"))(["q a"], ["q "], ["x"])
    assert (low["rewards"].item(), low["scores"].item()) == (-2.0, 0.25)


@dataclass(frozen=True)
class Ranged:
    value: float
    better: str = "higher"

    @property
    def spec(self):
        return Spec(low=-4.0, high=4.0, better=self.better)

    def __call__(self, records):
        return scores_of(records, [self.value for record in records for _ in record.responses])


def test_openrlhf_a_query_without_its_prompt_is_no_row():
    function = openrlhf.reward_function(exact_match("answer"))
    with pytest.raises(AbstainedError, match="does not hold its prompt"):
        function(["something else"], ["Q"], ["a"])
    said = openrlhf.reward_function(exact_match("answer"), on_abstain=worth(-1))(["other"], ["Q"], ["a"])
    assert (said["rewards"].item(), said["extra_logs"]["abstained"].item()) == (-1.0, 1.0)


QWEN = "<|im_start|>user\n{}How bright?<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    ("placeholder", "written"),
    [
        ("<|vision_start|><|image_pad|><|vision_end|>", f"<|vision_start|>{'<|image_pad|>' * 64}<|vision_end|>"),
        ("<|vision_start|><|video_pad|><|vision_end|>", f"<|vision_start|>{'<|video_pad|>' * 9}<|vision_end|>"),
        ("<start_of_image>", f"\n\n<start_of_image>{'<image_soft_token>' * 16}<end_of_image>\n\n"),
        ("<|image|>", "<|image>" + "<|image|>" * 7 + "<image|>"),
        ("<image>\n", "<image>" * 12 + "\n"),
        ("", ""),
    ],
)
def test_openrlhf_queries_hold_the_placeholders_as_the_processor_wrote_them(placeholder, written):
    prompt, query = QWEN.format(placeholder * 2), QWEN.format(written * 2)
    assert openrlhf.response_of(f"<s>{query}<|image_pad|> dark<|im_end|>\n", prompt) == "<|image_pad|> dark"
    assert openrlhf.response_of(query.replace("bright", "dark"), prompt) is None
    media = media_of({"row-3": {"prompt": "<image>How bright?", "images": [picture(240)]}}, key="label")
    said = openrlhf.reward_function(Brightness(), media=media)([f"{query}light"], [prompt], ["row-3"])
    assert said["rewards"].item() == pytest.approx(240 / 255)


def test_openrlhf_a_prompt_may_be_empty():
    assert openrlhf.response_of("all of it</s>", "") == "all of it"


def test_openrlhf_scores_of_what_an_abstention_is_worth_stay_within_0_and_1():
    function = openrlhf.reward_function(Ranged(9.0), on_abstain=worth(-7.0))
    assert function(["q a"], ["q "], ["x"])["scores"].item() == 1.0
    lost = function(["other"], ["q "], ["x"])
    assert (lost["rewards"].item(), lost["scores"].item()) == (-7.0, 0.0)


def test_openrlhf_media_by_the_label():
    media = media_of({"row-3": {"prompt": "How bright is <image>?", "images": [picture(240)]}}, key="label")
    function = openrlhf.reward_function(Brightness(), media=media)
    assert function(["P light</s>"], ["P "], ["row-3"])["rewards"].item() == pytest.approx(240 / 255)
    with pytest.raises(AbstainedError, match="no row of the label 'row-9'"):
        function(["P light"], ["P "], ["row-9"])


def test_openrlhf_loads_the_shipped_file(configured):
    function = loaded("openrlhf.py").reward_func
    assert function(queries=["p dark"], prompts=["p "], labels=["dark"])["rewards"].tolist() == [1.0]


def test_openrlhf_refuses_a_reward_that_compares():
    with pytest.raises(ValueError, match="compares the responses"):
        openrlhf.reward_function(GroupSize())


# ms-swift


def swift_columns(**more):
    return {
        "messages": [
            [{"role": "user", "content": f"<image>{QUESTIONS[place]}"}, {"role": "assistant", "content": "dark"}]
            for place in (0, 1)
        ],
        "images": [[{"bytes": png(GREYS[place]), "path": None}] for place in (0, 1)],
        "answer": list(ANSWERS[:2]),
        "trainer_state": SimpleNamespace(global_step=3),
        **more,
    }


def test_swift_outcome_rewards_are_classes_made_without_arguments():
    made = swift.outcome(Brightness(), "bright")
    assert made.__name__ == "bright"
    reward = made(args=None)
    assert reward.args is None
    assert reward(["dark", "dark"], **swift_columns()) == [pytest.approx(BRIGHT[0]), pytest.approx(BRIGHT[1])]


def test_swift_tags_are_where_the_pictures_stand():
    seen = []

    @dataclass(frozen=True)
    class Seen(Brightness):
        def __call__(self, records):
            seen.extend(record.prompt[0].text for record in records)
            return super().__call__(records)

    swift.outcome(Seen(), "bright")()(["dark", "dark"], **swift_columns())
    assert seen == list(QUESTIONS[:2])


def test_swift_awaits_the_async_form():
    reward = swift.outcome_async(Brightness(), "bright")()
    assert asyncio.iscoroutinefunction(reward.__call__)
    found = asyncio.run(reward(["dark", "dark"], **swift_columns()))
    assert found == pytest.approx(BRIGHT[:2])


def test_swift_a_row_that_cannot_be_judged_is_none():
    columns = swift_columns(images=[[], [{"bytes": png(80), "path": None}]])
    assert swift.outcome(Brightness(), "bright")()(["dark", "dark"], **columns) == [None, pytest.approx(80 / 255)]


def test_swift_plugin_takes_rows_with_pictures():
    columns = swift_columns()
    rows = [{name: columns[name][place] for name in ("messages", "images", "answer")} for place in (0, 1)]
    made = swift.plugin(Brightness(), "bright")(model=torch.nn.Linear(1, 1), template=None)
    assert made(inputs=rows, trainer_state=None) == [pytest.approx(BRIGHT[0]), pytest.approx(BRIGHT[1])]


def test_swift_process_rewards_are_lists_of_steps():
    columns = swift_columns()
    asked = SimpleNamespace(
        messages=[columns["messages"][0][0], {"role": "assistant", "content": "one\ntwo\nthree"}],
        images=columns["images"][0],
        videos=[],
        audios=[],
    )
    prm = swift.process(Brightness(), "bright")
    assert prm()([asked], [ANSWERS[0]], request_config=None) == [[pytest.approx(BRIGHT[0])] * 3]
    blind = {"messages": columns["messages"][0], "images": None}
    with pytest.raises(AbstainedError):
        prm()([blind])
    assert swift.process(Brightness(), "bright", on_abstain=worth(-1.0))()([blind]) == [[-1.0]]


@dataclass(frozen=True)
class Noting:
    """Notes what it sees of each row: prompt, response, the kinds of its media, the answer."""

    seen: list = field(default_factory=list)
    spec: ClassVar[Spec] = Spec(modalities=frozenset({"text", "image", "video", "audio"}), needs=("answer",))

    def __call__(self, records):
        for record in records:
            parts = [part for message in record.prompt for part in message.parts]
            kinds = [type(part).__name__ for part in parts if not isinstance(part, Text)]
            texts = [f"{message.role}:{message.text}" for message in record.prompt]
            self.seen.extend((*texts, r.text, *kinds, record.context.get("answer")) for r in record.responses)
        return scores_of(records, [1.0 for record in records for _ in record.responses])


def test_swift_the_completion_stands_in_the_place_of_the_last_turn():
    reward = Noting()
    turns = [
        {"role": "user", "content": "<image><audio>q"},
        {"role": "assistant", "content": "first"},
        {"role": "user", "content": "<video>more"},
        {"role": "assistant", "content": "as the data set has it"},
    ]
    row = {
        "messages": turns,
        "images": [picture(10)],
        "videos": [[picture(10), picture(20)]],
        "audios": [b"RIFF"],
        "answer": "a",
    }
    columns = {name: [cell] for name, cell in row.items()}
    assert swift.outcome(reward, "n")()(["generated"], **columns, names=["x", "y"], empty=[]) == [1.0]
    assert swift.outcome(reward, "n")()([turns[-1]], **columns, trainer_state=None) == [1.0]
    assert swift.plugin(reward, "n")()([row], **columns) == [1.0]
    assert swift.process(reward, "n")()([row], ["the truth"]) == [[1.0]]
    without = {name: cell for name, cell in row.items() if name != "answer"}
    assert swift.process(reward, "n")()([without], ground_truths=["the truth"]) == [[1.0]]
    prompt = ("user:q", "assistant:first", "user:more")
    kinds = ("Image", "Audio", "Video")
    last = turns[-1]["content"]
    assert reward.seen == [
        (*prompt, "generated", *kinds, "a"),
        *[(*prompt, last, *kinds, "a")] * 3,
        (*prompt, last, *kinds, "the truth"),
    ]
    assert turns[-1]["content"] == last


def test_swift_rows_without_messages_or_response_are_no_rows():
    reward = Noting()
    asked, said = {"role": "user", "content": "q"}, {"role": "assistant", "content": "a"}
    assert swift.outcome(reward, "n")()(["a", "b", None], messages=[[], [said], [asked]]) == [None] * 3
    assert swift.plugin(reward, "n")()([{"messages": [asked]}, {}, {"messages": [said]}]) == [None] * 3
    assert not reward.seen


def test_swift_a_step_without_a_score_is_an_abstention():
    def stepped(records):
        return scores_of(records, [1.0], steps=(torch.tensor([0.5, torch.nan, 0.25]),))

    row = {"messages": [{"role": "user", "content": "q"}, {"role": "assistant", "content": "a\nb\nc"}]}
    with pytest.raises(AbstainedError, match="a step has no score"):
        swift.process(stepped, "s")()([row])
    assert swift.process(stepped, "s", on_abstain=worth(-1.0))()([row]) == [[0.5, -1.0, 0.25]]


def test_swift_without_swift_says_so():
    if importlib.util.find_spec("swift") is None:
        with pytest.raises(ModuleNotFoundError):
            swift.register(Brightness(), "bright")


# EasyR1


def test_easyr1_batch_and_sequential_give_overall():
    rows = [
        {"response": "dark", "response_length": 1, "ground_truth": "dark"},
        {"response": "no", "response_length": 1, "ground_truth": "dark"},
    ]
    both = easyr1.batch(exact_match("answer"))(rows)
    assert [row["overall"] for row in both] == [1.0, 0.0]
    assert easyr1.sequential(exact_match("answer"))(rows[0]) == both[0] == {"overall": 1.0, "abstained": 0.0}


def test_easyr1_arguments_of_the_configuration_are_columns():
    row = {"response": "dark", "response_length": 1, "ground_truth": "light"}
    assert easyr1.sequential(exact_match("wanted"))(row, wanted="dark", format_weight=0.5)["overall"] == 1.0


def test_easyr1_attributes_without_a_number_are_left_out():
    media = media_of({"dark": picture(10)}, key="ground_truth")
    row = {"response": "dark", "response_length": 1, "ground_truth": "dark"}
    bright = easyr1.batch(Brightness(), media=media, on_abstain=worth(0.0))
    seen, unseen = bright([row, {**row, "ground_truth": "nowhere"}])
    assert seen == {"overall": pytest.approx(10 / 255), "abstained": 0.0, "right": 1.0}
    assert unseen == {"overall": 0.0, "abstained": 1.0}


def test_easyr1_averages_no_nan():
    def half(records):
        return scores_of(records, [1.0] * len(records), attributes={"known": torch.tensor([math.nan] * len(records))})

    row = {"response": "dark", "response_length": 1, "ground_truth": "dark"}
    assert easyr1.batch(half)([row]) == [{"overall": 1.0, "abstained": 0.0}]


def test_easyr1_a_row_comes_before_the_configuration_and_overall_is_always_there():
    row = {"response": "dark", "response_length": 1, "ground_truth": "dark"}
    assert easyr1.batch(exact_match("ground_truth"))([row], ground_truth="light", response="no")[0]["overall"] == 1.0
    assert easyr1.batch(exact_match("kind"))([{**row, "kind": "dark"}], kind="light")[0]["overall"] == 1.0
    lost = easyr1.batch(exact_match("answer"), on_abstain=as_nan)([{**row, "ground_truth": None}])[0]
    assert math.isnan(lost["overall"])
    assert lost["abstained"] == 1.0
    with pytest.raises(ValueError, match='REWARD_TYPE = "batch"'):
        easyr1.sequential(GroupSize())
    assert [one["overall"] for one in easyr1.batch(GroupSize())([row, row])] == [2.0, 2.0]


def test_easyr1_loads_the_shipped_file(configured):
    module = loaded("easyr1.py")
    assert (module.REWARD_NAME, module.REWARD_TYPE) == ("assay", "batch")
    row = {"response": "dark", "response_length": 1, "ground_truth": "dark"}
    assert module.compute_score([row])[0]["overall"] == module.compute_score(row)["overall"] == 1.0


# slime


@dataclass
class Sample:
    """The fields of slime's own that a reward function reads or writes."""

    prompt: Any
    response: str
    label: str | None = None
    metadata: dict = field(default_factory=dict)
    multimodal_inputs: dict | None = None
    remove_sample: bool = False


def test_slime_gives_a_float_a_list_or_a_dictionary():
    function = slime.reward_function(exact_match("answer"))
    plain, keyed = SimpleNamespace(reward_key=None), SimpleNamespace(reward_key="score")
    samples = [Sample("q", "dark", "dark"), Sample([{"role": "user", "content": "q"}], "red", "dark")]
    assert asyncio.run(function(plain, samples[0])) == 1.0
    assert asyncio.run(function(plain, samples)) == [1.0, 0.0]
    assert asyncio.run(function(keyed, samples[0])) == {"score": 1.0, "abstained": 0.0, "status": "ok"}
    told = asyncio.run(function(keyed, samples))
    assert [one["score"] for one in told] == [1.0, 0.0]
    assert {tuple(one) for one in told} == {("score", "abstained", "status")}


def test_slime_many_samples_wait_together():
    function = slime.reward_function(exact_match("answer"))

    async def all_at_once():
        rows = [Sample("q", str(place), "3") for place in range(12)]
        return await asyncio.gather(*(function(SimpleNamespace(reward_key=None), row) for row in rows))

    assert asyncio.run(all_at_once()) == [float(place == 3) for place in range(12)]


def test_slime_groups_are_records():
    function = slime.reward_function(GroupSize())
    args = SimpleNamespace(reward_key=None)
    assert asyncio.run(function(args, [Sample("q", text) for text in "abc"])) == [3.0] * 3
    with pytest.raises(ValueError, match="--group-rm"):
        asyncio.run(function(args, Sample("q", "a")))


def test_slime_pictures_and_abstentions():
    args = SimpleNamespace(reward_key="score")
    seen = Sample("How bright?", "x", "dark", multimodal_inputs={"images": [picture(80)]})
    blind = Sample("How bright?", "x", "dark")
    assert asyncio.run(slime.reward_function(Brightness())(args, seen))["score"] == pytest.approx(80 / 255)
    with pytest.raises(AbstainedError):
        asyncio.run(slime.reward_function(Brightness())(args, blind))
    told = asyncio.run(slime.reward_function(Brightness(), remove=True)(args, blind))
    assert (told["status"], told["abstained"], blind.remove_sample) == ("unreadable_media", 1.0, True)


def test_slime_finds_the_function_by_its_path(configured):
    assert asyncio.run(slime.rm(SimpleNamespace(reward_key=None), Sample("q", "dark", "dark"))) == 1.0


# NeMo-RL


def test_nemo_rl_steps_end_with_a_reward():
    logs = [
        [{"role": "user", "content": "q", "token_ids": torch.ones(2)}, {"role": "assistant", "content": "dark"}],
        [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": "first"},
            {"role": "environment", "content": "go on"},
            {"role": "assistant", "content": "dark"},
        ],
    ]
    given = [{"ground_truth": "dark"}, {"ground_truth": "firstdark"}]
    said = nemo_rl.RewardEnvironment(exact_match("answer")).step(logs, given)
    assert said._fields == ("observations", "metadata", "next_stop_strings", "rewards", "terminateds", "answers")
    assert said.rewards.tolist() == [1.0, 1.0]
    assert said.rewards.dtype == torch.float32
    assert said.terminateds.tolist() == [True, True]
    assert said.answers == ["dark", "dark"]
    assert said.observations[0] == {"role": "environment", "content": "Environment: reward 1"}
    assert said.metadata[1] == {"ground_truth": "firstdark", "assay": {"status": "ok", "message": ""}}


def test_nemo_rl_pictures_stand_in_the_content():
    shown = [{"type": "image", "image": picture(80)}, {"type": "text", "text": "How bright?"}]
    log = [{"role": "user", "content": shown}, {"role": "assistant", "content": "dark"}]
    world = nemo_rl.RewardEnvironment(Brightness(), on_abstain=worth(-1.0))
    said = world.step([log, log[:1]], [{"ground_truth": "dark"}, None])
    assert said.rewards.tolist() == [pytest.approx(80 / 255), -1.0]
    assert said.metadata[1]["assay"]["status"] == "empty"
    assert said.observations[1]["content"] == "Environment: no reward (empty)"


def test_nemo_rl_figures_leave_out_what_was_not_scored():
    batch = {"rewards": torch.tensor([1.0, math.nan, 3.0])}
    same, figures = nemo_rl.RewardEnvironment(exact_match()).global_post_process_and_metrics(batch)
    assert same is batch
    assert figures["assay/mean_reward"] == 2.0
    assert (figures["assay/num_samples"], figures["assay/num_scored"]) == (3.0, 2.0)


def test_nemo_rl_preference_rows_rank_from_0():
    record = Record.of("q", ["bad", "good", "worst"], feedback=[Preference(1, 0), Preference(0, 2)])
    rows = list(nemo_rl.preference_rows([record], task="toy"))
    assert rows[0] == {
        "context": [{"role": "user", "content": "q"}],
        "completions": [
            {"rank": 0, "completion": [{"role": "assistant", "content": "good"}]},
            {"rank": 1, "completion": [{"role": "assistant", "content": "bad"}]},
        ],
        "task_name": "toy",
    }
    assert [row["completions"][0]["completion"][0]["content"] for row in rows] == ["good", "bad"]
    pictured = Record.of([Image.from_bytes(png(10)), "q"], ["a", "b"], feedback=[Preference(0, 1)])
    with pytest.raises(BadRowError):
        list(nemo_rl.preference_rows([pictured]))


# flow_grpo


@pytest.mark.parametrize(
    "images",
    [
        torch.stack([torch.full((3, 6, 8), grey / 255) for grey in GREYS]),
        np.stack([np.full((6, 8, 3), grey, dtype=np.uint8) for grey in GREYS]),
        [picture(grey) for grey in GREYS],
    ],
    ids=["float NCHW", "uint8 NHWC", "PIL"],
)
def test_flow_grpo_pictures_are_responses(images):
    scores, rest = flow_grpo.reward_function(Brightness())(images, QUESTIONS, [{}] * 4)
    assert scores == pytest.approx(BRIGHT)
    assert scores.dtype == np.float32
    assert rest == {}
    assert [0.5 * one for one in scores] == pytest.approx([0.5 * grey for grey in BRIGHT])


def test_flow_grpo_metadata_are_columns_of_rows_or_one_of_columns():
    seen = []

    @dataclass(frozen=True)
    class Seen(Brightness):
        def __call__(self, records):
            seen.extend((record.prompt[0].text, record.context.get("answer")) for record in records)
            return super().__call__(records)

    function = flow_grpo.reward_function(Seen())
    images = [picture(10), picture(20)]
    function(images, ("a", "b"), [{"answer": "x"}, {"answer": "y"}])
    function(images, ("a", "b"), {"answer": ["x", "y"]})
    function(images, ("a", "b"), {})
    assert seen == [("a", "x"), ("b", "y")] * 2 + [("a", None), ("b", None)]


def test_flow_grpo_metadata_may_be_arrays_and_tensors():
    seen = []

    @dataclass(frozen=True)
    class Seen(Brightness):
        def __call__(self, records):
            seen.extend(record.context.get("answer") for record in records)
            return super().__call__(records)

    function, images = flow_grpo.reward_function(Seen()), [picture(10), picture(20)]
    function(images, ("a", "b"), {"answer": np.array(["x", "y"]), "seed": 7, "name": "ab"})
    function(images, ("a", "b"), {"answer": torch.tensor([3, 4])})
    function(images, ("a", "b"), np.array([{"answer": "v"}, {"answer": "w"}], dtype=object))
    assert [getattr(one, "item", lambda one=one: one)() for one in seen] == ["x", "y", 3, 4, "v", "w"]


def test_flow_grpo_floats_that_are_no_pixels_are_not_clamped_to_white():
    with pytest.raises(AbstainedError, match="floats from 200 to 200"):
        flow_grpo.reward_function(Brightness())(torch.full((1, 3, 6, 8), 200.0), ["a"], {})
    rounded, _ = flow_grpo.reward_function(Brightness())(torch.full((1, 3, 6, 8), 1.001), ["a"], {})
    assert rounded.tolist() == [1.0]


def test_flow_grpo_videos_have_an_axis_of_frames():
    seen = []

    @dataclass(frozen=True)
    class Frames:
        spec: ClassVar[Spec] = Spec(modalities=frozenset({"text", "video"}))

        def __call__(self, records):
            films = [r.messages[0].parts[0] for record in records for r in record.responses]
            seen.extend((len(film), film.fps) for film in films)
            return scores_of(records, [1.0 for record in records for _ in record.responses])

    flow_grpo.reward_function(Frames(), fps=4.0)(torch.zeros(2, 5, 3, 6, 8), ["a", "b"], [{}, {}])
    assert seen == [(5, 4.0), (5, 4.0)]


def test_flow_grpo_a_picture_that_is_none_stops_the_run():
    broken = torch.stack([torch.full((3, 6, 8), 0.5), torch.full((3, 6, 8), math.nan)])
    with pytest.raises(AbstainedError, match="not finite"):
        flow_grpo.reward_function(Brightness())(broken, ["a", "b"], {})
    scores, _ = flow_grpo.reward_function(Brightness(), on_abstain=worth(0.0))(broken, ["a", "b"], {})
    assert scores.tolist() == [pytest.approx(128 / 255), 0.0]


def test_a_flow_grpo_function_becomes_a_reward():
    calls = []

    def jpeg(images, prompts, metadata):
        calls.append((images.shape, list(prompts)))
        return np.array([image.mean() / 255 for image in images]), {}

    record = Record.of("p", [Image.from_pil(picture(10)), Image.from_pil(picture(240)), "no picture"])
    other = Record.of("w", [Image.from_pil(PIL.Image.new("RGB", (4, 4), (80, 80, 80)))])
    found = score(flow_grpo.from_flow_grpo(jpeg), [record, other])
    assert found.values[:2].tolist() == pytest.approx([10 / 255, 240 / 255])
    assert found.status == (Status.OK, Status.OK, Status.UNREADABLE_MEDIA, Status.OK)
    assert calls == [((2, 6, 8, 3), ["p", "p"]), ((1, 4, 4, 3), ["w"])]
    endless = score(flow_grpo.from_flow_grpo(lambda images, prompts, metadata: ([math.inf] * len(images), {})), [other])
    assert endless.status == (Status.NON_FINITE,)


def test_a_flow_grpo_function_is_handed_the_columns_that_are_needed_and_one_picture_a_row():
    given = []

    def noting(images, prompts, metadata):
        given.extend(metadata)
        return [1.0] * len(images), {}

    one = Image.from_pil(picture(10))
    record = Record.of("p", [one, [one, one], [one, "with words"]], tag="counting", secret="x")
    found = score(flow_grpo.from_flow_grpo(noting, Spec(needs=("tag",))), [record])
    assert found.status == (Status.OK, Status.UNREADABLE_MEDIA, Status.OK)
    assert found.messages[1] == "2 pictures in the response, not one"
    assert given == [{"tag": "counting"}] * 2


def test_what_a_flow_grpo_function_raises_is_the_status_of_its_row():
    def picky(images, prompts, metadata):
        for image in images:
            if image.mean() > 200:
                raise TimeoutError("too bright")
        return [float(image.mean()) for image in images], {}

    record = Record.of("p", [Image.from_pil(picture(grey)) for grey in (10, 240, 80)])
    found = score(flow_grpo.from_flow_grpo(picky), [record])
    assert found.status == (Status.OK, Status.TIMEOUT, Status.OK)
    assert found.values[[0, 2]].tolist() == [10.0, 80.0]
    assert found.messages[1] == "TimeoutError: too bright"
    empty = score(flow_grpo.from_flow_grpo(picky), [])
    assert len(empty) == 0


@pytest.mark.parametrize("answer", [[0.5], [0.5] * 4, []])
def test_a_flow_grpo_function_gives_one_score_a_picture(answer):
    record = Record.of("p", [Image.from_pil(picture(grey)) for grey in (10, 240, 80)])
    with pytest.raises(ContractError, match=f"{len(answer)} scores for 3 pictures"):
        score(flow_grpo.from_flow_grpo(lambda images, prompts, metadata: (answer, {})), [record])


def test_a_flow_grpo_function_that_gives_no_numbers_scores_nothing():
    record = Record.of("p", [Image.from_pil(picture(10))])
    for answer in ({"avg": [1.0]}, [None], ["good"], 3.0):
        found = score(flow_grpo.from_flow_grpo(lambda images, prompts, metadata, said=answer: (said, {})), [record])
        assert found.status == (Status.FAILED,)
