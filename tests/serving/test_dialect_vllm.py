import math

import pytest
from asked import Told, client, offline, told

from assay.media import Image
from assay.records import Record
from assay.serving.protocol import RED_PIXEL


@pytest.fixture(scope="module")
def http():
    with client() as asked:
        yield asked


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def raw(http, path="/score", **body):
    answer = http.post(path, json={"use_activation": False, **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


def scores(answer):
    return [row["score"] for row in answer["data"]]


FORMS = [("text_1", "text_2"), ("queries", "documents"), ("queries", "items"), ("data_1", "data_2")]


class TestScore:
    @pytest.mark.parametrize("path", ["/score", "/v1/score"])
    @pytest.mark.parametrize("names", FORMS, ids=" ".join)
    def test_one_pair_in_each_form(self, http, path, names):
        answer = raw(http, path, **dict(zip(names, ("ask", "say"), strict=True)))
        assert scores(answer) == offline([Record.of("ask", ["say"])])
        assert answer["object"] == "list"
        assert answer["data"][0] == {"index": 0, "object": "score", "score": scores(answer)[0]}
        assert answer["usage"]["total_tokens"] == answer["usage"]["prompt_tokens"] > 0

    def test_one_query_goes_with_every_document(self, http):
        answer = raw(http, text_1="ask", text_2=["a", "bb", "ccc"])
        assert scores(answer) == offline([Record.of("ask", ["a", "bb", "ccc"])])
        assert [row["index"] for row in answer["data"]] == [0, 1, 2]

    def test_lists_of_equal_length_are_pairs(self, http):
        answer = raw(http, text_1=["a", "bb"], text_2=["ccc", "d"])
        assert scores(answer) == offline([Record.of("a", ["ccc"]), Record.of("bb", ["d"])])

    @pytest.mark.parametrize("lengths", [(2, 3), (3, 1)])
    def test_other_lengths_are_refused(self, http, lengths):
        first, second = (["x"] * length for length in lengths)
        assert http.post("/score", json={"text_1": first, "text_2": second}).status_code == 422

    def test_content_with_media(self, http):
        query = {"content": [{"type": "image_url", "image_url": {"url": RED_PIXEL}}, {"type": "text", "text": "what"}]}
        answer = raw(http, queries=query, documents=["red", {"content": [{"type": "text", "text": "green"}]}])
        import base64

        pixel = Image.from_bytes(base64.b64decode(RED_PIXEL.partition(",")[2]))
        assert scores(answer) == offline([Record.of([pixel, "what"], ["red", "green"])])

    def test_a_medium_that_is_not_admitted_is_refused(self, http):
        query = {"content": [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]}
        answer = http.post("/score", json={"text_1": query, "text_2": "a"})
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "url_not_allowed"

    @pytest.mark.parametrize("off", [{"use_activation": False}, {"activation": False}])
    def test_the_sigmoid_is_applied_unless_it_is_said_off(self, off):
        with client(told("small", more=-400.0)) as http:
            value = offline([Record.of("a", ["b"])], Told(more=-400.0))[0]
            body = {"text_1": "a", "text_2": "b"}
            assert scores(http.post("/score", json=body).json()) == [pytest.approx(sigmoid(value), rel=1e-12)]
            assert scores(http.post("/score", json=body | {"use_activation": True}).json())[0] < 1e-100
            assert scores(http.post("/score", json=body | off).json()) == [value]

    def test_contradictory_activations_are_refused(self, http):
        body = {"text_1": "a", "text_2": "b", "activation": True, "use_activation": False}
        assert http.post("/score", json=body).status_code == 422

    def test_an_abstention_is_null_with_its_reason(self, http):
        answer = raw(http, text_1="a", text_2=["b", "abstain"])
        assert answer["data"][1] == {
            "index": 1,
            "object": "score",
            "score": None,
            "status": "refused",
            "message": "it would rather not",
        }

    def test_lower_is_better_is_turned(self):
        with client(told("low", better="lower")) as http:
            assert scores(raw(http, text_1="a", text_2="b")) == [-offline([Record.of("a", ["b"])])[0]]

    def test_the_model_names_the_reward(self):
        with client(told("one"), told("two", more=0.25)) as http:
            base = offline([Record.of("a", ["b"])])[0]
            assert scores(raw(http, text_1="a", text_2="b")) == [base]
            answer = raw(http, text_1="a", text_2="b", model="two")
            assert scores(answer) == [base + 0.25]
            assert answer["model"].startswith("two@")
            assert http.post("/score", json={"text_1": "a", "text_2": "b", "model": "three"}).status_code == 404

    @pytest.mark.parametrize(
        "more", [{"truncate_prompt_tokens": 10}, {"priority": 1}, {"instruction": "x"}, {"text_3": "x"}]
    )
    def test_what_cannot_be_honoured_is_refused(self, http, more):
        answer = http.post("/score", json={"text_1": "a", "text_2": "b", **more})
        assert answer.status_code == 422
        assert next(iter(more)) in answer.json()["error"]["message"]

    def test_that_nothing_is_cut_may_be_said(self, http):
        answer = raw(http, text_1="a", text_2="b", max_tokens_per_query=0, max_tokens_per_doc=0)
        assert scores(answer) == offline([Record.of("a", ["b"])])
        assert http.post("/score", json={"text_1": "a", "text_2": "b", "max_tokens_per_doc": 9}).status_code == 422

    def test_native_and_vllm_agree(self, http):
        rows = http.post("/v1/scores", json={"records": [{"prompt": "ask", "responses": ["a", "bb"]}]}).json()["rows"]
        assert scores(raw(http, text_1="ask", text_2=["a", "bb"])) == [row["value"] for row in rows]


class TestClassify:
    CHAT = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "ask"},
        {"role": "assistant", "content": "say"},
    ]

    @pytest.mark.parametrize("path", ["/classify", "/v1/classify"])
    def test_messages_end_with_what_is_judged(self, http, path):
        (row,) = raw(http, path, messages=self.CHAT)["data"]
        record = Record.chat(self.CHAT[:-1], ["say"])
        assert row == {"index": 0, "label": "LABEL_0", "probs": offline([record]), "num_classes": 1}

    def test_the_request_that_verl_sends(self, http):
        body = {"model": "told", "input": "User: a\nAssistant: b", "activation": False}
        (row,) = http.post("/classify", json=body).json()["data"]
        assert row["probs"][-1] == offline([Record.of("", ["User: a\nAssistant: b"])])[0]

    def test_several_texts(self, http):
        data = raw(http, "/classify", input=["one", "three"])["data"]
        assert data[1]["probs"][0] - data[0]["probs"][0] == 2

    @pytest.mark.parametrize(
        "body",
        [
            {},
            {"input": "a", "messages": CHAT},
            {"messages": CHAT[:2]},
            {"messages": []},
            {"input": [1, 2, 3]},
            {"input": []},
            {"messages": CHAT, "add_generation_prompt": True},
            {"messages": CHAT, "chat_template": "{{ x }}"},
            {"messages": [{"role": "assistant", "content": 7}]},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, http, body):
        assert http.post("/classify", json=body).status_code == 422


class TestPooling:
    def test_the_score_of_the_whole(self, http):
        (row,) = raw(http, "/pooling", messages=TestClassify.CHAT)["data"]
        assert row["object"] == "pooling"
        assert row["data"] == raw(http, "/classify", messages=TestClassify.CHAT)["data"][0]["probs"]

    def test_the_scores_of_steps_are_nested(self, http):
        chat = [*TestClassify.CHAT[:-1], {"role": "assistant", "content": "one\nthree"}]
        (row,) = raw(http, "/v1/pooling", messages=chat, task="token_classify")["data"]
        assert row["data"] == [[3.0], [5.0]]

    @pytest.mark.parametrize(
        "more", [{"task": "embed"}, {"task": "token_embed"}, {"dimensions": 3}, {"encoding_format": "base64"}]
    )
    def test_embeddings_are_refused(self, http, more):
        assert http.post("/pooling", json={"input": "a", **more}).status_code == 422

    def test_steps_of_a_reward_without_steps_are_refused(self):
        from assay.rewards import rules
        from assay.serving.service import Entry

        with client(Entry("words", lambda: rules.length(per_words=2))) as http:
            answer = http.post("/pooling", json={"input": "a b", "task": "token_classify"})
            assert answer.status_code == 422
            assert answer.json()["error"]["code"] == "no_steps"
