"""Mutual TLS between nodes: who gets through, and which files a node starts with."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
import trio
import trustme

from lastcall.bus.nng import NngBus
from lastcall.bus.tls import ClusterTls, read_cluster_tls
from lastcall.errors import UsageError

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ANY_PORT = "tcp://127.0.0.1:0"


@pytest.fixture(scope="module")
def ca() -> trustme.CA:
    return trustme.CA()


def write(folder: Path, ca: trustme.CA, cert: trustme.LeafCert) -> Path:
    folder.mkdir(exist_ok=True)
    ca.cert_pem.write_to_path(folder / "ca.pem")
    (folder / "cert.pem").write_bytes(b"".join(one.bytes() for one in cert.cert_chain_pems))
    cert.private_key_pem.write_to_path(folder / "key.pem")
    return folder


def tls(ca: trustme.CA, cert: trustme.LeafCert, name: str = "") -> ClusterTls:
    chain = b"".join(one.bytes() for one in cert.cert_chain_pems).decode()
    return ClusterTls(
        ca.cert_pem.bytes().decode(), chain, cert.private_key_pem.bytes().decode(), name
    )


async def answered(server: ClusterTls | None, client: ClusterTls | None) -> bool:
    """Whether a call gets its answer; if not, waits until the caller knows that TLS fails."""
    responder = NngBus(server).respond(ANY_PORT)
    caller = NngBus(client).caller(responder.address)
    got: list[bytes] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(responder.serve, bytes.upper)
        with trio.move_on_after(20):
            async with trio.open_nursery() as calling:

                async def call() -> None:
                    got.append(await caller.call(b"hello"))
                    calling.cancel_scope.cancel()

                calling.start_soon(call)
                while not caller.refused_by_tls:
                    await trio.sleep(0.02)
                calling.cancel_scope.cancel()
        nursery.cancel_scope.cancel()
    caller.close()
    responder.close()
    return got == [b"HELLO"]


async def test_nodes_with_certificates_of_one_ca_reach_each_other(ca: trustme.CA) -> None:
    node = tls(ca, ca.issue_cert("127.0.0.1"))
    assert await answered(node, node)


async def test_a_published_message_arrives_over_tls(ca: trustme.CA) -> None:
    bus = NngBus(tls(ca, ca.issue_cert("api.example")))
    subscriber = bus.subscribe(ANY_PORT)
    publisher = bus.publisher(subscriber.address, "api.example")
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:

            async def publish() -> None:
                while True:
                    publisher.publish(b"hello")
                    await trio.sleep(0.05)

            nursery.start_soon(publish)
            assert (await subscriber.receive())[0] == b"hello"
            nursery.cancel_scope.cancel()
    publisher.close()
    subscriber.close()


async def test_a_fixed_name_takes_the_place_of_the_dialled_host(ca: trustme.CA) -> None:
    cert = ca.issue_cert("lastcall")
    assert await answered(tls(ca, cert), tls(ca, cert, "lastcall"))
    assert not await answered(tls(ca, cert), tls(ca, cert))
    assert not await answered(tls(ca, cert), tls(ca, cert, "other"))


async def test_a_certificate_of_another_ca_is_refused_by_either_side(ca: trustme.CA) -> None:
    good, other = tls(ca, ca.issue_cert("127.0.0.1")), trustme.CA()
    stranger = tls(ca, other.issue_cert("127.0.0.1"))
    assert not await answered(good, stranger)
    assert not await answered(stranger, good)


async def test_an_expired_certificate_is_refused_by_either_side(ca: trustme.CA) -> None:
    good = tls(ca, ca.issue_cert("127.0.0.1"))
    expired = tls(ca, ca.issue_cert("127.0.0.1", not_after=LONG_AGO))
    assert not await answered(good, expired)
    assert not await answered(expired, good)


async def test_a_node_without_tls_and_one_with_it_do_not_reach_each_other(ca: trustme.CA) -> None:
    node = tls(ca, ca.issue_cert("127.0.0.1"))
    assert not await answered(node, None)
    assert not await answered(None, node)


async def test_refused_certificates_are_counted(ca: trustme.CA) -> None:
    responder = NngBus(tls(ca, ca.issue_cert("127.0.0.1"))).respond(ANY_PORT)
    stranger = tls(ca, trustme.CA().issue_cert("127.0.0.1"))
    caller = NngBus(stranger).caller(responder.address)
    with trio.fail_after(20):
        while not responder.refusals().handshakes:
            await trio.sleep(0.02)
    assert responder.refusals().connections == 0
    caller.close()
    responder.close()


def test_good_files_are_read(ca: trustme.CA, tmp_path: Path) -> None:
    read = read_cluster_tls(write(tmp_path, ca, ca.issue_cert("node")), "node")
    assert read.name == "node"
    assert read.ca.startswith("-----BEGIN CERTIFICATE-----")


@pytest.mark.parametrize("file", ["ca.pem", "cert.pem", "key.pem"])
@pytest.mark.parametrize(("content", "why"), [(None, "cannot be read"), (b"\xff", "not PEM")])
def test_a_file_that_is_missing_or_not_text_is_named(
    ca: trustme.CA, tmp_path: Path, file: str, content: bytes | None, why: str
) -> None:
    folder = write(tmp_path, ca, ca.issue_cert("node"))
    (folder / file).unlink()
    if content is not None:
        (folder / file).write_bytes(content)
    with pytest.raises(UsageError, match=f"{file} .*{why}"):
        read_cluster_tls(folder)


@pytest.mark.parametrize("file", ["ca.pem", "cert.pem", "key.pem"])
def test_a_file_that_is_empty_or_of_another_pair_is_refused(
    ca: trustme.CA, tmp_path: Path, file: str
) -> None:
    folder = write(tmp_path / "a", ca, ca.issue_cert("node"))
    (folder / file).write_text("")
    with pytest.raises(UsageError, match="--cluster-tls: "):
        read_cluster_tls(folder)
    other = trustme.CA()
    write(tmp_path / "b", other, other.issue_cert("node"))
    (folder / file).write_bytes((tmp_path / "b" / file).read_bytes())
    with pytest.raises(UsageError, match="--cluster-tls: "):
        read_cluster_tls(folder)


def test_an_expired_certificate_is_refused_at_the_start(ca: trustme.CA, tmp_path: Path) -> None:
    folder = write(tmp_path, ca, ca.issue_cert("node", not_after=LONG_AGO))
    with pytest.raises(UsageError, match=r"cert\.pem is not valid by .*expired"):
        read_cluster_tls(folder)
