"""What is written is read back equal, in every format and file type."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from record_strategies import any_records, images, numbers, odd_text, pairs, plain_text

from assay.media import Text
from assay.records import Message, Ranking, Rating, Record, Response, StepLabels, read, write

FEW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
JSON = ("jsonl", "jsonl.gz", "json")


def back(records: list[Record], format: str, suffix: str) -> list[Record]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"data.{suffix}"
        write(records, path, format=format)
        found = list(read(path, format=format))
        assert found == records
        return found


@given(st.lists(any_records(), min_size=1, max_size=3), st.sampled_from([*JSON, "parquet"]))
@settings(FEW, max_examples=120)
def test_native_keeps_every_field(records: list[Record], suffix: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"data.{suffix}"
        write(records, path)
        assert list(read(path)) == records


@given(st.lists(pairs(pictures=True, margins=True), min_size=1, max_size=3), st.sampled_from(JSON))
@FEW
def test_trl_with_images(records: list[Record], suffix: str) -> None:
    back(records, "trl", suffix)


@given(st.lists(pairs(text=plain_text, pictures=True, margins=True), min_size=1, max_size=3))
@FEW
def test_trl_parquet(records: list[Record]) -> None:
    back(records, "trl", "parquet")


@given(st.lists(pairs(), min_size=1, max_size=3), st.sampled_from(JSON))
@FEW
def test_rewardbench(records: list[Record], suffix: str) -> None:
    back(records, "rewardbench", suffix)


@given(pairs(), st.lists(odd_text, min_size=1, max_size=3), st.lists(odd_text, min_size=1, max_size=3))
@FEW
def test_rewardbench_2(pair: Record, right: list[str], wrong: list[str]) -> None:
    answers = [Response.of(text) for text in [*right, *wrong]]
    if len(answers) < 3:
        answers = [*answers, Response.of("more")]
    ranks = tuple([0] * len(right) + [1] * (len(answers) - len(right)))
    record = Record(pair.id, pair.prompt, tuple(answers), (Ranking(ranks),), {"subset": "Ties", "models": ["a"]})
    back([record], "rewardbench", "jsonl")


@given(st.lists(pairs(text=plain_text, pictures=True, merge=True), min_size=1, max_size=3), st.sampled_from(JSON))
@FEW
def test_llama_factory(records: list[Record], suffix: str) -> None:
    back(records, "llama-factory", suffix)


@given(
    st.lists(pairs(text=plain_text, pictures=True, merge=True, margins=True), min_size=1, max_size=3),
    st.sampled_from(JSON),
)
@FEW
def test_ms_swift(records: list[Record], suffix: str) -> None:
    back(records, "ms-swift", suffix)


@given(st.lists(pairs(systems=False, text=plain_text), min_size=1, max_size=3), st.sampled_from(JSON))
@FEW
def test_hh_rlhf(records: list[Record], suffix: str) -> None:
    different = [record for record in records if record.responses[0] != record.responses[1]]
    if different:
        back(different, "hh-rlhf", suffix)


@given(pairs(pictures=True), st.booleans(), st.sampled_from(["trl-unpaired", "ms-swift"]))
@FEW
def test_one_rated_response(pair: Record, label: bool, format: str) -> None:
    prompt = (Message("user", (Text("what is it?"),)),)
    rating = (Rating(0, float(label)),)
    record = Record(pair.id, prompt, pair.responses[:1], rating, pair.context)
    if format == "ms-swift":
        record = Record(pair.id, prompt, (Response.of("a dog"),), rating, pair.context)
    back([record], format, "jsonl")


@given(
    st.lists(st.text(alphabet="ab \n", min_size=1, max_size=5).map(lambda t: f".{t}."), min_size=1, max_size=5),
    st.booleans(),
    st.data(),
)
@FEW
def test_trl_stepwise(steps: list[str], soft: bool, data: st.DataObject) -> None:
    label = st.floats(0, 1) if soft else st.sampled_from([0.0, 1.0])
    labels = tuple(data.draw(st.none() | label) for _ in steps)
    record = Record("r", (Message("user", (Text("2+2"),)),), (Response.from_steps(steps),), (StepLabels(0, labels),))
    back([record], "trl-stepwise", data.draw(st.sampled_from([*JSON, "parquet"])))


@given(images, numbers)
@settings(FEW, max_examples=5)
def test_media_by_path_stay_relative_and_move_with_the_folder(image: object, value: float) -> None:
    from assay.media import Image

    assert isinstance(image, Image)
    assert image.data is not None
    with tempfile.TemporaryDirectory() as folder:
        old, new = Path(folder) / "old", Path(folder) / "new"
        (old / "pictures").mkdir(parents=True)
        (old / "pictures" / "a.png").write_bytes(image.data)
        record = Record.of([Image.from_path(old / "pictures" / "a.png"), "?"], ["x", "y"], feedback=[Rating(0, value)])
        write([record], old / "data.jsonl")
        old.rename(new)
        (moved,) = read(new / "data.jsonl")
        picture = moved.prompt[0].parts[0]
        assert isinstance(picture, Image)
        assert picture.path == new / "pictures" / "a.png"
        assert picture == image
