"""Surface variants, the corners among them, and a reward averaged over them."""

import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from assay.media import Image
from assay.perturb.variants import hull_select, misspelt, surface_variants, synonyms
from assay.records import Record, Response
from assay.rewards.base import chain, score, scores_of, spec_of
from assay.rewards.fused import neighbour_fused, surface_neighbours
from assay.scores import Status

TEXT = "The quick brown fox jumps over the lazy dog and then sleeps under a large green tree until evening comes"


@given(st.text("abcdefgh", min_size=4, max_size=9), st.integers(0, 99))
def test_a_misspelling_keeps_the_first_letter_and_changes_at_most_one_place(word: str, seed: int) -> None:
    found = misspelt(word, random.Random(seed))
    assert found is not None
    assert found != word
    assert found[0] == word[0]
    assert abs(len(found) - len(word)) <= 1


def test_variants_differ_from_the_text_and_each_other_in_few_words() -> None:
    found = surface_variants(TEXT, 5, share=0.1)
    assert len(set(found)) == 5
    for variant in found:
        changed = sum(a != b for a, b in zip(TEXT.split(), variant.split(), strict=True))
        assert 1 <= changed <= 2
    assert surface_variants(TEXT, 5, share=0.1) == found
    assert surface_variants(TEXT, 5, share=0.1, seed=1) != found
    assert surface_variants("a bc", 5) == []
    assert surface_variants("", 5) == []
    assert surface_variants(TEXT, 0) == []
    with pytest.raises(ValueError, match="share"):
        surface_variants(TEXT, 1, share=2.0)


def test_synonyms_keep_the_capital() -> None:
    by = synonyms({"quick": ["fast"], "the": ["The"]})
    assert by("Quick", random.Random(0)) == "Fast"
    assert by("The", random.Random(0)) is None
    assert surface_variants("The quick fox", 3, by=[by]) == ["The fast fox"]


def test_corners_of_the_hull_are_kept_and_mixtures_left() -> None:
    square = np.array([[0.0, 0.0], [4.0, 0.0], [4.0, 2.0], [0.0, 2.0], [2.0, 1.0], [1.0, 1.5]])
    turned, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(5, 2)))
    assert hull_select(square @ turned.T + 3) == [0, 1, 2, 3]
    line = np.outer([1.0, 5.0, -2.0, 0.0], np.ones(3))
    assert hull_select(line) == [1, 2]
    assert hull_select(np.zeros((2, 3))) == [0, 1]
    assert len(hull_select(np.ones((4, 3)))) <= 2
    assert hull_select(np.array([[1.0], [3.0], [2.0]])) == [0, 1]
    with pytest.raises(ValueError, match="finite"):
        hull_select(np.array([[math.nan, 1.0]]))


def length(records):
    """A reward of the number of characters; it refuses what holds a question mark."""
    texts = [response.text for record in records for response in record.responses]
    values = [math.nan if "?" in text else float(len(text)) for text in texts]
    status = [Status.REFUSED if "?" in text else Status.OK for text in texts]
    return scores_of(records, values, status, ["no" if s is Status.REFUSED else "" for s in status])


def neighbours(record, index):
    text = record.responses[index].text
    return [(Response.of(text + "xx"), 0.5), (Response.of(text + "?"), 1.0)] if text.startswith("a") else []


RECORDS = [Record.of("p", ["ab", "b", "a?"], id="p"), Record.of("q", ["aaaa"], id="q"), Record.of("r", [], id="r")]


def test_the_fused_score_is_the_weighted_mean_over_judged_copies() -> None:
    fused = score(neighbour_fused(length, neighbours), RECORDS)
    assert fused.ids == ("p/0", "p/1", "p/2", "q/0")
    assert fused.values[[0, 1, 3]].tolist() == pytest.approx([(2 + 0.5 * 4) / 1.5, 1.0, (4 + 0.5 * 6) / 1.5])
    assert fused.status[2] is Status.REFUSED
    assert fused.messages[2] == "no"
    assert not spec_of(neighbour_fused(length, neighbours)).differentiable


def test_without_neighbours_nothing_changes_and_it_prints_what_made_it() -> None:
    alone = neighbour_fused(length, lambda record, index: [])
    assert torch.equal(score(alone, RECORDS).filled(), score(length, RECORDS).filled())
    assert repr(neighbour_fused(length, surface_neighbours(3))) == (
        "neighbour_fused(length, surface_neighbours(3, similarity=1.0, seed=0))"
    )
    assert len(score(neighbour_fused(length, surface_neighbours()), [])) == 0


def test_fusion_averages_an_error_of_spelling_out() -> None:
    """A reward whose error depends on the exact spelling: fused, it orders responses better."""
    rng = np.random.default_rng(0)
    words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"]
    quality = {word: float(q) for word, q in zip(words, rng.normal(size=8), strict=True)}

    def truth(text: str) -> float:
        return sum(quality[word] for word in text.split())

    def rough(records):
        found = []
        for record in records:
            for response in record.responses:
                known = sum(q for word, q in quality.items() if word[:2] in response.text)
                found.append(known + 2.0 * random.Random(response.text).gauss(0, 1))
        return scores_of(records, found)

    records = []
    for i in range(150):
        first, second = (" ".join(rng.choice(words, 4, replace=False)) for _ in range(2))
        records.append(Record.of("p", [first, second], id=str(i)))

    def accuracy(reward) -> float:
        values = score(reward, records).values.reshape(-1, 2)
        right = [
            (truth(r.responses[0].text) > truth(r.responses[1].text)) == bool(a > b)
            for r, (a, b) in zip(records, values, strict=True)
        ]
        return float(np.mean(right))

    fused = chain(neighbour_fused(rough, surface_neighbours(8)))
    assert accuracy(fused) > accuracy(rough) + 0.05


def test_a_medium_in_the_response_stays_in_its_copies() -> None:
    response = Response.of([Image.from_bytes(b"x"), "some longer words here"])
    copies = surface_neighbours(2)(Record.of("p", [response]), 0)
    assert all(copy.messages[0].parts[0] == response.messages[0].parts[0] for copy, _ in copies)
    assert len({copy.text for copy, _ in copies}) == 2
