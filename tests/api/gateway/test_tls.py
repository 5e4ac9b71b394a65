"""TLS for clients: its certificates, which may change, and peers that do not speak it."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import pytest
import structlog.testing
import trio
import trio.testing
import trustme
from cryptography import x509
from trio_websocket import wrap_client_stream

from lastcall.api.gateway.arrivals import forget_handshake
from lastcall.api.gateway.handshake import EntryRules
from lastcall.api.gateway.tls import ServerTls
from lastcall.core.edge.addresses import parse_networks
from lastcall.errors import UsageError
from tests.api.conftest import UPGRADE, Client, House
from tests.api.paths import serving
from tests.attack.test_addresses import CLIENT, header
from tests.harness.garbage import left_by

HOST = "play.example"


class Files:
    """A certificate and its key in two files, and the authority that clients trust."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.certificate, self.key = folder / "node.crt", folder / "node.key"
        self.serial = self.replace()

    def replace(self, authority: trustme.CA | None = None) -> int:
        """Writes a new pair; returns the certificate's serial number."""
        pair = (authority or self.authority).issue_cert(HOST)
        pair.cert_chain_pems[0].write_to_path(str(self.certificate))
        pair.private_key_pem.write_to_path(str(self.key))
        der = ssl.PEM_cert_to_DER_cert(pair.cert_chain_pems[0].bytes().decode())
        self.serial = serial_of(der)
        return self.serial

    def trust(self, **limits: ssl.TLSVersion) -> ssl.SSLContext:
        """A client's settings."""
        context = ssl.create_default_context()
        self.authority.configure_trust(context)
        context.set_alpn_protocols(["h2", "http/1.1"])
        for name, version in limits.items():
            setattr(context, name, version)
        return context


def serial_of(der: bytes) -> int:
    return x509.load_der_x509_certificate(der).serial_number


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


@pytest.fixture
def tls(files: Files) -> ServerTls:
    return ServerTls(files.certificate, files.key)


@pytest.fixture
async def house(nursery: trio.Nursery, tls: ServerTls) -> House:
    return House(nursery, rules=EntryRules(tls=tls))


async def secure(house: House, context: ssl.SSLContext, host: str = HOST) -> trio.SSLStream:
    stream = trio.SSLStream(house.dial(), context, server_hostname=host, https_compatible=True)
    await stream.do_handshake()
    forget_handshake(stream)  # only the server's streams could be garbage
    return stream


async def client(house: House, stream: trio.SSLStream) -> Client:
    socket = await wrap_client_stream(house.nursery, stream, HOST, "/")
    await socket._open_handshake.wait()
    found = Client(socket)
    assert (await found.next())["t"] == "hello"
    return found


def serial(stream: trio.SSLStream) -> int:
    return serial_of(stream.getpeercert(binary_form=True))


async def test_a_client_joins_and_is_heard_over_tls(
    autojump_clock, house: House, files: Files
) -> None:
    stream = await secure(house, files.trust())
    assert stream.selected_alpn_protocol() == "http/1.1"
    one = await client(house, stream)
    await one.join("den")
    await one.say({"t": "say", "n": 1, "d": "hi"})
    house.room_says("den", 1, "x" * 60_000)
    assert (await one.until("msg"))["d"] == "x" * 60_000
    assert house.link.sent[-1].n == 1
    house.sessions[0].connection.move_now("this node is leaving")
    assert (await one.end())[1] == 1012
    await house.gateway.wait_empty()


async def test_versions_before_tls_1_2_are_refused(
    autojump_clock, house: House, files: Files
) -> None:
    assert (await secure(house, files.trust(maximum_version=ssl.TLSVersion.TLSv1_2))).version()
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old = files.trust(
            minimum_version=ssl.TLSVersion.TLSv1_1, maximum_version=ssl.TLSVersion.TLSv1_1
        )
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.raises(trio.BrokenResourceError):
        await secure(house, old)


async def test_after_a_reload_new_sockets_have_the_new_certificate_and_old_ones_go_on(
    autojump_clock, house: House, files: Files, tls: ServerTls
) -> None:
    stream = await secure(house, files.trust())
    before = await client(house, stream)
    first = serial(stream)
    second = files.replace()
    assert serial(await secure(house, files.trust())) == first
    with structlog.testing.capture_logs() as events:
        await tls.reload()
    assert "tls.reloaded" in [one["event"] for one in events]
    assert serial(await secure(house, files.trust())) == second != first
    assert (await before.join())["t"] == "joined"


@pytest.mark.parametrize("wrong", ["no key", "half a certificate", "another key", "no file"])
async def test_a_bad_new_pair_leaves_the_old_one_in_use_and_says_so(
    autojump_clock, house: House, files: Files, tls: ServerTls, wrong: str
) -> None:
    first = files.serial
    if wrong == "no key":
        files.key.write_bytes(b"")
    elif wrong == "half a certificate":
        files.certificate.write_bytes(files.certificate.read_bytes()[:200])
    elif wrong == "another key":
        pem = files.certificate.read_bytes()
        files.replace()
        files.certificate.write_bytes(pem)
    else:
        files.certificate.unlink()
    with structlog.testing.capture_logs() as events:
        await tls.reload()
    [event] = [one for one in events if one["event"].startswith("tls.")]
    assert (event["event"], event["log_level"]) == ("tls.not_reloaded", "error")
    assert "--tls-" in event["message"]
    assert serial(await secure(house, files.trust())) == first


async def test_a_certificate_that_has_expired_is_warned_of_at_the_start_and_not_loaded_later(
    autojump_clock, files: Files, tls: ServerTls
) -> None:
    past = dt.datetime.now(dt.UTC) - dt.timedelta(days=1)
    old = files.authority.issue_cert(HOST, not_after=past)
    old.cert_chain_pems[0].write_to_path(str(files.certificate))
    old.private_key_pem.write_to_path(str(files.key))
    context = tls.context
    with structlog.testing.capture_logs() as events:
        await tls.reload()
        ServerTls(files.certificate, files.key)
    assert [(one["event"], one["log_level"]) for one in events] == [
        ("tls.not_reloaded", "error"),
        ("tls.loaded", "warning"),
    ]
    assert tls.context is context


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\xff" + bytes(255), b"\r\n\r\n\x00\r\n"]
)
async def test_a_peer_that_does_not_speak_tls_is_closed_without_an_error_in_the_log(
    autojump_clock, house: House, said: bytes
) -> None:
    with structlog.testing.capture_logs() as events:
        stream = house.dial()
        await stream.send_all(said)
        while await stream.receive_some():
            pass
        await house.gateway.wait_empty()
    assert [(one["event"], one.get("cause")) for one in events] == [("client.closed", "handshake")]


async def test_a_peer_that_is_silent_or_trusts_another_authority_ends_in_time(
    autojump_clock, house: House, files: Files
) -> None:
    silent = house.dial()
    began = trio.current_time()
    assert await silent.receive_some() == b""
    assert trio.current_time() - began == 5
    with pytest.raises(trio.BrokenResourceError):
        await secure(house, ssl.create_default_context())
    with pytest.raises(trio.BrokenResourceError):
        await secure(house, files.trust(), host="other.example")
    await house.gateway.wait_empty()
    assert house.gateway.counts.ends == {"handshake": 3}


async def test_after_tls_the_request_has_its_own_time_and_is_checked(
    autojump_clock, house: House, files: Files
) -> None:
    stream = await secure(house, files.trust())
    await stream.send_all(UPGRADE.replace(b"HTTP/1.1", b"HTTP/1.0"))
    assert (await stream.receive_some()).startswith(b"HTTP/1.1 400 ")
    late = await secure(house, files.trust())
    await late.send_all(UPGRADE[:30])
    began = trio.current_time()
    assert await late.receive_some() == b""
    assert trio.current_time() - began == 5 + house.policy.close_seconds


async def test_a_proxy_header_comes_before_tls(
    autojump_clock, monkeypatch: pytest.MonkeyPatch, files: Files, tls: ServerTls
) -> None:
    rules = EntryRules(tls=tls, proxies=parse_networks("127.0.0.1"))
    async with serving(monkeypatch, pumped=True, rules=rules) as server:
        peer = server.dial()
        await peer.send(header())
        stream = trio.SSLStream(
            trio.SocketStream(peer.socket),
            files.trust(),
            server_hostname=HOST,
            https_compatible=True,
        )
        await stream.send_all(UPGRADE)
        assert b" 101 " in await stream.receive_some()
        assert b'"hello"' in await stream.receive_some()
        assert server.sessions[0].guest.address == CLIENT


@pytest.mark.parametrize("later_seconds", [0, 15])
async def test_a_reader_that_stopped_reads_4100_at_last_under_tls_too(
    autojump_clock,
    monkeypatch: pytest.MonkeyPatch,
    files: Files,
    tls: ServerTls,
    later_seconds: float,
) -> None:
    rules = EntryRules(tls=tls)
    few = {"backlog_bytes": 100_000, "backlog_bytes_max": 200_000}
    async with serving(monkeypatch, pumped=True, rules=rules, **few) as server:
        peer = server.dial(buffer_bytes=4096)
        stream = trio.SSLStream(
            trio.SocketStream(peer.socket),
            files.trust(),
            server_hostname=HOST,
            https_compatible=True,
        )
        await stream.send_all(UPGRADE)
        while not server.sessions:
            await trio.lowlevel.checkpoint()
        while server.sessions:
            await server.gateway.moves.notify("x" * 60_000, 1)
            await trio.lowlevel.checkpoint()
        await trio.sleep(later_seconds)
        end = b""
        while part := await stream.receive_some():
            end = (end + part)[-100:]
    assert end.endswith(b"\x88\x13" + (4100).to_bytes(2, "big") + b"too slow a reader")


async def test_a_client_that_ends_in_any_way_under_tls_leaves_no_garbage(
    autojump_clock, house: House, files: Files
) -> None:
    async def some() -> None:
        one = await client(house, await secure(house, files.trust()))
        await one.socket.aclose()
        stream = await secure(house, files.trust())
        await trio.aclose_forcefully(stream)
        stream = house.dial()
        await stream.send_all(b"not TLS")
        await trio.aclose_forcefully(stream)
        await house.gateway.wait_empty()

    assert not await left_by(some, "lastcall.", "trio._ssl.", "ssl.", "_ssl.")


@pytest.mark.parametrize("wrong", ["", "certificate", "key"])
def test_files_that_cannot_be_used_are_told_with_their_option(files: Files, wrong: str) -> None:
    if not wrong:
        ServerTls(files.certificate, files.key)
        return
    getattr(files, wrong).write_bytes(b"nonsense")
    with pytest.raises(UsageError, match=r"--tls-cert .* and --tls-key .* cannot be used"):
        ServerTls(files.certificate, files.key)
