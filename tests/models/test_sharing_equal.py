"""Equal responses, and the self-check's limit in lower formats."""

from __future__ import annotations

import warnings

import torch

from assay.models.base import Batch
from assay.models.layout import shared
from assay.models.sharing import SharingDisabledWarning
from assay.records import Record
from assay.testing import learned_reward, tiny_text


def test_equal_responses_score_bit_equal_wherever_they_stand() -> None:
    reward = learned_reward(tiny_text(), layout=shared)
    record = Record.of("Which?", ["a cat", "a very long dog indeed", "a cat", "no", "a cat"], id="1")
    values = reward([record]).values
    assert values[0] == values[2] == values[4] != values[1]


def test_the_gradient_of_equal_responses_adds_up() -> None:
    reward = learned_reward(tiny_text())
    twice = reward.prepare([Record.of("Which?", ["a cat", "a cat"], id="1")]).batch
    once = Batch([twice.groups[0][:1]])
    gradients = []
    for batch in (twice, once):
        reward.model.zero_grad()
        reward.values(batch).sum().backward()
        gradients.append(torch.cat([w.grad.flatten() for w in reward.parameters() if w.grad is not None]))
    torch.testing.assert_close(gradients[0], 2 * gradients[1], rtol=1e-5, atol=1e-6)


def test_bfloat16_shares_without_a_warning_also_where_all_lengths_are_equal() -> None:
    reward = learned_reward(tiny_text())
    records = [Record.of("Which colour does the sky have today?", ["red", "tan", "sky"], id=str(i)) for i in range(4)]
    with warnings.catch_warnings(), torch.autocast("cpu", torch.bfloat16):
        warnings.simplefilter("error", SharingDisabledWarning)
        assert reward(records).ok.all()
