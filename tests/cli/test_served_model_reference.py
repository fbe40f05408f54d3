"""``classify:MODEL@URL?local=DIR`` on the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from assay import testing
from assay.adapters.served_model import ServedModel
from assay.cli.inputs import UsageError, open_reward


def test_it_is_read_with_the_model_that_is_here(tmp_path: Path) -> None:
    saved = testing.learned_reward().save(tmp_path / "reward")
    found = open_reward(f"classify:tiny@http://127.0.0.1:9?local={saved}", "cpu", "auto", 0)
    assert isinstance(found, ServedModel)
    assert [way.url for way in found.ways][:1] == ["http://127.0.0.1:9/classify"]
    assert found.tolerance == 0.02
    looser = open_reward(f"classify:tiny@http://127.0.0.1:9?local={saved}&tolerance=0.5", "cpu", "auto", 0)
    assert isinstance(looser, ServedModel)
    assert looser.tolerance == 0.5
    with pytest.raises(UsageError, match="could not convert string to float"):
        open_reward(f"classify:tiny@http://127.0.0.1:9?local={saved}&tolerance=much", "cpu", "auto", 0)


@pytest.mark.parametrize("text", ["classify:tiny@http://127.0.0.1:9", "classify:tiny?local=x", "classify:@u?local=x"])
def test_it_says_how_it_is_written(text: str) -> None:
    with pytest.raises(UsageError, match="classify:MODEL@URL"):
        open_reward(text, "cpu", "auto", 0)
