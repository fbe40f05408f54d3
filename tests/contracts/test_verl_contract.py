"""verl and verl-omni: the arguments they pass, what they read of the answer, and rows that cannot be judged."""

from __future__ import annotations

import inspect
import logging
import pickle
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from assay.adapters import environment, verl, verl_omni
from assay.adapters.abstaining import AbstainedError, as_nan, refuse, worth
from assay.adapters.asked import Asked, Together, judged
from assay.adapters.media_index import media_from, media_of
from assay.adapters.rows import Judgement
from assay.media import Audio, Image, Text, Video
from assay.rewards.base import scores_of
from assay.rewards.load import LoadError, from_file
from assay.rewards.rules import exact_match, numeric_match
from assay.scores import Status
from assay.spec import Spec

REAL = Path(__file__).with_name("real")
sys.path.insert(0, str(REAL))
from data import ANSWERS, BRIGHT, QUESTIONS, RESPONSES, parquet, picture, png, rows  # noqa: E402

from rewards import Brightness  # noqa: E402


def asked_of(function, place, **changes):
    row = rows()[place]
    given = {
        "data_source": row["data_source"],
        "solution_str": RESPONSES[place],
        "ground_truth": ANSWERS[place],
        "extra_info": row["extra_info"],
    }
    return function(**{**given, **changes})


@pytest.fixture
def index(tmp_path):
    return media_from(parquet(tmp_path / "train.parquet"))


def test_the_arguments_are_verls_and_no_others(index):
    function = verl.compute_score(Brightness(), media=index)
    four = ["data_source", "solution_str", "ground_truth", "extra_info"]
    two = ["reward_router_address", "reward_model_tokenizer"]
    assert list(inspect.signature(function).parameters) == four + two
    assert list(inspect.signature(verl.assay_reward).parameters) == four + two
    assert not inspect.iscoroutinefunction(function)
    assert asked_of(function, 0, reward_router_address="h:1", reward_model_tokenizer=None)["score"] == pytest.approx(
        BRIGHT[0]
    )
    with pytest.raises(TypeError, match="prompt"):
        asked_of(function, 0, prompt="more")


def test_the_picture_is_found_by_the_rows_index(index):
    function = verl.compute_score(Brightness(), media=index)
    answers = [asked_of(function, place) for place in range(3)]
    assert [answer["score"] for answer in answers] == pytest.approx(BRIGHT[:3])
    assert [answer["right"] for answer in answers] == [1.0, 1.0, 0.0]
    assert {tuple(answer) for answer in answers} == {("score", "abstained", "right", "status")}


def test_lists_that_became_arrays_are_lists_again():
    pictures, messages = np.empty(1, dtype=object), np.empty(1, dtype=object)
    pictures[0], messages[0] = picture(80), {"role": "user", "content": "<image>How bright?"}
    extra = {"images": pictures, "prompt": messages}
    assert asked_of(verl.compute_score(Brightness()), 0, extra_info=extra)["score"] == pytest.approx(80 / 255)


def test_a_tag_in_the_prompt_is_where_its_picture_stands(index):
    asked = verl.compute_score(Brightness(), media=index).rows.row("toy", "dark", {"index": 0}, "dark")
    seen = []

    @dataclass(frozen=True)
    class Seen(Brightness):
        def __call__(self, records):
            seen.extend(record.prompt for record in records)
            return super().__call__(records)

    asked_of(verl.compute_score(Seen(), media=index), 0)
    assert asked.prompt[0]["content"].startswith("<image>")
    assert [type(part) for part in seen[0][0].parts] == [Image, Text]
    assert seen[0][0].text == QUESTIONS[0]


def test_a_row_that_the_index_does_not_hold_is_not_judged_without_its_prompt(index):
    function = verl.compute_score(exact_match("answer"), media=index, on_abstain=worth(-1.0))
    assert asked_of(function, 0, solution_str="dark")["score"] == 1.0
    assert asked_of(function, 3)["status"] == "missing_context"


def test_a_picture_by_path_or_in_memory_or_in_the_row_itself(tmp_path):
    picture(200).save(tmp_path / "a.png")
    by_path = media_of({"0": "a.png"})
    function = verl.compute_score(Brightness(), media=by_path, root=tmp_path)
    assert asked_of(function, 0)["score"] == pytest.approx(200 / 255)
    by_id = media_of({"x": {"images": [picture(10)], "prompt": "How bright?"}}, key="id")
    assert asked_of(verl.compute_score(Brightness(), media=by_id), 0, extra_info={"id": "x"})["score"] == pytest.approx(
        10 / 255
    )
    inside = {"image": str(tmp_path / "a.png"), "question": "How <image>?"}
    assert asked_of(verl.compute_score(Brightness()), 0, extra_info=inside)["score"] == pytest.approx(200 / 255)


@pytest.mark.parametrize(
    ("extra", "media", "status"),
    [
        ({"index": 7}, True, "missing_context"),
        ({}, True, "missing_context"),
        ({}, False, "missing_context"),
        (None, False, "missing_context"),
        ({"image": "nowhere.png"}, False, "unreadable_media"),
        ({"image": 3}, False, "unreadable_media"),
    ],
)
def test_missing_media_are_a_status_and_never_a_score(index, extra, media, status):
    class Read(Brightness):
        def __call__(self, records):  # a picture that cannot be opened is the reward's to tell
            from assay.media import MediaError

            try:
                return super().__call__(records)
            except MediaError as error:
                gone = [Status.UNREADABLE_MEDIA] * len(records)
                return scores_of(records, torch.full((len(records),), torch.nan), gone, [str(error)] * len(records))

    given = index if media else None
    with pytest.raises(AbstainedError, match=status):
        asked_of(verl.compute_score(Read(), media=given), 0, extra_info=extra)
    told = asked_of(verl.compute_score(Read(), media=given, on_abstain=worth(-1.0)), 0, extra_info=extra)
    assert (told["score"], told["abstained"], told["status"]) == (-1.0, 1.0, status)
    blank = asked_of(verl.compute_score(Read(), media=given, on_abstain=as_nan), 0, extra_info=extra)
    assert np.isnan(blank["score"])


def test_every_row_has_the_same_keys_also_those_that_were_not_judged(index):
    function = verl.compute_scores(Brightness(), media=index, on_abstain=worth(0.0))
    answers = function(["toy"] * 2, ["no", "It is dark."], ["no", "dark"], [{"index": 9}, {"index": 0}])
    assert [set(answer) for answer in answers] == [{"score", "abstained", "right", "status"}] * 2
    assert np.isnan(answers[0]["right"])
    named = verl.compute_score(Brightness(), media=index, on_abstain=worth(0.0), attributes=("right", "other"))
    assert set(asked_of(named, 3)) == {"score", "abstained", "right", "other", "status"}


def test_the_batch_form_takes_the_arrays_of_verls_manager(index):
    function = verl.compute_scores(Brightness(), media=index)
    extras = np.array([{"index": place, "rollout_reward_scores": {}} for place in range(3)], dtype=object)
    answers = function(
        data_sources=np.array(["toy"] * 3, dtype=object),
        solution_strs=list(RESPONSES[:3]),
        ground_truths=list(ANSWERS[:3]),
        extra_infos=extras,
    )
    assert [answer["score"] for answer in answers] == pytest.approx(BRIGHT[:3])


def test_the_ground_truth_fills_the_column_that_the_reward_needs():
    assert asked_of(verl.compute_score(exact_match("answer")), 3)["score"] == 1.0
    assert asked_of(verl.compute_score(exact_match("ground_truth")), 3)["score"] == 1.0
    given = asked_of(verl.compute_score(exact_match("answer")), 3, extra_info={"answer": "yes"})
    assert given["score"] == 0.0
    forced = asked_of(verl.compute_score(exact_match("answer"), truth="answer"), 3, extra_info={"answer": "yes"})
    assert forced["score"] == 1.0


def test_a_reward_of_which_lower_is_better_is_negated():
    @dataclass(frozen=True)
    class Length:
        spec: ClassVar[Spec] = Spec(better="lower")

        def __call__(self, records):
            return scores_of(records, [float(len(r.text)) for record in records for r in record.responses])

    assert asked_of(verl.compute_score(Length()), 3)["score"] == -2.0


def test_a_reward_without_prompts_is_told_of_once(caplog):
    function = verl.compute_score(numeric_match("answer"))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            asked_of(function, 0, solution_str="1", ground_truth="1")
    assert sum("without prompts" in message for message in caplog.messages) == 1


def test_a_reward_that_compares_responses_is_refused_one_at_a_time():
    @dataclass(frozen=True)
    class Rank:
        spec: ClassVar[Spec] = Spec(scale="within_group")

        def __call__(self, records):
            return scores_of(records, [float(len(record.responses)) for record in records for _ in record.responses])

    with pytest.raises(ValueError, match="use compute_scores"):
        verl.compute_score(Rank())
    told = verl.compute_scores(Rank())(["a"] * 2, ["x", "y"], ["", ""], [{"prompt": "q"}] * 2)
    assert [answer["score"] for answer in told] == [2.0, 2.0]


def test_the_function_survives_pickle(index):
    again = pickle.loads(pickle.dumps(verl.compute_score(exact_match("answer"), media=media_of({0: "a.png"}))))
    assert again.rows.media.key == ("index",)
    assert asked_of(pickle.loads(pickle.dumps(verl.compute_score(exact_match("answer")))), 3)["score"] == 1.0


def test_a_config_alone_names_the_reward(monkeypatch, tmp_path):
    parquet(tmp_path / "train.parquet")
    monkeypatch.setenv("ASSAY_REWARD", f"{REAL / 'rewards.py'}:brightness")
    monkeypatch.setenv("ASSAY_MEDIA", str(tmp_path / "train.parquet"))
    monkeypatch.setenv("ASSAY_ON_ABSTAIN", "-2")
    clear()
    try:
        assert asked_of(verl.assay_reward, 1)["score"] == pytest.approx(BRIGHT[1])
        assert asked_of(verl.assay_reward, 3)["score"] == -2.0
        many = verl.assay_rewards(["toy"], ["no"], ["no"], [{"index": 2}])
        assert many[0]["score"] == pytest.approx(BRIGHT[2])
    finally:
        clear()


def clear():
    for made in (environment.configured, verl._single, verl._batch, verl_omni._made):
        made.cache_clear()


def test_many_threads_that_ask_at_first_load_the_reward_once(monkeypatch, tmp_path):
    (tmp_path / "slow.py").write_text(
        "import time\nfrom pathlib import Path\ntime.sleep(0.1)\nfrom assay.rewards.rules import exact_match\n"
        "def right():\n    with Path(__file__).with_name('loads').open('a') as file:\n        file.write('x')\n"
        "    time.sleep(0.1)\n    return exact_match('answer')\n"
    )
    monkeypatch.setenv("ASSAY_REWARD", f"{tmp_path / 'slow.py'}:right")
    clear()
    try:
        with ThreadPoolExecutor(8) as pool:
            made = list(pool.map(lambda place: (asked_of(verl.assay_reward, 3)["score"], verl._single()), range(8)))
            files = list(pool.map(lambda place: from_file(tmp_path / "slow.py", "right"), range(2)))
    finally:
        clear()
    assert [score for score, _ in made] == [1.0] * 8
    assert len({id(function) for _, function in made}) == 1
    assert (tmp_path / "loads").read_text() == "x" * (1 + len(files))


def test_threads_that_load_one_file_at_a_time_find_all_of_it(tmp_path):
    (tmp_path / "slower.py").write_text(
        "import time\ntime.sleep(0.2)\nfrom assay.rewards.rules import exact_match\nright = exact_match('answer')\n"
    )
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda place: from_file(tmp_path / "slower.py", "right"), range(4)))
    assert len(set(map(id, found))) == 1


def test_a_reward_that_could_not_be_loaded_is_asked_for_again(monkeypatch):
    monkeypatch.setenv("ASSAY_REWARD", f"{REAL / 'rewards.py'}:nothing")
    clear()
    try:
        with pytest.raises(LoadError, match="defines no 'nothing'"):
            asked_of(verl.assay_reward, 3)
        monkeypatch.setenv("ASSAY_REWARD", f"{REAL / 'rewards.py'}:right")
        assert asked_of(verl.assay_reward, 3)["score"] == 1.0
    finally:
        clear()


@pytest.mark.parametrize(
    ("name", "value", "said"), [("ASSAY_REWARD", "", "is not set"), ("ASSAY_ON_ABSTAIN", "zero", "refuse, nan")]
)
def test_a_setting_that_is_wrong_is_named(monkeypatch, name, value, said):
    monkeypatch.setenv("ASSAY_REWARD", f"{REAL / 'rewards.py'}:right")
    monkeypatch.setenv(name, value)
    clear()
    try:
        with pytest.raises(environment.SettingError, match=said):
            environment.configured()
    finally:
        clear()


def test_abstentions_are_what_the_caller_says():
    gone = Judgement(None, Status.TIMEOUT, "late")
    with pytest.raises(AbstainedError, match=r"no score \(timeout\): late; mend the row"):
        refuse(gone)
    assert np.isnan(as_nan(gone))
    assert worth(0.5)(gone) == 0.5
    with pytest.raises(ValueError, match="finite"):
        worth(float("nan"))


def test_an_index_of_two_files_needs_a_key_that_tells_them_apart(tmp_path):
    one, two = parquet(tmp_path / "a.parquet"), parquet(tmp_path / "b.parquet")
    with pytest.raises(ValueError, match=r"b\.parquet: row 1: a second row of index=0"):
        media_from(one, two)
    with pytest.raises(ValueError, match=r"no uid"):
        media_from(one, key="uid")
    lines = tmp_path / "c.jsonl"
    lines.write_text('{"uid": "u", "prompt": "p", "image": "i.png"}\n')
    found = media_from(lines, key="uid").find({"uid": "u"})
    assert found == {"prompt": "p", "image": "i.png"}
    assert len(media_from(one, key=("split", "index"))) == 3


def test_the_fields_of_extra_info_come_before_those_of_the_row(tmp_path):
    lines = tmp_path / "rows.jsonl"
    lines.write_text('{"index": 1, "extra_info": {"index": 7}, "prompt": "p"}\n{"index": 2, "prompt": "q"}\n')
    found = media_from(lines)
    assert found.find({"index": 7}) == {"prompt": "p"}
    assert found.find({"index": "2"}) == {"prompt": "q"}
    assert found.find({"index": 1}) is None
    assert found.find({"index": np.int64(2), "extra_info": {"index": 7}}) == {"prompt": "p"}


def test_a_key_of_several_fields_is_whole_or_none(tmp_path):
    index = media_from(parquet(tmp_path / "a.parquet"), key=("split", "index"))
    assert index.find({"split": "train", "index": 0}) is not None
    assert index.find({"index": 0}) is None
    with pytest.raises(ValueError, match="no split and uid"):
        media_from(tmp_path / "a.parquet", key=("split", "uid"))


def test_a_line_that_is_no_row_is_named(tmp_path):
    lines = tmp_path / "rows.jsonl"
    lines.write_text('{"index": 1, "prompt": "p"}\n{"index": 2, "pro\n')
    with pytest.raises(ValueError, match=r"rows\.jsonl"):
        media_from(lines)


def test_media_in_memory_of_every_kind():
    film, sound = Video.from_frames([Image.from_pil(picture(10))], 4.0), Audio(data=b"RIFF")
    held = {"bytes": png(80), "path": None}
    index = media_of({0: held, 1: [film, sound, picture(10)], 2: {"image": held, "prompt": "p"}, 3: [held, held]})
    assert index.find({"index": 0}) == {"images": [held]}
    assert index.find({"index": 1}) == {"videos": [film], "audios": [sound], "images": [picture(10)]}
    assert index.find({"index": 2}) == {"image": held, "prompt": "p"}
    assert index.find({"index": 3}) == {"images": [held, held]}
    assert asked_of(verl.compute_score(Brightness(), media=index), 0)["score"] == pytest.approx(80 / 255)


def test_rows_of_many_threads_are_judged_together():
    batches, entered, go = [], threading.Event(), threading.Event()

    def judge(batch):
        batches.append(len(batch))
        entered.set()
        assert go.wait(10)
        return [Judgement(float(row)) for row in batch]

    together, answers = Together(judge), {}

    def ask(row):
        answers[row] = together(row).value

    threads = [threading.Thread(target=ask, args=(row,)) for row in range(9)]
    threads[0].start()
    assert entered.wait(10)
    for thread in threads[1:]:
        thread.start()
    ends = time.monotonic() + 10
    while len(together._waiting) < 8 and time.monotonic() < ends:
        time.sleep(0.001)
    go.set()
    for thread in threads:
        thread.join(10)
    assert batches == [1, 8]
    assert answers == {row: float(row) for row in range(9)}


def test_a_batch_that_fails_fails_for_all_that_waited_and_for_no_later_one():
    def judge(batch):
        if "bad" in batch:
            raise RuntimeError("broken")
        return [Judgement(1.0) for _ in batch]

    together = Together(judge)
    with pytest.raises(RuntimeError, match="broken"):
        together("bad")
    assert together("good").value == 1.0


def test_a_row_that_is_judged_already_keeps_its_place():
    done = Judgement(None, Status.INVALID, "no")
    answers = judged(
        exact_match("answer"),
        [Asked("q", "a", context={"answer": "a"}), done, Asked("q", "b", context={"answer": "a"})],
    )
    assert [answer.value for answer in answers] == [1.0, None, 0.0]
    assert answers[1] is done


GREY_CHW = torch.full((3, 6, 8), 80, dtype=torch.uint8)


@pytest.mark.parametrize(
    ("pixels", "kind", "size"),
    [
        (GREY_CHW, Image, None),
        (torch.stack([GREY_CHW] * 4), Video, 4),
        (torch.stack([GREY_CHW] * 4, dim=1), Video, 4),
        (GREY_CHW.numpy(), Image, None),
    ],
)
def test_verl_omni_hands_over_uint8_pictures_and_videos(pixels, kind, size):
    medium = verl_omni.medium_of(pixels, 8.0)
    assert type(medium) is kind
    shown = medium if kind is Image else medium.frames[0]
    assert np.asarray(shown.pil()).shape == (6, 8, 3)
    assert (np.asarray(shown.pil()) == 80).all()
    assert size is None or len(medium) == size


def test_verl_omni_scores_the_picture_under_the_prompt(caplog):
    seen = []

    @dataclass(frozen=True)
    class Seen(Brightness):
        def __call__(self, records):
            seen.extend(record.prompt[0].text for record in records)
            return super().__call__(records)

    function = verl_omni.compute_score(Seen())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            said = function(
                data_source="toy",
                solution_image=GREY_CHW,
                ground_truth="a grey field",
                extra_info={"index": 0},
                reward_router_address=None,
                model_name="m",
                beta=0.5,
            )
    assert said["score"] == pytest.approx(80 / 255)
    assert seen == ["a grey field"] * 2
    assert sum("beta" in message for message in caplog.messages) == 1
    assert function("toy", GREY_CHW, "truth", {"prompt": "asked"})["status"] == "ok"
    assert seen[-1] == "asked"


def test_verl_omni_three_frames_of_three_channels_are_frames_first():
    frames = torch.stack([torch.full((3, 6, 8), level, dtype=torch.uint8) for level in (10, 80, 200)])
    film = verl_omni.medium_of(frames, 5.0)
    assert [frame.pil().getpixel((0, 0)) for frame in film.frames] == [(10,) * 3, (80,) * 3, (200,) * 3]
    assert film.fps == 5.0


def test_verl_omni_the_picture_is_the_response_and_the_truth_a_column(caplog):
    seen = []

    @dataclass(frozen=True)
    class Seen(Brightness):
        def __call__(self, records):
            for record in records:
                prompt = [type(part) for message in record.prompt for part in message.parts]
                drawn = [type(part) for message in record.responses[0].messages for part in message.parts]
                seen.append((prompt, drawn, record.context["answer"]))
            return super().__call__(records)

    function = verl_omni.compute_score(Seen())
    known = {"reward_router_address": "h:1", "reward_model_tokenizer": None, "model_name": "m", "sampling_params": {}}
    with caplog.at_level(logging.WARNING):
        function("toy", GREY_CHW, "a grey field", {"index": 0, "num_turns": None}, **known)
    assert seen == [([Text], [Image], "a grey field")]
    assert not caplog.messages


def test_verl_omni_a_config_alone_names_the_reward_and_groups_are_refused(monkeypatch):
    @dataclass(frozen=True)
    class Rank:
        spec: ClassVar[Spec] = Spec(scale="within_group")

    with pytest.raises(ValueError, match="alone"):
        verl_omni.compute_score(Rank())
    monkeypatch.setenv("ASSAY_REWARD", f"{REAL / 'rewards.py'}:brightness")
    clear()
    try:
        told = verl_omni.assay_reward("toy", GREY_CHW, ground_truth="", extra_info={"index": 0}, weight=2)
        assert told == {"score": pytest.approx(80 / 255), "abstained": 0.0, "right": 1.0, "status": "ok"}
        assert verl_omni.assay_reward("toy", GREY_CHW, "words", None)["right"] == 0.0
    finally:
        clear()


@pytest.mark.parametrize("pixels", [GREY_CHW.float() / 255, torch.zeros(5, 6, 8, dtype=torch.uint8), None])
def test_verl_omni_latents_and_odd_shapes_are_no_pictures(pixels):
    with pytest.raises(AbstainedError, match="unreadable_media"):
        verl_omni.compute_score(Brightness())("toy", pixels, "p", {})
