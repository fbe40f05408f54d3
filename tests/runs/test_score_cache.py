"""The cache of scores: the same answers, for the same reward and content alone, whatever happens to the file."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import pickle
import random
import signal
import sqlite3
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from assay.cli.main import app
from assay.media import Image, Video
from assay.records import Record, Response
from assay.records.record import Message
from assay.rewards.base import fingerprint, score, scores_of
from assay.runs.content import content_of
from assay.runs.score import score_file
from assay.runs.score_cache import CacheError, ScoreCache, cached
from assay.scores import Scores, Status
from assay.spec import Spec


@dataclass(frozen=True)
class Lengths:
    """Lengths of responses times a number, with everything a row may have; counts what it was asked."""

    times: float = 1.0
    spec: Spec = field(default_factory=Spec)
    asked: list[str] = field(default_factory=list[str], repr=False)

    def fingerprint(self) -> str:
        return f"{self.times}"

    def __call__(self, records: Sequence[Record], /) -> Scores:
        texts = [response.text for record in records for response in record.responses]
        self.asked.extend(texts)
        status = [Status(text) if text in set(Status) and text != "ok" else Status.OK for text in texts]
        ok = torch.tensor([each is Status.OK for each in status])
        values = torch.tensor([len(text) * self.times for text in texts], dtype=torch.float64)
        values = values.masked_fill(~ok, torch.nan)
        return scores_of(
            records,
            values,
            status,
            ["" if each is Status.OK else "why" for each in status],
            std=values / 2,
            attributes={"clear": torch.where(values == 3, torch.nan, values)},
            steps=tuple(torch.full((len(text),), 0.25, dtype=torch.float64) for text in texts),
            critiques=tuple(text.upper() for text in texts),
        )


@pytest.fixture
def cache(tmp_path: Path) -> ScoreCache:
    return ScoreCache(tmp_path / "scores.sqlite")


def same(one: Scores, other: Scores) -> None:
    assert (one.ids, one.status, one.messages, one.critiques) == (
        other.ids,
        other.status,
        other.messages,
        other.critiques,
    )
    assert one.attribute_status == other.attribute_status
    assert one.step_status == other.step_status
    pairs = [(one.values, other.values), (one.std, other.std), (one.attributes["clear"], other.attributes["clear"])]
    for left, right in [*pairs, *zip(one.steps or (), other.steps or (), strict=True)]:
        assert left is not None
        assert right is not None
        assert torch.equal(left.nan_to_num(-9), right.nan_to_num(-9))


def test_what_was_scored_before_comes_back_whole_and_is_not_asked_again(cache: ScoreCache):
    reward = Lengths()
    kept = cached(reward, cache)
    records = [Record.of("p", ["abc", "de"], id="1"), Record.of("q", ["abc", "refused"], id="2")]
    same(kept(records), reward(records))
    reward.asked.clear()
    later = [replace(record, id=f"other {record.id}") for record in records]
    same(kept(later), Lengths()(later))
    assert reward.asked == []
    grown = [Record.of("p", ["new", "de", "abc"], id="3")]
    same(kept(grown), Lengths()(grown))
    assert reward.asked == ["new"]
    assert (cache.counts.hits, cache.counts.misses) == (6, 5)


def test_it_stands_for_its_reward(cache: ScoreCache):
    reward = Lengths(2.0)
    kept = cached(reward, cache)
    assert fingerprint(kept) == fingerprint(reward)
    assert repr(kept) == repr(reward)
    assert kept.spec == reward.spec  # type: ignore[attr-defined]


def test_another_model_is_never_answered_for(cache: ScoreCache):
    records = [Record.of("p", ["abc"])]
    assert cached(Lengths(1.0), cache)(records).values.tolist() == [3.0]
    assert cached(Lengths(2.0), cache)(records).values.tolist() == [6.0]
    assert cached(Lengths(1.0), cache)(records).values.tolist() == [3.0]


def test_a_reward_that_changes_in_place_is_another_model(cache: ScoreCache):
    from assay.testing import learned_reward

    reward = learned_reward()
    kept = cached(reward, cache)
    records = [Record.of("a question", ["an answer"])]
    before = kept(records).values.item()
    with torch.no_grad():
        next(reward.head.parameters()).add_(1.0)
    after = kept(records).values.item()
    assert after == pytest.approx(reward(records).values.item(), abs=1e-6)
    assert after != before


PASSING = [Status.TIMEOUT, Status.UNAVAILABLE, Status.OUT_OF_MEMORY, Status.FAILED, Status.UNREADABLE_MEDIA]


@pytest.mark.parametrize("status", [each for each in Status if each is not Status.OK])
def test_what_may_pass_is_asked_again_and_what_stays_is_not(cache: ScoreCache, status: Status):
    reward = Lengths()
    kept = cached(reward, cache)
    for _ in range(2):
        assert kept([Record.of("p", [str(status)])]).status == (status,)
    assert len(reward.asked) == (2 if status in PASSING else 1)


def one_of_each(picture: Any) -> dict[str, Record]:
    spoken = Message("user", Record.of("p", []).prompt[0].parts, name="Ann")
    return {
        "base": Record.of("p", ["r"]),
        "prompt": Record.of("q", ["r"]),
        "response": Record.of("p", ["s"]),
        "name": Record.of(spoken, ["r"]),
        "role": Record.of(replace(spoken, name=None, role="system"), ["r"]),
        "two turns": Record.of([Message("user", spoken.parts), Message("assistant", spoken.parts)], ["r"]),
        "steps": Record.of("p", [Response.from_steps(["r"])]),
        "picture": Record.of(["p", picture()], ["r"]),
        "another picture": Record.of(["p", picture(seed=1)], ["r"]),
        "picture in the response": Record.of("p", [["r", picture()]]),
        "a region of it": Record.of(["p", picture().cropped(0, 0, 9, 9)], ["r"]),
        "film": Record.of(["p", Video.from_frames([picture()], 2.0)], ["r"]),
        "slower film": Record.of(["p", Video.from_frames([picture()], 1.0)], ["r"]),
        "needed column": Record.of("p", ["r"], answer="1"),
        "needed number": Record.of("p", ["r"], answer=1),
        "needed picture": Record.of("p", ["r"], answer=[picture()]),
    }


def test_every_difference_that_a_reward_can_see_makes_another_key(picture: Any):
    keys = {}
    for name, record in one_of_each(picture).items():
        content = content_of(record, ["answer"])
        keys[content.prompt, content.responses] = name
    assert len(keys) == len(one_of_each(picture))
    assert not any(None in (prompt, *responses) for prompt, responses in keys)


def test_what_a_reward_cannot_see_makes_none(tmp_path: Path, picture: Any):
    (tmp_path / "a.png").write_bytes(picture().read())
    by_path, by_bytes = (["p", Image.from_path(tmp_path / "a.png")], ["p", picture()])
    one = Record.of(by_path, ["r"], id="1", other=1)
    assert content_of(one, ["answer"]) == content_of(Record.of(by_bytes, ["r"], id="2"), ["answer"])
    assert content_of(Record.of("p\ud800", ["\x00"]), []) == content_of(Record.of("p\ud800", ["\x00"]), [])


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
@settings(max_examples=60, deadline=None)
def test_parts_do_not_run_into_each_other(one: list[str], other: list[str]):
    left, right = Record.of(list(one), ["r"]), Record.of(list(other), ["r"])
    assert (content_of(left, []) == content_of(right, [])) == (one == other)


def test_what_has_no_content_is_asked_each_time(cache: ScoreCache, tmp_path: Path):
    reward = Lengths(spec=Spec(needs=("thing",)))
    kept = cached(reward, cache)
    drawn = Image.from_tensor(torch.rand(3, 8, 8))
    for record in (
        Record.of(["p", drawn], ["r"]),
        Record.of("p", [["r", drawn]]),
        Record.of(["p", Image.from_path(tmp_path / "none.png")], ["r"]),
        Record.of("p", ["r"], thing=object()),
    ):
        before = len(reward.asked)
        kept([record])
        kept([record])
        assert len(reward.asked) == before + 2


@pytest.mark.parametrize("spec", [Spec(deterministic=False), Spec(order_invariant=False)])
def test_scores_that_vary_are_not_kept_and_a_warning_says_so(cache: ScoreCache, spec: Spec):
    reward = Lengths(spec=spec)
    with pytest.warns(UserWarning, match="are not kept"):
        kept = cached(reward, cache)
    for _ in range(2):
        kept([Record.of("p", ["abc"])])
    assert reward.asked == ["abc", "abc"]


def test_scores_within_a_group_are_kept_for_the_whole_group(cache: ScoreCache):
    reward = Lengths(spec=Spec(scale="within_group"))
    kept = cached(reward, cache)
    group, other = Record.of("p", ["a", "bb"]), Record.of("p", ["a", "ccc"])
    for record in (group, group, other, Record.of("p", ["bb", "a"])):
        kept([record])
    assert reward.asked == ["a", "bb", "a", "ccc", "bb", "a"]


def test_the_oldest_go_when_it_is_full(tmp_path: Path):
    cache = ScoreCache(tmp_path / "small.sqlite", max_bytes=200_000)
    mark = "ab" * 32
    for batch in range(40):
        rows = [(b"%032d" % (100 * batch + i), {"value": float(i), "status": "ok", "message": ""}) for i in range(100)]
        assert cache.keep(mark, rows) == 100
    cache.close()
    held = [row is not None for row in cache.find(mark, [b"%032d" % i for i in range(4000)])]
    assert not held[0]
    assert held[-1]
    assert 500 < sum(held) < 3900
    assert held.index(True) == 4000 - sum(held)
    cache.close()
    assert (tmp_path / "small.sqlite").stat().st_size <= 260_000
    with pytest.raises(ValueError, match="holds nothing"):
        ScoreCache(tmp_path / "none.sqlite", max_bytes=10)


def test_files_that_are_something_else_are_refused_and_left_alone(tmp_path: Path):
    for name, content in (("text", b"prompt,chosen\n" * 100), ("cut", b"SQLite format 3\x00" + b"\x10" * 200)):
        file = tmp_path / name
        file.write_bytes(content)
        with pytest.raises(CacheError, match=f"{name} is no score cache"):
            ScoreCache(file)
        assert file.read_bytes() == content
    foreign = tmp_path / "foreign.sqlite"
    with sqlite3.connect(foreign) as connection:
        connection.execute("CREATE TABLE notes (text)")
    before = foreign.read_bytes()
    with pytest.raises(CacheError, match="database of something else"):
        ScoreCache(foreign)
    assert foreign.read_bytes() == before
    with pytest.raises(CacheError, match="unable to open"):
        ScoreCache(tmp_path / "no" / "folder.sqlite")


def test_a_cache_of_another_format_is_refused(cache: ScoreCache):
    cache.close()
    with sqlite3.connect(cache.path) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(CacheError, match="format 99"):
        ScoreCache(cache.path)


def test_a_row_that_rotted_is_no_answer(cache: ScoreCache):
    reward = Lengths()
    kept = cached(reward, cache)
    kept([Record.of("p", ["abc"])])
    cache.close()
    with sqlite3.connect(cache.path) as connection:
        connection.execute("UPDATE score SET row = CAST(replace(row, '3.0', '4.0') AS BLOB)")
    assert kept([Record.of("p", ["abc"])]).values.tolist() == [3.0]
    assert reward.asked == ["abc", "abc"]
    assert kept([Record.of("p", ["abc"])]).values.tolist() == [3.0]
    assert reward.asked == ["abc", "abc"]


def test_a_cache_that_breaks_under_way_costs_time_and_no_score(cache: ScoreCache):
    reward = Lengths()
    kept = cached(reward, cache)
    texts = [f"{i:04} " + "x" * 500 for i in range(400)]
    kept([Record.of("p", texts)])
    cache.close()
    for suffix in ("-wal", "-shm"):
        Path(f"{cache.path}{suffix}").unlink(missing_ok=True)
    whole = cache.path.read_bytes()
    cache.path.write_bytes(whole[:8192] + b"\x5a" * (len(whole) - 8192))
    with pytest.warns(UserWarning, match="without the cache|were not kept"):
        found = kept([Record.of("p", texts)])
    assert found.values.tolist() == [505.0] * 400


def test_a_full_disk_is_said_and_costs_no_score(cache: ScoreCache):
    kept = cached(Lengths(), cache)
    kept([Record.of("p", ["abc"])])
    with cache._lock:  # pyright: ignore[reportPrivateUsage]
        cache._asked(lambda connection: connection.execute("PRAGMA max_page_count = 10"))  # pyright: ignore[reportPrivateUsage]
    with pytest.warns(UserWarning, match="no space left"):
        found = kept([Record.of("p", ["x" * 300 + str(i) for i in range(300)])])
    assert set(found.status) == {Status.OK}
    assert kept([Record.of("p", ["abc"])]).values.tolist() == [3.0]


def test_it_travels_to_other_processes(cache: ScoreCache):
    cached(Lengths(), cache)([Record.of("p", ["abc"])])
    other: ScoreCache = pickle.loads(pickle.dumps(cache))
    reward = Lengths()
    assert cached(reward, other)([Record.of("p", ["abc"])]).values.tolist() == [3.0]
    assert reward.asked == []


def write(path: Path, number: int, count: int, said: Any) -> None:
    """Keep rows that others keep too and rows of one's own, twenty at a time, and say how far they are kept."""
    cache = ScoreCache(path)
    for first in range(0, count, 20):
        keys = [key for i in range(first, first + 20) for key in (shared(i), own(number, i))]
        found = cache.find(MARK, keys)
        assert all(row is None or row["value"] == float(int(key[-9:])) for key, row in zip(keys, found, strict=True))
        rows = [(key, {"value": float(int(key[-9:])), "status": "ok", "message": "m" * 50}) for key in keys]
        cache.keep(MARK, rows)
        said.send(first + 20)


MARK = "cd" * 32


def shared(i: int) -> bytes:
    return b"%032d" % i


def own(number: int, i: int) -> bytes:
    return b"%d %030d" % (number, i)


def writer(path: Path, number: int, count: int) -> tuple[Any, Any]:
    context = multiprocessing.get_context("fork")
    hears, says = context.Pipe(duplex=False)
    process = context.Process(target=write, args=(path, number, count, says))
    process.start()
    says.close()
    return process, hears


@pytest.mark.skipif(not hasattr(os, "fork"), reason="writers are forked")
def test_four_processes_write_at_once(tmp_path: Path):
    path = tmp_path / "scores.sqlite"
    writers = [writer(path, number, 400) for number in range(4)]
    for process, _ in writers:
        process.join(120)
    assert [process.exitcode for process, _ in writers] == [0] * 4
    keys = [shared(i) for i in range(400)] + [own(n, i) for n in range(4) for i in range(400)]
    found = ScoreCache(path).find(MARK, keys)
    assert [row and row["value"] for row in found] == [float(i) for _ in range(5) for i in range(400)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="writers are forked")
def test_kill_9_loses_nothing_that_was_kept(tmp_path: Path):
    path = tmp_path / "scores.sqlite"
    chance = random.Random(0)
    for number in range(12):
        process, hears = writer(path, number, 10**6)
        kept = 0
        while kept < chance.randrange(20, 400):
            kept = hears.recv()
        time.sleep(chance.uniform(0, 0.005))
        os.kill(process.pid, signal.SIGKILL)
        with contextlib.suppress(EOFError):
            while True:
                kept = hears.recv()
        process.join()
        assert process.exitcode == -signal.SIGKILL
        cache = ScoreCache(path)
        rows = cache.find(MARK, [own(number, i) for i in range(kept)])
        assert [row and row["value"] for row in rows] == [float(i) for i in range(kept)]
        cache.close()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_a_job_takes_its_scores_from_the_cache_and_writes_the_same_file(cache: ScoreCache, tmp_path: Path):
    records = [Record.of(f"p{i}", ["abc", "d" * i], id=str(i)) for i in range(30)]
    reward = Lengths()
    score_file(reward, records, tmp_path / "plain.jsonl", batch=8)
    score_file(cached(reward, cache), records, tmp_path / "first.jsonl", batch=8)
    reward.asked.clear()
    score_file(cached(reward, cache), records, tmp_path / "second.jsonl", batch=16)
    assert reward.asked == []
    one, two, three = ((tmp_path / f"{n}.jsonl").read_bytes() for n in ("plain", "first", "second"))
    assert one == two == three
    metas = [json.loads((tmp_path / f"{n}.jsonl.meta.json").read_text()) for n in ("plain", "first", "second")]
    assert metas[0]["job"] == metas[1]["job"] == metas[2]["job"]


def test_the_command_keeps_and_uses_scores(tmp_path: Path):
    (tmp_path / "data.jsonl").write_text('{"prompt": "p", "chosen": "long answer", "rejected": "no"}\n')
    (tmp_path / "more.jsonl").write_text(
        '{"prompt": "p", "chosen": "long answer", "rejected": "other"}\n'
        '{"prompt": "new", "chosen": "a", "rejected": "b"}\n'
    )
    (tmp_path / "mine.py").write_text("from assay.rewards import rules\nwords = rules.length(per_words=1)\n")

    def command(data: str, *options: str) -> Any:
        where = [str(tmp_path / data), "-o", str(tmp_path / f"{data}.out.jsonl"), "--cache", str(tmp_path / "c.sqlite")]
        return CliRunner().invoke(app, ["score", str(tmp_path / "mine.py:words"), *where, *options])

    done = command("data.jsonl")
    assert done.exit_code == 0, done.output
    assert "0 scores came from the cache" in done.stdout
    assert json.loads(command("more.jsonl", "--json").stdout)["from_cache"] == 1
    (tmp_path / "c.sqlite").write_text("something else")
    (tmp_path / "data.jsonl.out.jsonl").unlink()
    refused = command("data.jsonl")
    assert isinstance(refused.exception, CacheError)
    assert (tmp_path / "c.sqlite").read_text() == "something else"


def test_looking_up_costs_less_than_a_third_of_a_millisecond_a_row(cache: ScoreCache):
    reward = Lengths()
    kept = cached(reward, cache)
    records = [Record.of(f"prompt number {i}, which is a bit longer", ["some answer", "another"]) for i in range(500)]
    kept(records)
    spent = []
    for _ in range(3):
        began = time.process_time()
        kept(records)
        spent.append(time.process_time() - began)
    assert len(reward.asked) == 1000
    assert min(spent) / 1000 < 3e-4


def test_a_file_that_another_process_is_opening_is_waited_for(tmp_path: Path):
    file = tmp_path / "new.sqlite"
    other = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE being_made (x)")
    release = threading.Timer(0.3, lambda: other.execute("ROLLBACK"))
    release.start()
    with contextlib.closing(ScoreCache(file)) as cache:
        assert cache.keep("ab" * 32, [(b"x" * 32, {"value": 1.0, "status": "ok", "message": ""})]) == 1
    release.join()
    other.close()


def test_score_goes_through_the_view(cache: ScoreCache):
    seen: list[Record] = []

    def looks(records: Sequence[Record]) -> Scores:
        seen.extend(records)
        return scores_of(records, [1.0 for record in records for _ in record.responses])

    score(cached(looks, cache), [Record.of("p", ["r"], hidden=1)])
    assert seen[0].context == {}
