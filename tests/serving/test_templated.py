import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from assay.records import Record
from assay.serving.templated import (
    TemplatedError,
    record_of_pair,
    record_of_text,
    untemplate,
    untemplate_of,
)

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TEMPLATES = {
    "chatml": CHATML,
    "chatml with a system's turn of its own": (
        "{% if messages[0].role != 'system' %}<|im_start|>system\nYou help.<|im_end|>\n{% endif %}" + CHATML
    ),
    "llama 3": (
        "{{ '<|begin_of_text|>' }}{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
        "{{ m.content | trim }}<|eot_id|>{% endfor %}"
        "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
    ),
    "mistral, which has no system": (
        "{{ '<s>' }}{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
        "{% elif m.role == 'assistant' %}{{ m.content }}</s>{% else %}{{ raise_exception('no system') }}{% endif %}"
        "{% endfor %}"
    ),
}
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="<>[]|"), min_size=1).filter(
    lambda text: text == text.strip()
)


def writer(template):
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def fail(message):
        raise ValueError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
    environment.globals["raise_exception"] = fail
    made = environment.from_string(template)
    return lambda messages, begin: made.render(messages=messages, add_generation_prompt=begin)


def chat(*turns):
    return [{"role": role, "content": text} for role, text in turns]


@pytest.mark.parametrize("name", TEMPLATES)
@settings(max_examples=25)
@given(asked=WORDS, said=WORDS, again=WORDS, last=WORDS)
def test_what_a_template_wrote_is_read_back(name, asked, said, again, last):
    write = writer(TEMPLATES[name])
    form = untemplate(write)
    turns = (("user", asked), ("assistant", said), ("user", again), ("assistant", last))
    assert form.conversation(write(chat(*turns), False)) == turns
    assert form.conversation(write(chat(*turns), False).rstrip()) == turns
    prompt = write(chat(*turns[:3]), True)
    assert form.prompt(prompt) == turns[:3]
    record = record_of_pair(prompt, last + form.end, form, "r")
    assert record == Record.of(Record.chat(chat(*turns[:3]), []).prompt, [last], id="r")


@pytest.mark.parametrize("name", [name for name in TEMPLATES if "no system" not in name])
def test_a_systems_turn_is_read(name):
    write = writer(TEMPLATES[name])
    form = untemplate(write)
    turns = (("system", "Be brief."), ("user", "2 + 2?"), ("assistant", "4"))
    assert form.conversation(write(chat(*turns), False)) == turns
    assert form.prompt(write(chat(*turns[:2]), True)) == turns[:2]


def test_what_is_not_of_the_template_is_one_text():
    form = untemplate(writer(CHATML))
    for text in ("Hello", "<|im_start|>user\nHello", "", "<|im_start|>assistant\nHello<|im_end|>"):
        assert form.conversation(text) is None
        assert record_of_text(text, form, "r") == Record.of("", [text], id="r")
        assert record_of_pair(text, "x", form, "r") == Record.of(text, ["x"], id="r")
    assert record_of_text("Hello", None, "r", {"label": 1}).context == {"label": 1}


def test_a_response_that_ends_like_the_beginning_of_an_ending_is_kept():
    form = untemplate(writer(CHATML))
    assert form.ended("a <") == "a <"
    assert form.ended("a <|im") == "a <|im"
    assert form.ended("a<|im_end|>") == "a"


@pytest.mark.parametrize(
    "template",
    [
        "{{ messages[-1].content }}",
        "{% for m in messages | reverse %}{{ m.content }}\n{% endfor %}",
        "nothing",
        "{% for m in messages %}{{ m.content }}{% endfor %}",
    ],
)
def test_a_template_that_cannot_be_read_back_is_refused(template):
    with pytest.raises(TemplatedError):
        untemplate(writer(template))


def test_a_tokenizer_by_its_directory(tmp_path):
    from assay.models.scratch import subword_tokenizer, text_backbone

    tokenizer = subword_tokenizer(["some words to learn from"], size=300)
    text_backbone(tokenizer)
    tokenizer.save_pretrained(tmp_path)
    form = untemplate_of(str(tmp_path))
    written = tokenizer.apply_chat_template(chat(("user", "a"), ("assistant", "b")), tokenize=False)
    assert form.conversation(written) == (("user", "a"), ("assistant", "b"))


def test_a_tokenizer_without_a_template_is_refused(tmp_path):
    from assay.models.scratch import subword_tokenizer

    tokenizer = subword_tokenizer(["some words to learn from"], size=300)
    tokenizer.save_pretrained(tmp_path)
    assert "chat_template" not in json.loads((Path(tmp_path) / "tokenizer_config.json").read_text())
    with pytest.raises(TemplatedError, match="no chat template"):
        untemplate_of(str(tmp_path))
