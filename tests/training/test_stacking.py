"""A stack of rewards: better than its members, told who abstained, fitted by any supervision, saved and loaded."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from assay.benchmarks.base import pairs_of
from assay.metrics import floats
from assay.models.checkpoint import CheckpointError
from assay.models.scratch import Size, text_backbone, word_tokenizer
from assay.objectives.pairwise import bradley_terry
from assay.objectives.pointwise import squared_error
from assay.records import Preference, Rating, Record
from assay.rewards.base import scores_of
from assay.rewards.learned import LearnedReward
from assay.rewards.load import load
from assay.rewards.stacked import MANIFEST, Stacked, StackNet
from assay.scores import Scores, Status
from assay.training.stacking import fit_stack
from assay.training.supervision import supervise

WORDS = ["good", "bad", "big", "old"]


def good(records) -> Scores:
    return scores_of(records, [float(r.text.count("good")) for record in records for r in record.responses])


def bad(records) -> Scores:
    return scores_of(records, [100.0 + 10 * r.text.count("bad") for record in records for r in record.responses])


def knows_old(records) -> Scores:
    """Abstains on a response that does not speak of what is old."""
    texts = [response.text for record in records for response in record.responses]
    status = [Status.OK if "old" in text else Status.INVALID for text in texts]
    values = [1.0 if "old" in text else float("nan") for text in texts]
    return scores_of(records, values, status, ["" if "old" in text else "nothing old" for text in texts])


def truth(text: str) -> float:
    return text.count("good") - 0.5 * text.count("bad") + 2.0 * ("old" in text)


def records(count: int, seed: int, *, old: bool = False) -> list[Record]:
    chance = random.Random(seed)
    made: list[Record] = []
    while len(made) < count:
        texts = [" ".join(chance.choices(WORDS if old else WORDS[:3], k=4)) for _ in range(2)]
        if truth(texts[0]) != truth(texts[1]):
            order = (0, 1) if truth(texts[0]) > truth(texts[1]) else (1, 0)
            feedback = [Preference(*order), *(Rating(row, truth(text)) for row, text in enumerate(texts))]
            made.append(Record.of("q", texts, id=f"{seed}-{len(made)}", feedback=feedback))
    return made


def only(found: list[Record], kind: type) -> list[Record]:
    kept = [tuple(item for item in record.feedback if isinstance(item, kind)) for record in found]
    return [Record(r.id, r.prompt, r.responses, own) for r, own in zip(found, kept, strict=True)]


def right(reward, asked: list[Record]) -> float:
    return float(np.nanmean(pairs_of(asked).outcomes(floats(reward(asked).values))))


def test_a_stack_is_better_than_each_member():
    learned, asked = only(records(80, 0), Preference), only(records(80, 1), Preference)
    stack = fit_stack({"good": good, "bad": bad}, learned, supervise(bradley_terry), decay=1e-3)
    assert right(stack, asked) > 0.99 > 0.95 > max(right(good, asked), right(bad, asked))


def test_without_a_hidden_layer_it_is_logistic_regression_of_standardised_scores():
    learned, decay = only(records(60, 2), Preference), 0.05
    stack = fit_stack({"good": good, "bad": bad}, learned, supervise(bradley_terry), decay=decay)
    x = np.stack([floats(member(learned).values) for member in (good, bad)], axis=1)
    x = ((x - x.mean(0)) / x.std(0)).reshape(len(learned), 2, 2)
    better = np.array([record.feedback[0].better for record in learned])
    gap = x[np.arange(len(learned)), better] - x[np.arange(len(learned)), 1 - better]
    model = LogisticRegression(C=1 / (2 * decay * len(learned)), fit_intercept=False, tol=1e-8)
    model.fit(np.vstack([gap, -gap]), np.repeat([1, 0], len(learned)))
    assert stack.net.outer.weight[0, :2].tolist() == pytest.approx(model.coef_[0].tolist(), rel=1e-3)
    assert stack.net.outer.weight[0, 2:].tolist() == [0.0, 0.0]


def test_any_supervision_fits_it():
    learned = only(records(60, 3), Rating)
    stack = fit_stack({"good": good, "bad": bad}, learned, supervise(squared_error), decay=1e-6)
    expected = [truth(response.text) for record in learned for response in record.responses]
    assert stack(learned).values.tolist() == pytest.approx(expected, abs=1e-2)


def test_that_a_member_abstained_is_said_or_the_row_abstains():
    learned = only(records(100, 4, old=True), Preference)
    members = {"good": good, "bad": bad, "old": knows_old}
    told = fit_stack(members, learned, supervise(bradley_terry), decay=1e-3, fewest=2)
    assert right(told, only(records(100, 5, old=True), Preference)) > 0.97
    assert all(status is Status.OK for status in told(learned).status)
    strict = fit_stack(members, learned, supervise(bradley_terry), decay=1e-3)
    scores = strict(learned)
    spoken = ["old" in response.text for record in learned for response in record.responses]
    assert [status is Status.OK for status in scores.status] == spoken
    row = spoken.index(False)
    assert (scores.status[row], scores.messages[row]) == (Status.INVALID, "nothing old")
    assert np.isnan(float(scores.values[row]))


def test_given_scores_are_what_is_learned_from():
    learned = only(records(60, 6), Preference)
    swapped = [bad(learned), good(learned)]
    stack = fit_stack({"good": good, "bad": bad}, learned, supervise(bradley_terry), scores=swapped)
    first, second = stack.net.outer.weight[0, :2].tolist()
    assert first < 0 < second
    with pytest.raises(ValueError, match="in their order"):
        fit_stack({"good": good, "bad": bad}, learned, supervise(bradley_terry), scores=[good(learned)])
    with pytest.raises(ValueError, match="nothing to fit"):
        fit_stack({"good": good}, [record.view() for record in learned], supervise(bradley_terry))


def test_a_hidden_layer_learns_what_no_sum_can():
    def first(rows) -> Scores:
        return scores_of(rows, [float(r.text.split()[0] == "good") for record in rows for r in record.responses])

    def last(rows) -> Scores:
        return scores_of(rows, [float(r.text.split()[-1] == "good") for record in rows for r in record.responses])

    texts = ["good good", "bad bad", "good bad", "bad good"]
    rated = [Rating(0, 0.0), Rating(1, 0.0), Rating(2, 1.0), Rating(3, 1.0)]
    learned = [Record.of("q", texts, id="x", feedback=rated)]
    members = {"first": first, "last": last}
    plain = fit_stack(members, learned, supervise(squared_error), decay=1e-6)
    deep = fit_stack(members, learned, supervise(squared_error), width=8, decay=1e-6, iterations=300)
    assert plain(learned).values.tolist() == pytest.approx([0.5] * 4, abs=1e-2)
    assert deep(learned).values.tolist() == pytest.approx([0.0, 0.0, 1.0, 1.0], abs=0.05)


def test_saved_and_loaded_with_a_learned_member(tmp_path):
    learned = only(records(30, 7), Preference)
    own = LearnedReward.fresh(text_backbone(word_tokenizer(WORDS), Size(hidden=8, layers=1)))
    stack = fit_stack({"learned": own, "good": good}, learned, supervise(bradley_terry), width=4)
    place = stack.save(tmp_path / "stack")
    loaded = Stacked.load(place, {"good": good})
    assert loaded(learned).values.tolist() == pytest.approx(stack(learned).values.tolist(), abs=1e-5)
    with pytest.raises(CheckpointError, match=r"'good' .* was not written"):
        Stacked.load(place)
    with pytest.raises(CheckpointError, match="was good, bad was given"):
        Stacked.load(place, {"good": bad})
    alone = fit_stack({"learned": own}, learned, supervise(bradley_terry)).save(tmp_path / "alone")
    assert isinstance(load(alone), Stacked)
    (place / MANIFEST).write_text("{}")
    with pytest.raises(CheckpointError, match="not a saved stack"):
        Stacked.load(place, {"good": good})


def test_what_cannot_be_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        Stacked({}, StackNet(1))
    with pytest.raises(ValueError, match="at most all"):
        Stacked({"good": good}, StackNet(1), fewest=2)
    (tmp_path / "mine.txt").write_text("kept")
    with pytest.raises(FileExistsError, match="left alone"):
        Stacked({"good": good}, StackNet(1)).save(tmp_path)
    assert torch.equal(StackNet(2, width=3, seed=1).outer.weight, StackNet(2, width=3, seed=1).outer.weight)
