"""Tools that act on gradients: weights of several losses, shares of modalities, a step that looks ahead."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from typing import Any, TypeAlias, cast, final

import torch
from torch import Tensor, nn

Normalise: TypeAlias = Callable[[Tensor], Tensor]
"""Gradients ``[losses, parameters]`` to gradients of comparable size."""

Inputs: TypeAlias = Mapping[str, Tensor]
MOST_MODALITIES = 4


def by_norm(gradients: Tensor) -> Tensor:
    """Each gradient at unit length; one that is zero stays zero."""
    length = gradients.norm(dim=1, keepdim=True)
    return gradients / torch.where(length > 0, length, 1.0)


def by_loss(losses: Tensor) -> Normalise:
    """Each gradient divided by its loss ``[losses]``, which must be positive where the gradient is to count."""

    def normalise(gradients: Tensor) -> Tensor:
        return gradients / torch.where(losses > 0, losses, torch.inf).detach().unsqueeze(1)

    return normalise


def min_norm_weights(gradients: Tensor, normalise: Normalise | None = None, *, steps: int = 1000) -> Tensor:
    """The weights ``[losses]`` on the simplex that minimise ``|sum_k w_k g_k|``, for ``gradients`` ``[losses, P]``.

    A step against that sum improves every loss, or none can improve without another getting worse. Two losses have a
    closed form: ``w_1 = clamp((g_2 - g_1) . g_2 / |g_1 - g_2|^2, 0, 1)``. More are solved by Frank-Wolfe with pairwise
    steps and exact line search, in float64, until the duality gap is 1e-12 of the largest squared norm. Equal
    gradients share their weight.

    Raises:
        ValueError: no gradient, one that is not finite, or not a matrix.

    Sources: Desideri, 2012; Sener and Koltun, 2018, arXiv 1810.04650; of reward models: Zeng et al. (MORE), 2023,
    arXiv 2312.07401.
    """
    if gradients.dim() != 2 or not gradients.shape[0]:
        raise ValueError(f"gradients are [losses, parameters], at least one loss; got {tuple(gradients.shape)}")
    rows = gradients.detach().double()
    if not bool(torch.isfinite(rows).all()):
        raise ValueError("a gradient is not finite")
    rows = rows if normalise is None else normalise(rows)
    count = rows.shape[0]
    products = rows @ rows.T
    weights = torch.full((count,), 1.0 / count, dtype=torch.float64, device=rows.device)
    if count == 2:
        apart = float(products[0, 0] + products[1, 1] - 2 * products[0, 1])
        if apart > 0:
            first = min(max(float(products[1, 1] - products[0, 1]) / apart, 0.0), 1.0)
            weights = torch.tensor([first, 1.0 - first], dtype=torch.float64, device=rows.device)
    elif count > 2:
        weights = _frank_wolfe(products, weights, steps)
    return weights.to(gradients.dtype)


def _frank_wolfe(products: Tensor, weights: Tensor, steps: int) -> Tensor:
    enough = 1e-12 * float(products.diagonal().max())
    for _ in range(steps):
        slope = products @ weights
        best = int(slope.argmin())
        if float(slope @ weights - slope[best]) <= enough:
            break
        worst = int(torch.where(weights > 0, slope, -torch.inf).argmax())
        curve = float(products[best, best] + products[worst, worst] - 2 * products[best, worst])
        free = float(weights[worst])
        moved = min(float(slope[worst] - slope[best]) / curve, free) if curve > 0 else free
        weights = weights.clone()
        weights[best] += moved
        weights[worst] = 0.0 if moved == free else free - moved
    return weights


def gradients_of(losses: Sequence[Tensor], weights: Sequence[Tensor]) -> Tensor:
    """The gradients of scalar ``losses`` in ``weights``, flat: ``[losses, parameters]``; the graph is kept.

    A loss or weight without a path between them has a gradient of 0.
    """
    rows: list[Tensor] = []
    for loss in losses:
        if loss.requires_grad:
            found = torch.autograd.grad(loss, weights, retain_graph=True, allow_unused=True, materialize_grads=True)
        else:
            found = [torch.zeros_like(weight) for weight in weights]
        rows.append(torch.cat([gradient.flatten() for gradient in found]))
    return torch.stack(rows)


@final
class MinNorm:
    """Weights of several losses from a running mean of their gradients: ``m_k <- momentum m_k + (1 - momentum) g_k``,
    then `min_norm_weights` of ``m``.

    Called with ``gradients`` ``[losses, parameters]`` and, where not every loss occurs each time, ``present`` bool
    ``[losses]``; an absent loss gets weight 0 and the others sum to 1. The state is saved and restored.
    The mean starts at the first gradient of each loss. Source: MORE, 2023, arXiv 2312.07401, whose code keeps 0.01 of
    the mean and takes 0.99 of the new gradient; weights from a slow mean lag behind the head and are worse than equal
    ones.
    """

    def __init__(self, momentum: float = 0.01, normalise: Normalise | None = None) -> None:
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum lies in 0..1 (1 excluded), got {momentum}")
        self.momentum, self.normalise = momentum, normalise
        self.mean: Tensor | None = None
        self.seen: Tensor | None = None

    def __call__(self, gradients: Tensor, present: Tensor | None = None) -> Tensor:
        """``[losses]``, at least 0, summing to 1 over the losses that are present."""
        there = torch.ones(len(gradients), dtype=torch.bool) if present is None else present.cpu()
        rows = gradients.detach()
        if self.mean is None or self.seen is None:
            self.mean, self.seen = torch.zeros_like(rows), torch.zeros(len(rows), dtype=torch.bool)
        self.mean = self.mean.to(rows)
        keep = torch.where(self.seen, self.momentum, 0.0).to(rows).unsqueeze(1)
        updated = keep * self.mean + (1.0 - keep) * rows
        self.mean = torch.where(there.to(rows.device).unsqueeze(1), updated, self.mean)
        self.seen = self.seen | there
        weights = torch.zeros(len(rows), dtype=rows.dtype, device=rows.device)
        if bool(there.any()):
            rate = there.to(rows.device)
            weights[rate] = min_norm_weights(self.mean[rate], self.normalise)
        return weights

    def state_dict(self) -> dict[str, Any]:
        """The running means, and which losses they know."""
        return {"mean": self.mean, "seen": self.seen}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.mean, self.seen = state["mean"], state["seen"]


def modality_shapley(
    f: Callable[[Inputs], Tensor], inputs: Inputs, baseline: Inputs | None = None
) -> dict[str, Tensor]:
    """What each modality adds to ``f(inputs)``, exactly: ``phi_m`` of the shape of ``f``, differentiable.

    ``phi_m = sum_S |S|! (M - |S| - 1)! / M! [f(S + m) - f(S)]`` over the subsets S of the other modalities; those that
    are left out are replaced by ``baseline`` (zeros). The shares add up to ``f(inputs) - f(baseline)``. ``f`` is called
    once a subset, ``2^M`` times. A module has its padded passes in eval mode, so that they do not move the statistics
    of its normalisation layers; the whole input passes in the mode the module is in.

    Raises:
        ValueError: no modality, more than four, or a baseline of other modalities.

    Sources: Shapley, 1953; of modalities: Li et al. (AGM), 2023, arXiv 2308.07686.
    """
    names = list(inputs)
    if not 1 <= len(names) <= MOST_MODALITIES:
        raise ValueError(f"{len(names)} modalities; exact shares are computed for 1 to {MOST_MODALITIES}")
    empty = {name: torch.zeros_like(tensor) for name, tensor in inputs.items()} if baseline is None else baseline
    if set(empty) != set(names):
        raise ValueError(f"the baseline has {sorted(empty)}, the inputs {sorted(names)}")
    found: dict[frozenset[str], Tensor] = {frozenset(names): f(inputs)}
    with _evaluating(f):
        for size in range(len(names)):
            for kept in combinations(names, size):
                found[frozenset(kept)] = f({name: inputs[name] if name in kept else empty[name] for name in names})
    return {name: _share(name, names, found) for name in names}


def _share(name: str, names: Sequence[str], found: Mapping[frozenset[str], Tensor]) -> Tensor:
    others = [other for other in names if other != name]
    total = torch.zeros_like(found[frozenset(names)])
    for size in range(len(names)):
        factor = math.factorial(size) * math.factorial(len(others) - size) / math.factorial(len(names))
        for kept in combinations(others, size):
            total = total + factor * (found[frozenset((*kept, name))] - found[frozenset(kept)])
    return total


@contextmanager
def _evaluating(f: object) -> Generator[None]:
    """A module and its parts in eval mode, then each in the mode it was in."""
    modes = {part: part.training for part in f.modules()} if isinstance(f, nn.Module) else {}
    for part in modes:
        part.training = False
    try:
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


class _Scaled(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, value: Tensor, factor: float) -> Tensor:
        ctx.factor = factor
        return value.view_as(value)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0] * ctx.factor, None


def scale_gradient(value: Tensor, factor: float) -> Tensor:
    """The same value; what flows back through it is multiplied by ``factor``."""
    return cast("Tensor", _Scaled.apply(value, factor))


@final
class GradientModulation:
    """Slows the modality that learns fast and hastens the slow one, by factors on what flows back through each.

    With ``s_m`` the loss of modality m's share alone: ``r_m = exp(mean of the others' s - s_m)`` says how far m is
    ahead, ``tau_m`` is the same of the running means of ``s``, and ``k_m = exp(alpha (tau_m - r_m))``, the exponent at
    most 10. A modality further ahead than usual gets ``k < 1``. ``alpha = 0`` changes nothing.

    Source: Li et al. (AGM), 2023, arXiv 2308.07686 (alpha 1).
    """

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha
        self.sums: dict[str, float] = {}
        self.steps = 0

    def coefficients(self, losses: Mapping[str, float | Tensor]) -> dict[str, float]:
        """``k_m`` of each modality from the losses of their shares at this step, which join the running means.

        Raises:
            ValueError: other modalities than before, fewer than two, or a loss that is not finite.
        """
        now = {name: float(loss) for name, loss in losses.items()}
        if len(now) < 2 or (self.sums and set(self.sums) != set(now)):
            raise ValueError(f"modulation compares the same two or more modalities each time, got {sorted(now)}")
        if not all(math.isfinite(loss) for loss in now.values()):
            raise ValueError(f"a loss is not finite: {now}")
        self.sums = {name: self.sums.get(name, 0.0) + loss for name, loss in now.items()}
        self.steps += 1
        ahead, usual = _ahead(now), _ahead({name: total / self.steps for name, total in self.sums.items()})
        return {name: math.exp(min(self.alpha * (usual[name] - ahead[name]), 10.0)) for name in now}

    @staticmethod
    def apply(shares: Mapping[str, Tensor], coefficients: Mapping[str, float]) -> Tensor:
        """The sum of the shares, each with its gradient scaled. Add ``f(baseline)`` for the model's own output."""
        scaled = [scale_gradient(share, coefficients[name]) for name, share in shares.items()]
        return torch.stack(scaled).sum(0)

    def state_dict(self) -> dict[str, Any]:
        """The running sums."""
        return {"sums": dict(self.sums), "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a saved state."""
        self.sums, self.steps = dict(state["sums"]), int(state["steps"])


def _ahead(losses: Mapping[str, float]) -> dict[str, float]:
    """``exp(mean of the other losses - own loss)``, the exponent at most 50."""
    total, others = sum(losses.values()), len(losses) - 1
    return {name: math.exp(min((total - loss) / others - loss, 50.0)) for name, loss in losses.items()}


def score_spread(scores: Tensor) -> Tensor:
    """``(2 / k^2) sum_{i<j} sigmoid(|r_i - r_j|)``, ``[prompts]``, for the scores ``[prompts, k]`` of responses without
    labels: how clearly a reward tells them apart. Source: Wang et al. (MetaRM), 2024, arXiv 2401.06080.
    """
    count = scores.shape[-1]
    first, second = torch.triu_indices(count, count, 1, device=scores.device)
    apart = torch.sigmoid((scores[..., first] - scores[..., second]).abs())
    return 2.0 * apart.sum(dim=-1) / count**2


def meta_reward_step(
    weights: Iterable[nn.Parameter],
    spread: Callable[[], Tensor],
    loss: Callable[[], Tensor],
    *,
    eta: float,
    alpha: float,
) -> Tensor:
    """One first-order meta step, in place: ``theta' = theta + eta grad J(theta)``, then
    ``theta <- theta - alpha grad L(theta')``. Gives the loss at ``theta'``, detached.

    ``spread()`` is J, a scalar such as the mean `score_spread` of unlabelled responses; ``loss()`` is L on labelled
    pairs; both are computed from ``weights``. The derivative of the look-ahead itself is left out. Weights that take no
    part stay. In trials this changed no accuracy.

    Source: Wang et al. (MetaRM, in Secrets of RLHF II), 2024, arXiv 2401.06080.
    """
    moved = [weight for weight in weights if weight.requires_grad]
    start = [weight.detach().clone() for weight in moved]
    ahead = torch.autograd.grad(spread(), moved, allow_unused=True, materialize_grads=True)
    try:
        with torch.no_grad():
            for weight, gradient in zip(moved, ahead, strict=True):
                weight.add_(gradient, alpha=eta)
        found = loss()
        gradients = torch.autograd.grad(found, moved, allow_unused=True, materialize_grads=True)
    finally:
        with torch.no_grad():
            for weight, old in zip(moved, start, strict=True):
                weight.copy_(old)
    with torch.no_grad():
        for weight, gradient in zip(moved, gradients, strict=True):
            weight.sub_(gradient, alpha=alpha)
    return found.detach()
