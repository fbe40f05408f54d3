"""Fitting a stack: a small net over the scores of other rewards, by any supervision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from assay.models.outputs import Outputs
from assay.records import Record
from assay.rewards.base import Reward, expected_ids, score
from assay.rewards.stacked import Stacked, StackNet
from assay.scores import Scores
from assay.training.supervision import Supervision
from assay.transforms.combine import stacked


def fit_stack(
    members: Mapping[str, Reward],
    records: Sequence[Record],
    supervision: Supervision,
    *,
    scores: Sequence[Scores] | None = None,
    width: int = 0,
    decay: float = 0.01,
    fewest: int | None = None,
    iterations: int = 100,
    seed: int = 0,
) -> Stacked:
    """A stack at the minimum of ``mean_i loss_i + decay / 2 ||weights||^2``, by L-BFGS; biases are not decayed.

    ``scores`` are the members' scores of ``records``. A member that learned from these records is surer of them than it
    will be of others: give scores that each record got from a member fitted without it (`cross_fitted` and inner folds
    make them). Without ``scores`` the members are asked. Responses that fewer than ``fewest`` members judged take no
    part. With ``width`` 0 the minimum of a convex objective is unique; otherwise the net starts from ``seed``.

    Raises:
        ValueError: scores of other responses or of another number of members; no usable feedback.
    """
    said = [score(member, records) for member in members.values()] if scores is None else list(scores)
    if len(said) != len(members) or any(each.ids != expected_ids(records) for each in said):
        raise ValueError(f"{len(members)} members need the scores of each for these records, in their order")
    net = StackNet(len(members), width=width, seed=seed)
    stack = Stacked(members, net, fewest=fewest)
    values, present = stacked(said)
    net.observe(values, present)
    asked = present.sum(0) >= stack.fewest
    weights = [weight for name, weight in net.named_parameters() if name.endswith("weight")]
    optimiser = torch.optim.LBFGS(
        net.parameters(), max_iter=iterations, history_size=20, tolerance_grad=1e-7, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        made = torch.where(asked, net(values, present), torch.nan)
        items = supervision(Outputs(made), records).items
        if not items.numel():
            raise ValueError("no record has feedback that this supervision can use: there is nothing to fit")
        penalty = torch.stack([weight.square().sum() for weight in weights]).sum()
        total = items.mean() + 0.5 * decay * penalty
        total.backward()
        return total.detach()

    with torch.enable_grad():
        optimiser.step(closure)  # pyright: ignore[reportArgumentType] -- its stub wants a float, it takes a tensor
    optimiser.zero_grad()
    return stack
