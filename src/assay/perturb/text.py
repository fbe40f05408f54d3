"""Text of the prompt dropped, or replaced by that of another record. Pictures, system messages and responses stay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from assay.media import Part, Text
from assay.perturb.perturbed import Perturbed, donors, each
from assay.records import Message, Record

NO_TEXT = "no text in the prompt"
SYSTEM_ROLES = frozenset({"system", "developer"})


def drop_prompt(records: Sequence[Record], *, seed: int = 0) -> Perturbed:
    """The text of the prompt removed; media and the order of messages stay. ``seed`` is not used.

    A message left with nothing holds one empty text, so that chat templates still render it.
    """
    del seed

    def change(_: int, record: Record) -> Record | str:
        if not prompt_text(record):
            return NO_TEXT
        return replace(record, prompt=tuple(_without_text(message) for message in record.prompt))

    return each(records, change, "dropped prompt")


def swapped_prompt(records: Sequence[Record], *, seed: int = 0) -> Perturbed:
    """Every record gets the prompt text of another whose text differs (case and spaces aside); its media stay its own.

    Between prompts of one shape (the same roles, with text and media in the same places) texts change places one by
    one. Otherwise the donor's messages come without their media, and the record's own media open the first user
    message.
    """
    chosen = donors([frozenset({key}) if (key := _key(record)) else frozenset[str]() for record in records], seed)

    def change(row: int, record: Record) -> Record | str:
        donor = chosen[row]
        if not prompt_text(record).strip():
            return NO_TEXT
        if donor is None:
            return "no other record has a different prompt text"
        return replace(record, prompt=_dressed(record.prompt, records[donor].prompt))

    return each(records, change, f"swapped prompt, seed {seed}")


def prompt_text(record: Record) -> str:
    """The text of the prompt's messages, one a line, system messages left out."""
    return "\n".join(text for message in record.prompt if not _is_system(message) and (text := message.text))


def _key(record: Record) -> str:
    return " ".join(prompt_text(record).lower().split())


def _is_system(message: Message) -> bool:
    return message.role in SYSTEM_ROLES


def _without_text(message: Message) -> Message:
    if _is_system(message):
        return message
    kept: tuple[Part, ...] = tuple(part for part in message.parts if not isinstance(part, Text))
    return replace(message, parts=kept or (Text(""),))


def _dressed(own: tuple[Message, ...], donor: tuple[Message, ...]) -> tuple[Message, ...]:
    """``own`` speaking the text of ``donor``."""
    given = [message for message in donor if not _is_system(message)]
    mine = [message for message in own if not _is_system(message)]
    if [_shape(message) for message in mine] == [_shape(message) for message in given]:
        texts = iter([_text_by_place(old, new) for old, new in zip(mine, given, strict=True)])
        return tuple(message if _is_system(message) else next(texts) for message in own)
    media: list[Part] = [part for message in mine for part in message.parts if not isinstance(part, Text)]
    spoken = [replace(message, parts=_texts(message)) for message in given]
    first = next((i for i, message in enumerate(spoken) if message.role == "user"), 0)
    spoken[first] = replace(spoken[first], parts=(*media, *spoken[first].parts))
    return (*(message for message in own if _is_system(message)), *spoken)


def _shape(message: Message) -> tuple[object, ...]:
    return message.role, len(message.tool_calls), tuple(isinstance(part, Text) for part in message.parts)


def _texts(message: Message) -> tuple[Part, ...]:
    return tuple(part for part in message.parts if isinstance(part, Text)) or (Text(""),)


def _text_by_place(old: Message, new: Message) -> Message:
    parts = tuple(n if isinstance(n, Text) else o for o, n in zip(old.parts, new.parts, strict=True))
    return replace(new, parts=parts)
