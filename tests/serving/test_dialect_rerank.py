import pytest
from asked import client, offline

from assay.records import Record
from assay.serving.protocol import RED_PIXEL


@pytest.fixture(scope="module")
def http():
    with client() as asked:
        yield asked


def ranked(http, path="/rerank", **body):
    answer = http.post(path, json={"use_activation": False, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_best_first_with_the_index_of_each(http, path):
    answer = ranked(http, path, query="q", documents=["bb", "a", "ccc"])
    assert [row["index"] for row in answer["results"]] == [2, 0, 1]
    values = offline([Record.of("q", ["bb", "a", "ccc"])])
    assert [row["relevance_score"] for row in answer["results"]] == sorted(values, reverse=True)
    assert [row["document"]["text"] for row in answer["results"]] == ["ccc", "bb", "a"]
    assert answer["id"]
    assert answer["usage"]["total_tokens"] > 0


@pytest.mark.parametrize(("top", "rows"), [(1, 1), (2, 2), (9, 3), (0, 3), (None, 3)])
def test_only_as_many_as_asked_for(http, top, rows):
    assert len(ranked(http, query="q", documents=["bb", "a", "ccc"], top_n=top)["results"]) == rows


def test_documents_are_left_out_when_not_wanted(http):
    rows = ranked(http, query="q", documents=["bb"], return_documents=False)["results"]
    assert rows == [{"index": 0, "relevance_score": rows[0]["relevance_score"]}]


def test_documents_as_cohere_jina_and_vllm_write_them(http):
    documents = [{"text": "a"}, {"image": RED_PIXEL}, {"content": [{"type": "text", "text": "ccc"}]}, "bb"]
    rows = ranked(http, query={"text": "q"}, documents=documents)["results"]
    assert [row["index"] for row in rows] == [1, 2, 3, 0]
    assert rows[0]["document"] == {"image": RED_PIXEL}
    assert rows[1]["document"] == {"multi_modal": [{"type": "text", "text": "ccc"}]}


@pytest.mark.parametrize("broken", ["", "\n"])
def test_a_picture_may_come_as_plain_base64(http, broken):
    plain = RED_PIXEL.partition(",")[2]
    rows = ranked(http, query="q", documents=["a", {"image": plain[:40] + broken + plain[40:]}])["results"]
    assert [row["index"] for row in rows] == [1, 0]
    assert rows[0]["relevance_score"] == offline([Record.of("q", [""])])[0] + 10


def test_a_picture_by_a_path_is_still_refused(http):
    for path in ("/etc/passwd", "pictures/of-a-cat-that-is-red.png", "a"):
        answer = http.post("/rerank", json={"query": "q", "documents": [{"image": path}]})
        assert answer.json()["error"]["code"] == "path_not_allowed"


def test_fields_of_its_clients_that_change_nothing_are_taken(http):
    nothing = {"activation": False, "request_id": "r", "truncate_prompt_tokens": None}
    nothing |= {"max_tokens_per_doc": None, "max_tokens_per_query": 0}
    (row,) = ranked(http, query="q", documents="a", priority=3, user="u", **nothing)["results"]
    assert row["relevance_score"] == offline([Record.of("q", ["a"])])[0]
    for cut in ({"max_tokens_per_doc": 4096}, {"truncate_prompt_tokens": 5}, {"activation": True}):
        body = {"query": "q", "documents": ["a"], "use_activation": False, **cut}
        assert http.post("/rerank", json=body).status_code == 422


def test_equal_scores_keep_their_order(http):
    assert [row["index"] for row in ranked(http, query="q", documents=["aa", "bb", "cc"])["results"]] == [0, 1, 2]


def test_what_could_not_be_judged_comes_last_with_its_reason(http):
    rows = ranked(http, query="q", documents=["abstain", "a"])["results"]
    assert [row["index"] for row in rows] == [1, 0]
    assert rows[1]["relevance_score"] is None
    assert rows[1]["status"] == "refused"


def test_the_sigmoid_keeps_the_order_and_stays_below_one(http):
    rows = http.post("/rerank", json={"query": "q", "documents": ["bb", "a"]}).json()["results"]
    assert all(0 < row["relevance_score"] <= 1 for row in rows)
    assert [row["index"] for row in rows] == [0, 1]


@pytest.mark.parametrize(
    "body",
    [
        {"query": "q"},
        {"query": "q", "documents": []},
        {"query": "q", "documents": [{}]},
        {"query": "q", "documents": [{"text": "a", "image": "b"}]},
        {"query": "q", "documents": ["a"], "top_n": -1},
        {"query": "q", "documents": ["a"], "max_chunks_per_doc": 3},
        {"query": "q", "documents": ["a"], "rank_fields": ["x"]},
    ],
)
def test_what_makes_no_sense_is_refused(http, body):
    assert http.post("/rerank", json=body).status_code == 422
