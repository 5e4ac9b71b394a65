"""What a kind's types refuse, and what of it the client may read."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from lastcall import Room, room
from lastcall.policy import RoomPolicy
from lastcall.wire import nodes
from tests.host.host_harness import opened, typed


@pytest.mark.parametrize("error", [KeyError("a secret"), SystemExit(1), ValueError("\ud800")])
async def test_options_whose_type_raises_anything_refuse_the_join(error: BaseException) -> None:
    class Picky(msgspec.Struct):
        def __post_init__(self) -> None:
            raise error

    @room("picky", seats=1, options=Picky)
    async def picky(table: Room) -> Any:
        await trio.sleep_forever()

    async with opened(picky) as harness:
        refused = harness.join(picky)
        assert refused.code == "bad_input"
        assert "secret" not in refused.message
        assert nodes.encode(refused)
        assert harness.host.rooms == 0


async def test_a_kind_without_inputs_refuses_each_one_and_its_inbox_stays_empty() -> None:
    @room("mute", seats=2, inputs=None)
    async def mute(table: Room) -> Any:
        await trio.sleep_forever()

    async with opened(mute, policy=RoomPolicy(inbox_events=1)) as harness:
        ann = harness.join(mute)  # fills the inbox, which nobody reads
        for n in range(1, 401):
            harness.say(ann, n, None)
        bad = harness.all_of(nodes.BadInput)
        assert [item.n for item in bad] == list(range(1, 401))
        assert {(item.code, item.message) for item in bad} == {
            ("bad_input", "this kind takes no inputs")
        }
        assert harness.acked() == [(ann.room, ann.player, 400)]


@pytest.mark.parametrize("body", [b'{"cell":"x"}', b"{", b"\xff\xff", b"[" * 100_000, b""])
async def test_a_bad_input_is_told_to_its_sender_and_counts_as_had(body: bytes) -> None:
    async with opened(typed) as harness:
        ann = harness.join(typed, options=b'{"width":10}')
        harness.say(ann, 1, body)
        harness.say(ann, 2, {"cell": 4})
        await wait_all_tasks_blocked()
        [bad] = harness.all_of(nodes.BadInput)
        assert (bad.room, bad.player, bad.n, bad.code) == (ann.room, ann.player, 1, "bad_input")
        assert harness.acked() == [(ann.room, ann.player, 2)]
        assert harness.said() == [40]


async def test_an_author_whose_types_raise_what_they_like_refuses_the_input() -> None:
    class Picky(msgspec.Struct):
        cell: int

        def __post_init__(self) -> None:
            raise KeyError("a secret of the author")

    @room("picky", seats=1, inputs=Picky)
    async def picky(table: Room) -> Any:
        await trio.sleep_forever()

    async with opened(picky) as harness:
        harness.say(harness.join(picky), 1, {"cell": 1})
        [bad] = harness.all_of(nodes.BadInput)
        assert bad.code == "bad_input"
        assert "secret" not in bad.message
