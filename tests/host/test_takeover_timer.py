"""Two sockets want one seat: which claims wait, for how long, and what comes of each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Joined, Kind, Left
from lastcall.author import Event
from lastcall.ids import LinkId
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import nodes
from tests.host.host_harness import EAST, NORTH, SOUTH, HostHarness, opened, watched

pytestmark = pytest.mark.usefixtures("schedule")

OLD, NEW = 90, 91
"""The calls of two claims."""


class Contest:
    """A harness in which Ann sits, by way of NORTH and with a key, in a room of Bob's.

    She has resumed, and has not shown yet that she knows of her new ticket: ``first`` is good too.
    """

    def __init__(self, harness: HostHarness, kind: Kind, seen: list[Event]) -> None:
        self.harness = harness
        self.kind = kind
        self.seen = seen
        self.bob: nodes.Seated = harness.join(kind, link=EAST)
        self.first: nodes.Seated = harness.join(kind, key="k")
        harness.confirm(self.first)
        self.ann: nodes.Resumed = harness.resume(self.first)
        harness.sent.clear()

    def ask_again(self, link: LinkId, call: int, *, secret: str = "", session: int = 0) -> None:
        """A resume of Ann's place, with her first ticket if no other is shown."""
        ann = self.first
        resume = (call, ann.room, ann.player, secret or ann.secret, 0)
        request = nodes.Renew(*resume, session) if session else nodes.Resume(*resume)
        self.harness.host.handle(link, request)

    def join_again(self, link: LinkId, call: int) -> None:
        self.harness.host.handle(link, nodes.Join(call, self.kind.name, key="k"))

    def cancel(self, link: LinkId, call: int) -> None:
        self.harness.host.handle(link, nodes.Cancel(call))

    def answers(self, link: LinkId) -> list[tuple[int, str]]:
        """The calls of this link that are answered, and how."""
        found = []
        for to, item in self.harness.sent:
            if to == link and isinstance(item, nodes.Seated | nodes.Resumed | nodes.Refused):
                code = item.code if isinstance(item, nodes.Refused) else f"session {item.session}"
                found.append((item.call, code))
        return [answer for answer in found if answer[0] in {OLD, NEW}]

    @property
    def taken_over(self) -> list[int]:
        """The sessions that have got 4005."""
        outs = self.harness.all_of(nodes.Out)
        return [out.session for out in outs if out.reason == nodes.TAKEN_OVER]


@asynccontextmanager
async def contest(**fields: Any) -> AsyncIterator[Contest]:
    kind, seen = watched(**fields)
    async with opened(kind, takeover_seconds=0.5) as harness:
        yield Contest(harness, kind, seen)


async def test_a_newer_socket_wins_half_a_second_after_it_has_asked(
    autojump_clock: MockClock,
) -> None:
    for again in (Contest.ask_again, Contest.join_again):
        async with contest() as c:
            again(c, SOUTH, NEW)
            await trio.sleep(0.49)
            assert (c.answers(SOUTH), c.taken_over) == ([], [])
            await trio.sleep(0.02)
            assert (c.answers(SOUTH), c.taken_over) == ([(NEW, "session 3")], [2])
            assert not [event for event in c.seen if isinstance(event, Left)]


async def test_a_claim_that_is_cancelled_within_that_time_costs_the_live_socket_nothing(
    autojump_clock: MockClock,
) -> None:
    for again in (Contest.ask_again, Contest.join_again):
        async with contest() as c:
            again(c, SOUTH, OLD)
            await trio.sleep(0.4)
            c.cancel(NORTH, OLD)  # another link's call
            c.cancel(SOUTH, NEW)
            assert c.answers(SOUTH) == []
            c.cancel(SOUTH, OLD)
            c.cancel(SOUTH, OLD)
            await trio.sleep(10)
            assert (c.answers(SOUTH), c.taken_over) == ([(OLD, nodes.CANCELLED)], [])
            c.harness.say(c.ann, 1, "mine")
            await wait_all_tasks_blocked()
            assert c.harness.said(NORTH) == ["mine"]


async def test_a_cancel_of_what_is_answered_is_nothing(autojump_clock: MockClock) -> None:
    async with contest() as c:
        c.harness.lose(c.ann)
        c.join_again(SOUTH, NEW)
        c.cancel(SOUTH, NEW)
        await trio.sleep(1)
        assert c.answers(SOUTH) == [(NEW, "session 3")]


async def test_who_asks_for_a_seat_whose_socket_is_lost_does_not_wait(
    autojump_clock: MockClock,
) -> None:
    for again in (Contest.ask_again, Contest.join_again):
        async with contest() as c:
            c.harness.lose(c.ann)
            again(c, SOUTH, NEW)
            assert (c.answers(SOUTH), c.taken_over) == ([(NEW, "session 3")], [])


@pytest.mark.parametrize("resume_seconds", [30, 0])
async def test_as_soon_as_the_live_socket_is_lost_who_waits_has_the_seat(
    autojump_clock: MockClock, resume_seconds: float
) -> None:
    """Also in a room that keeps no seat: he was there in time."""
    for again in (Contest.ask_again, Contest.join_again):
        for gone in ("socket", "link"):
            async with contest(resume_seconds=resume_seconds) as c:
                again(c, SOUTH, NEW)
                await trio.sleep(0.1)
                if gone == "socket":
                    c.harness.lose(c.ann)
                else:
                    c.harness.host.drop_link(NORTH)
                assert (c.answers(SOUTH), c.taken_over) == ([(NEW, "session 3")], [])
                await trio.sleep(100)
                assert [type(event) for event in c.seen] == [Joined, Joined]


async def test_a_used_ticket_is_refused_when_the_live_socket_shows_that_it_has_the_next(
    autojump_clock: MockClock,
) -> None:
    """The claim shows the secret before. It is a `got` or an input that tells."""
    for shows in ("got", "input"):
        async with contest() as c:
            c.ask_again(SOUTH, OLD)
            await trio.sleep(0.1)
            if shows == "got":
                c.harness.confirm(c.ann)
            else:
                c.harness.say(c.ann, 1, "hi")
            assert c.answers(SOUTH) == [(OLD, nodes.NO_SUCH_PLACE)]
            await trio.sleep(1)
            assert c.taken_over == []


async def test_who_shows_the_newest_ticket_has_asked_last_and_does_not_wait(
    autojump_clock: MockClock,
) -> None:
    """So those whose api node was killed, and not missed yet, are back at once."""
    async with contest() as c:
        c.ask_again(SOUTH, NEW, secret=c.ann.secret)
        assert (c.answers(SOUTH), c.taken_over) == ([(NEW, "session 3")], [2])


async def test_a_key_goes_on_waiting_when_the_live_socket_speaks(
    autojump_clock: MockClock,
) -> None:
    async with contest() as c:
        c.join_again(SOUTH, NEW)
        await trio.sleep(0.4)
        c.harness.say(c.ann, 1, "still mine")
        await trio.sleep(0.09)
        assert (c.answers(SOUTH), c.harness.said(NORTH)) == ([], ["still mine"])
        await trio.sleep(0.02)
        assert (c.answers(SOUTH), c.taken_over) == ([(NEW, "session 3")], [2])


async def test_a_wrong_ticket_is_refused_at_once(autojump_clock: MockClock) -> None:
    async with contest() as c:
        c.ask_again(SOUTH, OLD, secret="0" * 32)
        assert c.answers(SOUTH) == [(OLD, nodes.NO_SUCH_PLACE)]
        assert len(c.harness.host.running.takeovers) == 0


async def test_a_renewal_does_not_wait(autojump_clock: MockClock) -> None:
    async with contest() as c:
        c.ask_again(NORTH, NEW, secret=c.ann.secret, session=2)
        assert (c.answers(NORTH), c.taken_over) == ([(NEW, "session 2")], [])
        c.ask_again(NORTH, OLD, session=1)
        assert c.answers(NORTH)[1:] == [(OLD, nodes.TAKEN_OVER)]


async def test_a_room_that_ends_answers_those_who_wait_for_its_seats(
    autojump_clock: MockClock,
) -> None:
    """With what was missed and the end; to a join, as if it came now."""
    async with contest() as c:
        c.ask_again(SOUTH, NEW)
        c.harness.say(c.bob, 1, "end")
        await wait_all_tasks_blocked()
        assert c.answers(SOUTH) == [(NEW, "session 3")]
        [told] = c.harness.all_of(nodes.Out, SOUTH)
        assert (told.reason, told.session) == (EndReason.FINISHED, 3)
        assert c.taken_over == []
    async with contest() as c:
        c.harness.host.matchmaker.doors_open = False
        c.join_again(SOUTH, NEW)
        c.harness.say(c.bob, 1, "end")
        await wait_all_tasks_blocked()
        assert c.answers(SOUTH) == [(NEW, nodes.DRAINING)]


async def test_a_house_that_is_emptied_leaves_no_claim_without_an_answer(
    autojump_clock: MockClock,
) -> None:
    async with contest() as c:
        c.ask_again(SOUTH, NEW)
        c.join_again(EAST, NEW)
        c.harness.host.matchmaker.doors_open = False
        c.harness.host.drain(trio.current_time() + 0.1)
        c.harness.host.cut()
        await c.harness.host.wait_empty()
        assert c.answers(SOUTH) == [(NEW, "session 3")]
        assert c.answers(EAST) == [(NEW, nodes.DRAINING)]
        assert len(c.harness.host.running.takeovers) == 0


async def test_of_two_who_ask_by_one_link_the_first_is_refused(autojump_clock: MockClock) -> None:
    async with contest() as c:
        c.ask_again(SOUTH, OLD)
        c.ask_again(SOUTH, NEW)
        assert c.answers(SOUTH) == [(OLD, nodes.NO_SUCH_PLACE)]
        await trio.sleep(0.51)
        assert c.answers(SOUTH)[1:] == [(NEW, "session 3")]
    async with contest() as c:
        c.join_again(SOUTH, OLD)
        c.join_again(SOUTH, NEW)
        assert c.answers(SOUTH) == [(OLD, ErrorCode.NO_GAME_NODE)]


async def test_an_api_node_that_is_gone_waits_for_nothing(autojump_clock: MockClock) -> None:
    async with contest() as c:
        c.ask_again(SOUTH, OLD)
        c.harness.host.drop_link(SOUTH)
        await trio.sleep(1)
        assert (c.answers(SOUTH), c.taken_over) == ([], [])


async def test_a_seat_that_was_left_meanwhile_is_no_place(autojump_clock: MockClock) -> None:
    async with contest() as c:
        c.ask_again(SOUTH, NEW)
        c.harness.leave(c.ann)
        await trio.sleep(0.51)
        assert c.answers(SOUTH) == [(NEW, nodes.NO_SUCH_PLACE)]


async def test_a_cancel_that_lay_unread_while_the_process_stood_still_is_heard_first(
    autojump_clock: MockClock,
) -> None:
    async with contest() as c:
        c.ask_again(SOUTH, OLD)
        await trio.sleep(0.1)
        autojump_clock.jump(5)
        await trio.sleep(0.3)
        c.cancel(SOUTH, OLD)
        await trio.sleep(1)
        assert (c.answers(SOUTH), c.taken_over) == ([(OLD, nodes.CANCELLED)], [])
