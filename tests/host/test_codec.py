"""Inputs and options that a kind's types refuse, and the errors that clients get."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from lastcall import Room, room
from lastcall.policy import RoomPolicy
from lastcall.wire import nodes
from tests.host.host_harness import open_host, typed


@pytest.mark.parametrize("error", [KeyError("a secret"), SystemExit(1), ValueError("\ud800")])
async def test_a_join_is_refused_if_the_type_of_the_options_raises_anything(
    error: BaseException,
) -> None:
    class Picky(msgspec.Struct):
        def __post_init__(self) -> None:
            raise error

    @room("picky", seats=1, options=Picky)
    async def picky(table: Room) -> Any:
        await trio.sleep_forever()

    async with open_host(picky) as harness:
        refused = harness.join(picky)
        assert refused.code == "bad_input"
        assert "secret" not in refused.message
        assert nodes.encode(refused)
        assert harness.host.rooms == 0


async def test_a_kind_without_inputs_refuses_each_input_and_keeps_it_out_of_its_inbox() -> None:
    @room("mute", seats=2, inputs=None)
    async def mute(table: Room) -> Any:
        await trio.sleep_forever()

    async with open_host(mute, policy=RoomPolicy(inbox_events=1)) as harness:
        ann = harness.join(mute)  # `Joined` fills the inbox, which the room does not read
        for n in range(1, 401):
            harness.say(ann, n, None)
        bad = harness.all_of(nodes.BadInput)
        assert [item.n for item in bad] == list(range(1, 401))
        assert {(item.code, item.message) for item in bad} == {
            ("bad_input", "this kind takes no inputs")
        }
        assert harness.acked() == [(ann.room, ann.player, 400)]


@pytest.mark.parametrize("body", [b'{"cell":"x"}', b"{", b"\xff\xff", b"[" * 100_000, b""])
async def test_a_bad_input_is_reported_to_its_sender_and_acked(body: bytes) -> None:
    async with open_host(typed) as harness:
        ann = harness.join(typed, options=b'{"width":10}')
        harness.say(ann, 1, body)
        harness.say(ann, 2, {"cell": 4})
        await wait_all_tasks_blocked()
        [bad] = harness.all_of(nodes.BadInput)
        assert (bad.room, bad.player, bad.n, bad.code) == (ann.room, ann.player, 1, "bad_input")
        assert harness.acked() == [(ann.room, ann.player, 2)]
        assert harness.messages() == [40]


async def test_an_input_is_refused_if_its_type_raises_anything() -> None:
    class Picky(msgspec.Struct):
        cell: int

        def __post_init__(self) -> None:
            raise KeyError("a secret of the author")

    @room("picky", seats=1, inputs=Picky)
    async def picky(table: Room) -> Any:
        await trio.sleep_forever()

    async with open_host(picky) as harness:
        harness.say(harness.join(picky), 1, {"cell": 1})
        [bad] = harness.all_of(nodes.BadInput)
        assert bad.code == "bad_input"
        assert "secret" not in bad.message
