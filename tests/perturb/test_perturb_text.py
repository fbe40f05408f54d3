from collections import Counter

import PIL.Image

from assay.media import Image, Text
from assay.perturb import drop_prompt, swapped_prompt
from assay.perturb.text import prompt_text
from assay.records import Message, Preference, Record

RED = Image.from_pil(PIL.Image.new("RGB", (4, 4), "red"))
BLUE = Image.from_pil(PIL.Image.new("RGB", (4, 4), "blue"))


def record(name: str, *parts) -> Record:
    return Record.of(list(parts), ["yes", "no"], id=name, feedback=[Preference(0, 1)], column=name)


def test_drop_keeps_media_responses_and_feedback():
    old = record("a", RED, "What colour?")
    result = drop_prompt([old])
    new = result.records[0]
    assert result.changed == (True,)
    assert new.prompt == (Message("user", (RED,)),)
    assert (new.id, new.responses, new.feedback, new.context) == (old.id, old.responses, old.feedback, old.context)


def test_drop_leaves_the_system_message_and_an_empty_text():
    old = Record("a", (Message("system", (Text("Be brief."),)), Message("user", (Text("Hi"),))), ())
    assert drop_prompt([old]).records[0].prompt == (old.prompt[0], Message("user", (Text(""),)))


def test_a_prompt_without_text_is_reported():
    for perturb in (drop_prompt, swapped_prompt):
        result = perturb([record("a", RED), record("b", BLUE, "Which?"), record("c", "Why?")])
        assert result.changed == (False, True, True)
        assert result.reasons[0] == "no text in the prompt"
        assert "2 of 3" in result.note


def test_swapped_text_is_anothers_and_media_stay():
    records = [record(f"r{i}", RED if i % 2 else BLUE, f"question {i // 2}") for i in range(12)]
    result = swapped_prompt(records, seed=4)
    assert all(result.changed)
    for old, new in zip(records, result.records, strict=True):
        assert new.prompt[0].parts[0] is old.prompt[0].parts[0]
        assert prompt_text(new) != prompt_text(old)
        assert (new.id, new.responses, new.feedback) == (old.id, old.responses, old.feedback)
    assert Counter(map(prompt_text, records)) == Counter(map(prompt_text, result.records))
    assert swapped_prompt(records, seed=4) == result


def test_texts_that_differ_in_case_and_spaces_are_one_text():
    result = swapped_prompt([record("a", "What is it?"), record("b", " what  is it? ")])
    assert result.changed == (False, False)
    assert result.records[0].prompt[0].text == "What is it?"


def test_shapes_that_differ_take_the_whole_dialogue_and_keep_their_media():
    single = record("single", "Describe", RED)
    dialogue = Record(
        "dialogue",
        (
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("Hello"),)),
            Message("assistant", (Text("Hi"),)),
            Message("user", (BLUE, Text("What colour?"))),
        ),
        (),
    )
    first, second = swapped_prompt([single, dialogue]).records
    assert [message.role for message in first.prompt] == ["user", "assistant", "user"]
    assert first.prompt[0].parts == (RED, Text("Hello"))
    assert prompt_text(first) == prompt_text(dialogue)
    assert second.prompt == (dialogue.prompt[0], Message("user", (BLUE, Text("Describe"))))


def test_text_around_pictures_changes_place_by_place():
    first = record("first", "Left:", RED, "Right:", BLUE, "Equal?")
    second = record("second", "Before:", BLUE, "After:", RED, "Better?")
    new = swapped_prompt([first, second]).records[0]
    assert new.prompt[0].parts == (Text("Before:"), RED, Text("After:"), BLUE, Text("Better?"))


def test_odd_characters_are_only_text():
    records = [record("a", "\ud800\x00 one"), record("b", "\u202e\U0001f468\u200d two")]
    result = swapped_prompt(records)
    assert [prompt_text(r) for r in result.records] == [prompt_text(r) for r in records[::-1]]
