"""Adaptive gradient modulation: the modality that runs ahead is slowed, and the one behind is learned better."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.claims.base import Check, Outcome
from assay.claims.paired import differences, world
from assay.training.gradients import GradientModulation, modality_shapley

_WIDTH, _ROWS, _HELD_OUT, _STEPS, _RATE, _CLEAR, _FAINT = 10, 300, 2000, 100, 0.03, 2.0, 1.0


@final
class _Fusion(nn.Module):
    """Two encoders and a layer over both: logits ``[rows, 2]``."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoders = nn.ModuleDict({name: nn.Linear(_WIDTH, 16) for name in ("sound", "sight")})
            self.joined = nn.Linear(32, 16)
            self.last = nn.Linear(16, 2)

    def forward(self, inputs: Mapping[str, Tensor]) -> Tensor:
        each = [torch.relu(encoder(inputs[name])) for name, encoder in self.encoders.items()]
        return self.last(torch.relu(self.joined(torch.cat(each, -1))))


def claim(seeds: Sequence[int], sabotage: bool = False) -> Outcome:
    """A clear and a faint modality, both of which tell the class. Trained with modulation of the gradient through each
    one's share, and without; then each modality is probed with the other one zero.

    Sabotage: the modality behind is slowed instead of the one ahead.
    """
    found = [_one(seed, sabotage) for seed in seeds]
    probed, plain_probed, joint, plain_joint, left = (tuple(column) for column in zip(*found, strict=True))
    return Outcome(
        figures={
            "accuracy of one modality, mean of both, modulated": probed,
            "accuracy of one modality, mean of both, plain": plain_probed,
            "accuracy of both, modulated": joint,
            "accuracy of both, plain": plain_joint,
        },
        checks=(
            Check("accuracy of one modality gained", differences(probed, plain_probed), at_least=0.001),
            Check("accuracy of both gained", differences(joint, plain_joint), at_least=-0.005),
            Check("output less the sum of its shares", left, at_most=1e-5),
        ),
        notes=("the effect is small, and that on both modalities together is not claimed",),
    )


def _one(seed: int, sabotage: bool) -> tuple[float, ...]:
    generator = world(seed)
    clear, faint = nn.functional.normalize(torch.randn(2, _WIDTH, generator=generator), dim=-1)
    train, labels = _drawn(clear, faint, _ROWS, generator)
    held_out, held_labels = _drawn(clear, faint, _HELD_OUT, generator)
    model, plain = _Fusion(seed), _Fusion(seed)
    modulation = GradientModulation(-1.0 if sabotage else 1.0)
    nothing = {name: torch.zeros_like(tensor) for name, tensor in train.items()}

    def modulated() -> Tensor:
        shares = modality_shapley(model, train)
        own = {name: F.cross_entropy(share.detach(), labels) for name, share in shares.items()}
        return F.cross_entropy(modulation.apply(shares, modulation.coefficients(own)) + model(nothing), labels)

    _descend(model, modulated)
    _descend(plain, lambda: F.cross_entropy(plain(train), labels))
    with torch.no_grad():
        shares = modality_shapley(model, held_out)
        empty = {name: torch.zeros_like(tensor) for name, tensor in held_out.items()}
        left = (model(held_out) - model(empty) - sum(shares.values())).abs().max()
        return (
            _probed(model, held_out, held_labels),
            _probed(plain, held_out, held_labels),
            _accuracy(model, held_out, held_labels),
            _accuracy(plain, held_out, held_labels),
            float(left),
        )


def _descend(model: _Fusion, loss: Callable[[], Tensor]) -> None:
    """Plain gradient descent: Adam would undo a constant factor on a gradient."""
    optimizer = torch.optim.SGD(model.parameters(), lr=_RATE, momentum=0.9, foreach=True)
    for _ in range(_STEPS):
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()


def _probed(model: _Fusion, inputs: Mapping[str, Tensor], labels: Tensor) -> float:
    each = [
        _accuracy(model, {name: tensor * (name == kept) for name, tensor in inputs.items()}, labels) for kept in inputs
    ]
    return sum(each) / len(each)


def _accuracy(model: _Fusion, inputs: Mapping[str, Tensor], labels: Tensor) -> float:
    return float((model(inputs).argmax(-1) == labels).float().mean())


def _drawn(clear: Tensor, faint: Tensor, rows: int, generator: torch.Generator) -> tuple[dict[str, Tensor], Tensor]:
    labels = (torch.rand(rows, generator=generator) < 0.5).long()
    sign = (2.0 * labels - 1.0)[:, None]
    noise = torch.randn(2, rows, _WIDTH, generator=generator)
    return {"sight": noise[0] + _CLEAR * sign * clear, "sound": noise[1] + _FAINT * sign * faint}, labels
