"""A reward named by environment variables, for trainers that load a function from a file and pass it nothing.

``ASSAY_REWARD``
    What `assay.load` takes: a directory, a hub id, ``judge:MODEL@URL`` or ``file.py:name``.
``ASSAY_DEVICE``, ``ASSAY_DTYPE``
    Where it runs and in what precision (``auto``).
``ASSAY_ON_ABSTAIN``
    What an abstention becomes: ``refuse`` (the default: the run stops), ``nan``, or a number.
``ASSAY_MEDIA``, ``ASSAY_MEDIA_KEY``
    Data files, separated by ``:``, whose rows hold the prompts and media (`assay.adapters.media_index.media_from`), and
    the fields that name a row, separated by commas (``index``).
``ASSAY_ROOT``
    Where relative paths of media start.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Generic, TypeVar, final

from assay.adapters.abstaining import OnAbstain, as_nan, refuse, worth
from assay.adapters.media_index import MediaIndex, media_from
from assay.rewards.base import Reward
from assay.rewards.load import load

_Made = TypeVar("_Made")


@final
class SettingError(ValueError):
    """A variable that is missing or cannot be read."""


@final
@dataclass(frozen=True)
class Configured:
    """What the variables say."""

    reward: Reward
    on_abstain: OnAbstain
    media: MediaIndex | None
    root: Path


@final
class once(Generic[_Made]):  # noqa: N801
    """A function without arguments whose result is made once a process, also when many threads ask for it at first.

    What it raises is not kept: the next call tries again.
    """

    def __init__(self, make: Callable[[], _Made]) -> None:
        self._make = make
        self.__doc__ = make.__doc__
        self._lock = Lock()
        self._made: list[_Made] = []

    def __call__(self) -> _Made:
        with self._lock:
            if not self._made:
                self._made.append(self._make())
            return self._made[0]

    def cache_clear(self) -> None:
        """Forget what was made."""
        with self._lock:
            self._made.clear()


@once
def configured() -> Configured:
    """The reward of the environment, loaded once a process.

    Raises:
        SettingError: ``ASSAY_REWARD`` is not set, or ``ASSAY_ON_ABSTAIN`` is no policy.
        LoadError: it names no reward.
    """
    reference = os.environ.get("ASSAY_REWARD")
    if not reference:
        raise SettingError("ASSAY_REWARD is not set; export ASSAY_REWARD=DIRECTORY, a hub id or file.py:name")
    files = [name for name in os.environ.get("ASSAY_MEDIA", "").split(os.pathsep) if name]
    key = os.environ.get("ASSAY_MEDIA_KEY", "index").split(",")
    return Configured(
        load(reference, device=os.environ.get("ASSAY_DEVICE", "auto"), dtype=os.environ.get("ASSAY_DTYPE", "auto")),
        _policy(os.environ.get("ASSAY_ON_ABSTAIN", "refuse")),
        media_from(*files, key=key) if files else None,
        Path(os.environ.get("ASSAY_ROOT", "")),
    )


def _policy(text: str) -> OnAbstain:
    named = {"refuse": refuse, "nan": as_nan}
    if text in named:
        return named[text]
    try:
        return worth(float(text))
    except ValueError as error:
        raise SettingError(f"ASSAY_ON_ABSTAIN is {text!r}; say refuse, nan or a finite number") from error
