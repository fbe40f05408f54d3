"""`assay new`: a small backbone with random weights, for data of your own and machines without a hub."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from assay.cli.inputs import UsageError, open_records, report_bad_rows, show
from assay.cli.options import DryRun, Dtype, Json, Limit, NoDevice, Seed


class Kind(StrEnum):
    """What a new backbone reads."""

    text = "text"
    picture = "picture"


def new(
    kind: Annotated[Kind, typer.Argument(help="What it reads: text (a Llama) or pictures with text (an Idefics3).")],
    data: Annotated[Path, typer.Option("--data", help="Records whose words its tokenizer is made of.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Directory of the backbone.")],
    vocabulary: Annotated[
        int, typer.Option("--vocabulary", help="Subwords of the tokenizer; 0 makes one token a word.", min=0)
    ] = 3000,
    hidden: Annotated[int, typer.Option("--hidden", help="Width of the language model.", min=8)] = 64,
    layers: Annotated[int, typer.Option("--layers", help="Layers of the language model.", min=1)] = 2,
    vision_hidden: Annotated[int, typer.Option("--vision-hidden", help="Width of the vision tower.", min=8)] = 96,
    vision_layers: Annotated[int, typer.Option("--vision-layers", help="Layers of the vision tower.", min=1)] = 2,
    side: Annotated[int, typer.Option("--side", help="Pictures are resized to so many pixels a side.", min=16)] = 64,
    patch: Annotated[int, typer.Option("--patch", help="Side of a patch in pixels.", min=2)] = 8,
    limit: Limit = None,
    keep_going: Annotated[bool, typer.Option("--keep-going", help="Skip data rows that cannot be read.")] = False,
    device: NoDevice = "auto",
    dtype: Dtype = "float32",
    seed: Seed = 0,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Make an untrained backbone of a real transformers class, with a tokenizer made from the words of DATA.

    It is what assay train takes as --model. A backbone that was trained on much text is better wherever there is one.

    Example: assay new picture --data easy-vqa:train --vocabulary 0 -o out/backbone
    """
    if side % (2 * patch):
        raise UsageError(f"--side {side} must be a multiple of twice --patch {patch}: patches are merged 2 x 2")
    del device
    from assay.models import scratch
    from assay.models.placement import placement

    rows = open_records(data, limit, keep_going)
    texts = sorted({
        message.text
        for record in rows
        for message in (*record.prompt, *(m for response in record.responses for m in response.messages))
    })  # fmt: skip
    bad = report_bad_rows(rows)
    special = scratch.picture_tokens() if kind is Kind.picture else ()
    if vocabulary:
        tokenizer = scratch.subword_tokenizer(texts, vocabulary, special=special)
    else:
        tokenizer = scratch.word_tokenizer(texts, special=special)
    size = scratch.Size(hidden=hidden, layers=layers, vision_hidden=vision_hidden, vision_layers=vision_layers)
    if kind is Kind.picture:
        made = scratch.picture_backbone(tokenizer, size, side=side, patch=patch, seed=seed)
    else:
        made = scratch.text_backbone(tokenizer, size, seed=seed)
    made.module.to(placement("cpu", dtype).dtype)
    weights = sum(weight.numel() for weight in made.module.parameters())
    if not dry_run:
        scratch.save_backbone(made, output)
    facts = {"class": type(made.module).__name__, "weights": weights, "tokens": len(tokenizer), "texts": len(texts)}
    said = f"{facts['class']}, {weights:,} random weights, a vocabulary of {len(tokenizer):,} from {len(texts):,} texts"
    wrote = "nothing written (dry run)" if dry_run else f"written to {output}"
    show({**facts, "bad_rows": bad, "output": None if dry_run else str(output)}, as_json, [said, wrote])
