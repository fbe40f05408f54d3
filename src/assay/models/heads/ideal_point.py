"""A head for many people: a few prototypes of what is preferred, and each person a mixture of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import torch
from torch import Tensor, nn

from assay.models.heads.front import Front
from assay.models.heads.linear import linear
from assay.models.heads.pooling import Pool, last_read
from assay.models.outputs import Outputs, States, blank
from assay.objectives.pairwise import bradley_terry
from assay.objectives.pluralistic import alignment, ideal_point, nearness


@final
class IdealPointHead(nn.Module):
    """Each person has an ideal point between ``prototypes``; a response is as good as it is near.

    Equation, with ``f`` a linear map to ``width`` and ``w_u = softmax(W_u)`` over the prototypes of person ``u``::

        value = -|f(h) - sum_k w_uk P_k|                                 (A)
        value = exp(scale) cos(f(h), sum_k w_uk g_k(p))                  (B, ``from_prompt``)

    In B the prototypes are linear maps ``g_k`` of the prompt's state ``p``. ``condition`` ``[sequences, users]`` says
    who judges: 1 at that person's place. A row whose condition is NaN (nobody known) has the mean over everyone the
    head knows, and the log of their variance in ``log_variance``, which is NaN elsewhere.

    Outputs: ``values``; ``log_variance``; ``extra["weights"]`` ``[sequences, prototypes]``, NaN where nobody is known.

    Raises:
        ValueError: fewer than one user or prototype; when called, a condition of another width.

    Source: PAL, 2024, arXiv 2406.08469. Their bound on the prototypes (`pluralistic.outside`) is in no loss of their
    code, and is left to the supervision here.
    """

    def __init__(
        self,
        hidden: int,
        users: int,
        *,
        prototypes: int = 2,
        width: int = 16,
        from_prompt: bool = False,
        norm: bool = False,
        pool: Pool = last_read,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if users < 1 or prototypes < 1:
            raise ValueError(f"needs at least one user and one prototype, got {users} and {prototypes}")
        self._form: dict[str, Any] = {
            "hidden": hidden,
            "prototypes": prototypes,
            "width": width,
            "from_prompt": from_prompt,
            "norm": norm,
            "pool": pool,
            "seed": seed,
        }
        self.needs_prompt = from_prompt
        self.front = Front(hidden, pool=pool, norm=norm)
        self.project = linear(hidden, width, bias=True, seed=seed)
        generator = torch.Generator().manual_seed(seed + 1)
        shape = (prototypes, width, hidden) if from_prompt else (prototypes, width)
        spread = hidden**-0.5 if from_prompt else 1.0
        self.prototypes = nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float32) * spread)
        self.users = nn.Parameter(torch.randn(users, prototypes, generator=generator, dtype=torch.float32))
        self.scale = nn.Parameter(torch.zeros((), dtype=torch.float32)) if from_prompt else None

    def options(self) -> dict[str, Any]:
        """What the constructor takes, counting everyone added since."""
        return {**self._form, "users": self.users.shape[0]}

    def forward(self, states: States) -> Outputs:
        """The value of every sequence to the person of its row, float32."""
        with torch.autocast(states.hidden.device.type, enabled=False):
            points, prototypes, none = self._embedded(states)
            condition = _people(states, self.users.shape[0]).to(points)
            known = ~condition.isnan().any(-1)
            logits = condition.nan_to_num(0.0) @ self.users
            values = self._values(points, prototypes, logits)
            log_variance = torch.full_like(values, torch.nan)
            if not bool(known.all()):
                everyone = self._values(points, prototypes, self.users[:, None].expand(-1, len(points), -1))
                values = torch.where(known, values, everyone.mean(0))
                variance = everyone.var(0, correction=0).clamp(min=1e-12)
                log_variance = torch.where(known, torch.nan, variance.log())
            weights = torch.where(known[:, None], logits.softmax(-1), torch.nan)
            return blank(Outputs(values, log_variance=log_variance, extra={"weights": weights}), none)

    def fit_user(
        self,
        chosen: States,
        rejected: States,
        *,
        objective: Callable[[Tensor, Tensor], Tensor] = bradley_terry,
        steps: int = 200,
        learning_rate: float = 0.05,
        restarts: int = 4,
        seed: int = 0,
    ) -> Tensor:
        """Logits ``[prototypes]`` of a new person from a few pairs, nothing else changed: the best of ``restarts``.

        The first start has equal weights, the others are random from ``seed``; the lowest mean loss is kept.
        """
        with torch.no_grad():
            better, worse = self._embedded(chosen), self._embedded(rejected)
            starts = torch.randn(restarts, self.users.shape[1], generator=torch.Generator().manual_seed(seed))
            starts[0] = 0.0
        with torch.enable_grad():
            logits = starts.to(self.users).requires_grad_()
            optimizer = torch.optim.Adam([logits], lr=learning_rate)

            def losses() -> Tensor:
                each = logits[:, None].expand(-1, len(chosen.counts), -1)
                prototypes = (better[1].detach(), worse[1].detach())
                gap = self._values(better[0], prototypes[0], each), self._values(worse[0], prototypes[1], each)
                return objective(*gap).mean(-1)

            for _ in range(steps):
                (logits.grad,) = torch.autograd.grad(losses().sum(), [logits])
                optimizer.step()
            return logits.detach()[int(losses().argmin())]

    def add_user(self, logits: Tensor) -> int:
        """Give a new person a place, with the logits that `fit_user` found; the place in ``condition``, which is one
        wider from now on (`training.chosen.with_person` does both)."""
        self.users = nn.Parameter(torch.cat([self.users.detach(), logits.to(self.users)[None]]))
        return self.users.shape[0] - 1

    def _embedded(self, states: States) -> tuple[Tensor, Tensor, Tensor]:
        """``f(h)``, the prototypes ``[prototypes, width]`` or ``[sequences, prototypes, width]``, and who has none."""
        found, none = self.front(states)
        if self.scale is None:
            return self.project(found), self.prototypes, none
        if states.prompt is None:
            raise ValueError("ideal points made from the prompt need the prompt's state (States.prompt)")
        return self.project(found), torch.einsum("kwh,nh->nkw", self.prototypes, states.prompt.float()), none

    def _values(self, points: Tensor, prototypes: Tensor, logits: Tensor) -> Tensor:
        """Logits ``[..., sequences, prototypes]`` to values ``[..., sequences]``."""
        ideals = ideal_point(logits, prototypes)
        points = points.expand_as(ideals)
        return nearness(points, ideals) if self.scale is None else alignment(points, ideals, self.scale)


def _people(states: States, users: int) -> Tensor:
    """The condition of every sequence; all unknown where there is none."""
    if states.condition is None:
        return torch.full((len(states.counts), users), torch.nan, device=states.hidden.device)
    if states.condition.shape[-1] != users:
        raise ValueError(f"the condition has width {states.condition.shape[-1]}; it names one of {users} people")
    return states.condition
