import os
import socket

import pytest
import trio

from lastcall.bus.address import HostPort
from lastcall.errors import AddressInUse, BadAddress
from lastcall.runtime.address import InheritedSocket
from lastcall.runtime.listeners import bound_address, open_listeners

ANY_PORT = HostPort("127.0.0.1", 0)
EVERY_INTERFACE = HostPort("::", 0)

needs_both_protocols = pytest.mark.skipif(
    not socket.has_dualstack_ipv6(), reason="this system has no sockets for IPv4 and IPv6"
)


async def test_port_0_opens_one_free_port_and_its_address_is_known() -> None:
    [listener] = await open_listeners(HostPort("localhost", 0))
    async with listener:
        address = bound_address(listener)
        assert address.port > 0
        async with await trio.open_tcp_stream(address.host, address.port):
            pass


async def test_a_port_in_use_is_refused() -> None:
    [listener] = await open_listeners(ANY_PORT)
    async with listener:
        with pytest.raises(AddressInUse, match="is in use: another process listens there"):
            await open_listeners(bound_address(listener))


@needs_both_protocols
async def test_every_interface_of_ipv6_is_every_interface_of_ipv4_too() -> None:
    [listener] = await open_listeners(EVERY_INTERFACE)
    async with listener:
        address = bound_address(listener)
        assert address == HostPort("::", address.port)
        for host in ("127.0.0.1", "::1"):
            async with await trio.open_tcp_stream(host, address.port), await listener.accept():
                pass


@needs_both_protocols
async def test_every_interface_of_ipv6_leaves_ipv4_to_another_address_with_the_same_port() -> None:
    [ipv4] = await open_listeners(ANY_PORT)
    async with ipv4:
        taken = bound_address(ipv4)
        everywhere = HostPort("::", taken.port)
        with pytest.raises(AddressInUse):
            await open_listeners(everywhere, beside=[everywhere, InheritedSocket(3)])
        [ipv6] = await open_listeners(everywhere, beside=[taken, everywhere])
        async with ipv6:
            for host, listener in (("127.0.0.1", ipv4), ("::1", ipv6)):
                async with await trio.open_tcp_stream(host, taken.port), await listener.accept():
                    pass


async def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(BadAddress, match="no interface of this machine has that address"):
        await open_listeners(HostPort("192.0.2.1", 0))


async def test_an_inherited_listening_socket_is_used_and_not_inherited_by_children() -> None:
    opened = socket.create_server(("127.0.0.1", 0))
    port = opened.getsockname()[1]
    opened.set_inheritable(True)
    [listener] = await open_listeners(InheritedSocket(opened.detach()))
    async with listener:
        assert bound_address(listener) == HostPort("127.0.0.1", port)
        assert not os.get_inheritable(listener.socket.fileno())
        async with await trio.open_tcp_stream("127.0.0.1", port), await listener.accept():
            pass


async def test_a_descriptor_that_is_not_a_listening_socket_is_refused_and_stays_open() -> None:
    reader, writer = os.pipe()
    with socket.socket() as idle, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        for descriptor in (reader, idle.fileno(), datagrams.fileno(), 99_999):
            with pytest.raises(BadAddress, match=f"fd:{descriptor}: descriptor .* is not"):
                await open_listeners(InheritedSocket(descriptor))
        assert os.fstat(idle.fileno())
    os.close(reader)
    os.close(writer)
