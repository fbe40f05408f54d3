"""Hidden states of a frozen backbone: computed once, kept across epochs, runs and interruptions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import final

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from assay.models.base import Batch, TokenSequence
from assay.models.families import family_of
from assay.models.sharing import encode
from assay.rewards.learned import LearnedReward, input_fingerprints, weights_fingerprint


@final
class StateStore:
    """The last hidden state ``[hidden]`` of token sequences, by what the backbone was given: ids, types, pictures.

    States are held in memory, in the backbone's format, and, with a ``directory``, written to it as safetensors after
    every batch, below the fingerprint of weights and preprocessing, so that another run (another fold, a resumed one)
    finds them. ``computed`` and ``found`` count sequences. A damaged file is computed again.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self.directory = directory
        self.computed = 0
        self.found = 0
        self._states: dict[str, dict[str, Tensor]] = {}

    def open(self, reward: LearnedReward, autocast: torch.dtype | None) -> Callable[[Batch], Tensor]:
        """A function from a batch to the states ``[sequences, hidden]`` of this backbone, without gradient.

        The backbone must not change while it is used.
        """
        module = reward.backbone.module
        described = [weights_fingerprint(module), sorted(input_fingerprints(reward.backbone).items()), str(autocast)]
        name = hashlib.sha256(json.dumps(described).encode()).hexdigest()[:32]
        if name not in self._states:
            self._states[name] = self._load(name)
        known = self._states[name]
        family = family_of(module)

        @torch.no_grad()
        def states(batch: Batch) -> Tensor:
            sequences = [sequence for group in batch.groups for sequence in group]
            keys = [_key(sequence) for sequence in sequences]
            groups = [[s for s in group if _key(s) not in known] for group in batch.groups]
            missing = Batch([group for group in groups if group], batch.pixels)
            new = [s for group in missing.groups for s in group]
            if new:
                device = reward.backbone.placement.device.type
                with torch.autocast(device, dtype=autocast, enabled=autocast is not None):
                    made = encode(
                        module,
                        family,
                        missing,
                        layout=reward.layout,
                        token_budget=reward.token_budget,
                        features=reward.model.features,
                    )
                fresh = {_key(s): state[-1].detach().cpu().clone() for s, state in zip(new, made, strict=True)}
                known.update(fresh)
                self._write(name, fresh)
            self.computed += len(new)
            self.found += len(sequences) - len(new)
            return torch.stack([known[key] for key in keys]).to(reward.backbone.placement.device)

        return states

    def _load(self, name: str) -> dict[str, Tensor]:
        found: dict[str, Tensor] = {}
        for path in sorted((self.directory / name).glob("*.safetensors")) if self.directory else []:
            try:
                with safe_open(path, framework="pt") as file:
                    keys: list[str] = json.loads((file.metadata() or {})["keys"])
                    found |= dict(zip(keys, file.get_tensor("states").unbind(), strict=True))
            except (SafetensorError, OSError, ValueError, KeyError):
                path.unlink(missing_ok=True)
        return found

    def _write(self, name: str, fresh: dict[str, Tensor]) -> None:
        if self.directory is None:
            return
        place = self.directory / name
        place.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256("".join(fresh).encode()).hexdigest()[:32]
        partial = place / f"{digest}.partial"
        save_file({"states": torch.stack(list(fresh.values()))}, partial, metadata={"keys": json.dumps(list(fresh))})
        partial.rename(place / f"{digest}.safetensors")


def _key(sequence: TokenSequence) -> str:
    digest = hashlib.sha256(sequence.ids.numpy().tobytes())
    digest.update(f"|{sequence.reads.tolist()}|{sequence.images}|".encode())
    if sequence.types is not None:
        digest.update(sequence.types.numpy().tobytes())
    return digest.hexdigest()[:32]
