import base64

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lastcall.core.edge.opening_request import (
    HEAD_BYTES_MAX,
    HEADERS_MAX,
    OpeningReader,
    OpeningRequest,
    Refusal,
    plain_request,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
HEADERS = {
    "Host": "play.example",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Key": KEY,
    "Sec-WebSocket-Version": "13",
}


def request(line: str = "GET / HTTP/1.1", more: str = "", **changed: str | None) -> bytes:
    """A right request; ``changed`` headers (``_`` for ``-``) have other values, or are left out."""
    names = {name.replace("-", "_"): name for name in HEADERS}
    headers = HEADERS | {names[name]: value for name, value in changed.items()}
    lines = [line, *(f"{name}: {value}" for name, value in headers.items() if value is not None)]
    return ("\r\n".join(lines) + "\r\n" + more + "\r\n").encode("latin-1")


def read(data: bytes) -> OpeningRequest | Refusal | None:
    return OpeningReader().read(data)


WRONG = {
    "no key": (400, request(Sec_WebSocket_Key=None)),
    "an empty key": (400, request(Sec_WebSocket_Key="")),
    "a key that is not base64": (400, request(Sec_WebSocket_Key="!" * 24)),
    "a key with a byte over 127": (400, request(Sec_WebSocket_Key="é" + KEY[1:])),
    "a key of 15 bytes": (400, request(Sec_WebSocket_Key=base64.b64encode(bytes(15)).decode())),
    "a key of 17 bytes": (400, request(Sec_WebSocket_Key=base64.b64encode(bytes(17)).decode())),
    "a key and more": (400, request(Sec_WebSocket_Key=KEY + "AAAA")),
    "two keys": (400, request(more=f"Sec-WebSocket-Key: {KEY}\r\n")),
    "HTTP/1.0": (400, request("GET / HTTP/1.0")),
    "HTTP/2.0": (400, request("GET / HTTP/2.0")),
    "HTTP/0.9": (400, b"GET /\r\n\r\n"),
    "a body": (400, request(more="Content-Length: 5\r\n") + b"hello"),
    "a body of no size": (400, request(more="Content-Length: x\r\n")),
    "a chunked body": (400, request(more="Transfer-Encoding: chunked\r\n")),
    "another coding": (400, request(more="Transfer-Encoding: gzip\r\n")),
    "no Host": (400, request(Host=None)),
    "an empty Host": (400, request(Host="")),
    "a Host that is not one": (400, request(Host="a b")),
    "a Host with a byte over 127": (400, request(Host="b\xfccher.example")),
    "two Hosts": (400, request(more="Host: play.example\r\n")),
    "no version": (400, request(Sec_WebSocket_Version=None)),
    "two versions": (400, request(more="Sec-WebSocket-Version: 13\r\n")),
    "version 12": (426, request(Sec_WebSocket_Version="12")),
    "version 8 and 13": (426, request(Sec_WebSocket_Version="8, 13")),
    "no Upgrade": (400, request(Upgrade=None)),
    "an Upgrade to something else": (400, request(Upgrade="h2c")),
    "an Upgrade with a byte over 127": (400, request(Upgrade="websocket\xff")),
    "no Connection": (400, request(Connection=None)),
    "a Connection that is kept": (400, request(Connection="keep-alive")),
    "a Connection with a byte over 127": (400, request(Connection="Upgrade\xff")),
    "POST": (405, request("POST / HTTP/1.1")),
    "HEAD": (405, request("HEAD / HTTP/1.1")),
    "CONNECT": (405, request("CONNECT play.example:443 HTTP/1.1")),
    "a target that is not one": (400, request("GET * HTTP/1.1")),
    "a target of another scheme": (400, request("GET ftp://play.example/ HTTP/1.1")),
    "a target with a byte over 127": (400, request("GET /\xff HTTP/1.1")),
    "a URL with half an IPv6 address": (400, request("GET http://[::1/ HTTP/1.1")),
    "a name with a byte over 127": (400, request(more="X-\xff: 1\r\n")),
    "a subprotocol with a byte over 127": (400, request(more="Sec-WebSocket-Protocol: \xff\r\n")),
    "a subprotocol that is not a name": (400, request(more="Sec-WebSocket-Protocol: a b\r\n")),
    "a header without a colon": (400, request(more="nonsense\r\n")),
    "a header that goes on at the start": (400, b"GET / HTTP/1.1\r\n x: y\r\n\r\n"),
    "101 headers": (431, request(more="X: 1\r\n" * (HEADERS_MAX - 4))),
    "a header of 17 KiB": (431, request(more=f"X: {'x' * 17_408}")),
    "TLS": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"),
    "a PROXY header": (400, b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12)),
    "an empty line": (400, b"\r\n\r\n"),
}

RIGHT = {
    "the plain one": request(),
    "in other letters": request(Upgrade="WebSocket", Connection="keep-alive, UPGRADE"),
    "with lists in several headers": request(Upgrade="h2c", more="Upgrade: websocket\r\n"),
    "with a body of no bytes": request(more="Content-Length: 0\r\n"),
    "with bytes over 127 where HTTP allows them": request(more="User-Agent: M\xfcsli\r\n"),
    "with 100 headers": request(more="X: 1\r\n" * (HEADERS_MAX - 5)),
    "for a URL": request("GET http://play.example/a?b=c HTTP/1.1"),
    "with a port": request(Host="[::1]:8080"),
    "with line feeds only": request().replace(b"\r\n", b"\n"),
}


@pytest.mark.parametrize(("status", "data"), WRONG.values(), ids=WRONG)
def test_a_wrong_request_gets_its_status(status: int, data: bytes) -> None:
    reader = OpeningReader()
    refusal = reader.read(data)
    assert isinstance(refusal, Refusal)
    assert refusal.status == status
    head, _, body = reader.answer(refusal).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    reason = refusal.reason.encode()
    assert b"\r\nContent-Length: %d\r\n" % len(reason) in head
    assert body == (b"" if data.startswith(b"HEAD") else reason)
    assert (b"Sec-WebSocket-Version: 13" in head) is (status == 426)


@pytest.mark.parametrize("data", RIGHT.values(), ids=RIGHT)
def test_a_right_request_is_read(data: bytes) -> None:
    found = read(data)
    assert isinstance(found, OpeningRequest)
    assert found.key == KEY


def test_what_a_request_says_is_told_apart() -> None:
    offers = "Sec-WebSocket-Protocol: lastcall.v1, bearer.abc\r\nSec-WebSocket-Protocol:x\r\n"
    found = read(request("GET /a/b?token=t&x HTTP/1.1", offers + "Cookie: 1\r\nCookie: \xe9\r\n"))
    assert isinstance(found, OpeningRequest)
    assert (found.path, found.query) == ("/a/b", "token=t&x")
    assert found.subprotocols == ("lastcall.v1", "bearer.abc", "x")
    assert found.values("cookie") == ["1", "\xe9"]
    assert found.values("host") == ["play.example"]


def test_an_answer_repeats_nothing_of_a_line_that_may_hold_a_token() -> None:
    reader = OpeningReader()
    refusal = reader.read(request(more="Authorization Bearer 5ec7e7\r\n"))
    assert isinstance(refusal, Refusal)
    assert b"5ec7e7" not in reader.answer(refusal)


@given(st.binary(max_size=40), st.sampled_from([request(), request(Host=None)]), st.data())
def test_a_request_is_the_same_wherever_the_network_cuts_it(
    frames: bytes, head: bytes, data: st.DataObject
) -> None:
    stop = data.draw(st.integers(1, len(head)))
    whole, cut = OpeningReader(), OpeningReader()
    expected = whole.read(head + frames)
    first = cut.read(head[:stop])
    found = cut.read(head[stop:] + frames) if first is None else first
    assert found == expected
    if isinstance(expected, OpeningRequest):
        assert whole.early == frames
        assert (frames if stop == len(head) else cut.early) == frames


def test_a_request_that_never_ends_is_refused_at_16_kib() -> None:
    reader = OpeningReader()
    assert reader.read(b"GET / HTTP/1.1\r\nX: ") is None
    for size in range(1, HEAD_BYTES_MAX, 1024):
        refusal = reader.read(b"x" * 1024)
        if refusal is not None:
            assert refusal == Refusal(431, "the request's head is too large")
            assert size > HEAD_BYTES_MAX - 2048
            return
    raise AssertionError("it was never refused")


@given(st.binary(max_size=300))
@example(request(more="Host: \xff\r\n"))
def test_no_bytes_raise_and_each_result_has_an_answer(data: bytes) -> None:
    if not data:
        return
    reader = OpeningReader()
    result = reader.read(data)
    if isinstance(result, Refusal):
        assert 400 <= result.status < 500
        assert reader.answer(result).startswith(b"HTTP/1.1 4")


@pytest.mark.parametrize("subprotocol", [None, "lastcall.v1"])
def test_the_librarys_request_is_right_too_and_has_the_same_key(subprotocol: str | None) -> None:
    found = read(request("GET /?token=t HTTP/1.1", "Cookie: secret\r\n"))
    assert isinstance(found, OpeningRequest)
    plain = read(plain_request(found, subprotocol))
    assert isinstance(plain, OpeningRequest)
    assert plain.key == found.key
    assert plain.subprotocols == (() if subprotocol is None else (subprotocol,))
    assert (plain.query, plain.values("cookie")) == ("", [])
