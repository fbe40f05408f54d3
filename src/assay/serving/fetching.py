"""Media fetched from named hosts, with no way from there into the network that the server stands in.

The host must be allowed, every address that its name resolves to must be a public one, and the connection goes to an
address that was checked, not to the name, which might resolve to another by then. Each redirect starts anew. Proxies
and credentials of the environment are not used.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import socket
import ssl
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, final
from urllib.parse import urljoin, urlsplit

from assay.serving.policy import MediaPolicy, refused

if TYPE_CHECKING:
    import h11

MOST_REDIRECTS = 3
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9]([a-z0-9\-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9\-]*[a-z0-9])?)*")
_TARGET = re.compile(r"[!-~]*")
_PIECE = 65_536
_Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
_NOT_PUBLIC_4 = """0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24
    192.0.2.0/24 192.88.99.0/24 192.168.0.0/16 198.18.0.0/15 198.51.100.0/24 203.0.113.0/24 224.0.0.0/4 240.0.0.0/4
    168.63.129.16/32"""
_NOT_PUBLIC_6 = "2001::/23 2001:db8::/32 2002::/16 3fff::/20"
_WITHOUT = tuple(map(ipaddress.ip_network, f"{_NOT_PUBLIC_4} {_NOT_PUBLIC_6}".split()))
_UNICAST = ipaddress.ip_network("2000::/3")


@final
@dataclass(frozen=True, slots=True)
class Place:
    """What an address names, taken apart: nothing of it is passed on as it came."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """The Host header."""
        name = f"[{self.host}]" if ":" in self.host else self.host
        return name if self.port == _PORTS[self.scheme] else f"{name}:{self.port}"


async def fetched(url: str, policy: MediaPolicy, most: int) -> bytes:
    """The bytes at ``url``, at most ``most``, within ``policy.seconds``, redirects included.

    Raises:
        Refused: ``url_not_allowed``, ``too_large``, or ``url_failed`` where the host does not deliver.
    """
    try:
        async with asyncio.timeout(policy.seconds):
            place = place_of(url, policy)
            for _ in range(MOST_REDIRECTS + 1):
                found = await _asked(place, policy, most)
                if isinstance(found, bytes):
                    return found
                place = _next(place, found, policy)
    except TimeoutError:
        raise refused("url_failed", f"not delivered within {policy.seconds:g} s") from None
    raise refused("url_failed", f"redirected more than {MOST_REDIRECTS} times")


def place_of(url: str, policy: MediaPolicy) -> Place:
    """The parts of an address whose host the policy allows; nothing is looked up.

    Raises:
        Refused: ``url_not_allowed``.
    """
    if not _TARGET.fullmatch(url) or "\\" in url:
        raise refused("url_not_allowed", "an address holds visible ASCII characters only; encode the others")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refused("url_not_allowed", "not an address") from None
    scheme, host = parts.scheme, parts.hostname or ""
    if scheme not in _PORTS:
        raise refused("url_not_allowed", "only http and https addresses are fetched")
    if "@" in parts.netloc:
        raise refused("url_not_allowed", "an address holds no name or password")
    if not _is_host(host):
        raise refused("url_not_allowed", "not the name of a host")
    place = Place(scheme, host, _PORTS[scheme] if port is None else port, _target(parts.path, parts.query))
    if not any(_allows(allowed.lower(), place) for allowed in policy.hosts):
        raise refused("url_not_allowed", f"nothing is fetched from {place.authority}; send the bytes")
    return place


def is_public(address: _Address) -> bool:
    """Whether an address is one of the public network: none that is private, of this machine or link, shared, reserved,
    multicast, for documentation, of a cloud's own services, or an IPv6 address that stands for an IPv4 one.

    By IANA's registries of special addresses, which what Python calls global does not follow everywhere.
    """
    if isinstance(address, ipaddress.IPv6Address) and (address.scope_id is not None or address not in _UNICAST):
        return False
    return address.is_global and not any(address in network for network in _WITHOUT)


@cache
def trusted() -> ssl.SSLContext:
    """What certificates are held against: those of the system, or of SSL_CERT_FILE."""
    return ssl.create_default_context()


def _is_host(host: str) -> bool:
    if ":" in host:
        try:
            return ipaddress.IPv6Address(host).scope_id is None
        except ValueError:
            return False
    return len(host) <= 253 and _HOST.fullmatch(host) is not None


def _target(path: str, query: str) -> str:
    return (path or "/") + (f"?{query}" if query else "")


def _allows(allowed: str, place: Place) -> bool:
    usual = place.port == _PORTS[place.scheme]
    if allowed == "*":
        return usual
    if allowed.startswith("*."):
        return usual and place.host.endswith(allowed[1:])
    return allowed in ((place.host, place.authority) if usual else (f"{place.host}:{place.port}", place.authority))


def _next(place: Place, location: str, policy: MediaPolicy) -> Place:
    if not _TARGET.fullmatch(location):
        raise refused("url_failed", "redirected to something that is no address")
    following = place_of(urljoin(f"{place.scheme}://{place.authority}{place.target}", location), policy)
    if place.scheme == "https" and following.scheme != "https":
        raise refused("url_not_allowed", "redirected from https to http")
    return following


async def _addresses(place: Place, policy: MediaPolicy) -> list[str]:
    """Where the host is. All its addresses must be allowed, so that the choice among them is nobody's."""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise refused("url_failed", f"{place.host} has no address") from None
    addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
    if not policy.private and not all(_is_public(address) for address in addresses):
        raise refused("url_not_allowed", f"{place.host} is not on the public network")
    if not addresses:
        raise refused("url_failed", f"{place.host} has no address")
    return addresses


def _is_public(address: str) -> bool:
    try:
        return is_public(ipaddress.ip_address(address))
    except ValueError:
        return False


async def _asked(place: Place, policy: MediaPolicy, most: int) -> bytes | str:
    """The body at a place, or where it redirects to."""
    reader, writer = await _connected(place, await _addresses(place, policy))
    try:
        return await _received(place, reader, writer, most)
    except (OSError, EOFError) as error:
        raise refused("url_failed", f"{place.host}: the connection broke ({type(error).__name__})") from None
    finally:
        writer.close()


async def _connected(place: Place, addresses: list[str]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection to one of the checked addresses; over https the certificate must be that of the host."""
    secure: dict[str, Any] = {}
    if place.scheme == "https":
        secure = {"ssl": trusted(), "server_hostname": place.host}
    for address in addresses:
        try:
            return await asyncio.open_connection(address, place.port, **secure)
        except OSError:  # TLS errors are of this kind
            continue
    raise refused("url_failed", f"{place.host} cannot be reached")


async def _received(place: Place, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, most: int) -> bytes | str:
    import h11

    connection = h11.Connection(h11.CLIENT)
    headers = [("Host", place.authority), ("Accept", "*/*"), ("Accept-Encoding", "identity"), ("Connection", "close")]
    asked = h11.Request(method="GET", target=place.target, headers=[*headers, ("User-Agent", "assay")])
    writer.write((connection.send(asked) or b"") + (connection.send(h11.EndOfMessage()) or b""))
    await writer.drain()
    body = bytearray()
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_PIECE))
            elif isinstance(event, h11.Response):
                if (location := _checked(place, event, most)) is not None:
                    return location
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > most:
                    raise refused("too_large", f"{place.host} sends more than {most:,} bytes")
            elif isinstance(event, h11.EndOfMessage):
                return bytes(body)
    except h11.RemoteProtocolError:
        raise refused("url_failed", f"{place.host} breaks off, or does not speak HTTP") from None


def _checked(place: Place, reply: h11.Response, most: int) -> str | None:
    """Where a reply redirects to; None for one whose body is wanted."""
    headers = {bytes(name): bytes(value) for name, value in reply.headers}
    if reply.status_code in (301, 302, 303, 307, 308) and b"location" in headers:
        return headers[b"location"].decode("latin-1")
    if reply.status_code != 200:
        raise refused("url_failed", f"{place.host} answers {reply.status_code}")
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise refused("url_failed", f"{place.host} sends a compressed body that was not asked for")
    if int(headers.get(b"content-length", b"0")) > most:
        raise refused("too_large", f"{place.host} announces more than {most:,} bytes")
    return None
