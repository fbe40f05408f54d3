"""TARA: pairs whose answers were checked with tools; judged here by the answers alone."""

from __future__ import annotations

from dataclasses import replace

from assay.records import Preference, Record, read
from assay.records.formats.tara import without_tools
from real.frame import REPORTED, Measured, Place, held_out
from real.pairs import judged

FOLDER = "text-pairs-tara"
LAYERS = 6
SOURCE = "github.com/ernie-research/Tool-Augmented-Reward-Model"


def measure(place: Place) -> Measured:
    """The official test split, a share of pairs in each domain among the details."""
    folder = place.folder(
        FOLDER, "pairs.jsonl.gz made from the data of github.com/ernie-research/Tool-Augmented-Reward-Model"
    )
    read_in = [_plain(record) for record in read(folder / "pairs.jsonl.gz")]
    asked = {record.prompt[0].text for record in read_in if record.context["split"] == "test"}
    records = [r for r in read_in if r.context["split"] == "test" or r.prompt[0].text not in asked]
    split = held_out(
        f"the official one; {len(read_in) - len(records)} training pairs left out, whose prompt is in the test part",
        [record.id for record in records], [record.prompt[0].text for record in records],
        [record.context["split"] == "test" for record in records],
    )  # fmt: skip
    spent: dict[str, float] = {}
    domains = [str(record.context["domain"]) for record in records]
    figure = judged(place, "tara", records, split, REPORTED, spent, layers=LAYERS, slices=domains)
    return Measured(
        "Pairs of ten domains, answers alone (TARA)", FOLDER,
        f"{SOURCE}, MIT", split, [figure], spent,
        notes="Four of the domains asked about have no training pairs here; without the tools a small model cannot "
        "check what they check.",
    )  # fmt: skip


def _plain(record: Record) -> Record:
    kept = tuple([item for item in record.feedback if isinstance(item, Preference)])
    return replace(without_tools(record), feedback=kept)
