"""Around peft: the warnings of its calls that nobody who trains or loads adapters can act on."""

from __future__ import annotations

import warnings
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def putting_on_adapters() -> Generator[None]:
    """Silence what peft warns of, or has transformers warn of, when it wraps a model; other warnings stay."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*tie_word_embeddings.*")
        deprecated = ".*is_gradient_checkpointing.*"  # peft still asks a transformers model by this name
        warnings.filterwarnings("ignore", message=deprecated, category=FutureWarning)
        yield
