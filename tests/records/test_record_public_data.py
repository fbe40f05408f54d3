"""Public preference, rating and process sets as they were published: counts, and facts that a wrong sign would break.

They lie in ASSAY_DATA, or in ../shared/data beside the repository.
"""

from __future__ import annotations

import gzip
import os
from collections import Counter
from pathlib import Path

import pytest

from assay.media import Audio, Image, Video
from assay.records import Preference, Ranking, Rating, Record, SpanLabels, StepLabels, preferences_of, read
from assay.records.check import check

DATA = Path(os.environ.get("ASSAY_DATA") or Path(__file__).resolve().parents[3] / "shared" / "data")


def needed(name: str) -> Path:
    if not (DATA / name).exists():
        pytest.skip(f"no {DATA / name}; set ASSAY_DATA to the folder of public data")
    return DATA / name


def labels(records: list[Record]) -> Counter[float | None]:
    found = [item for record in records for item in record.feedback if isinstance(item, StepLabels)]
    return Counter(label for item in found if item.response == 0 for label in item.labels)


def test_prmbench() -> None:
    records = read(needed("step-prmbench"))
    assert records.format == "prmbench"
    rows = list(records)
    assert len(rows) == 3368
    assert Counter(record.context["classification"] for record in rows)["multi_solutions"] == 165
    for record in rows:
        first = next(item for item in record.feedback if isinstance(item, StepLabels))
        assert len(first.labels) == len(record.responses[0].step_ends)
        wrong = [place for place, label in enumerate(first.labels, start=1) if label == 0]
        if record.context["classification"] == "multi_solutions":
            assert wrong == []
        elif "error_steps_beyond" not in record.context:
            assert wrong
    assert sum("error_steps_beyond" in record.context for record in rows) == 57  # step numbers past the end
    assert sum(len(record.responses) == 2 for record in rows) == 3166
    found = labels(rows)
    assert found[1.0] + found[0.0] == 49477
    assert not check(rows, media=False).counts


def test_videoalign_example() -> None:
    records = read(needed("video-videoalign-example/train/example.csv"))
    assert records.format == "videoalign"
    rows = list(records)
    assert len(rows) == 12
    first = rows[0]
    better = {item.criterion: (item.better, item.tie) for item in first.feedback if isinstance(item, Preference)}
    assert better == {"VQ": (1, False), "MQ": (1, False), "TA": (0, False)}
    (clip,) = first.responses[0].messages[0].parts
    assert isinstance(clip, Video)
    assert clip.path is not None
    assert clip.path.is_file()
    report = check(rows)
    assert not report.counts
    assert report.repeated == 9  # the published file repeats its three pairs
    assert any(note.startswith("9 of 12 records repeat") for note in report.notes)


def test_topical_chat_reproduces_the_published_correlation() -> None:
    scipy = pytest.importorskip("scipy.stats")
    records = list(read(needed("text-ratings-topicalchat")))
    assert [len(record.responses) for record in records] == [6] * 60
    for criterion, spearman in (("naturalness", 0.514), ("coherence", 0.613), ("engagingness", 0.605)):
        human: list[float] = []
        predicted: list[float] = []
        for record in records:
            found = {item.response: item.value for item in record.feedback
                     if isinstance(item, Rating) and item.criterion == criterion}  # fmt: skip
            human += [found[index] for index in range(6)]
            predicted += [scores[criterion] for scores in record.context["predict_scores"]]
        assert float(scipy.spearmanr(human, predicted).statistic) == pytest.approx(spearman, abs=1e-3)


def test_fsdd_packed_and_as_files() -> None:
    packed = list(read(needed("audio-fsdd/recordings.parquet")))
    assert len(packed) == 900
    assert Counter(record.context["speaker"] for record in packed) == dict.fromkeys(
        ("george", "jackson", "lucas", "nicolas", "theo", "yweweler"), 150
    )
    files = list(read(needed("audio-fsdd/recordings_sample")))
    assert len(files) == 20
    by_id = {record.id: record for record in packed}
    for record in files:
        assert record == by_id[record.id]  # one by path, one by bytes: equal by content
    places = Counter(item.ranks.index(0) for record in packed for item in record.feedback if isinstance(item, Ranking))
    # the order is drawn per recording: chi-square with 9 degrees of freedom, 0.1 % point
    assert sum((places[place] - 90) ** 2 / 90 for place in range(10)) < 27.9
    audio = packed[0].prompt[0].parts[0]
    assert isinstance(audio, Audio)


def test_mushra_prefers_the_hidden_reference() -> None:
    records = list(read(needed("audio-mushra-codec")))
    assert [len(record.responses) for record in records] == [8] * 8
    assert not check(records).counts
    won: list[bool] = []
    for record in records:
        reference = record.context["conditions"].index("Reference")
        assert record.responses[reference].messages[0].parts[0] == record.prompt[0].parts[0]
        won += [item.better == reference for item in preferences_of(record) if reference in (item.better, item.worse)]
    assert sum(won) / len(won) > 0.9
    table = list(
        read(needed("audio-mushra-codec/ratings_formated_filtered.csv"), media_root=DATA / "audio-mushra-codec/audio")
    )
    same = {record.context["signal"]: record for record in table}
    for record in records:
        assert record.feedback == same[record.context["signal"]].feedback
        assert record.responses == same[record.context["signal"]].responses
    assert {tuple(record.context["without_file"]) for record in table} == {("Anchor",)}


def test_nlvr() -> None:
    records = list(read(needed("mm-nlvr/dev.parquet")))
    assert len(records) == 5934
    assert sum(preferences_of(record)[0].better == 0 for record in records) == 3282
    votes = [
        (item.better, preferences_of(record)[0].better)
        for record in records
        for item in record.feedback
        if isinstance(item, Preference) and item.rater is not None
    ]
    assert len(votes) > 25_000
    assert sum(vote == label for vote, label in votes) / len(votes) > 0.9
    picture = records[0].prompt[0].parts[0]
    assert isinstance(picture, Image)
    assert picture.pil().size == (400, 100)
    official = list(read(needed("mm-nlvr/sample_layout/dev/dev.json")))
    assert len(official) == 10
    packed = {record.context["identifier"]: record for record in records if record.id.endswith("-0")}
    present = 0
    for record in official:
        same, image = packed[record.context["identifier"]], record.prompt[0].parts[0]
        assert record.feedback == same.feedback
        assert isinstance(image, Image)
        assert image.path is not None
        if image.path.is_file():
            present += 1
            assert record.prompt == same.prompt  # one by path, one by bytes: equal by content
    assert present == 7  # the sample has the pictures of seven


def test_mj_bench_quality_in_both_layouts() -> None:
    pairs = list(read(needed("t2i-mjbench-quality-objects/pairs.jsonl")))
    official = list(
        read(
            needed("t2i-mjbench-quality-objects/captions_objects.json"),
            media_root=DATA / "t2i-mjbench-quality-objects/images",
        )
    )
    assert len(pairs) == len(official) == 100
    assert {record.feedback for record in (*pairs, *official)} == {(Preference(0, 1),)}
    assert [record.responses for record in pairs] == [record.responses for record in official]
    report = check(pairs)
    assert not report.counts
    assert report.first_is_best == 1.0
    assert report.notes  # which says so: shuffle before judging


def test_fetv() -> None:
    records = list(read(needed("video-fetv-ratings/ratings.jsonl")))
    assert sum(len(record.responses) for record in records) == 116
    assert len(records) == 29
    assert sum(len(preferences_of(record)) for record in records) == 230
    assert not check(records).counts


def test_qa_feedback() -> None:
    records = list(read(needed("text-finegrained-qa-feedback")))
    preferences = [item for record in records for item in record.feedback if isinstance(item, Preference)]
    assert (len(records), len(preferences)) == (500, 3000)
    assert sum(item.tie for item in preferences) == 384
    spans = [
        span for record in records for item in record.feedback if isinstance(item, SpanLabels) for span in item.spans
    ]
    assert len(spans) == 1373
    assert {span.label for span in spans} == {
        "Irrelevant",
        "Wrong-Grounding",
        "Unverifiable",
        "Redundant",
        "Incoherent",
    }
    assert all(0 <= span.start < span.end for span in spans)


def test_mqm_reproduces_the_published_segment_scores() -> None:
    records = list(read(needed("text-ratings-mqm-ted-zhen/mqm_ted_zhen.tsv.gz")))
    assert len(records) == 529
    ours = {
        (record.context["systems"][item.response], record.context["seg_id"]): item.value
        for record in records
        for item in record.feedback
        if isinstance(item, Rating)
    }
    names = {"ref-A": "ref", "ref-B": "refB"}
    compared = 0
    with gzip.open(needed("text-ratings-mqm-ted-zhen/mqm_ted_zhen.avg_seg_scores.tsv.gz"), "rt") as file:
        for system, score, segment in (line.split() for line in file):
            if score not in ("None", "mqm_avg_score"):
                assert ours[names.get(system, system), segment] == pytest.approx(float(score), abs=1e-4)
                compared += 1
    assert compared == 7935
    marked = [
        (record.responses[item.response].text, span)
        for record in records
        for item in record.feedback
        if isinstance(item, SpanLabels)
        for span in item.spans
    ]
    assert len(marked) > 5000
    assert all(0 <= span.start < span.end <= len(text) for text, span in marked)


def test_mm_rlhf_rewardbench() -> None:
    records = list(read(needed("bench-mm-rlhf-rewardbench")))
    assert len(records) == 170
    assert len({record.context["item"] for record in records}) == 46
    assert Counter(type(record.prompt[0].parts[0]) for record in records) == {Image: 145, Video: 25}
    assert not check(records, media=False).counts
