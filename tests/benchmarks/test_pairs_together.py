import pytest
import torch

from assay.benchmarks.consistency import contrast_consistency, item_accuracy


def test_an_item_counts_when_all_its_pairs_are_right():
    right = torch.tensor([1, 1, 1, 0, 1.0, 0.5])
    item = torch.tensor([7, 7, 2, 2, 5, 9])
    assert item_accuracy(right, item) == 0.5
    assert item_accuracy(torch.tensor([True]), torch.tensor([3])) == 1.0
    for bad in ((torch.ones(2), torch.zeros(3)), (torch.ones(0), torch.zeros(0, dtype=torch.long))):
        with pytest.raises(ValueError, match="one item a pair"):
            item_accuracy(*bad)


def test_contrasts_compare_along_each_side():
    told = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    found = contrast_consistency(told)
    assert (found.responses, found.instructions, found.mean, found.quadruples) == (1.0, 1.0, 1.0, 1)
    by_answer = torch.tensor([[[1.0, 0.0], [1.0, 0.0]]])  # an answer's score, whatever was asked
    found = contrast_consistency(by_answer)
    assert (found.responses, found.instructions) == (0.5, 0.5)
    by_question = torch.tensor([[[3.0, 2.0], [0.0, 1.0]]])  # q is always scored higher
    found = contrast_consistency(by_question)
    assert (found.responses, found.instructions) == (1.0, 0.5)


def test_a_quadruple_with_an_abstention_is_left_out():
    scores = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, torch.nan]]])
    assert contrast_consistency(scores).quadruples == 1
    with pytest.raises(ValueError, match="four scores"):
        contrast_consistency(scores[1:])
    with pytest.raises(ValueError, match="quadruples"):
        contrast_consistency(torch.zeros(3, 2))
