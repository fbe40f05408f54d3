"""Where a head reads: the prompt's end, the response's own tokens and its steps, however a dialogue is written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import processors
from transformers import ByT5Tokenizer, LlamaConfig, LlamaModel

from assay import testing
from assay.media import Image, Text
from assay.models.base import TokenSequence
from assay.models.hf import Backbone, backbone_from
from assay.models.prepare import truncate_prompt
from assay.models.reading import Marked, Where, every_response_token, last, step_ends
from assay.models.scratch import text_backbone, word_tokenizer
from assay.records import Message, Record, Response
from assay.records.record import StepEnd
from assay.scores import Status

FAMILIES: dict[str, Callable[[], Backbone]] = {
    "text": testing.tiny_text,
    "plain": lambda: testing.tiny_text(chat=False),
    "llava": testing.tiny_llava,
    "idefics3": testing.tiny_idefics3,
    "smolvlm": testing.tiny_smolvlm,
    "paligemma": testing.tiny_paligemma,
    "gemma3": testing.tiny_gemma3,
    "qwen2_5_vl": testing.tiny_qwen2_5_vl,
    "qwen3_vl": testing.tiny_qwen3_vl,
    "qwen2_audio": testing.tiny_qwen2_audio,
}
TEXT = testing.tiny_text()
TRIMS = testing.tiny_gemma3()


def read(
    backbone: Backbone, record: Record, where: Where = step_ends, *, prompt: bool = False, **options: Any
) -> TokenSequence:
    prepared = backbone.prepare([record], read=where, prompt=prompt, **options)
    assert set(prepared.status) == {Status.OK}, prepared.messages
    return prepared.batch.groups[0][0]


def lengths(backbone: Backbone, ids: torch.Tensor) -> torch.Tensor:
    """Bytes of the text of all tokens up to each, of a byte-level tokenizer."""
    special = {index: str(token.content) for index, token in backbone.tokenizer.added_tokens_decoder.items()}
    tokens = backbone.tokenizer.convert_ids_to_tokens(ids.tolist())
    each = [
        len(special[index].encode()) if index in special else len(token)
        for index, token in zip(ids.tolist(), tokens, strict=True)
    ]
    return torch.tensor(each).cumsum(0)


def expected(backbone: Backbone, record: Record, ids: torch.Tensor, *, trims: bool = False) -> list[int]:
    """The first token with which the text up to a step's end is complete, found without offsets."""
    framed = backbone.prepare([Record.of(record.prompt, ["QQ"])]).batch.groups[0][0].ids
    before = len(backbone.tokenizer.decode(framed).split("QQ")[0].encode())
    text = record.responses[0].text
    lead = len(text) - len(text.lstrip()) if trims else 0
    core = text.strip() if trims else text
    totals = lengths(backbone, ids)
    assert int(totals[-1]) == len(backbone.tokenizer.decode(framed).replace("QQ", core).encode())
    ends = [core[: max((end.offset or 0) - lead, 0)] for end in record.responses[0].step_ends]
    return [int((totals < before + len(end.encode())).sum()) for end in ends]


@pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)
def test_every_template_gives_its_steps_and_tokens(make: Callable[[], Backbone]) -> None:
    backbone = make()
    steps = ["It is red.", "So yes <|im_end|> <eos>é😀", "", "<image>  done"]
    record = Record.of("why is it?", [Response.from_steps(steps)])
    sequence = read(backbone, record, prompt=True)
    assert sequence.reads.tolist()[1:] == expected(backbone, record, sequence.ids)
    assert torch.equal(sequence.ids, read(backbone, record, last).ids)
    tokens = read(backbone, record, every_response_token)
    text = record.responses[0].text
    assert backbone.tokenizer.decode(tokens.ids[tokens.reads]) == text
    assert tokens.ends is not None
    assert sequence.ends is not None
    assert tokens.ends[-1] == len(text)
    assert sequence.ends.tolist() == [0, *(end.offset for end in record.responses[0].step_ends)]
    assert int(tokens.reads[0]) == int(sequence.reads[0]) + 1


@pytest.mark.parametrize("make", FAMILIES.values(), ids=FAMILIES)
def test_the_prompt_ends_before_anything_of_the_response(make: Callable[[], Backbone]) -> None:
    backbone = make()
    ends = []
    for answer in ("yes", "<eos>", " no, not at all", "\nso"):
        sequence = read(backbone, Record.of("why is it?", [Response.from_steps([answer])]), prompt=True)
        assert sequence.prompt
        ends.append(backbone.tokenizer.decode(sequence.ids[: int(sequence.reads[0]) + 1]))
    # a space that the template writes may be one token with the response's first word: then the prompt ends before it
    assert len({end.rstrip(" ") for end in ends}) == 1
    assert ends[0].rstrip().endswith(("assistant", "Assistant:", "ASSISTANT:", "why is it?"))


pieces = st.lists(
    st.text(st.sampled_from("ab é😀\n\t.<|_"), max_size=6) | st.sampled_from(["<|im_end|>", "<bos>", "<end_of_turn>"]),
    min_size=1,
    max_size=5,
).filter(lambda found: bool("".join(found).strip()))


@given(pieces, st.sampled_from(["\n", "", " ", "\n\n"]), st.booleans())
@settings(deadline=None, max_examples=80)
def test_steps_end_at_the_token_that_completes_them(steps: list[str], separator: str, trims: bool) -> None:
    backbone = TRIMS if trims else TEXT
    record = Record.of("why?", [Response.from_steps(steps, separator)])
    sequence = read(backbone, record, prompt=True)
    found = expected(backbone, record, sequence.ids, trims=trims)
    text = record.responses[0].text
    blank = [not text[: end.offset].strip() for end in record.responses[0].step_ends]
    for reads, wanted, empty in zip(sequence.reads.tolist()[1:], found, blank, strict=True):
        if empty:
            assert int(sequence.reads[0]) <= reads <= max(wanted, int(sequence.reads[0]))
        else:
            assert reads == wanted


def test_a_step_may_end_inside_a_token() -> None:
    text = "because question"
    response = Response.of(text)
    whole = read(TEXT, Record.of("q", [response]), every_response_token)
    assert whole.ends is not None
    cut = Response(response.messages, tuple([StepEnd(0, 0, offset) for offset in range(1, len(text) + 1)]))
    sequence = read(TEXT, Record.of("q", [cut]))
    assert sequence.reads.unique().tolist() == whole.reads.tolist()
    for character, token in enumerate(sequence.reads.tolist(), 1):
        ends = whole.ends[whole.reads == token]
        assert int(ends) >= character
        assert not (whole.ends[whole.reads < token] >= character).any()


def test_a_conversation_in_the_response_gives_its_author_s_text_alone() -> None:
    said = [
        Message("assistant", (Text("let me look"),)),
        Message("tool", (Text("let me look: 42"),), name="calculator"),
        Message("assistant", (Text("it is 42"),)),
    ]
    for name in ("text", "plain", "paligemma", "gemma3", "qwen2_5_vl"):
        backbone = FAMILIES[name]()
        response = Response(tuple(said), (StepEnd(0, 0, 11), StepEnd(2, 0, 8)))
        record = Record.of("what is it?", [response])
        sequence = read(backbone, record, every_response_token)
        text = backbone.tokenizer.decode(sequence.ids[sequence.reads])
        assert text.removeprefix(" ").replace("look it", "lookit") == "let me lookit is 42"
        assert sequence.ends is not None
        assert sequence.ends[-1] == len(response.text)
        assert set(range(12, 27)).isdisjoint(sequence.ends.tolist())
        first, second = read(backbone, record).reads.tolist()
        assert backbone.tokenizer.decode(sequence.ids[: first + 1]).endswith("let me look")
        assert backbone.tokenizer.decode(sequence.ids[: second + 1]).endswith("it is 42")
        marked = Response(tuple(said), (StepEnd(1, 0, 15),))
        (place,) = read(backbone, Record.of("what is it?", [marked])).reads.tolist()
        assert backbone.tokenizer.decode(sequence.ids[: place + 1]).endswith("let me look: 42")


@pytest.mark.parametrize("name", ["llava", "idefics3", "gemma3", "qwen2_5_vl", "qwen3_vl"])
def test_steps_around_pictures_in_a_response(name: str, picture: Callable[..., Image]) -> None:
    backbone = FAMILIES[name]()
    assert backbone.layout is not None
    parts = (Text("look: "), picture(48, 48, seed=1), Text("so it is red"), picture(48, 48, seed=2))
    ends = (StepEnd(0, 0, 5), StepEnd(0, 1), StepEnd(0, 2, 12), StepEnd(0, 3))
    response = Response((Message("assistant", parts),), ends)
    sequence = read(backbone, Record.of([picture(48, 48), "what colour?"], [response]), prompt=True)
    prompt, before, first, after, second = sequence.reads.tolist()
    ids = sequence.ids.tolist()
    shown = [index for index, token in enumerate(ids) if token == backbone.layout.token_id]
    pictures = [index for index in shown if index > prompt]
    count = len(pictures) // 2
    decode = backbone.tokenizer.decode
    assert len(pictures) == 2 * len([index for index in shown if index < prompt])
    assert decode(ids[: before + 1]).endswith("look:")
    assert before < pictures[0] <= pictures[count - 1] <= first < after < pictures[count]
    assert decode(ids[: after + 1]).endswith("so it is red")
    assert pictures[-1] <= second < len(ids)
    leads = Response((Message("assistant", parts[1:]),), (StepEnd(0, 1, 12),))
    ahead = read(backbone, Record.of([picture(48, 48), "what colour?"], [leads]), prompt=True)
    assert ahead.ids[: int(ahead.reads[0]) + 1].tolist() == ids[: int(ahead.reads[0]) + 1]
    assert ahead.reads[0] <= prompt
    assert not (ahead.ids[int(ahead.reads[0]) + 1 :] == backbone.layout.token_id).sum() % 2


def test_a_tokenizer_that_adds_bos_and_eos_moves_every_position_by_one() -> None:
    plain = testing.tiny_text(chat=False)
    adding = testing.tiny_text(chat=False)
    adding.tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<bos> $A <eos>",
        special_tokens=[(t, adding.tokenizer.convert_tokens_to_ids(t)) for t in ("<bos>", "<eos>")],
    )
    adding = backbone_from(adding.module, adding.tokenizer)
    record = Record.of("why?", [Response.from_steps(["one two", "three"])])
    without, with_bos = (read(backbone, record, prompt=True) for backbone in (plain, adding))
    assert with_bos.ids.tolist()[0] == adding.tokenizer.bos_token_id
    assert with_bos.reads.tolist() == [place + 1 for place in without.reads.tolist()]
    doubled = adding.tokenizer
    doubled.chat_template = "<bos>{% for m in messages %}{{ m['content'] }} {% endfor %}"
    twice = read(backbone_from(adding.module, doubled), record)
    text = adding.tokenizer.decode(twice.ids[: int(twice.reads[0]) + 1])
    assert text == "<bos>why? one two"


def test_white_space_that_offsets_leave_out_still_belongs_to_a_token() -> None:
    backbone = testing.tiny_text()
    backbone.tokenizer.backend_tokenizer.post_processor = processors.ByteLevel(trim_offsets=True)
    backbone = backbone_from(backbone.module, backbone.tokenizer)
    text = "one\n\n two\n\nthree "
    ends = (StepEnd(0, 0, 5), StepEnd(0, 0, 11), StepEnd(0, 0, len(text)))
    record = Record.of("why?", [Response(Response.of(text).messages, ends)])
    sequence = read(backbone, record)
    assert sequence.reads.tolist() == expected(backbone, record, sequence.ids)
    assert backbone.tokenizer("a b", return_offsets_mapping=True)["offset_mapping"][1][0] == 2


def test_a_tokenizer_that_drops_white_space_reads_the_word_before_it() -> None:
    backbone = text_backbone(word_tokenizer(["why one two three four"]))
    text = "one two\nthree\n"
    ends = (StepEnd(0, 0, 8), StepEnd(0, 0, 14))
    sequence = read(backbone, Record.of("why", [Response(Response.of(text).messages, ends)]), prompt=True)
    words = [backbone.tokenizer.convert_ids_to_tokens(int(sequence.ids[place])) for place in sequence.reads]
    assert words == ["why", "two", "three"]


THINKS = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% set text = m['content'] %}"
    "{% if m['role'] == 'assistant' and '</think>' in text %}"
    "{% set thought = text.split('</think>')[0].split('<think>')[-1].strip('\n') %}"
    "{% set text = '<think>\n' + thought + '\n</think>\n\n' + text.split('</think>')[-1].lstrip('\n') %}"
    "{% endif %}{{ text }}<|im_end|>\n{% endfor %}"
)


def test_a_template_that_rewrites_the_response_still_gives_its_steps() -> None:
    backbone = testing.tiny_text()
    backbone.tokenizer.chat_template = THINKS
    backbone = backbone_from(backbone.module, backbone.tokenizer)
    text = "<think>first it is red.\nthen it is blue.</think>it is blue. yes"
    offsets = [text.index("\n"), text.index("</think>"), text.index(" yes"), len(text)]
    response = Response(Response.of(text).messages, tuple([StepEnd(0, 0, offset) for offset in offsets]))
    sequence = read(backbone, Record.of("why?", [response]), prompt=True)
    shown = [backbone.tokenizer.decode(sequence.ids[: place + 1]) for place in sequence.reads.tolist()]
    assert "\n</think>\n\n" in backbone.tokenizer.decode(sequence.ids)
    for found, end in zip(
        shown, ["assistant\n", "is red.", "then it is blue.", "\n\nit is blue.", " yes"], strict=True
    ):
        assert found.endswith(end)
    assert sequence.ends is not None
    assert sequence.ends.tolist() == [0, *offsets]


def test_a_step_that_the_template_does_not_show_is_refused() -> None:
    backbone = testing.tiny_text()
    template = "{% for m in messages %}{{ m['content'].split('</think>')[-1] }} {% endfor %}"
    backbone.tokenizer.chat_template = template
    backbone = backbone_from(backbone.module, backbone.tokenizer)
    text = "<think>zebra</think>yes"
    hidden = Response(Response.of(text).messages, (StepEnd(0, 0, 12), StepEnd(0, 0, len(text))))
    prepared = backbone.prepare([Record.of("why?", [hidden, Response.from_steps(["yes"])])], read=step_ends)
    assert prepared.status == (Status.INVALID, Status.OK)
    assert "does not show the text at which step 0 ends" in prepared.messages[0]


def test_a_slow_tokenizer_says_what_to_do_and_still_reads_the_last_token() -> None:
    tokenizer: Any = ByT5Tokenizer()
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    }
    backbone = backbone_from(LlamaModel(LlamaConfig(vocab_size=384, **sizes)), tokenizer)
    record = Record.of("why?", [Response.from_steps(["one", "two"])])
    assert backbone.prepare([record]).status == (Status.OK,)
    prepared = backbone.prepare([record], read=step_ends)
    assert prepared.status == (Status.INVALID,)
    assert "use_fast=True" in prepared.messages[0]


def test_nothing_to_read_abstains_and_says_why() -> None:
    record = Record.of("why?", ["no steps here", Response.from_steps(["one"]), ""])
    steps = TEXT.prepare([record], read=step_ends)
    assert steps.status == (Status.INVALID, Status.OK, Status.INVALID)
    assert "split_steps" in steps.messages[0]
    tokens = TEXT.prepare([record], read=every_response_token, prompt=True)
    assert tokens.status == (Status.OK, Status.OK, Status.EMPTY)
    assert tokens.rows == (0, 1)
    assert TEXT.prepare([record]).status == (Status.OK,) * 3


@pytest.mark.parametrize(
    ("ends", "said"),
    [
        ((StepEnd(0, 0, 5), StepEnd(0, 0, 2)), "do not follow one another"),
        ((StepEnd(0, 0, 50),), "character 50 of a part with 7"),
        ((StepEnd(1, 0, 1),), "message 1, part 0"),
        ((StepEnd(0, 0, -1),), "character -1"),
    ],
)
def test_step_ends_that_cannot_be_are_refused(ends: tuple[StepEnd, ...], said: str) -> None:
    prepared = TEXT.prepare([Record.of("q", [Response(Response.of("one two").messages, ends)])], read=step_ends)
    assert prepared.status == (Status.INVALID,)
    assert said in prepared.messages[0]


def test_truncation_moves_the_reads_with_the_tokens() -> None:
    prompt = "an old question that goes on and on " * 6 + "is it red?"
    record = Record.of(prompt, [Response.from_steps(["it is", "so yes"])])
    whole = read(TEXT, record, prompt=True)
    limit = whole.ids.numel() - 20
    cut = read(TEXT, record, prompt=True, max_length=limit, on_too_long=truncate_prompt)
    assert cut.truncated
    assert cut.ids[cut.reads].tolist() == whole.ids[whole.reads].tolist()
    assert cut.reads.tolist() == [place - 20 for place in whole.reads.tolist()]
    every = whole.ids.numel() - int(whole.reads[0]) - 1
    gone = TEXT.prepare([record], read=step_ends, prompt=True, max_length=every, on_too_long=truncate_prompt)
    assert gone.status == (Status.TOO_LONG,)


def test_a_reading_of_one_s_own_is_given_the_marks() -> None:
    seen: list[Marked] = []

    def ends_and_last(marked: Marked) -> torch.Tensor:
        seen.append(marked)
        return torch.cat([marked.steps, torch.tensor([marked.length - 1])])

    record = Record.of("why?", [Response.from_steps(["one", "two"])])
    sequence = read(TEXT, record, ends_and_last)
    assert sequence.reads.tolist() == [*seen[-1].steps.tolist(), sequence.ids.numel() - 1]
    assert seen[-1].length == sequence.ids.numel()
