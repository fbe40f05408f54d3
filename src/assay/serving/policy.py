"""What a request may bring into the server, counted while it is read, and how a refusal looks."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

from assay.media import Limits
from assay.scores import Status
from assay.serving.problems import ServiceError

MEBIBYTE = 2**20


@final
@dataclass(frozen=True, slots=True)
class MediaPolicy:
    """What a request may bring, and from where.

    ``root`` is the folder that paths may lead into (None: no path is taken). ``hosts`` may be fetched from (none: no
    address is): ``host`` at the port of its scheme, ``host:port``, ``*.domain``, or ``*`` for every public host;
    ``private`` also takes addresses of this machine and of private networks, for tests. ``max_bytes`` and
    ``max_pixels`` bound one medium, ``max_parts`` the media of a request, ``max_body`` its body in bytes, and also what
    paths and addresses add to it. ``seconds`` bound a fetch, redirects included, and how long a client may take to send
    its headers, and its body.

    Raises:
        ValueError: a number that is not positive.
    """

    root: Path | None = None
    hosts: tuple[str, ...] = ()
    max_bytes: int = 32 * MEBIBYTE
    max_pixels: int = 64_000_000
    max_parts: int = 1_024
    max_body: int = 64 * MEBIBYTE
    seconds: float = 30.0
    private: bool = False

    def __post_init__(self) -> None:
        if min(self.max_bytes, self.max_pixels, self.max_parts, self.max_body) < 1 or self.seconds <= 0:
            raise ValueError(f"limits are positive, got {self}")

    @property
    def limits(self) -> Limits:
        """What a medium may claim or hold."""
        return Limits(max_bytes=self.max_bytes, max_pixels=self.max_pixels)


@final
class Refused(ServiceError):  # noqa: N818 - what the policy did, and the public name
    """A medium or a request that the policy does not admit; ``status`` is that of its rows.

    Codes: ``path_not_allowed`` ``url_not_allowed`` ``url_failed`` ``too_many_pixels`` ``too_many_frames``
    ``too_many_samples`` ``too_large`` ``too_many_parts`` ``too_deep`` ``bad_media`` ``bad_row`` ``bad_message``.
    """

    code = "refused"
    http = 422

    @property
    def status(self) -> Status:
        """``INVALID`` for what is no well-formed request, else ``UNREADABLE_MEDIA``."""
        shape = ("too_many_parts", "too_deep", "bad_row", "bad_message", "bad_media")
        return Status.INVALID if self.code in shape else Status.UNREADABLE_MEDIA


def refused(code: str, message: str) -> Refused:
    """The refusal of a code: 403 for what is not allowed, 413 for what is too much, else 422."""
    if code.endswith("_not_allowed"):
        return Refused(message, code=code, http=403)
    return Refused(message, code=code, http=413 if code.startswith("too_") and code != "too_deep" else 422)


@final
class Allowance:
    """What one request may still bring: media, and bytes by paths and addresses."""

    def __init__(self, policy: MediaPolicy) -> None:
        self._policy = policy
        self._parts = policy.max_parts
        self._bytes = max(policy.max_body, policy.max_bytes)

    def take_part(self) -> None:
        """Count one medium.

        Raises:
            Refused: ``too_many_parts``.
        """
        self._parts -= 1
        if self._parts < 0:
            raise refused(
                "too_many_parts", f"more than {self._policy.max_parts:,} media in one request; send it in parts"
            )

    def take_bytes(self, count: int) -> None:
        """Count what a path or address added to the request.

        Raises:
            Refused: ``too_large``.
        """
        self._bytes -= count
        if self._bytes < 0:
            raise refused("too_large", "the media of this request are too large together; send it in parts")

    @property
    def bytes_left(self) -> int:
        """How many bytes the next path or address may add."""
        return max(0, min(self._bytes, self._policy.max_bytes))


def shown(value: str) -> str:
    """The start of what a client sent, safe to print."""
    return repr(value if len(value) <= 80 else value[:77] + "...")
