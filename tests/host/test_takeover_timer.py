"""Two sockets want one seat: which request waits, for how long, and how each is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from lastcall import Joined, Kind, Left
from lastcall.events import Event
from lastcall.ids import LinkId
from lastcall.reasons import EndReason, ErrorCode
from lastcall.wire import nodes
from tests.host.host_harness import EAST, NORTH, SOUTH, HostHarness, open_host, recording_kind

pytestmark = pytest.mark.usefixtures("schedule")

OLD, NEW = 90, 91
"""The call numbers of two requests for the seat."""


class TakeoverHarness:
    """A room that Bob opened, in which Ann has a seat on link NORTH, joined with a key.

    Ann has resumed once and has not confirmed the new ticket, so the ticket in ``first`` is still
    valid.
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

    def resume_again(self, link: LinkId, call: int, *, secret: str = "", session: int = 0) -> None:
        """Resumes Ann's place, with the ticket of ``first`` unless ``secret`` is given."""
        ann = self.first
        resume = (call, ann.room, ann.player, secret or ann.secret, 0)
        request = nodes.Renew(*resume, session) if session else nodes.Resume(*resume)
        self.harness.host.handle(link, request)

    def join_again(self, link: LinkId, call: int) -> None:
        self.harness.host.handle(link, nodes.Join(call, self.kind.name, key="k"))

    def cancel(self, link: LinkId, call: int) -> None:
        self.harness.host.handle(link, nodes.Cancel(call))

    def answers(self, link: LinkId) -> list[tuple[int, str]]:
        """The answered calls of this link, each with the session or the error code."""
        found = []
        for to, item in self.harness.sent:
            if to == link and isinstance(item, nodes.Seated | nodes.Resumed | nodes.Refused):
                code = item.code if isinstance(item, nodes.Refused) else f"session {item.session}"
                found.append((item.call, code))
        return [answer for answer in found if answer[0] in {OLD, NEW}]

    @property
    def sessions_taken_over(self) -> list[int]:
        """The sessions whose socket was closed with 4005."""
        outs = self.harness.all_of(nodes.Out)
        return [out.session for out in outs if out.reason == nodes.TAKEN_OVER]


@asynccontextmanager
async def open_takeover(**fields: Any) -> AsyncIterator[TakeoverHarness]:
    kind, seen = recording_kind(**fields)
    async with open_host(kind, takeover_seconds=0.5) as harness:
        yield TakeoverHarness(harness, kind, seen)


async def test_a_newer_socket_takes_the_seat_half_a_second_after_its_request(
    autojump_clock: MockClock,
) -> None:
    for request in (TakeoverHarness.resume_again, TakeoverHarness.join_again):
        async with open_takeover() as c:
            request(c, SOUTH, NEW)
            await trio.sleep(0.49)
            assert (c.answers(SOUTH), c.sessions_taken_over) == ([], [])
            await trio.sleep(0.02)
            assert (c.answers(SOUTH), c.sessions_taken_over) == ([(NEW, "session 3")], [2])
            assert not [event for event in c.seen if isinstance(event, Left)]


async def test_a_request_cancelled_within_half_a_second_does_not_affect_the_live_socket(
    autojump_clock: MockClock,
) -> None:
    for request in (TakeoverHarness.resume_again, TakeoverHarness.join_again):
        async with open_takeover() as c:
            request(c, SOUTH, OLD)
            await trio.sleep(0.4)
            c.cancel(NORTH, OLD)  # another link's call
            c.cancel(SOUTH, NEW)
            assert c.answers(SOUTH) == []
            c.cancel(SOUTH, OLD)
            c.cancel(SOUTH, OLD)
            await trio.sleep(10)
            assert (c.answers(SOUTH), c.sessions_taken_over) == ([(OLD, nodes.CANCELLED)], [])
            c.harness.say(c.ann, 1, "mine")
            await wait_all_tasks_blocked()
            assert c.harness.messages(NORTH) == ["mine"]


async def test_a_cancel_of_an_answered_request_has_no_effect(autojump_clock: MockClock) -> None:
    async with open_takeover() as c:
        c.harness.lose(c.ann)
        c.join_again(SOUTH, NEW)
        c.cancel(SOUTH, NEW)
        await trio.sleep(1)
        assert c.answers(SOUTH) == [(NEW, "session 3")]


async def test_a_request_for_a_seat_whose_socket_is_lost_is_answered_at_once(
    autojump_clock: MockClock,
) -> None:
    for request in (TakeoverHarness.resume_again, TakeoverHarness.join_again):
        async with open_takeover() as c:
            c.harness.lose(c.ann)
            request(c, SOUTH, NEW)
            assert (c.answers(SOUTH), c.sessions_taken_over) == ([(NEW, "session 3")], [])


@pytest.mark.parametrize("resume_seconds", [30, 0])
async def test_a_waiting_request_gets_the_seat_as_soon_as_the_live_socket_is_lost(
    autojump_clock: MockClock, resume_seconds: float
) -> None:
    """Even if the room keeps no seats: the request came before the loss."""
    for request in (TakeoverHarness.resume_again, TakeoverHarness.join_again):
        for gone in ("socket", "link"):
            async with open_takeover(resume_seconds=resume_seconds) as c:
                request(c, SOUTH, NEW)
                await trio.sleep(0.1)
                if gone == "socket":
                    c.harness.lose(c.ann)
                else:
                    c.harness.host.drop_link(NORTH)
                assert (c.answers(SOUTH), c.sessions_taken_over) == ([(NEW, "session 3")], [])
                await trio.sleep(100)
                assert [type(event) for event in c.seen] == [Joined, Joined]


async def test_a_used_ticket_is_refused_once_the_live_socket_confirms_the_next_one(
    autojump_clock: MockClock,
) -> None:
    """The request has the previous secret. A `got` or an input confirms the new one."""
    for confirmation in ("got", "input"):
        async with open_takeover() as c:
            c.resume_again(SOUTH, OLD)
            await trio.sleep(0.1)
            if confirmation == "got":
                c.harness.confirm(c.ann)
            else:
                c.harness.say(c.ann, 1, "hi")
            assert c.answers(SOUTH) == [(OLD, nodes.NO_SUCH_PLACE)]
            await trio.sleep(1)
            assert c.sessions_taken_over == []


async def test_a_resume_with_the_newest_ticket_does_not_wait(
    autojump_clock: MockClock,
) -> None:
    """So players whose api node was killed are back at once, even before its loss is noticed."""
    async with open_takeover() as c:
        c.resume_again(SOUTH, NEW, secret=c.ann.secret)
        assert (c.answers(SOUTH), c.sessions_taken_over) == ([(NEW, "session 3")], [2])


async def test_an_input_of_the_live_socket_does_not_refuse_a_waiting_join_with_the_key(
    autojump_clock: MockClock,
) -> None:
    async with open_takeover() as c:
        c.join_again(SOUTH, NEW)
        await trio.sleep(0.4)
        c.harness.say(c.ann, 1, "still mine")
        await trio.sleep(0.09)
        assert (c.answers(SOUTH), c.harness.messages(NORTH)) == ([], ["still mine"])
        await trio.sleep(0.02)
        assert (c.answers(SOUTH), c.sessions_taken_over) == ([(NEW, "session 3")], [2])


async def test_a_wrong_ticket_is_refused_at_once(autojump_clock: MockClock) -> None:
    async with open_takeover() as c:
        c.resume_again(SOUTH, OLD, secret="0" * 32)
        assert c.answers(SOUTH) == [(OLD, nodes.NO_SUCH_PLACE)]
        assert len(c.harness.host.running.takeovers) == 0


async def test_a_renewal_is_answered_at_once(autojump_clock: MockClock) -> None:
    async with open_takeover() as c:
        c.resume_again(NORTH, NEW, secret=c.ann.secret, session=2)
        assert (c.answers(NORTH), c.sessions_taken_over) == ([(NEW, "session 2")], [])
        c.resume_again(NORTH, OLD, session=1)
        assert c.answers(NORTH)[1:] == [(OLD, nodes.TAKEN_OVER)]


async def test_the_end_of_a_room_answers_the_requests_that_wait_for_its_seats(
    autojump_clock: MockClock,
) -> None:
    """A resume gets the missed messages and the end. A join is answered like a new one."""
    async with open_takeover() as c:
        c.resume_again(SOUTH, NEW)
        c.harness.say(c.bob, 1, "end")
        await wait_all_tasks_blocked()
        assert c.answers(SOUTH) == [(NEW, "session 3")]
        [out] = c.harness.all_of(nodes.Out, SOUTH)
        assert (out.reason, out.session) == (EndReason.FINISHED, 3)
        assert c.sessions_taken_over == []
    async with open_takeover() as c:
        c.harness.host.matchmaker.doors_open = False
        c.join_again(SOUTH, NEW)
        c.harness.say(c.bob, 1, "end")
        await wait_all_tasks_blocked()
        assert c.answers(SOUTH) == [(NEW, nodes.DRAINING)]


async def test_a_drain_that_is_cut_answers_each_waiting_request(
    autojump_clock: MockClock,
) -> None:
    async with open_takeover() as c:
        c.resume_again(SOUTH, NEW)
        c.join_again(EAST, NEW)
        c.harness.host.matchmaker.doors_open = False
        c.harness.host.drain(trio.current_time() + 0.1)
        c.harness.host.cut()
        await c.harness.host.wait_empty()
        assert c.answers(SOUTH) == [(NEW, "session 3")]
        assert c.answers(EAST) == [(NEW, nodes.DRAINING)]
        assert len(c.harness.host.running.takeovers) == 0


async def test_of_two_requests_on_one_link_the_first_is_refused(autojump_clock: MockClock) -> None:
    async with open_takeover() as c:
        c.resume_again(SOUTH, OLD)
        c.resume_again(SOUTH, NEW)
        assert c.answers(SOUTH) == [(OLD, nodes.NO_SUCH_PLACE)]
        await trio.sleep(0.51)
        assert c.answers(SOUTH)[1:] == [(NEW, "session 3")]
    async with open_takeover() as c:
        c.join_again(SOUTH, OLD)
        c.join_again(SOUTH, NEW)
        assert c.answers(SOUTH) == [(OLD, ErrorCode.NO_GAME_NODE)]


async def test_a_request_of_a_lost_link_is_forgotten(autojump_clock: MockClock) -> None:
    async with open_takeover() as c:
        c.resume_again(SOUTH, OLD)
        c.harness.host.drop_link(SOUTH)
        await trio.sleep(1)
        assert (c.answers(SOUTH), c.sessions_taken_over) == ([], [])


async def test_a_waiting_resume_is_refused_if_the_player_leaves_meanwhile(
    autojump_clock: MockClock,
) -> None:
    async with open_takeover() as c:
        c.resume_again(SOUTH, NEW)
        c.harness.leave(c.ann)
        await trio.sleep(0.51)
        assert c.answers(SOUTH) == [(NEW, nodes.NO_SUCH_PLACE)]


async def test_after_a_stall_an_unread_cancel_takes_effect_before_the_takeover(
    autojump_clock: MockClock,
) -> None:
    async with open_takeover() as c:
        c.resume_again(SOUTH, OLD)
        await trio.sleep(0.1)
        autojump_clock.jump(5)
        await trio.sleep(0.3)
        c.cancel(SOUTH, OLD)
        await trio.sleep(1)
        assert (c.answers(SOUTH), c.sessions_taken_over) == ([(OLD, nodes.CANCELLED)], [])
