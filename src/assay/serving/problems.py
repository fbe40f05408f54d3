"""What a server refuses, each with a stable code, an HTTP status and, where it passes, a time to wait."""

from __future__ import annotations

from typing import final


class ServiceError(Exception):
    """A request that is not answered with scores. The message says what to change; it names no place of this machine.

    ``retry_after`` is in seconds, None where trying again is of no use.
    """

    code: str = "service_error"
    http: int = 500

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        http: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code or self.code
        self.http = http or self.http
        self.retry_after = retry_after


@final
class UnknownReward(ServiceError):  # noqa: N818 - a name of the protocol
    """No reward, or several, of that name and fingerprint."""

    code: str = "unknown_reward"
    http: int = 404


@final
class Overloaded(ServiceError):  # noqa: N818 - a name of the protocol
    """The queue has no room. ``retry_after`` is when, at the measured rate, it will."""

    code: str = "overloaded"
    http: int = 429


@final
class TooLarge(ServiceError):  # noqa: N818 - a name of the protocol
    """A request that the queue could not hold even if it were empty."""

    code: str = "too_large"
    http: int = 413


@final
class Unprocessable(ServiceError):  # noqa: N818 - a name of the protocol
    """A request that makes no sense as it is."""

    code: str = "unprocessable"
    http: int = 422


@final
class Draining(ServiceError):  # noqa: N818 - a name of the protocol
    """The server is stopping: what was accepted finishes, nothing more is taken."""

    code: str = "draining"
    http: int = 503


@final
class Unavailable(ServiceError):  # noqa: N818 - a name of the protocol
    """The reward cannot be computed now: it is not loaded, or its process is being started again."""

    code: str = "unavailable"
    http: int = 503
