import pytest
import torch

from assay.models.heads.marked import MarkedHead
from assay.models.outputs import States


def test_each_attribute_is_the_product_with_its_own_state():
    head = MarkedHead(4, ("VQ", "MQ", "TA"), weights=(1.0, 0.5, 0.0), seed=1)
    hidden = torch.randn(6, 4)
    found = head(States(hidden, (3, 3)))
    weight = head.linear.weight.detach()
    for row in range(2):
        for place in range(3):
            torch.testing.assert_close(found.attributes[row, place].detach(), weight[place] @ hidden[3 * row + place])
    torch.testing.assert_close(found.values, found.attributes[:, 0] + 0.5 * found.attributes[:, 1])
    assert found.names == ("VQ", "MQ", "TA")


def test_a_sequence_read_another_number_of_times_has_no_number_and_no_gradient():
    head = MarkedHead(4, ("a", "b"))
    hidden = torch.randn(7, 4, requires_grad=True)
    found = head(States(hidden, (2, 3, 0, 2)))
    assert found.values.isnan().tolist() == [False, True, True, False]
    found.values[[0, 3]].sum().backward()
    assert hidden.grad[2:5].abs().sum() == 0
    assert (hidden.grad[[0, 1, 5, 6]].abs().sum(1) > 0).all()


def test_no_bias_and_the_same_from_its_options():
    head = MarkedHead(4, ("a", "b"), weights=(0.2, 0.8), seed=3)
    again = MarkedHead(**head.options())
    states = States(torch.randn(4, 4), (2, 2))
    assert torch.equal(head(states).values, again(states).values)
    assert head(States(torch.zeros(2, 4), (2,))).values.item() == 0.0


@pytest.mark.parametrize(("names", "weights"), [((), ()), (("a", "a"), ()), (("a", "b"), (1.0,))])
def test_names_and_weights_must_fit(names, weights):
    with pytest.raises(ValueError, match=r"name|weights"):
        MarkedHead(4, names, weights=weights)
