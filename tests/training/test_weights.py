from __future__ import annotations

import pytest
import torch

from assay.training.weights import extrapolated


def weights(seed: int, dtype: torch.dtype = torch.float32) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"w": torch.randn(3, 2, generator=generator).to(dtype), "count": torch.tensor(seed)}


def test_factors_interpolate_and_go_beyond() -> None:
    start, trained = weights(0), weights(1)
    assert torch.equal(extrapolated(start, trained, 1.0)["w"], trained["w"])
    assert torch.allclose(extrapolated(start, trained, 0.0)["w"], start["w"])
    assert torch.allclose(extrapolated(start, trained, 2.0)["w"], 2 * trained["w"] - start["w"])
    assert int(extrapolated(start, trained, 2.0)["count"]) == 1


def test_low_precision_is_computed_in_float32_and_nothing_is_shared() -> None:
    start, trained = weights(0, torch.bfloat16), weights(1, torch.bfloat16)
    found = extrapolated(start, trained, 1.5)["w"]
    exact = start["w"].float() + 1.5 * (trained["w"].float() - start["w"].float())
    assert found.dtype == torch.bfloat16
    assert torch.equal(found, exact.bfloat16())
    assert extrapolated(start, trained, 1.0)["w"].data_ptr() != trained["w"].data_ptr()


def test_weights_of_another_model_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in w"):
        extrapolated({"w": torch.zeros(2)}, {"w": torch.zeros(3)})
    with pytest.raises(ValueError, match="differ in v"):
        extrapolated({"w": torch.zeros(2)}, {"w": torch.zeros(2), "v": torch.zeros(1)})
