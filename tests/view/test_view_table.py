import json
import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from view_gallery import gallery, judged
from view_million import write_scores

from assay.curation.filters import FilterError, keep
from assay.records import Preference, Record, preferences_of, read, write
from assay.runs.reading import read_rows
from assay.runs.results import ResultError
from assay.runs.score import score_file
from assay.view.derived import add_derived, flips
from assay.view.listing import Listing, Query
from assay.view.shelf import ShelfError, shelve
from assay.view.store import prune
from assay.view.table import open_table


@pytest.fixture(scope="module", params=[".parquet", ".jsonl"])
def files(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("table")
    return folder, *gallery(folder, request.param)


def bare(row):
    """A row without its number, and without what JSON Lines keep and Parquet does not: empty cells, the status of steps
    of which none failed."""
    return {key: cell for key, cell in row.items() if key not in ("row", "step_status") and cell not in (None, [])}


def test_rows_are_those_of_the_file(files):
    folder, _, scores, _ = files
    table = open_table(scores, folder / "cache")
    assert [bare(row) for row in table.read(range(table.rows))] == [bare(row) for row in read_rows(scores)]
    assert (table.rows, table.records) == (25, 10)
    assert table.counts() == {"ok": 24, "timeout": 1}


def test_a_record_is_found_by_its_id(files):
    folder, data, scores, _ = files
    table, start = open_table(scores, folder / "cache"), 0
    for record in read(data):
        assert table.span(record.id) == range(start, start + len(record.responses))
        start += len(record.responses)
    assert table.span("no such record") == range(0)


@pytest.mark.parametrize("sort", ["", "value", "-value", "std", "-clarity", "status", "-response"])
@pytest.mark.parametrize("expression", ["", "value > 0", "0 < value <= 1 or std > 0.3", "not status == ok"])
def test_lists_are_sorted_and_filtered_as_by_hand(files, sort, expression):
    folder, _, scores, _ = files
    table = open_table(scores, folder / "cache")
    rows = [{"std": None, **row} for row in read_rows(scores)]
    rows = [row | {name: cell for name, (cell, _) in row["attributes"].items()} for row in rows]
    kept = [n for n, row in enumerate(rows) if not expression or keep(expression).test(row) is True]
    if sort:
        order = ["ok", "timeout"] if sort == "status" else None
        name, sign = sort.removeprefix("-"), -1 if sort.startswith("-") else 1
        cells = [order.index(row[name]) if order else row[name] for row in rows]
        kept.sort(key=lambda n: (cells[n] is None, sign * (cells[n] or 0.0)))
    listing = Listing(table)
    assert listing.rows(Query(sort, expression), 0, 100) == kept
    assert listing.count(Query(sort, expression)) == len(kept)
    assert listing.rows(Query(sort, expression), 3, 4) == kept[3:7]


def test_a_sort_or_filter_by_nothing_known_is_said(files):
    folder, _, scores, _ = files
    listing = Listing(open_table(scores, folder / "cache"))
    for query in (Query("nothing"), Query("", "nothing > 1"), Query("", "value >")):
        with pytest.raises(FilterError):
            listing.rows(query, 0, 1)
    with pytest.raises(FilterError, match="__import__"):
        listing.count(Query("", "__import__('os').getpid() > 0"))


def test_errors_are_those_of_every_preference(files):
    folder, data, scores, _ = files
    table, shelf = open_table(scores, folder / "cache"), shelve(data, folder / "cache")
    add_derived(table, shelf=shelf)
    value, expected = table.column("value"), np.full(table.rows, np.nan)
    for record in read(data):
        first = table.span(record.id).start
        for each in preferences_of(record):
            over = value[first + each.worse] - value[first + each.better]
            expected[first + each.worse] = np.fmax(expected[first + each.worse], over)
    np.testing.assert_allclose(table.column("error"), expected)
    assert np.isfinite(expected).sum() == 12


def test_the_other_rewards_values_are_found_in_any_order_and_number(files, tmp_path):
    folder, data, scores, other = files
    table = open_table(scores, folder / "cache")
    records = [record for record in read(data) if record.id != "steps"][::-1]
    partial = tmp_path / f"partial{scores.suffix}"
    score_file(judged(1, records), records, partial)
    add_derived(table, other=open_table(partial, folder / "cache"))
    values = {row["id"]: row["value"] for row in read_rows(partial)}
    expected = [math.nan if values.get(row["id"]) is None else values[row["id"]] for row in read_rows(scores)]
    np.testing.assert_allclose(table.column("other"), expected)
    add_derived(table, other=open_table(other, folder / "cache"))
    assert not np.isnan(table.column("other")[table.span("steps").start])


class Columns:
    """What `flips` reads of a table."""

    def __init__(self, sizes, value, other):
        ends = np.cumsum(sizes)
        self.rows, self.records = int(ends[-1]), len(sizes)
        self.starts, self._ends = (ends - sizes).astype("u4"), ends.astype("u4")
        self._columns = {"value": value, "other": other}

    def ends(self):
        return self._ends

    def column(self, name):
        return self._columns[name]


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.randoms(use_true_random=False))
@settings(max_examples=50, deadline=None)
def test_flips_are_the_pairs_of_a_record_in_two_orders(sizes, chance):
    rows = sum(sizes)
    value, other = (np.array([chance.choice([0.0, 1.0, 2.0, math.nan]) for _ in range(rows)]) for _ in range(2))
    found = flips(Columns(np.array(sizes), value, other))
    start = 0
    for size in sizes:
        for one in range(start, start + size):
            if math.isnan(value[one]) or math.isnan(other[one]):
                assert math.isnan(found[one])
                continue
            products = [(value[one] - value[two]) * (other[one] - other[two]) for two in range(start, start + size)]
            assert found[one] == sum(product < 0 for product in products)
        start += size


def test_scores_written_anew_are_read_anew(tmp_path):
    _, scores, _ = gallery(tmp_path)
    before = open_table(scores, tmp_path / "cache").column("value").tolist()
    given = list(read(tmp_path / "data.jsonl"))
    score_file(judged(7, given), given, scores, resume=False)
    assert open_table(scores, tmp_path / "cache").column("value").tolist() != before


def test_what_nobody_looked_at_is_deleted(tmp_path):
    data, scores, _ = gallery(tmp_path)
    cache = tmp_path / "cache"
    table, shelf = open_table(scores, cache), shelve(data, cache, limit=3)
    shelf.close()
    add_derived(table)
    for name in table.numbers:
        table.order(name, descending=True)
    (shelf.folder / ".77-records.sqlite").touch()
    other = cache / f"mine-{'0' * 16}"
    other.mkdir()
    (other / "part.parquet").write_text("not of a page")
    (cache / "files").mkdir()
    assert prune(cache) == []
    for folder in cache.iterdir():
        os.utime(folder, (0, 0))
    open_table(scores, cache)
    assert prune(cache) == [shelf.folder]
    assert sorted(each.name for each in cache.iterdir()) == sorted(["files", other.name, table.folder.name])
    assert prune(tmp_path / "nowhere") == []


def test_two_processes_may_make_the_same_at_once(tmp_path, monkeypatch):
    data, scores, _ = gallery(tmp_path, ".jsonl")
    cache = tmp_path / "cache"
    inner = []

    def and_another(done, total):
        if not inner:
            inner.append(os.getpid())
            with monkeypatch.context() as patch:
                patch.setattr(os, "getpid", lambda: 1)
                assert shelve(data, cache).count == 10
                assert open_table(scores, cache).records == 10

    assert open_table(scores, cache, and_another).records == 10
    assert inner
    inner.clear()
    shutil.rmtree(cache)
    assert shelve(data, cache, progress=and_another).count == 10
    assert inner
    assert not list(cache.rglob(".*"))


def test_no_result_is_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"id": 1}\n')
    with pytest.raises(ResultError, match="was not written by"):
        open_table(path, tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match="no such file"):
        open_table(tmp_path / "missing.parquet", tmp_path / "cache")


def test_a_table_without_rows_has_pages(tmp_path):
    score_file(judged(0, []), [], tmp_path / "none.parquet")
    table = open_table(tmp_path / "none.parquet", tmp_path / "cache")
    assert (table.rows, table.records, table.span("a")) == (0, 0, range(0))
    assert Listing(table).rows(Query("value", "value > 0"), 0, 10) == []


def test_the_shelf_holds_records_as_they_are_read(files):
    folder, data, _, _ = files
    shelf = shelve(data, folder / "cache")
    assert list(shelf) == list(read(data))
    assert shelf.names() == [record.id for record in read(data)]
    assert shelf.record("nothing") is None
    assert shelf.at(99) is None
    assert shelf.number("steps") == 4


def test_the_shelf_says_what_it_could_not_read(tmp_path):
    path = tmp_path / "data.jsonl"
    write([Record.of("a", ["b", "c"], id="one", feedback=[Preference(1, 0)])], path)
    text = path.read_text()
    path.write_text(text + "broken\n" + text)
    shelf = shelve(path, tmp_path / "cache")
    assert shelf.count == 1
    assert len(shelf.problems) == 2
    assert "bad_json" in shelf.problems[0]
    assert "came before" in shelf.problems[1]
    assert list(shelf.pairs()) == [("one", [(1, 0)])]
    path.write_text("broken\n")
    with pytest.raises((ShelfError, ValueError), match=r"no row|no record"):
        shelve(path, tmp_path / "cache")


MEASURE = """
import json, sys, time
from pathlib import Path
import psutil
from fastapi.testclient import TestClient
from assay.view.derived import add_derived
from assay.view.store import prune
from assay.view.table import open_table
from assay.view.viewer import Viewed, create_view
scores, other, small, cache = map(Path, sys.argv[1:])
process = psutil.Process()

def pages(table, sorts):
    client = TestClient(create_view(Viewed(table)), base_url="http://127.0.0.1")
    seconds = []
    for sort in sorts:
        client.get(sort)
        start = time.process_time()
        response = client.get(sort)
        seconds.append(time.process_time() - start)
        assert response.status_code == 200, response.text
    return seconds

pages(open_table(small, cache), ["/", "/?sort=value"])
before = process.memory_info().rss
start = time.process_time()
table, against = open_table(scores, cache), open_table(other, cache)
add_derived(table, other=against)
seconds = pages(table, ["/?at=777000", "/?sort=-value&at=5000", "/?sort=-flips&keep=flips+%3E+1&at=100",
    "/?sort=std&keep=value+%3E+0+and+clarity+%3C+0.5+and+status+%3D%3D+ok&at=100000", "/row?record=record-200001",
    "/at/123456?sort=-std"])
all_seconds = time.process_time() - start
print(json.dumps({"mebibytes": (process.memory_info().rss - before) / 2**20, "pages": seconds, "all": all_seconds}))
"""


@pytest.mark.slow
def test_a_million_rows_are_not_loaded(tmp_path):
    scores = write_scores(tmp_path / "scores.parquet", 1_000_000)
    other = write_scores(tmp_path / "other.parquet", 1_000_000, seed=1)
    small = write_scores(tmp_path / "small.parquet", 20_000)
    command = [sys.executable, "-c", MEASURE, str(scores), str(other), str(small), str(tmp_path / "cache")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    found = json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)
    print(found)
    assert found["mebibytes"] <= 100
    assert max(found["pages"]) < 0.3


def test_a_page_costs_as_much_among_many_rows_as_among_few(tmp_path):
    table = open_table(write_scores(Path(tmp_path / "scores.parquet"), 40_000), tmp_path / "cache")
    rows = Listing(table).rows(Query("-value", "std < 2 and status == ok"), 10_000, 50)
    shown = table.read(rows, ["record", "response", "value"])
    assert [row["row"] for row in shown] == rows
    assert [row["value"] for row in shown] == sorted((row["value"] for row in shown), reverse=True)
    assert {path.suffix for path in table.folder.iterdir()} >= {".down", ".column"}
