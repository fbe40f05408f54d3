"""Which versions of which rewards there are, and which of each name is the current one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from assay.serving.problems import Unavailable, UnknownReward, Unprocessable

V = TypeVar("V")
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9_.\-]*[A-Za-z0-9])?"
_NAME = re.compile(rf"/?{_PART}(?:/{_PART})*")
_PREFIX = re.compile(r"[0-9a-f]{8,64}")


def check_name(name: str) -> None:
    """A name can stand in an address and before ``@``; it may be a hub id or a directory, as some clients send.

    Raises:
        ValueError: it cannot.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} names no reward: letters and digits, . _ - between them, / between parts")


class Catalogue(Generic[V]):
    """Versions by name and fingerprint, in the order in which they came; the first of a name is current.

    A version is addressed as ``name`` (the current one), ``name@prefix`` with at least 8 digits of its fingerprint, or
    None: the first name.
    """

    def __init__(self, fingerprint: Callable[[V], str]) -> None:
        self._fingerprint = fingerprint
        self._versions: dict[str, dict[str, V]] = {}
        self._history: dict[str, list[str]] = {}

    def __iter__(self) -> Iterator[tuple[str, V, bool]]:
        """Name, version, and whether it is current."""
        for name, versions in self._versions.items():
            for mark, version in versions.items():
                yield name, version, mark == self._history[name][-1]

    def add(self, name: str, version: V) -> None:
        """A further version.

        Raises:
            ValueError: the name cannot be addressed, or has this version already.
        """
        check_name(name)
        mark = self._fingerprint(version)
        versions = self._versions.setdefault(name, {})
        if mark in versions:
            raise ValueError(f"{name} was given twice with the same fingerprint {mark[:12]}: the same weights and code")
        versions[mark] = version
        self._history.setdefault(name, [mark])

    def find(self, address: str | None) -> V:
        """The version of an address.

        Raises:
            UnknownReward: there is none, or more than one.
            Unavailable: there is no reward at all yet.
        """
        name, mark = self._resolved(address)
        return self._versions[name][mark]

    def current(self, name: str) -> V:
        """The current version of a name. Raises as `find`."""
        return self.find(name)

    def promote(self, name: str, fingerprint: str) -> V:
        """Make a version the current one; the one before it can be had back by `rollback`. Raises as `find`."""
        name, mark = self._resolved(f"{name}@{fingerprint}")
        if self._history[name][-1] != mark:
            self._history[name].append(mark)
        return self._versions[name][mark]

    def rollback(self, name: str) -> V:
        """Take back the last promotion.

        Raises:
            UnknownReward: there is no such name.
            Unprocessable: nothing was promoted.
        """
        name, _ = self._resolved(name)
        if len(self._history[name]) < 2:
            raise Unprocessable(f"{name} has no promotion to take back")
        self._history[name].pop()
        return self._versions[name][self._history[name][-1]]

    def _resolved(self, address: str | None) -> tuple[str, str]:
        if not self._versions:
            raise Unavailable("no reward is loaded yet", retry_after=1.0)
        name, at, prefix = (address or next(iter(self._versions))).partition("@")
        if name not in self._versions:
            raise UnknownReward(f"there is no reward {name[:80]!r}; there are: {', '.join(self._versions)}")
        if not at:
            return name, self._history[name][-1]
        if not _PREFIX.fullmatch(prefix):
            raise UnknownReward("a version is named by 8 or more of the hexadecimal digits of its fingerprint")
        found = [mark for mark in self._versions[name] if mark.startswith(prefix)]
        if len(found) != 1:
            marks = ", ".join(mark[:12] for mark in self._versions[name])
            raise UnknownReward(f"{name} has {len(found) or 'no'} versions {prefix[:64]}; it has {marks}")
        return name, found[0]
