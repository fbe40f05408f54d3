"""A person as a latent vector read off a few of their choices, and the head that scores for such a person."""

from __future__ import annotations

from typing import Any, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from assay.models.heads.front import Front
from assay.models.heads.linear import linear
from assay.models.heads.pooling import Pool, last_read
from assay.models.outputs import Outputs, States, blank


@final
class LatentUserEncoder(nn.Module):
    """A person's choices to the distribution of who they are: mean and log variance ``[users, latent]``.

    Equation, for the states ``c_i`` chosen and ``r_i`` rejected in a person's pairs, ``A`` self-attention with one
    head over those pairs::

        e_i = MLP([c_i; r_i])        m = mean_i (e_i + A(e)_i)        mean = M m        log_variance = clamp(V m, -1, 1)

    Neither the order of the pairs nor padding changes anything. A person without a pair has the prior: mean 0, log
    variance 0. Kept near it by ``pluralistic.gaussian_kl``; drawn from by ``pluralistic.reparameterised``.

    Source: VPL, 2024, arXiv 2408.10075.
    """

    def __init__(self, hidden: int, latent: int, *, width: int = 64, seed: int = 0) -> None:
        super().__init__()
        self._form: dict[str, Any] = {"hidden": hidden, "latent": latent, "width": width, "seed": seed}
        self.pairs = nn.Sequential(
            linear(2 * hidden, width, bias=True, seed=seed), nn.ReLU(), linear(width, width, bias=True, seed=seed + 1)
        )
        self.query, self.key, self.value = (linear(width, width, bias=True, seed=seed + n) for n in (2, 3, 4))
        self.mean = linear(width, latent, bias=True, seed=seed + 5)
        self.log_variance = linear(width, latent, bias=True, seed=seed + 6)

    def options(self) -> dict[str, Any]:
        """What the constructor takes."""
        return dict(self._form)

    def forward(self, chosen: Tensor, rejected: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """``chosen``, ``rejected`` ``[users, pairs, hidden]``; ``mask`` ``[users, pairs]`` bool, False for padding."""
        kept = torch.ones(chosen.shape[:2], dtype=torch.bool, device=chosen.device) if mask is None else mask
        some = kept.any(1, keepdim=True)
        with torch.autocast(chosen.device.type, enabled=False):
            joined = torch.where(kept[..., None], torch.cat([chosen, rejected], -1).float(), 0.0)
            each = self.pairs(joined)
            seen = (kept | ~some)[:, None].expand(-1, kept.shape[1], -1)
            each = each + F.scaled_dot_product_attention(
                self.query(each), self.key(each), self.value(each), attn_mask=seen
            )
            share = kept.float() / kept.sum(1, keepdim=True).clamp(min=1)
            pooled = (share[..., None] * each).sum(1)
            log_variance = self.log_variance(pooled).clamp(-1.0, 1.0)
            return torch.where(some, self.mean(pooled), 0.0), torch.where(some, log_variance, 0.0)


@final
class LatentUserHead(nn.Module):
    """The score for a person: ``values = MLP([h; z])``, ``z`` the latent vector in ``condition``.

    ``condition`` is ``[sequences, latent]``. A row in which it is NaN (nobody known) has the mean over ``draws`` people
    of the prior, the same for every row and drawn from ``seed``, and the log of their variance in ``log_variance``,
    which is NaN elsewhere.

    Raises (when called):
        ValueError: a condition of another width.

    Source: VPL, 2024, arXiv 2408.10075.
    """

    people: Tensor

    def __init__(
        self,
        hidden: int,
        latent: int,
        *,
        width: int = 64,
        draws: int = 64,
        norm: bool = False,
        pool: Pool = last_read,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self._form: dict[str, Any] = {
            "hidden": hidden,
            "latent": latent,
            "width": width,
            "draws": draws,
            "norm": norm,
            "pool": pool,
            "seed": seed,
        }
        self.latent = latent
        self.front = Front(hidden, pool=pool, norm=norm)
        self.inner = linear(hidden + latent, width, bias=True, seed=seed)
        self.outer = linear(width, 1, bias=True, seed=seed + 1)
        generator = torch.Generator().manual_seed(seed + 2)
        self.register_buffer("people", torch.randn(draws, latent, generator=generator))

    def options(self) -> dict[str, Any]:
        """What the constructor takes."""
        return dict(self._form)

    def forward(self, states: States) -> Outputs:
        """The value of every sequence to the person of its row, float32."""
        condition = states.condition
        if condition is None:
            condition = torch.full((len(states.counts), self.latent), torch.nan, device=states.hidden.device)
        if condition.shape[-1] != self.latent:
            raise ValueError(f"the condition has width {condition.shape[-1]}; a person here is {self.latent} numbers")
        with torch.autocast(states.hidden.device.type, enabled=False):
            found, none = self.front(states)
            unknown = condition.isnan().any(-1)
            values = self._values(found, condition.nan_to_num(0.0).float())
            log_variance = torch.full_like(values, torch.nan)
            if bool(unknown.any()):
                each = self._values(found[unknown].expand(len(self.people), -1, -1), self.people[:, None])
                values = values.masked_scatter(unknown, each.mean(0))
                log_variance = log_variance.masked_scatter(unknown, each.var(0, correction=0).clamp(min=1e-12).log())
            return blank(Outputs(values, log_variance=log_variance), none)

    def _values(self, hidden: Tensor, person: Tensor) -> Tensor:
        joined = torch.cat([hidden, person.expand(*hidden.shape[:-1], -1)], -1)
        return self.outer(torch.relu(self.inner(joined))).squeeze(-1)


def on_sphere(latent: Tensor) -> Tensor:
    """``sqrt(d) z / |z|`` of ``[..., d]``: every person at the length that a standard normal of ``d`` numbers has on
    average, so that the scores of different people have comparable ranges (Poddar et al., 2024)."""
    return F.normalize(latent, dim=-1) * latent.shape[-1] ** 0.5
