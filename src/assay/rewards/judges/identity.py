"""What a judge's model is, for fingerprints, and how it prints."""

from __future__ import annotations

from typing import Any, cast

from assay.models.answering import LocalModel
from assay.models.generate import LanguageModel
from assay.rewards.base import fingerprint, name_of
from assay.rewards.learned import weights_fingerprint


def identity(model: object) -> str:
    """sha256 of all that a model's answers depend on beside the question: weights, template and sampling of one in this
    process; of an endpoint what it says of itself; of another what `fingerprint` finds.

    Raises:
        TypeError: some part of it has no stable description.
    """
    own = model.model if isinstance(model, LocalModel) else model
    if isinstance(own, LanguageModel):
        settings = (own.max_new_tokens, own.temperature, own.top_p)
        return fingerprint((weights_fingerprint(own.module), own.backbone.fingerprints(), settings))
    said = cast("Any", getattr(model, "fingerprint", None))
    return said if isinstance(said, str) else fingerprint(model)


def named(model: object) -> str:
    """A model's own name, else how it prints."""
    return str(getattr(model, "name", "") or name_of(model))
