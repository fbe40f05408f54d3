"""Golden values and missing cells of the objectives of steps, tokens and spans."""

import math

import pytest
import torch
import torch.nn.functional as F

from assay.objectives import pointwise, stepwise
from assay.objectives.stepwise import UNLABELLED, classification, segment_end_labels, token_classification

NAN = math.nan


def f64(values: object) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


@pytest.mark.parametrize("objective", [stepwise.binary_cross_entropy, stepwise.squared_error])
def test_padding_and_unlabelled_steps_cost_nothing(objective) -> None:
    steps = f64([[0.5, -1.0, NAN], [2.0, NAN, NAN]]).requires_grad_()
    labels = f64([[1.0, NAN, NAN], [0.25, NAN, NAN]])
    loss = objective(steps, labels)
    loss.sum().backward()
    assert loss.shape == steps.shape
    assert float(loss[:, 1:].abs().sum()) == 0.0
    assert steps.grad is not None
    assert float(steps.grad[:, 1:].abs().sum()) == 0.0
    assert bool((steps.grad[:, 0] != 0).all())


def test_step_losses_are_those_of_ratings_in_logits_and_of_probabilities() -> None:
    steps, labels = f64([0.5, -1.0]), f64([0.8, 0.1])
    assert torch.equal(stepwise.binary_cross_entropy(steps, labels), pointwise.binary_cross_entropy(steps, labels))
    assert torch.allclose(stepwise.squared_error(steps, labels), (steps.sigmoid() - labels).square(), atol=1e-15)


def test_classification_is_cross_entropy_that_skips_unlabelled_positions() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, dtype=torch.float64).requires_grad_()
    labels = torch.tensor([[0, 2, UNLABELLED, 1], [UNLABELLED] * 4])
    expected = F.cross_entropy(logits.transpose(1, 2), labels, reduction="none")
    loss = classification(logits, labels)
    assert torch.allclose(loss, expected, atol=1e-14)
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    assert float(gradient[1].abs().sum()) == 0.0


def test_class_weights_and_nan_logits_of_unlabelled_positions() -> None:
    logits = f64([[0.1, 0.2], [NAN, NAN]]).requires_grad_()
    loss = classification(logits, torch.tensor([1, UNLABELLED]), class_weight=f64([1.0, 3.0]))
    loss.sum().backward()
    assert float(loss[0]) == pytest.approx(3 * math.log(1 + math.exp(-0.1)), abs=1e-12)
    assert logits.grad is not None
    assert logits.grad[1].tolist() == [0.0, 0.0]


def test_a_label_that_is_no_class_is_refused() -> None:
    with pytest.raises(ValueError, match="label 3 is no class of 3"):
        classification(torch.zeros(2, 3), torch.tensor([0, 3]))
    with pytest.raises(ValueError, match="label -1"):
        classification(torch.zeros(1, 3), torch.tensor([-1]))


def test_a_response_is_the_mean_over_its_labelled_tokens() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 4, 3, dtype=torch.float64)
    labels = torch.tensor([[0, 2, UNLABELLED, 1], [UNLABELLED] * 4])
    each = classification(logits, labels)
    assert torch.allclose(token_classification(logits, labels), f64([float(each[0].sum()) / 3, 0.0]), atol=1e-14)


def test_labels_sit_at_the_ends_of_segments() -> None:
    found = segment_end_labels([(0, 3), (3, 5), (6, 8)], [1, 0, 2], 8)
    assert found.tolist() == [UNLABELLED, UNLABELLED, 1, UNLABELLED, 0, UNLABELLED, UNLABELLED, 2]
    assert segment_end_labels([], [], 2).tolist() == [UNLABELLED] * 2


@pytest.mark.parametrize("spans", [[(0, 0)], [(2, 1)], [(0, 9)], [(-1, 2)], [(0, 3), (1, 3)]])
def test_segments_that_are_none_are_refused(spans) -> None:
    with pytest.raises(ValueError, match="span"):
        segment_end_labels(spans, [0] * len(spans), 8)
    with pytest.raises(ValueError, match="1 spans but 2 labels"):
        segment_end_labels([(0, 1)], [0, 1], 8)
