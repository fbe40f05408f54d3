"""A stack: a small net over the scores of other rewards, a reward itself, saved and loaded."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast, final

import torch
from torch import Tensor, nn

from assay.models.checkpoint import CheckpointError, read_header
from assay.models.heads.linear import linear, zeros
from assay.records import Record
from assay.rewards.base import Reward, name_of, score, spec_of
from assay.rewards.saving import whole
from assay.scores import Scores
from assay.spec import Spec, merge
from assay.transforms.combine import combined, fewer_than, stacked

MANIFEST, WEIGHTS = "stacked.json", "stack.safetensors"
_FORMAT = 1


@final
class StackNet(nn.Module):
    """``w . x + b``, or with ``width`` above 0 ``w . tanh(V x + c) + b``, of what the members say of a response.

    ``x`` ``[2 members]``: each member's score as ``(score - mean) / std``, 0 where it abstained, and beside it 1 where
    it abstained, 0 elsewhere. A linear net starts at zero.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, members: int, *, width: int = 0, seed: int = 0) -> None:
        super().__init__()
        self.width = width
        self.inner = linear(2 * members, width, bias=True, seed=seed) if width else None
        self.outer = linear(width, 1, bias=True, seed=seed + 1) if width else zeros(2 * members, 1, bias=True)
        self.register_buffer("mean", torch.zeros(members))
        self.register_buffer("std", torch.ones(members))

    def observe(self, values: Tensor, present: Tensor) -> None:
        """Take mean and standard deviation of each member ``[members, responses]`` where it is present."""
        for member, (own, there) in enumerate(zip(values, present, strict=True)):
            found = own[there].double()
            self.mean[member] = found.mean() if found.numel() else 0.0
            self.std[member] = found.std(correction=0).clamp(min=1e-6) if found.numel() else 1.0

    def forward(self, values: Tensor, present: Tensor) -> Tensor:
        """``[members, responses]`` to ``[responses]`` float32."""
        standard = torch.where(present, (values - self.mean[:, None]) / self.std[:, None], 0.0)
        x = torch.cat([standard, (~present).to(standard)]).T.float()
        return self.outer(x if self.inner is None else torch.tanh(self.inner(x))).squeeze(-1)


@final
class Stacked:
    """The members' scores of each response through a `StackNet`; fitted by `training.stacking.fit_stack`.

    A response that fewer than ``fewest`` members judged abstains with the first of their reasons (default: all must
    judge it); otherwise the net is told who abstained. Source: Wolpert, Stacked generalization, 1992.

    Raises:
        ValueError: no member, or ``fewest`` is not from 1 to their number.
    """

    def __init__(self, members: Mapping[str, Reward], net: StackNet, *, fewest: int | None = None) -> None:
        self.members = dict(members)
        self.net = net
        self.fewest = len(self.members) if fewest is None else fewest
        if not self.members or not 1 <= self.fewest <= len(self.members):
            raise ValueError(f"fewest={self.fewest} of {len(self.members)} members: it is at least 1 and at most all")

    @property
    def spec(self) -> Spec:
        """What holds of all members; higher is better, without bounds."""
        return replace(merge([spec_of(member) for member in self.members.values()]), better="higher")

    def __call__(self, records: Sequence[Record], /) -> Scores:
        """The stack's score of every response."""
        return self.of([score(member, records) for member in self.members.values()])

    @torch.no_grad()
    def of(self, scores: Sequence[Scores]) -> Scores:
        """The stack's scores from those of its members, in their order."""
        values, present = stacked(scores)
        made = self.net(values, present)
        return fewer_than(self.fewest)(scores, combined(scores, made, present.any(0)))

    def save(self, directory: str | Path) -> Path:
        """Write net and members; the directory appears whole or not at all. A member that has no ``save`` (a rule, a
        function) is named only, and `load` is given it again.

        Raises:
            FileExistsError: the directory exists and is no saved stack.
        """
        from safetensors.torch import save_file

        place = Path(directory)
        if place.exists() and any(place.iterdir()) and not is_stacked(place):
            raise FileExistsError(f"{place}: it exists and is no saved stack, so it is left alone")
        place.parent.mkdir(parents=True, exist_ok=True)
        with whole(place) as partial:
            kept = [_save(member, partial / f"member_{n}") for n, member in enumerate(self.members.values())]
            form = {
                "format": _FORMAT, "names": list(self.members), "kept": kept, "fewest": self.fewest,
                "width": self.net.width, "printed": [name_of(member) for member in self.members.values()],
            }  # fmt: skip
            (partial / MANIFEST).write_text(json.dumps(form, indent=2) + "\n", encoding="utf-8")
            save_file({n: w.detach().cpu().contiguous() for n, w in self.net.state_dict().items()}, partial / WEIGHTS)
        return place

    @staticmethod
    def load(directory: str | Path, members: Mapping[str, Reward] | None = None) -> Stacked:
        """A saved stack; ``members`` are those that were not written with it, by their names.

        Raises:
            CheckpointError: the directory is damaged, or a member is missing or prints differently than when saved.
        """
        from safetensors.torch import load_file

        from assay.rewards.load import load

        place, given = Path(directory), dict(members or {})
        try:
            form = cast("dict[str, Any]", json.loads((place / MANIFEST).read_text(encoding="utf-8")))
            if form["format"] != _FORMAT:
                raise ValueError(f"written in format {form['format']}, this version reads format {_FORMAT}")
            rows = list(zip(form["names"], form["kept"], form["printed"], strict=True))
            net = StackNet(len(rows), width=int(form["width"]))
            held = {name: shape for name, (_, shape) in read_header(place / WEIGHTS).items()}
            if held != {name: tuple(weight.shape) for name, weight in net.state_dict().items()}:
                raise ValueError(f"{WEIGHTS} holds {held}")
            net.load_state_dict(load_file(place / WEIGHTS))
            fewest = int(form["fewest"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointError(f"{place / MANIFEST}: not a saved stack: {error}") from error
        found: dict[str, Reward] = {}
        for number, (name, kept, printed) in enumerate(rows):
            if not kept and name not in given:
                raise CheckpointError(f"{place}: its member {name!r} ({printed}) was not written: give it by this name")
            found[name] = load(place / f"member_{number}") if kept else given[name]
            if not kept and name_of(found[name]) != printed:
                raise CheckpointError(f"{place}: member {name!r} was {printed}, {name_of(found[name])} was given")
        return Stacked(found, net, fewest=fewest)

    def __repr__(self) -> str:
        own = ", ".join(f"{name}={name_of(member)}" for name, member in self.members.items())
        return f"Stacked({own}, fewest={self.fewest})"


def is_stacked(directory: Path) -> bool:
    """Whether a directory claims to be a saved stack."""
    return (directory / MANIFEST).is_file()


def _save(member: Reward, place: Path) -> bool:
    save = getattr(member, "save", None)
    if not callable(save):
        return False
    save(place)
    return True
