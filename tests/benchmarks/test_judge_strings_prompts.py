"""Every judge prompt of the package is asked about strings that answer nothing, the one for rankings too."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from assay.models.asking import Odds, Prompt
from assay.records import Message
from assay.records.record import messages_of
from assay.scores import Status

ROOT = Path(__file__).parents[2]
QUOTE = re.compile(r"The response(?: ([A-Z]))?\n<<(\w+)\n(.*?)\n\2>>", re.DOTALL)


@pytest.fixture(scope="module")
def script() -> Iterator[Any]:
    """The benchmark, imported as the command imports it."""
    kept = sys.modules.pop("judge_strings", None)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "benchmarks"))
        yield import_module("judge_strings")
    for name in ("judge_strings", "measure"):
        sys.modules.pop(name, None)
    if kept is not None:
        sys.modules["judge_strings"] = kept


class Knows:
    """Odds of a model that can add: for what says the sum and nothing more, against the rest."""

    def label_odds(self, prompts: Sequence[Prompt], labels: Sequence[str], /) -> list[Odds]:
        return [self._odds(prompt[-1].text, labels) for prompt in prompts]

    def _odds(self, text: str, labels: Sequence[str]) -> Odds:
        asked = re.search(r"What is (\d+) \+ (\d+)\?", text)
        assert asked is not None
        total = int(asked[1]) + int(asked[2])
        good = {name: said == f"{asked[1]} + {asked[2]} is {total}." for name, _, said in QUOTE.findall(text)}
        named = [re.sub(r"^Verdict \d+: ", "", label) for label in labels]
        likely = [self._fits(name, good, last=name == named[-1]) for name in named]
        return Odds(tuple([-0.1 if fits else -5.0 for fits in likely]))

    def _fits(self, label: str, good: dict[str, bool], *, last: bool) -> bool:
        if ">" in label or "=" in label:
            a, b = label[0], label[-1]
            return good[a] > good[b] if ">" in label else good[a] == good[b]
        if label in good:
            return good[label] and not all(good.values())
        if label == "tie":
            return good["A"] == good["B"]
        return last == all(good.values())


def test_every_prompt_is_asked_and_what_is_wrong_does_not_pass(script: Any, capsys: pytest.CaptureFixture[str]) -> None:
    rows = script.measured(script.by_local(Knows()), script.questions(2))
    assert list(rows) == ["pointwise", "pairwise", "listwise", "correctness", "rubric", "critic"]
    for name, row in rows.items():
        assert row["passed"]["right answer"] == 1, name
        assert [row["passed"][kind] for kind in (script.WRONG, script.KEY, script.FORGED)] == [0, 0, 0], name
        assert all(judged == asked > 0 for judged, asked in row["judged"].values()), name
    assert capsys.readouterr().out.count("master key") == 2 * len(rows)


def test_a_ranking_is_the_likeliest_one_under_the_code_of_the_question(script: Any) -> None:
    seen: list[list[str]] = []

    class Likes:
        def label_odds(self, prompts: Sequence[Prompt], labels: Sequence[str], /) -> list[Odds]:
            seen.append(list(labels))
            return [Odds((-3.0, -1.0, -2.0)) for _ in prompts]

    judge = script.listwise(script.LikeliestRanking(Likes()), orders=1)
    scores = judge(script.questions(1))
    assert sorted(scores.values.tolist()) == [0, 1]
    (ways,) = seen
    code = re.fullmatch(r"Verdict (\d+): A > B", ways[0])
    assert code is not None
    assert ways[1:] == [f"Verdict {code[1]}: B > A", f"Verdict {code[1]}: A = B"]


def test_what_is_no_question_for_a_ranking_of_two_and_a_model_without_odds(script: Any) -> None:
    class Silent:
        def label_odds(self, prompts: Sequence[Prompt], labels: Sequence[str], /) -> list[Odds]:
            return [Odds((math.nan,) * len(labels), Status.UNAVAILABLE, "gives none") for _ in prompts]

    ranking = script.LikeliestRanking(Silent())
    prompt: tuple[Message, ...] = messages_of("Which is best?", "user")
    assert ranking.answer([prompt])[0][0].status is Status.INVALID
    scores = script.listwise(ranking, orders=1)(script.questions(1))
    assert set(scores.status) == {Status.UNAVAILABLE}
