"""What a record says and shows, as digests: what equal content is known by, wherever it came from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, cast

from assay.media import Audio, Image, MediaError, Text, Video
from assay.records import Record
from assay.records.record import Message, Response, StepEnd

_AS_IT_IS = frozenset({str, int, float, bool, type(None)})
_SPOKEN = frozenset({Message, Response, StepEnd, Text})
_NAMES = {kind: tuple(field.name for field in fields(kind)) for kind in _SPOKEN}


@dataclass(frozen=True, slots=True)
class Content:
    """sha256 of a record's prompt with the context columns that a reward needs, and of each response; None for what has
    no content to be known by: a picture made from a tensor, a file that is not there, a column of an unknown type.
    """

    prompt: bytes | None
    responses: tuple[bytes | None, ...]


def content_of(record: Record, needs: Sequence[str]) -> Content:
    """The digests of a record as a reward that needs these columns sees it, but for its id.

    Roles, names, texts, tool calls and steps count as they are, media by the bytes of their files, which are read.
    """
    seen = [record.prompt, [[name, record.context[name]] for name in needs if name in record.context]]
    return Content(_digest(seen), tuple(_digest(response) for response in record.responses))


class _NoContentError(Exception):
    """A value that two processes could not agree on."""


def _digest(value: object) -> bytes | None:
    try:
        told = _told(value)
    except (MediaError, OSError, _NoContentError):
        return None
    return hashlib.sha256(json.dumps(told, separators=(",", ":")).encode()).digest()


def _told(value: Any) -> Any:
    kind = type(value)
    if kind in _AS_IT_IS:
        return value
    if kind in _NAMES:
        return [kind.__name__, *(_told(getattr(value, name)) for name in _NAMES[kind])]
    if isinstance(value, tuple | list):
        return [_told(item) for item in cast("Sequence[object]", value)]
    if isinstance(value, Image | Audio):
        return [kind.__name__, value.content_hash]
    if isinstance(value, Video):
        return ["Video", value.content_hash, value.fps]
    if isinstance(value, Mapping):
        return ["mapping", [[_told(key), _told(item)] for key, item in cast("Mapping[object, object]", value).items()]]
    return _told_other(value)


def _told_other(value: object) -> Any:
    if isinstance(value, Enum):
        return ["enum", type(value).__qualname__, value.name]
    if isinstance(value, bytes | bytearray):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if isinstance(value, str | int | float):
        return [type(value).__name__, str(value)]
    import numpy as np
    from torch import Tensor

    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
        raw = np.ascontiguousarray(value).tobytes()
        return ["array", str(value.dtype), list(value.shape), hashlib.sha256(raw).hexdigest()]
    raise _NoContentError(type(value).__name__)
