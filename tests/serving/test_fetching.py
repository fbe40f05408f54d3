"""Fetching from named hosts: the address that was checked is the one that is connected to, at every step of the way."""

import asyncio
import ipaddress
import json
import shutil
import socket
import ssl
import subprocess
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assay.serving import fetching
from assay.serving.admission import MediaPolicy, Refused, admitted
from assay.serving.fetching import fetched, is_public

PICTURE = b"\x89PNG not really"


@contextmanager
def site(reply, address="127.0.0.1", secure=None):
    """A web server: ``reply(path)`` gives (code, headers, body or pieces of it). Yields its port and what came."""
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path, dict(self.headers)))
            code, headers, body = reply(self.path)
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            try:
                for piece in [body] if isinstance(body, bytes) else body:
                    self.wfile.write(piece)
            except OSError:
                self.close_connection = True

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer((address, 0), Handler)
    if secure is not None:
        server.socket = secure.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_port, asked
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def names(monkeypatch):
    """A directory of names in place of DNS; each entry is the list of answers in turn. 127.0.0.1 counts as public."""
    book: dict[str, list[list[str]]] = {}
    asked = []

    async def getaddrinfo(self, host, port, **_):
        asked.append(host)
        answers = book.get(host)
        if answers is None:
            raise socket.gaierror("no such name")
        addresses = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    public = ipaddress.ip_address("127.0.0.1")
    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(fetching, "is_public", lambda address: address == public or is_public(address))
    book["asked"] = asked
    return book


def fetch(url, hosts, most=1_000_000, seconds=5.0):
    return asyncio.run(fetched(url, MediaPolicy(hosts=hosts, seconds=seconds), most))


def refusal(*arguments, **named):
    with pytest.raises(Refused) as caught:
        fetch(*arguments, **named)
    return caught.value.code


def test_what_is_at_an_allowed_address_is_fetched_with_its_host_named(names):
    names["media.test"] = [["127.0.0.1"]]
    with site(lambda _: (200, {}, PICTURE)) as (port, asked):
        url = f"http://Media.test:{port}/a%20b?c=d#e"
        assert fetch(url, (f"media.test:{port}",)) == PICTURE
        policy = MediaPolicy(hosts=(f"media.test:{port}",))
        part = asyncio.run(admitted("image", {"url": url}, policy))
        assert part.data == PICTURE
    path, headers = asked[0]
    assert path == "/a%20b?c=d"
    assert headers["Host"] == f"media.test:{port}"
    assert not {"Authorization", "Cookie", "Referer"} & set(headers)


def test_the_name_is_looked_up_once_and_the_answer_is_what_is_connected_to(names):
    """A name that answers with a public address first, and with an inner one from then on."""
    names["rebinds.test"] = [["127.0.0.1"], ["127.0.0.2"]]
    with site(lambda _: (200, {}, b"outer")) as (port, _), socket.create_server(("127.0.0.2", port)) as inner:
        inner.settimeout(0.2)
        assert fetch(f"http://rebinds.test:{port}/", (f"rebinds.test:{port}",)) == b"outer"
        with pytest.raises(TimeoutError):
            inner.accept()
    assert names["asked"] == ["rebinds.test"]


def test_one_inner_address_among_several_is_enough_to_refuse(names):
    names["mixed.test"] = [["127.0.0.1", "127.0.0.2"]]
    with site(lambda _: (200, {}, b"x")) as (port, asked):
        assert refusal(f"http://mixed.test:{port}/", (f"mixed.test:{port}",)) == "url_not_allowed"
    assert not asked


@pytest.mark.parametrize(
    "target",
    [
        "http://inner.test:{inner}/",
        "http://127.0.0.2:{inner}/",
        "//127.0.0.2:{inner}/",
        "http://[::ffff:127.0.0.2]:{inner}/",
        "file:///etc/passwd",
        "gopher://127.0.0.2:{inner}/",
        "http://user@outer.test:{inner}/",
        "http://2130706434:{inner}/",
        "http://outer.test:{inner}\\@127.0.0.2/",
    ],
)
def test_a_redirect_is_held_to_the_same_rules(names, target):
    names["outer.test"], names["inner.test"], names["2130706434"] = [["127.0.0.1"]], [["127.0.0.2"]], [["127.0.0.2"]]
    with socket.create_server(("127.0.0.2", 0)) as inner:
        inner.settimeout(0.1)
        number = inner.getsockname()[1]
        with site(lambda _: (302, {"Location": target.replace("{inner}", str(number))}, b"")) as (port, _):
            hosts = (f"outer.test:{port}", f"inner.test:{number}", f"127.0.0.2:{number}", f"2130706434:{number}")
            assert refusal(f"http://outer.test:{port}/", hosts) in ("url_not_allowed", "url_failed")
        with pytest.raises(TimeoutError):
            inner.accept()


def test_a_redirect_to_a_public_host_that_is_not_on_the_list_is_refused(names):
    names["outer.test"] = names["other.test"] = [["127.0.0.1"]]
    with site(lambda _: (200, {}, PICTURE)) as (other, asked):
        for target in (f"http://other.test:{other}/", f"//other.test:{other}/", f"http://outer.test:{other}/"):
            with site(lambda _, target=target: (302, {"Location": target}, b"")) as (port, _):
                assert refusal(f"http://outer.test:{port}/", (f"outer.test:{port}",)) == "url_not_allowed"
    assert not asked
    assert "other.test" not in names["asked"]


def test_three_redirects_are_followed_and_no_more(names):
    names["media.test"] = [["127.0.0.1"]]

    def down(path):
        left = int(path[1:])
        return (200, {}, b"there") if not left else (301, {"Location": f"/{left - 1}"}, b"")

    with site(down) as (port, asked):
        assert fetch(f"http://media.test:{port}/3", (f"media.test:{port}",)) == b"there"
        asked.clear()
        assert refusal(f"http://media.test:{port}/9", (f"media.test:{port}",)) == "url_failed"
        assert len(asked) == 4


def test_too_much_is_not_read(names):
    names["media.test"] = [["127.0.0.1"]]
    sent = []

    def endless(path):
        def pieces():
            for _ in range(2_000):
                sent.append(65_536)
                yield bytes(65_536)

        return (200, {"Content-Length": "5000000"} if path == "/says" else {}, pieces())

    with site(endless) as (port, _):
        assert refusal(f"http://media.test:{port}/says", (f"media.test:{port}",)) == "too_large"
        with pytest.raises(Refused, match="announces more"):
            fetch(f"http://media.test:{port}/says", (f"media.test:{port}",))
        assert refusal(f"http://media.test:{port}/silent", (f"media.test:{port}",)) == "too_large"
    assert sum(sent) < 60_000_000


@pytest.mark.parametrize("path", ["/body", "/headers", "/nothing"])
def test_a_slow_site_is_given_up_in_time(names, path):
    names["media.test"] = [["127.0.0.1"]]

    def drip(path):
        def pieces():
            for _ in range(100):
                time.sleep(0.05)
                yield b"x"

        if path == "/nothing":
            time.sleep(2)
        return 200, {"Content-Length": "100"}, pieces()

    with site(drip) as (port, _):
        started = time.monotonic()
        assert refusal(f"http://media.test:{port}{path}", (f"media.test:{port}",), seconds=0.5) == "url_failed"
        assert time.monotonic() - started < 1.8


@pytest.mark.parametrize(
    "reply",
    [
        (404, {}, b"no"),
        (500, {}, b""),
        (204, {}, b""),
        (302, {}, b""),
        (200, {"Content-Encoding": "gzip"}, b"x"),
        (200, {"Content-Length": "10"}, b"cut"),
        (200, {"Transfer-Encoding": "chunked"}, b"not a chunk"),
        (200, {"X": "a" * 200_000}, b""),
    ],
)
def test_what_is_no_whole_answer_is_a_refusal(names, reply):
    names["media.test"] = [["127.0.0.1"]]
    with site(lambda _: reply) as (port, _):
        assert refusal(f"http://media.test:{port}/", (f"media.test:{port}",)) == "url_failed"


def test_proxies_and_credentials_of_the_environment_are_not_used(names, monkeypatch, tmp_path):
    names["media.test"] = [["127.0.0.1"]]
    with socket.create_server(("127.0.0.1", 0)) as proxy, site(lambda _: (200, {}, b"direct")) as (port, asked):
        proxy.settimeout(0.1)
        for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.getsockname()[1]}")
        (tmp_path / ".netrc").write_text("machine media.test login a password b\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        assert fetch(f"http://media.test:{port}/", (f"media.test:{port}",)) == b"direct"
        with pytest.raises(TimeoutError):
            proxy.accept()
    assert "Authorization" not in asked[0][1]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate for secure.test alone."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    folder = tmp_path_factory.mktemp("tls")
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=secure.test"]
    made += ["-addext", "subjectAltName=DNS:secure.test", "-keyout", "key.pem", "-out", "cert.pem"]
    subprocess.run(made, cwd=folder, check=True, capture_output=True)
    return folder


def test_over_https_the_certificate_must_be_that_of_the_host(names, certificate, monkeypatch):
    names["secure.test"] = names["other.test"] = [["127.0.0.1"]]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    named = []
    context.sni_callback = lambda _socket, name, _context: named.append(name)
    fetching.trusted.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    try:
        with site(lambda _: (200, {}, b"secret"), secure=context) as (port, asked):
            hosts = (f"secure.test:{port}", f"other.test:{port}")
            assert fetch(f"https://secure.test:{port}/", hosts) == b"secret"
            assert refusal(f"https://other.test:{port}/", hosts) == "url_failed"
        assert asked[0][1]["Host"] == f"secure.test:{port}"
        assert len(asked) == 1
        assert named == ["secure.test", "other.test"]
    finally:
        fetching.trusted.cache_clear()


@pytest.mark.parametrize(
    ("allowed", "url", "fits"),
    [
        ("media.test", "http://media.test/", True),
        ("media.test", "https://media.test/", True),
        ("media.test", "https://media.test:443/", True),
        ("MEDIA.test", "http://media.TEST/", True),
        ("media.test", "http://media.test:8080/", False),
        ("media.test:8080", "http://media.test:8080/", True),
        ("media.test:8080", "http://media.test/", False),
        ("*.media.test", "http://a.b.media.test/", True),
        ("*.media.test", "http://media.test/", False),
        ("*.media.test", "http://evilmedia.test/", False),
        ("*", "http://anything.test/", True),
        ("*", "http://anything.test:22/", False),
    ],
)
def test_the_list_of_hosts(allowed, url, fits):
    policy = MediaPolicy(hosts=(allowed,))
    if fits:
        assert fetching.place_of(url, policy).host
        return
    with pytest.raises(Refused, match="nothing is fetched from"):
        fetching.place_of(url, policy)


@pytest.mark.parametrize("url", ["http://user@media.test/", "http://a:b@media.test/", "http://@media.test/"])
def test_an_address_with_a_name_in_it_is_refused_at_an_allowed_host_too(url):
    with pytest.raises(Refused, match="no name or password"):
        fetching.place_of(url, MediaPolicy(hosts=("media.test",)))


@pytest.mark.parametrize(
    "url",
    [
        "http://media.test/a b",
        "http://media.test/a\r\nX-Injected: 1",
        "http://media.test/\tb",
        "\x00http://media.test/",
        "http://media.test/b\u00e9",
        "http://m\u0435dia.test/",
        "http://media.test\\@inner.test/",
        "http://media.test/\x7f",
    ],
)
def test_an_address_of_other_than_visible_ascii_is_refused_at_an_allowed_host_too(url):
    with pytest.raises(Refused, match="visible ASCII"):
        fetching.place_of(url, MediaPolicy(hosts=("*", "media.test")))


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a..b",
        ".a",
        "a.",
        "-a",
        "a-",
        "a_b",
        "%6d",
        "a%2eb",
        "[::1%25lo]",
        "[fe80::1%eth0]",
        "a,a",
        "a" * 254,
    ],
)
def test_what_is_no_name_of_a_host_is_refused_before_it_is_looked_up(host):
    with pytest.raises(Refused, match="not the name of a host"):
        fetching.place_of(f"http://{host}/", MediaPolicy(hosts=("*",)))


def test_a_redirect_from_https_to_http_is_refused(names, certificate, monkeypatch):
    names["secure.test"] = [["127.0.0.1"]]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    fetching.trusted.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    try:
        with site(lambda _: (200, {}, b"open")) as (other, asked):
            down = {"Location": f"http://secure.test:{other}/"}
            with site(lambda _: (302, down, b""), secure=context) as (port, _):
                hosts = (f"secure.test:{port}", f"secure.test:{other}")
                assert refusal(f"https://secure.test:{port}/", hosts) == "url_not_allowed"
        assert not asked
    finally:
        fetching.trusted.cache_clear()


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_no_address_is_public_that_python_knows_as_special(address):
    if is_public(address):
        special = address.is_private or address.is_loopback or address.is_multicast or address.is_reserved
        assert address.is_global
        assert not special
        assert not address.is_link_local


@given(st.ip_addresses(v=4))
def test_an_ipv6_address_that_stands_for_an_ipv4_one_is_not_public(address):
    for form in (f"::ffff:{address}", f"::{address}", f"64:ff9b::{address}"):
        assert not is_public(ipaddress.ip_address(form))
    halves = int(address) >> 16, int(address) & 0xFFFF
    assert not is_public(ipaddress.ip_address(f"2002:{halves[0]:x}:{halves[1]:x}::1"))


def test_public_addresses_are_public():
    for form in ("93.184.215.14", "8.8.8.8", "2606:2800:220:1::1", "192.0.1.1", "100.128.0.1", "172.32.0.1"):
        assert is_public(ipaddress.ip_address(form))


def test_a_refusal_is_short_and_tells_nothing_of_the_network(names):
    names["inner.test"] = [["10.1.2.3"]]
    with pytest.raises(Refused) as caught:
        fetch("http://inner.test/", ("inner.test",))
    assert "10.1.2.3" not in json.dumps(str(caught.value))
