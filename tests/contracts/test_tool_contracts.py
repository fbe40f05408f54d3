"""lmms-eval, reward-bench, OpenJudge and eval-protocol, and scorers over HTTP: what goes out, and what comes in."""

from __future__ import annotations

import asyncio
import base64
import copy
import importlib.util
import io
import json
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import torch

from assay.adapters import eval_protocol, http_scorers, openjudge
from assay.adapters.files import lmms_utils
from assay.adapters.lmms_eval import number_in, read_samples, write_task
from assay.adapters.rewardbench import write_leaderboard, write_leaderboard2, write_outputs
from assay.benchmarks.official.rewardbench import BENCHMARKS as ONE
from assay.benchmarks.official.rewardbench import preference
from assay.benchmarks.official.rewardbench2 import BENCHMARKS as TWO
from assay.benchmarks.protocols import Item
from assay.benchmarks.run import judged, run
from assay.media import Audio, Image, Text, Video
from assay.models.endpoints.patience import Patience
from assay.models.endpoints.transport import Reply, Request, TransportError
from assay.records import Message, Preference, Record, Response
from assay.records.problems import BadRowError
from assay.rewards.base import fingerprint, name_of, score, scores_of
from assay.rewards.rules import length
from assay.scores import Status
from assay.spec import Spec

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE / "real"), str(HERE.parent / "serving")]
from asked import client, offline  # noqa: E402
from data import png  # noqa: E402

from rewards import Brightness  # noqa: E402

# lmms-eval


def preferences(count=24):
    return [
        Record.of(
            [Image.from_bytes(png(place)), f"Question {place}?"],
            [f"good {place}", f"bad {place}"],
            id=f"row-{place}",
            feedback=[Preference(0, 1)],
        )
        for place in range(count)
    ]


def test_a_task_is_complete_in_its_folder(tmp_path):
    task = write_task(preferences(), tmp_path / "task", "ours")
    assert task.name == "ours.yaml"
    assert {path.name for path in task.parent.iterdir()} == {"ours.yaml", "utils.py", "data.jsonl", "media"}
    text = task.read_text()
    assert 'task: "ours"' in text
    for name in ("doc_to_visual", "doc_to_text", "process_results", "mean"):
        assert f"!function utils.{name}" in text
        assert callable(getattr(lmms_utils, name))
    assert "assay" not in (task.parent / "utils.py").read_text().lower()
    rows = [json.loads(line) for line in (task.parent / "data.jsonl").read_text().splitlines()]
    assert len(rows) == 24
    firsts = [row["target"] for row in rows]
    assert set(firsts) == {"A", "B"}
    for row in rows:
        assert row[f"answer_{row['target'].lower()}"].startswith("good")
        assert row["question"].startswith("[image 1]Question")
        assert (task.parent / row["media"][0]["path"]).is_file()
    again = [json.loads(line)["target"] for line in (tmp_path / "task" / "data.jsonl").read_text().splitlines()]
    write_task(preferences(), tmp_path / "task", "ours")
    assert firsts == again


def test_a_task_shows_answers_and_media_in_their_order(tmp_path):
    (tmp_path / "clip.MOV").write_bytes(b"film")
    asked = [Message("system", (Text("Look."),)), Message("user", (Text("See "), Image.from_bytes(png(10)), Text("!")))]
    record = Record(
        "row",
        tuple(asked),
        (
            Response((Message("assistant", (Text("x "), Image.from_bytes(png(200)))),)),
            Response((Message("assistant", (Text("y "), Video(path=tmp_path / "clip.MOV"))),)),
        ),
        (Preference(1, 0),),
    )
    task = write_task([record, *preferences(1)], tmp_path / "task", "ours")
    row = json.loads((task.parent / "data.jsonl").read_text().splitlines()[0])
    assert row["question"] == "system: Look.\nuser: See [image 1]!"
    better, worse = ("answer_a", "answer_b") if row["target"] == "A" else ("answer_b", "answer_a")
    assert (row[better][:8], row[worse][:8]) == ("y [video", "x [image")
    assert [row["answer_a"][2:], row["answer_b"][2:]] == [f"[{row['media'][k]['kind']} {k + 1}]" for k in (1, 2)]
    assert lmms_utils.doc_to_text(row) == (
        f"Question: {row['question']}\n\nAnswer A: {row['answer_a']}\n\nAnswer B: {row['answer_b']}\n\n"
        "Which answer is better? Reply with [[A]] or [[B]]."
    )
    film = next(medium for medium in row["media"] if medium["kind"] == "video")
    assert (task.parent / film["path"]).read_bytes() == b"film"
    assert film["path"].endswith(".MOV")
    used = import_path(task.parent / "utils.py")
    greys = iter((10, 200))
    for shown, medium in zip(used.doc_to_visual(row), row["media"], strict=True):
        if medium["kind"] == "video":
            assert shown == str((task.parent / medium["path"]).resolve())
        else:
            assert shown.getpixel((0, 0))[0] == next(greys)
    scored = [used.process_results(row, [reply])["accuracy"] for reply in (f"[[{row['target']}]]", "neither", "")]
    assert used.mean(scored) == pytest.approx(1 / 3)


def import_path(path):
    found = importlib.util.spec_from_file_location("task_utils", path)
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def test_a_video_without_a_file_is_refused_and_not_written_empty(tmp_path):
    frames = Video.from_frames([Image.from_bytes(png(10))] * 2, 4.0)
    record = Record.of([frames, "?"], ["a", "b"], feedback=[Preference(0, 1)])
    with pytest.raises(BadRowError, match="a video of frames"):
        write_task([record], tmp_path, "ours")


@pytest.mark.parametrize(
    ("reply", "chosen"),
    [
        ("[[A]]", "A"),
        ("A is true, so [[B]]", "B"),
        ("[[A]] no, wait: [[b]]", "B"),
        ("B", "B"),
        ("Answer A is better", "A"),
        ("(A)", "A"),
        ("Both are fine", None),
        ("", None),
        ("A\nbetter", "A"),
    ],
)
def test_a_reply_is_read_or_counted(reply, chosen):
    assert lmms_utils.verdict(reply) == chosen
    said = lmms_utils.process_results({"id": "1", "target": "A"}, [reply])
    assert said["accuracy"]["score"] == float(chosen == "A")
    assert said["no_verdict"]["score"] == float(chosen is None)


def test_a_task_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no preferences"):
        write_task([], tmp_path, "ours")
    with pytest.raises(ValueError, match="letters, digits"):
        write_task(preferences(1), tmp_path, "our task")
    with pytest.raises(BadRowError):
        write_task([Record.of("q", ["a", "b"])], tmp_path, "ours")


def test_samples_become_records_and_scores(tmp_path):
    lines = [
        {
            "doc_id": 0,
            "target": "[0, 1]",
            "filtered_resps": "Answer 1 is better",
            "doc_hash": "h0",
            "vlreward_score": {"score": 1.0, "group": "general"},
            "input": "Which?",
        },
        {
            "doc_id": 1,
            "target": "x",
            "filtered_resps": ["one", "two"],
            "doc_hash": "h1",
            "vlreward_score": 0,
            "input": "?",
        },
        {
            "doc_id": 2,
            "target": "x",
            "filtered_resps": "?",
            "doc_hash": "h2",
            "vlreward_score": {"pred": "A"},
            "input": "",
        },
    ]
    path = tmp_path / "now_samples_vl_rewardbench.jsonl"
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    records, scores = read_samples(path, "vlreward_score")
    assert [len(record.responses) for record in records] == [1, 2, 1]
    assert scores.values[:3].tolist() == [1.0, 0.0, 0.0]
    assert scores.status[3] is Status.UNPARSABLE
    assert records[0].context == {"doc_id": 0, "doc_hash": "h0", "target": "[0, 1]"}
    with pytest.raises(ValueError, match="no row has 'accuracy'; the rows have doc_id"):
        read_samples(path, "accuracy")


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        (1, 1.0),
        (True, 1.0),
        ({"score": 0.5}, 0.5),
        ({"acc": {"score": 2}}, 2.0),
        ({"x": 1}, None),
        ("1", None),
        (None, None),
    ],
)
def test_the_number_of_a_cell(cell, number):
    assert number_in(cell) == number
    assert number_in(float("nan")) is number_in(float("inf")) is None


# reward-bench


@pytest.fixture
def done():
    pairs = [
        preference("alpacaeval-easy-1", "Say a.", "a long answer", "short", {"subset": "alpacaeval-easy"}),
        preference("alpacaeval-easy-2", "Say b.", "no", "longer one", {"subset": "alpacaeval-easy"}),
        preference("math-prm-3", "1 + 1?", "it is two", "three", {"subset": "math-prm"}),
    ]
    return run(ONE[0], length(per_characters=1), pairs)


def test_the_commands_files_have_its_keys_in_its_order(done, tmp_path):
    results, outputs, both = write_outputs(done, tmp_path, "org/toy")
    assert (results.name, outputs.name, both.name) == ("toy.json", "toy_outputs.jsonl", "toy_all.jsonl")
    assert list(json.loads(results.read_text())) == [
        "accuracy",
        "num_prompts",
        "model",
        "ref_model",
        "tokenizer",
        "chat_template",
        "extra_results",
    ]
    assert results.read_text() == json.dumps(json.loads(results.read_text()))
    rows = [json.loads(line) for line in outputs.read_text().splitlines()]
    assert list(rows[0]) == [
        "prompt",
        "results",
        "scores_chosen",
        "scores_rejected",
        "text_chosen",
        "text_rejected",
        "subset",
        "id",
    ]
    assert [row["results"] for row in rows] == [1, 0, 1]
    assert both.read_text().splitlines()[0] == '{"chosen": 13.0, "rejected": 5.0}'


def test_the_leaderboards_files_lie_by_organisation(done, tmp_path):
    figures, columns = write_leaderboard(done, tmp_path, "org/toy")
    assert figures == tmp_path / "eval-set" / "org" / "toy.json"
    assert columns == tmp_path / "eval-set-scores" / "org" / "toy.json"
    said = json.loads(figures.read_text())
    assert said == {
        "alpacaeval-easy": 0.5,
        "math-prm": 1.0,
        "model": "org/toy",
        "model_type": "Seq. Classifier",
        "chat_template": "tokenizer",
    }
    assert figures.read_text() == json.dumps(said, indent=4, sort_keys=True)
    table = json.loads(columns.read_text())
    assert table["scores_chosen"] == [13.0, 2.0, 9.0]
    assert table["subset"] == ["alpacaeval-easy", "alpacaeval-easy", "math-prm"]
    with pytest.raises(ValueError, match="ORG/MODEL"):
        write_leaderboard(done, tmp_path, "toy")


def test_a_response_without_a_score_is_null_and_wrong(done, tmp_path):
    lost = [
        tuple(each.abstain(torch.tensor([True, False]), Status.TIMEOUT, "late") for each in item)
        for item in done.scores
    ]
    again = judged(done.benchmark, done.items, lost)
    results, outputs, _ = write_outputs(again, tmp_path, "toy")
    assert json.loads(results.read_text())["accuracy"] == 0.0
    assert json.loads(outputs.read_text().splitlines()[0])["scores_chosen"] is None
    assert "NaN" not in outputs.read_text() + results.read_text()


def test_what_is_lost_is_null_and_wrong_for_the_leaderboards_too(done, tmp_path):
    def lost(result, keep):
        cells = [
            tuple(each.abstain(torch.tensor(keep), Status.TIMEOUT, "late") for each in item) for item in result.scores
        ]
        return judged(result.benchmark, result.items, cells)

    figures, columns = write_leaderboard(lost(done, [True, False]), tmp_path, "org/toy")
    said, table = json.loads(figures.read_text()), json.loads(columns.read_text())
    assert (said["alpacaeval-easy"], said["math-prm"]) == (0.0, 0.0)
    assert table["scores_chosen"] == [None] * 3
    item = Item("Focus-1", (Record.of("q", ["long", "a", "b"], id="Focus-1"),), (0,), {"subset": "Focus"})
    second = run(TWO[0], length(per_characters=1), [item])
    figures, columns = write_leaderboard2(lost(second, [True, False, False]), tmp_path, "org/two")
    table = json.loads(columns.read_text())
    assert json.loads(figures.read_text())["Focus"] == 0.0
    assert (table["results"], table["scores"]) == ([0.0], [[[None], [1.0], [1.0]]])
    assert table["text"] == [["long", "a", "b"]]
    assert "NaN" not in columns.read_text()


def test_the_second_leaderboard_has_a_list_of_scores_a_row(tmp_path):
    def item(name, responses, right, **groups):
        return Item(name, (Record.of("q", responses, id=name),), tuple(range(right)), groups)

    items = [
        item("Focus-1", ["long", "a", "b", "c"], 1, subset="Focus"),
        replace(item("Ties-ref:0", ["aaaaaa", "a"], 1, subset="Ties", kind="ref"), cluster="ties-0"),
        replace(item("Ties-tied:0", ["aaaaaa", "aaaaa", "a"], 2, subset="Ties", kind="tied"), cluster="ties-0"),
    ]
    second = run(TWO[0], length(per_characters=1), items)
    figures, columns = write_leaderboard2(second, tmp_path, "org/toy")
    said, table = json.loads(figures.read_text()), json.loads(columns.read_text())
    assert said["Focus"] == 1.0
    assert said["Ties"] == pytest.approx(second.figures()["Ties"])
    assert table["scores"] == [[[4.0], [1.0], [1.0], [1.0]], [[6.0], [1.0]], [[6.0], [5.0], [1.0]]]
    assert (table["id"], table["num_correct"]) == (["1", "ref:0", "tied:0"], [1, 1, 2])


# OpenJudge


def mllm(grey):
    return SimpleNamespace(url=None, base64=base64.b64encode(png(grey)).decode(), format="png")


def test_a_reward_grades():
    made = openjudge.grader(length(per_characters=1), "long")
    said = asyncio.run(made.aevaluate(query="q", response="four"))
    assert (said.name, said.score, said.metadata["status"]) == ("long", 4.0, "ok")
    assert made.name == "long"
    assert copy.deepcopy(made) is made


def test_a_reward_grades_pictures_of_the_question_and_of_the_answer():
    made = openjudge.grader(Brightness(), "bright")
    asked = asyncio.run(made.aevaluate(query="How bright?", response="x", images=[mllm(80)], answer="x"))
    assert asked.score == pytest.approx(80 / 255)
    assert asked.metadata["right"] == 1.0
    shown = asyncio.run(made.aevaluate(query="Draw.", response=["here: ", mllm(200)], answer=""))
    assert shown.score == pytest.approx(200 / 255)
    blind = asyncio.run(made.aevaluate(query="How bright?", response="x", answer="x"))
    assert (blind.error, hasattr(blind, "score")) == ("unreadable_media: no picture", False)


def test_a_picture_by_its_address_or_of_broken_text_is_not_judged_as_text():
    made = openjudge.grader(Brightness(), "bright")
    far = SimpleNamespace(url="https://example.org/a.png", base64=None, format=None)
    broken = SimpleNamespace(url=None, base64="%%%", format="png")
    for medium, said in ((far, "web address"), (broken, "broken base64")):
        for given in (
            {"query": "Draw.", "response": medium},
            {"query": "Draw.", "response": ["here: ", medium]},
            {"query": ["Like ", medium], "response": "x"},
            {"query": "Draw.", "response": "x", "images": [medium]},
        ):
            graded = asyncio.run(made.aevaluate(**given, answer=""))
            assert graded.error.startswith("unreadable_media")
            assert said in graded.error
    assert asyncio.run(made.aevaluate(query="q", response=None, answer="")).error.startswith("invalid")
    assert asyncio.run(made.aevaluate(query="q", response=mllm(200), answer="")).score == pytest.approx(200 / 255)


def test_ranks_are_a_permutation_that_starts_at_1():
    made = openjudge.grader(length(per_characters=1), "long", listwise=True)
    said = asyncio.run(made.aevaluate(query="q", responses=["aa", "aaaa", "a", "aa"]))
    assert said.rank == [2, 1, 4, 3]
    assert said.metadata == {"scores": [2.0, 4.0, 1.0, 2.0], "tied": True}


@dataclass
class Grades:
    """A grader, duck-typed, that says what it is told to."""

    result: object
    seen: list

    async def aevaluate(self, **given):
        self.seen.append(given)
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


RECORD = Record.of("Say it.", ["a", "abc"], answer="abc")


def test_a_grader_becomes_a_reward():
    grades = Grades(SimpleNamespace(score=0.5), [])
    reward = openjudge.from_grader(grades, mapper={"response": "said"}, spec=Spec(needs=("answer",)))
    found = score(reward, [RECORD])
    assert found.values.tolist() == [0.5, 0.5]
    assert grades.seen[0] == {"query": "Say it.", "said": "a", "answer": "abc"}
    assert asyncio.run(reward.score_async([RECORD])).values.tolist() == [0.5, 0.5]


def test_a_grader_called_where_a_loop_runs():
    reward = openjudge.from_grader(Grades(SimpleNamespace(score=2), []))

    async def inside():
        return score(reward, [RECORD]).values.tolist()

    assert asyncio.run(inside()) == [2.0, 2.0]


@pytest.mark.parametrize(
    ("result", "status", "said"),
    [
        (SimpleNamespace(error="too slow", reason="r"), Status.FAILED, "too slow"),
        (RuntimeError("broken"), Status.FAILED, "RuntimeError: broken"),
        (SimpleNamespace(score=float("nan")), Status.NON_FINITE, "score nan"),
        ("words", Status.FAILED, "a str"),
    ],
)
def test_a_grader_that_fails_is_a_status(result, status, said):
    found = score(openjudge.from_grader(Grades(result, [])), [RECORD])
    assert found.status == (status, status)
    assert said in found.messages[0]


def test_a_graders_answer_that_makes_no_sense_is_a_status():
    for result in (SimpleNamespace(score="high"), SimpleNamespace(rank=7), SimpleNamespace(rank=[None])):
        found = score(openjudge.from_grader(Grades(result, [])), [RECORD])
        assert found.status == (Status.FAILED, Status.FAILED)


def test_a_grader_is_handed_pictures_in_the_format_that_it_is_told():
    file = io.BytesIO()
    PIL.Image.new("RGB", (8, 6), (80, 80, 80)).save(file, format="JPEG")
    shown = Record.of([Image.from_bytes(file.getvalue()), "How bright?"], ["dark"])
    grades = Grades(SimpleNamespace(score=1.0), [])
    assert score(openjudge.from_grader(grades), [shown]).values.tolist() == [1.0]
    sent = grades.seen[0]["query"][0]
    with PIL.Image.open(io.BytesIO(base64.b64decode(sent.base64))) as opened:
        assert (sent.format, opened.format, opened.size) == ("png", "PNG", (8, 6))


def test_a_reward_that_compares_is_not_asked_about_one_response():
    @dataclass(frozen=True)
    class Compares:
        spec = Spec(scale="within_group")

        def __call__(self, records):
            return scores_of(records, [float(len(r.text)) for record in records for r in record.responses])

    with pytest.raises(ValueError, match="listwise=True"):
        openjudge.grader(Compares())
    ranked = asyncio.run(openjudge.grader(Compares(), listwise=True).aevaluate(query="q", responses=["a", "bb"]))
    assert ranked.rank == [2, 1]
    row = evaluation_row(("user", "q"), ("assistant", "a"))
    with pytest.raises(ValueError, match="evaluated_all"):
        eval_protocol.evaluated(Compares(), row)
    assert eval_protocol.evaluated_all(Compares(), [row])[0].evaluation_result.score == 1.0


def test_a_listwise_graders_ranks_are_scores_within_a_group():
    reward = openjudge.from_grader(Grades(SimpleNamespace(rank=[2, 1]), []), listwise=True)
    assert reward.spec.scale == "within_group"
    assert score(reward, [RECORD]).values.tolist() == [0.0, 1.0]
    from_0 = openjudge.from_grader(Grades(SimpleNamespace(rank=[0, 1]), []), listwise=True)
    assert score(from_0, [RECORD]).status == (Status.FAILED, Status.FAILED)


# HTTP scorers, against a server that speaks their dialects


@dataclass
class Inside:
    """A transport to a server in this process."""

    http: object

    def send(self, request):
        path = request.url.removeprefix("http://server")
        reply = self.http.post(path, content=request.body, headers=dict(request.headers))
        return Reply(reply.status_code, dict(reply.headers), reply.content)


@pytest.fixture(scope="module")
def server():
    with client() as http:
        yield {"transport": Inside(http)}


TEXTS = [Record.of("Say a.", ["one", "three"], label="one"), Record.of("Say b.", ["please abstain", "x"], label="x")]


def test_openrlhf_and_slime_scorers_give_the_rewards_own_scores(server):
    own = offline(TEXTS)
    for reward in (
        http_scorers.openrlhf("http://server/get_reward", label="label", **server),
        http_scorers.slime("http://server/slime", label="label", **server),
    ):
        found = score(reward, TEXTS)
        assert found.values[[0, 1, 3]].tolist() == pytest.approx([own[0], own[1], own[3]])
        assert found.status[2] is Status.FAILED
        assert reward.spec.needs == ("label",)


def test_the_llamafactory_scorer_sends_whole_texts(server):
    found = score(http_scorers.llamafactory("http://server/v1/score/evaluation", **server), TEXTS[:1])
    whole = offline([Record.of("Say a.one", [""]), Record.of("Say a.three", [""])])
    assert found.status == (Status.OK, Status.OK)
    assert found.values[1] - found.values[0] == pytest.approx(2.0)
    assert len(whole) == 2


def test_the_unirl_scorer_sends_pictures(server):
    record = Record.of("A grey field", [Image.from_bytes(png(10)), Image.from_bytes(png(80)), "no picture"])
    reward = http_scorers.unirl("http://server/score", "told", **server)
    found = score(reward, [record])
    assert found.values[:2].tolist() == pytest.approx(offline([record])[:2])
    assert found.status[2] is Status.UNSUPPORTED_MODALITY


def test_a_unirl_answer_has_an_error_or_nan_for_each_item():
    said = b"""{"results": [{"hpsv3": {"score": 7.1, "style": 2}}, {"hpsv3": {"score": NaN}}, {}],
        "errors": [{}, {}, {"hpsv3": "out of memory"}]}"""
    says = Says([(200, said)], [])
    reward = http_scorers.unirl("http://scorer/score", "hpsv3", transport=says, patience=QUICK)
    found = score(reward, [Record.of("p", [Image.from_bytes(png(grey)) for grey in (10, 80, 200)])])
    assert found.status == (Status.OK, Status.NON_FINITE, Status.FAILED)
    assert found.values[0].item() == pytest.approx(7.1)
    assert found.messages[2] == "hpsv3: out of memory"
    assert [one["required_rewards"] for one in says.seen[0]["requests"]] == [["hpsv3"]] * 3


def test_the_vllm_scorer_asks_for_raw_logits_of_the_conversation(server):
    reward = http_scorers.vllm_classify("http://server/classify", "told", **server)
    record = Record.of([Image.from_bytes(png(10)), "How bright?"], ["dark", "bright"])
    found = score(reward, [record])
    assert found.values.tolist() == pytest.approx(offline([record]))


@dataclass
class Says:
    """A transport that answers with what it is given, in turn."""

    replies: list
    seen: list

    def send(self, request: Request) -> Reply:
        self.seen.append(json.loads(request.body))
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        if isinstance(reply, Exception):
            raise reply
        code, body = reply
        return Reply(code, {}, body if isinstance(body, bytes) else json.dumps(body).encode())


QUICK = Patience(attempts=2, first=0.001, longest=0.01, sleep=lambda seconds: None)


def slime_of(*replies, record=RECORD, **options):
    says = Says(list(replies), [])
    reward = http_scorers.slime("http://scorer/", transport=says, patience=QUICK, at_once=1, **options)
    return score(reward, [record]), says.seen


@pytest.mark.parametrize(
    ("reply", "status", "said"),
    [
        (TransportError("nobody there"), Status.UNAVAILABLE, "nobody there"),
        (TransportError("late", late=True), Status.TIMEOUT, "late"),
        ((503, {}), Status.UNAVAILABLE, "HTTP 503"),
        ((429, {}), Status.UNAVAILABLE, "HTTP 429"),
        ((404, {"detail": "gone"}), Status.FAILED, "HTTP 404"),
        ((200, b"<html>"), Status.UNPARSABLE, "it said <html>"),
        ((200, {"score": 1}), Status.UNPARSABLE, "where a number belongs"),
        ((200, "0.5"), Status.UNPARSABLE, "where a number belongs"),
        ((200, True), Status.UNPARSABLE, "where a number belongs"),
        ((200, None), Status.FAILED, "null"),
        ((200, b"NaN"), Status.NON_FINITE, "nan"),
        ((200, b"1e999"), Status.NON_FINITE, "inf"),
    ],
)
def test_a_scorer_that_fails_is_a_status_and_never_0(reply, status, said):
    found, _ = slime_of(reply)
    assert found.status == (status, status)
    assert said in found.messages[0]


def test_a_scorer_that_recovers_is_asked_again():
    found, seen = slime_of((503, {}), TransportError("gone"), (200, 1.5), record=Record.of("q", ["a"]))
    assert found.status == (Status.UNAVAILABLE,)
    found, seen = slime_of((503, {}), (200, 1.5), record=Record.of("q", ["a"]))
    assert found.values.tolist() == [1.5]
    assert seen[0] == seen[1] == {"prompt": "q", "response": "a", "label": None}


def test_slime_answers_may_be_objects():
    found, _ = slime_of((200, {"score": 2}), key="score")
    assert found.values.tolist() == [2.0, 2.0]


def test_rows_that_cannot_be_written_do_not_take_the_others_along():
    says = Says([(200, {"scores": [3.0]})], [])
    reward = http_scorers.llamafactory("http://scorer/", transport=says, patience=QUICK)
    found = score(reward, [Record.of("q", ["a", Image.from_bytes(png(10))])])
    assert found.status == (Status.OK, Status.UNSUPPORTED_MODALITY)
    assert found.values[0] == 3.0


def test_labels_of_numpy_and_of_nothing_that_json_holds():
    says = Says([(200, {"rewards": [1.0]})], [])
    reward = http_scorers.openrlhf("http://scorer/", label="label", transport=says, patience=QUICK, size=4)
    labels = [np.int64(3), np.array(["a", "b"]), torch.tensor(2), object()]
    records = [Record.of("q", ["a"], label=label) for label in labels]
    assert score(reward, records[:1]).values.tolist() == [1.0]
    found = score(reward, records)
    assert found.status == (Status.OK, Status.OK, Status.OK, Status.INVALID)
    assert [seen["labels"] for seen in says.seen[1:]] == [[3], [["a", "b"]], [2]]


def test_sounds_are_not_left_out_of_what_text_and_picture_scorers_judge():
    says = Says([(200, {"scores": [3.0]})], [])
    heard = Record.of([Audio(data=b"RIFF"), "q"], ["a", Image.from_bytes(png(10))])
    for reward in (
        http_scorers.llamafactory("http://scorer/", transport=says, patience=QUICK),
        http_scorers.unirl("http://scorer/score", "r", transport=says, patience=QUICK),
    ):
        assert score(reward, [heard]).status == (Status.UNSUPPORTED_MODALITY,) * 2
    assert not says.seen


def test_another_number_of_scores_than_rows_scores_none():
    says = Says([(200, {"rewards": [1.0]})], [])
    found = score(http_scorers.openrlhf("http://scorer/", transport=says, patience=QUICK), [RECORD])
    assert found.status == (Status.UNPARSABLE, Status.UNPARSABLE)
    assert says.seen[0] == {
        "query": ["Say it.a", "Say it.abc"],
        "prompts": ["Say it.", "Say it."],
        "labels": [None, None],
    }


def test_an_embedding_in_disguise_is_no_reward():
    reply = {"data": [{"index": 0, "probs": [0.1] * 64, "num_classes": 64}]}
    says = Says([(200, reply)], [])
    found = score(http_scorers.vllm_classify("http://scorer/", "m", transport=says, patience=QUICK), [RECORD])
    assert found.status == (Status.UNPARSABLE, Status.UNPARSABLE)
    assert says.seen[0]["use_activation"] is says.seen[0]["activation"] is False
    assert [message["role"] for message in says.seen[0]["messages"]] == ["user", "assistant"]


def test_a_server_that_is_gone_is_not_asked_for_every_row():
    says = Says([TransportError("nobody there")], [])
    patience = Patience(attempts=1, lost=3, sleep=lambda seconds: None)
    reward = http_scorers.slime("http://scorer/", transport=says, patience=patience, at_once=1)
    found = score(reward, [Record.of("q", [str(place) for place in range(20)])])
    assert set(found.status) == {Status.UNAVAILABLE}
    assert len(says.seen) == 3
    assert "not asked" in found.messages[-1]


def test_a_template_of_the_scorers_own():
    def chatml(prompt, response):
        asked = "".join(f"<{message.role}>{message.text}" for message in prompt)
        return asked, asked + "".join(f"<{message.role}>{message.text}" for message in response)

    says = Says([(200, {"scores": [1.0, 2.0]})], [])
    reward = http_scorers.llamafactory("http://scorer/", template=chatml, transport=says, patience=QUICK)
    assert score(reward, [RECORD]).values.tolist() == [1.0, 2.0]
    assert says.seen[0]["messages"] == ["<user>Say it.<assistant>a", "<user>Say it.<assistant>abc"]


def test_scorers_are_known_by_their_address_and_by_what_they_are_asked():
    made = [
        http_scorers.openrlhf("http://a/"),
        http_scorers.openrlhf("http://b/"),
        http_scorers.openrlhf("http://a/", label="label"),
        http_scorers.slime("http://a/"),
        openjudge.from_grader(Grades(None, [])),
        openjudge.from_grader(Grades(None, []), mapper={"query": "q"}),
    ]
    assert len({fingerprint(reward) for reward in made}) == 6
    assert fingerprint(http_scorers.openrlhf("http://a/", seconds=5)) == fingerprint(made[0])
    assert name_of(made[3]) == "slime('http://a/')"
    assert name_of(made[4]) == "from_grader(Grades)"


# eval-protocol


@dataclass
class Turn:
    """A message as eval-protocol's, which dumps itself."""

    role: str
    content: object

    def model_dump(self, exclude_none=False):
        return {"role": self.role, "content": self.content, "reasoning_content": "hidden"}


def evaluation_row(*turns, truth=None, **described):
    return SimpleNamespace(
        messages=[Turn(*turn) for turn in turns],
        ground_truth=truth,
        input_metadata=SimpleNamespace(dataset_info=described or None),
        evaluation_result=None,
    )


def test_a_row_is_evaluated_by_its_last_answer():
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{mllm(80).base64}"}}
    asked = ("user", [picture, {"type": "text", "text": "How bright?"}])
    row = evaluation_row(asked, ("assistant", "Wait."), ("user", "Well?"), ("assistant", "dark"), truth="dark")
    assert eval_protocol.evaluated(Brightness(), row) is row
    result = row.evaluation_result
    assert (result.score, result.is_score_valid) == (pytest.approx(80 / 255), True)
    assert (result.metrics["right"].score, result.metrics["right"].is_score_valid) == (1.0, True)
    given = evaluation_row(asked, ("assistant", "dark"), truth="light", answer="dark")
    assert eval_protocol.evaluated(Brightness(), given).evaluation_result.metrics["right"].score == 1.0


def test_a_row_that_cannot_be_judged_is_not_valid():
    blind = eval_protocol.evaluated(Brightness(), evaluation_row(("user", "q"), ("assistant", "a")))
    assert not blind.evaluation_result.is_score_valid
    assert blind.evaluation_result.error == "unreadable_media: no picture"
    unanswered = eval_protocol.evaluated(Brightness(), evaluation_row(("user", "q")))
    assert unanswered.evaluation_result.error == "empty: no turn of the assistant"
    assert unanswered.evaluation_result.metrics == {}


def test_rows_of_one_prompt_side_by_side_are_one_record():
    def sizes(records):
        return scores_of(records, [float(len(record.responses)) for record in records for _ in record.responses])

    rows = [evaluation_row(("user", "q"), ("assistant", text)) for text in "ab"]
    found = eval_protocol.evaluated_all(sizes, [*rows, evaluation_row(("user", "p"), ("assistant", "c"))])
    assert [row.evaluation_result.score for row in found] == [2.0, 2.0, 1.0]
