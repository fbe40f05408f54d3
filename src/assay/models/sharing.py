"""One prompt, many responses: a prompt's common tokens and pictures are computed once, exactly and differentiably."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from assay.models.base import Batch, Pixels, TokenSequence
from assay.models.check import (
    SharingDisabledWarning,
    Verdict,
    is_prepared,
    kept_verdict,
    prepare_model,
    sharing_report,
    verdict,
)
from assay.models.families import Family, base_of, embedded, model_inputs, positions, tower_parts
from assay.models.features import FeatureStore, ImageFeatures
from assay.models.kept import Kept, PrefixStore, States, path_of, usable
from assay.models.layout import (
    TOKEN_BUDGET,
    Call,
    Layout,
    Plan,
    Tree,
    cheapest,
    common_prefix,
    distinct,
    flat,
    padded,
    picture_spans,
    shared,
)
from assay.models.segments import Segment, segment, stacked

__all__ = [
    "TOKEN_BUDGET",
    "FeatureStore",
    "Layout",
    "Plan",
    "PrefixStore",
    "SharingDisabledWarning",
    "Verdict",
    "cheapest",
    "encode",
    "is_prepared",
    "padded",
    "prepare_model",
    "shared",
    "sharing_report",
]


def encode(
    model: nn.Module,
    family: Family,
    batch: Batch,
    *,
    layout: Layout | None = None,
    token_budget: int = TOKEN_BUDGET,
    features: FeatureStore | None = None,
    prefixes: PrefixStore | None = None,
) -> list[Tensor]:
    """For each sequence, in order over groups, the last hidden states ``[reads, hidden]`` at its ``reads`` positions.

    Equal to scoring each sequence alone (fp32: 1e-5), whatever the layout, in values and in gradients. Each distinct
    picture runs through the vision tower once a call, or not at all if ``features`` still holds it. ``layout`` None
    chooses by estimated cost, after the self-check of `verdict`; `padded` and `shared` are used as given, unchecked.
    ``token_budget`` bounds the tokens of one forward; a single longer sequence still gets one. ``prefixes`` keeps what
    was read for later calls, without gradient; a model that cannot share leaves it alone.

    Reference: shared-prefix computation for preference data, arXiv 2410.20305 (2024); here the whole group is one row.

    Raises:
        ValueError: a sequence is empty, reads outside itself, or its placeholders and pictures do not match; a given
            ``layout`` shares where the model cannot; ``prefixes`` while gradients are computed, which would be wrong.
        TypeError: the model gives no last hidden state.
    """
    kept = [distinct(group) for group in batch.groups]
    if any(len(own) < len(which) for own, which in kept):
        options = {"layout": layout, "token_budget": token_budget, "features": features, "prefixes": prefixes}
        return _once(model, family, batch, kept, **options)
    sequences = flat(batch)
    if not sequences:
        return []
    _check(family, batch, sequences)
    base = base_of(model)
    if prefixes is not None and torch.is_grad_enabled():
        raise ValueError("a kept prefix has no gradient: score under torch.no_grad(), or train without prefixes")
    if prefixes is not None and family.shares and layout is None:
        return _with_kept(model, family, batch, prefixes, token_budget, features)
    work = _Work(model, base, family, _features(base, family, batch, features))
    plan = (layout or cheapest)(family, batch, token_budget)
    if layout is None and any(call.packed for call in plan.calls):
        found = verdict(model, batch, plan, work.run)
        if not found.shares:
            plan = replace(padded(family, batch, token_budget), reason=found.reason)
    elif any(call.packed for call in plan.calls):
        prepare_model(model)
    return work.run(batch, plan)


def _with_kept(
    model: nn.Module,
    family: Family,
    batch: Batch,
    prefixes: PrefixStore,
    token_budget: int,
    features: FeatureStore | None,
) -> list[Tensor]:
    """As `encode`, from what is kept on, and keeping what is read."""
    base = base_of(model)
    whole = _Work(model, base, family, _features(base, family, batch, features))
    plan = shared(family, batch, token_budget)
    if plan.shares and not (found := verdict(model, batch, plan, whole.run)).shares:
        return whole.run(batch, replace(padded(family, batch, token_budget), reason=found.reason))
    prepare_model(model)
    prefixes.refresh(base)
    held: dict[int, Kept] = {}
    kept: list[int] = []
    paths: list[Any] = []
    for group in batch.groups:
        common = common_prefix(family, group, batch.pixels) if len(group) > 1 else group[0].ids.numel() if group else 0
        own = [path_of(family, sequence, batch.pixels) for sequence in group]
        found = prefixes.find(own[0][:common]) if common else None
        known = usable(family, group, batch.pixels, found, common, prefixes.least)
        held |= {} if known is None else dict.fromkeys(range(len(paths), len(paths) + len(group)), known)
        kept.append(0 if known is None else known.tokens)
        paths += own
    work = replace(whole, held=held, paths=paths, prefixes=prefixes)
    states = work.run(batch, shared(family, batch, token_budget, kept=kept))
    if held and not kept_verdict(model, states, lambda: whole.run(batch, plan), any(s.images for s in flat(batch))):
        prefixes.bar()
        return whole.run(batch, plan)
    return states


def _once(
    model: nn.Module,
    family: Family,
    batch: Batch,
    kept: Sequence[tuple[Sequence[TokenSequence], Sequence[int]]],
    **options: Any,
) -> list[Tensor]:
    states = encode(model, family, Batch([own for own, _ in kept], batch.pixels), **options)
    expanded: list[Tensor] = []
    start = 0
    for own, which in kept:
        expanded += [states[start + place] for place in which]
        start += len(own)
    return expanded


@dataclass(frozen=True, slots=True)
class _Work:
    """What every forward of one encode call needs."""

    model: nn.Module
    base: Any
    family: Family
    images: Mapping[str, ImageFeatures]
    held: Mapping[int, Kept] = field(default_factory=dict[int, Kept])
    paths: Sequence[Any] = ()
    prefixes: PrefixStore | None = None

    def run(self, batch: Batch, plan: Plan) -> list[Tensor]:
        sequences = flat(batch)
        states: dict[int, Tensor] = {}
        for call in plan.calls:
            states |= (self._packed if call.packed else self._padded)(call, sequences, batch.pixels)
        return [states[index] for index in range(len(sequences))]

    def _padded(
        self, call: Call, sequences: Sequence[TokenSequence], pixels: Mapping[str, Pixels]
    ) -> dict[int, Tensor]:
        members = [tree.members[0] for tree in call.trees]
        rows = [sequences[member] for member in members]
        lengths = torch.tensor([row.ids.numel() for row in rows])
        inputs = {
            "input_ids": _rows([row.ids for row in rows], 0),
            "attention_mask": (torch.arange(int(lengths.max()))[None] < lengths[:, None]).long(),
        }
        types = [self.family.types(row) for row in rows]
        if self.family.types_name is not None and any(each is not None for each in types):
            filled = [
                torch.zeros_like(row.ids) if each is None else each for row, each in zip(rows, types, strict=True)
            ]
            inputs[self.family.types_name] = _rows(filled, self.family.padding_type)
        hidden = self._hidden(inputs, [key for row in rows for key in row.images], pixels, {})
        width = hidden.shape[1]
        return _gathered(
            hidden,
            {member: row * width + each.reads for row, (member, each) in enumerate(zip(members, rows, strict=True))},
        )

    def _packed(
        self, call: Call, sequences: Sequence[TokenSequence], pixels: Mapping[str, Pixels]
    ) -> dict[int, Tensor]:
        parts: list[_Part] = []
        segments: list[Segment] = []
        reads: dict[int, Tensor] = {}
        wanted: list[_Wanted] = []
        start = 0
        for tree in call.trees:
            members = [(member, sequences[member]) for member in tree.members]
            kept = self.held.get(tree.members[0]) if tree.kept else None
            parts += _parts(self.family, self.base, tree, [sequence for _, sequence in members], pixels)
            segments.append(_segment(self.family, tree, [sequence for _, sequence in members], kept))
            wanted += self._wanted(tree, start)
            own = start + tree.prefix - tree.kept
            for (member, sequence), length in zip(members, tree.branches, strict=True):
                reads[member] = torch.where(
                    sequence.reads < tree.prefix, sequence.reads - tree.kept + start, sequence.reads - tree.prefix + own
                )
                own += length
            start = own
        device = _device(self.base)
        inputs: dict[str, Tensor] = {"input_ids": torch.cat([part.ids for part in parts])[None]}
        types = [part.types for part in parts if part.types is not None]
        if self.family.types_name is not None and types:
            inputs[self.family.types_name] = torch.cat(types)[None]
        index = torch.cat([part.positions for part in parts], 1)
        extra: dict[str, Any] = {
            "position_ids": (index if self.family.axes == 1 else index[:, None]).to(device),
            "attention_mask": torch.ones(1, 1, 1, 1, dtype=torch.bool, device=device),
            "seg_layout": (rows := stacked(segments, self.family.window_last, [each.place for each in wanted])),
        }
        keys = [key for part in parts for key in part.images]
        hidden = self._hidden(inputs, keys, pixels, extra)
        for number, each in enumerate(wanted):
            assert self.prefixes is not None
            layers = {layer: taken[number] for layer, taken in rows.taken.items()}
            first, last = each.place
            self.prefixes.keep(each.path, each.first, States(layers, hidden[0, first:last].clone()))
        if self.prefixes is not None:
            self.prefixes.read += call.tokens
            self.prefixes.found += sum(tree.kept for tree in call.trees)
        early = {
            member: self.held[member].hidden
            for tree in call.trees
            for member in tree.members
            if bool((sequences[member].reads < tree.kept).any())
        }
        found = _gathered(hidden, {member: places.clamp(min=0) for member, places in reads.items()})
        for member, known in early.items():
            places = sequences[member].reads
            before = (places < len(known)).to(known.device)
            found[member][before] = known[places.to(known.device)[before]]
        return found

    def _wanted(self, tree: Tree, start: int) -> list[_Wanted]:
        """What of a tree is to be kept: its prefix; of sequences without relatives all of each."""
        if self.prefixes is None:
            return []
        if tree.prefix and len(tree.members) > 1:
            length = tree.prefix - tree.kept
            path = self.paths[tree.members[0]][: tree.prefix]
            return [_Wanted(path, tree.kept, (start, start + length))] if length else []
        found: list[_Wanted] = []
        for member, length in zip(tree.members, tree.branches, strict=True):
            end = start + tree.prefix - tree.kept + length
            found.append(_Wanted(self.paths[member], tree.kept, (start, end)))
            start = end
        return found

    def _hidden(
        self,
        inputs: Mapping[str, Tensor],
        keys: Sequence[str],
        pixels: Mapping[str, Pixels],
        extra: Mapping[str, Any],
    ) -> Tensor:
        device = _device(self.base)
        placed: dict[str, Any] = {name: tensor.to(device) for name, tensor in inputs.items()}
        shown = [self.images[key] for key in keys]
        placed |= embedded(self.family, self.base, placed.pop("input_ids"), shown)
        placed |= model_inputs(self.family, shown, [pixels[key] for key in keys], device)
        output = self.model(**placed, **extra, use_cache=False)
        hidden = getattr(output, "last_hidden_state", None)
        if hidden is None:
            raise TypeError(
                f"{type(self.base).__name__} gives no last_hidden_state: pass the base model "
                "(AutoModel, or the .model of a class with a language-model head)"
            )
        return hidden


def _gathered(hidden: Tensor, reads: Mapping[int, Tensor]) -> dict[int, Tensor]:
    """States at places of ``hidden``, its rows one after another: one gather, so that backward fills one buffer."""
    places = torch.cat(list(reads.values())).to(hidden.device)
    states = hidden.flatten(0, 1)[places].split([where.numel() for where in reads.values()])
    return dict(zip(reads, states, strict=True))


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Tokens of a row that are to be kept: those of ``path`` from ``first`` on, at ``place`` in the row."""

    path: Any
    first: int
    place: tuple[int, int]


@dataclass(frozen=True, slots=True)
class _Part:
    """A prefix or a branch in a packed row."""

    ids: Tensor
    types: Tensor | None
    positions: Tensor
    images: tuple[str, ...]


def _parts(
    family: Family, base: Any, tree: Tree, members: Sequence[TokenSequence], pixels: Mapping[str, Pixels]
) -> list[_Part]:
    first = members[-1]
    ends = [end for _, end in picture_spans(family, first, pixels)]
    inside, known = (sum(end <= tokens for end in ends) for tokens in (tree.prefix, tree.kept))
    whole = positions(family, base, first, [pixels[key] for key in first.images])
    types = family.types(first)
    parts: list[_Part] = []
    if tree.prefix > tree.kept:
        cut = slice(tree.kept, tree.prefix)
        shown = first.images[known:inside]
        parts.append(_Part(first.ids[cut], None if types is None else types[cut], whole[:, cut], shown))
    following = int(whole[:, : tree.prefix].max()) + 1 if tree.prefix else family.first_position
    for member, length in zip(members, tree.branches, strict=True):
        if not length:
            continue
        own = family.types(member)
        if len(member.images) > inside:
            index = positions(family, base, member, [pixels[key] for key in member.images])[:, tree.prefix :]
        else:
            index = (torch.arange(length) + following).expand(family.axes, length)
        own_types = None if own is None else own[tree.prefix :]
        parts.append(_Part(member.ids[tree.prefix :], own_types, index, member.images[inside:]))
    return parts


def _segment(family: Family, tree: Tree, members: Sequence[TokenSequence], kept: Kept | None) -> Segment:
    paths: list[Tensor | None] = []
    for member in members:
        types = family.types(member)
        paths.append(family.blocks(types) if family.blocks is not None and types is not None else None)
    longest = paths[-1]
    return segment(tree.prefix, tree.branches, None if longest is None else longest[: tree.prefix], paths, kept)


def _rows(rows: Sequence[Tensor], padding: int) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=padding)


def _features(base: Any, family: Family, batch: Batch, store: FeatureStore | None) -> dict[str, ImageFeatures]:
    pictures = {key: batch.pixels[key] for sequence in flat(batch) for key in sequence.images}
    tower = family.tower
    if not pictures or tower is None:
        return {}
    store = FeatureStore(0) if store is None else store
    made = store.get(lambda chunk: tower(base, chunk), tower_parts(family, base), list(pictures.values()))
    found = {key: made[picture.key] for key, picture in pictures.items()}
    for key, features in found.items():
        if features.hidden.shape[0] != batch.pixels[key].tokens:
            raise ValueError(
                f"picture or sound {key} has {batch.pixels[key].tokens} placeholder tokens, but the tower gives "
                f"{features.hidden.shape[0]} features: processor and model do not belong together"
            )
    return found


def _check(family: Family, batch: Batch, sequences: Sequence[TokenSequence]) -> None:
    for index, sequence in enumerate(sequences):
        length = sequence.ids.numel()
        if length == 0:
            raise ValueError(f"sequence {index} has no tokens: a template gives some even for an empty response")
        if sequence.reads.numel() and not 0 <= int(sequence.reads.min()) <= int(sequence.reads.max()) < length:
            raise ValueError(f"sequence {index} has {length} tokens but reads at {sequence.reads.tolist()}")
        _check_pictures(family, batch, index, sequence)


def _check_pictures(family: Family, batch: Batch, index: int, sequence: TokenSequence) -> None:
    if family.placeholder is None:
        if sequence.images:
            raise ValueError(f"sequence {index} has pictures or sounds, which {family.name} does not take")
        return
    missing = [key for key in sequence.images if key not in batch.pixels]
    if missing:
        raise ValueError(f"sequence {index} names picture {missing[0]}, which is not among the batch's pixels")
    expected = sum(batch.pixels[key].tokens for key in sequence.images)
    found = int((sequence.ids == family.placeholder).sum())
    if found != expected:
        raise ValueError(
            f"sequence {index} has {found} placeholders, but its {len(sequence.images)} pictures or sounds have "
            f"{expected} tokens: truncation must not cut through one, and a text must not hold the placeholder token"
        )


def _device(base: Any) -> torch.device:
    embeddings = base.get_input_embeddings()
    return cast("torch.device", embeddings.weight.device if embeddings is not None else next(base.parameters()).device)
