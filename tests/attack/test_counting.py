"""The memory that the two nodes need to count strangers."""

from __future__ import annotations

import tracemalloc
from collections import Counter

import trio

from lastcall.api.limits import ClientLimits
from lastcall.api.sessions.guest import Guest
from lastcall.core.edge.token_bucket import TokenBucket
from lastcall.host.limits import RoomLimits
from lastcall.ids import KindName
from lastcall.limits import MIB, Limits, address_account
from lastcall.wire.nodes import Join

STRANGERS = 10_000


def a_little_of_everything(number: int, clients: ClientLimits, rooms: RoomLimits) -> None:
    """A stranger comes, joins, fails to resume, and guesses a key; they are still there."""
    account = address_account(f"2001:db8:{number >> 8:x}:{number & 255:x}::1")
    guest, now = Guest(account), trio.current_time()
    assert clients.may_begin(account)
    clients.half_open.add(account)
    assert clients.take_handshake(account)
    assert clients.may_connect(guest)
    clients.connected(guest)
    assert clients.may_ask(guest, TokenBucket(Limits().joins_per_client, now), join=True)
    clients.failed_resumes.charge(account, now)
    clients.refused_keys.charge(account, now)
    join = Join(call=1, kind=KindName("den"), options=b"", address=account)
    assert rooms.take_opening(join)
    assert rooms.refusal(join) is None
    rooms.seats.add(account)


async def test_10_000_addresses_that_use_every_limit_a_little_are_counted_in_8_mib_on_both_nodes(
    autojump_clock,
) -> None:
    clients, rooms = ClientLimits(Limits(), Counter()), RoomLimits(Limits())
    tracemalloc.start()
    try:
        for number in range(STRANGERS):
            a_little_of_everything(number, clients, rooms)
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    for limiter in (clients._joins, clients.failed_resumes, clients.refused_keys, rooms._opened):
        assert len(limiter) == STRANGERS
    assert len(clients._handshakes) == len(clients.half_open) == STRANGERS
    assert used <= 8 * MIB, used / MIB
