"""The one seam to the network: a request goes out, a reply comes back whole, or an error says why there is none."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, cast, final

_PIECE = 65_536
_LONGEST = 64 * 2**20
_CONNECT = 10.0


@final
@dataclass(frozen=True, slots=True)
class Request:
    """A request, a POST of JSON, that may take ``seconds`` in all. ``headers`` may hold a key: neither they nor the
    body are shown.
    ``enough`` is given each piece of the body as it comes; once it says so nothing more is read, and the connection is
    closed: what came is the body.

    Raises:
        ValueError: another address than http(s).
    """

    url: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    seconds: float
    enough: Callable[[bytes], bool] | None = field(default=None, repr=False)
    method: str = "POST"

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"need an address of http or https, got {self.url}")


@final
@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the code, the headers by lower-case name, the whole body."""

    code: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@final
class TransportError(Exception):
    """No reply: nobody there, a connection that broke, or, with ``late``, one that took too long."""

    def __init__(self, message: str, *, late: bool = False) -> None:
        super().__init__(message)
        self.late = late


class Transport(Protocol):
    """Sends requests, from several threads at once. Redirects are replies like others: it follows none."""

    def send(self, request: Request, /) -> Reply:
        """The reply.

        Raises:
            TransportError: there is none.
        """
        ...


def network() -> Transport:
    """httpx where it is installed (connections are kept), else Python's own client."""
    return Httpx() if importlib.util.find_spec("httpx") is not None else Urllib()


@final
class Httpx:
    """Sends through one httpx client, made when it is first needed."""

    def __init__(self) -> None:
        import httpx

        self._client = httpx.Client(follow_redirects=False, limits=httpx.Limits(max_connections=None))

    def send(self, request: Request, /) -> Reply:
        """See `Transport`."""
        import httpx

        ends = time.monotonic() + request.seconds
        timeout = httpx.Timeout(request.seconds, connect=min(request.seconds, _CONNECT), pool=request.seconds)
        try:
            with self._client.stream(
                request.method, request.url, content=request.body, headers=dict(request.headers), timeout=timeout
            ) as found:
                body = _whole(found.iter_bytes(), ends, request)
                return Reply(found.status_code, _lower(found.headers), body)
        except httpx.TimeoutException as error:
            raise TransportError(_late(request.seconds), late=True) from error
        except httpx.HTTPError as error:
            raise TransportError(f"{type(error).__name__}: {error}") from error


@final
class Urllib:
    """Sends through ``urllib``, a connection for each request."""

    def send(self, request: Request, /) -> Reply:
        """See `Transport`."""
        import http.client
        import urllib.error
        import urllib.request

        ends = time.monotonic() + request.seconds
        body = request.body or None
        asked = urllib.request.Request(request.url, body, dict(request.headers), method=request.method)  # noqa: S310
        try:
            with _opener().open(asked, timeout=request.seconds) as found:
                body = _whole(iter(lambda: found.read1(_PIECE), b""), ends, request)
                return Reply(int(found.status), _lower(found.headers), body)
        except TimeoutError as error:
            raise TransportError(_late(request.seconds), late=True) from error
        except urllib.error.URLError as error:
            if isinstance(error.reason, TimeoutError):
                raise TransportError(_late(request.seconds), late=True) from error
            raise TransportError(f"{type(error.reason).__name__}: {error.reason}") from error
        except (OSError, http.client.HTTPException) as error:
            raise TransportError(f"{type(error).__name__}: {error}") from error


def _opener() -> Any:
    """An opener that hands over every reply as it is: no error raised for its code, no redirect followed."""
    import urllib.request

    class Plain(urllib.request.HTTPErrorProcessor):
        def http_response(self, request: object, response: Any) -> Any:
            return response

        https_response = http_response

    return urllib.request.build_opener(Plain)


def _whole(pieces: Iterable[bytes], ends: float, request: Request) -> bytes:
    body = bytearray()
    for piece in pieces:
        body += piece
        if len(body) > _LONGEST:
            raise TransportError(f"the reply is longer than {_LONGEST:,} bytes")
        if time.monotonic() > ends:
            raise TransportError(_late(request.seconds), late=True)
        if request.enough is not None and request.enough(piece):
            break
    return bytes(body)


def _lower(headers: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in cast("Iterable[tuple[str, str]]", headers.items())}


def _late(seconds: float) -> str:
    return f"no whole reply within {seconds:g} s"
