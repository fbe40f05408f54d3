import math

import torch

from assay.objectives.diffusion import flow_preference


def errors(seed, pairs=6):
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(pairs, generator=generator, dtype=torch.float64) for _ in range(4)]


def test_it_is_the_formula():
    chosen, rejected, chosen_before, rejected_before = errors(0)
    loss = flow_preference(chosen, rejected, chosen_before, rejected_before, beta=500.0)
    by_hand = [
        math.log1p(math.exp(250.0 * ((w - w0) - (r - r0))))
        for w, r, w0, r0 in zip(*(e.tolist() for e in (chosen, rejected, chosen_before, rejected_before)), strict=True)
    ]
    torch.testing.assert_close(loss, torch.tensor(by_hand, dtype=torch.float64), rtol=1e-12, atol=1e-12)


def test_an_unchanged_model_pays_log_two_and_gains_by_missing_the_chosen_less():
    chosen, rejected, _, _ = errors(1)
    still = flow_preference(chosen, rejected, chosen, rejected, beta=10.0)
    torch.testing.assert_close(still, torch.full_like(still, math.log(2)))
    better = flow_preference(chosen - 0.1, rejected, chosen, rejected, beta=10.0)
    assert (better < still).all()


def test_a_constant_beta_weighs_every_time_alike():
    chosen, rejected, chosen_before, rejected_before = errors(2)
    constant = flow_preference(chosen, rejected, chosen_before, rejected_before, beta=3.0)
    spread = flow_preference(chosen, rejected, chosen_before, rejected_before, beta=torch.full_like(chosen, 3.0))
    assert torch.equal(constant, spread)
    time = torch.linspace(0, 0.9, len(chosen), dtype=torch.float64)
    faded = flow_preference(chosen, rejected, chosen_before, rejected_before, beta=3.0 * (1 - time) ** 2)
    assert torch.equal(faded[0], constant[0])
    assert ((faded - math.log(2)).abs() < (constant - math.log(2)).abs())[1:].all()
