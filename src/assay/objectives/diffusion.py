"""Objectives of diffusion and flow models: how far two predictions miss, before and after, to a loss per pair."""

from __future__ import annotations

from torch import Tensor

from assay.objectives.pairwise import bradley_terry


def flow_preference(
    chosen_error: Tensor,
    rejected_error: Tensor,
    chosen_reference_error: Tensor,
    rejected_reference_error: Tensor,
    *,
    beta: float | Tensor,
    weight: Tensor | None = None,
) -> Tensor:
    """``-log sigmoid(-beta / 2 [(e_w - e_w,ref) - (e_l - e_l,ref)])``, ``[pairs]``: preferences as flow matching.

    ``e`` is the squared error ``||v - v_theta(x_t, t)||^2`` of the predicted velocity, ``e_ref`` that of the frozen
    model; every tensor ``[pairs]``. It is Bradley-Terry with the implicit reward ``-beta / 2 (e - e_ref)``. VideoAlign
    keeps ``beta`` constant over t and finds that better than ``beta (1 - t)^2``, for which pass a tensor.

    Source: Liu et al. (VideoAlign), 2025, arXiv 2501.13918; for diffusion: Wallace et al., 2023, arXiv 2311.12908.
    """
    chosen = -beta / 2 * (chosen_error - chosen_reference_error)
    rejected = -beta / 2 * (rejected_error - rejected_reference_error)
    return bradley_terry(chosen, rejected, weight=weight)
