"""Pending resumes: which nodes are asked, in which order, and how resumes without an answer end."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from lastcall.api.games.calls import sweep_often
from lastcall.api.games.moved_rooms import MovedRooms
from lastcall.api.games.resumes import Resumes
from lastcall.api.limits import ClientLimits
from lastcall.core.edge.met_nodes import YOUNG_SECONDS
from lastcall.core.edge.missing_nodes import NOTHING_KNOWN, MissingNodes
from lastcall.ids import Ticket
from lastcall.limits import Limits, Rate
from lastcall.policy import SocketPolicy
from lastcall.wire import nodes
from tests.api.fake_links import Caller, FakeGameLink

TICKET = Ticket("game-2.den", "p1", "5ec7e7")
NO_TICKET = Ticket("", "", "")
FAILURES = Limits().failed_resumes
NOTHING_MISSING = MissingNodes(any_place=False)


class ResumesHarness:
    """A ``Resumes`` between fake sessions and fake links; the test sets ``missing``."""

    def __init__(self, *, at_once: int = 32, failures: Rate = FAILURES) -> None:
        self.missing = NOTHING_MISSING
        self.callers: list[Caller] = []
        self.resumes = Resumes(
            numbers=itertools.count(1),
            missing=lambda: self.missing,
            resume_seconds=SocketPolicy().resume_seconds,
            regroup_seconds=0,
            limits=ClientLimits(Limits(failed_resumes=failures), Counter()),
            at_once=at_once,
            moved_rooms=MovedRooms(),
        )

    def link(self, name: str, **more: Any) -> FakeGameLink:
        link = FakeGameLink(name, **more)
        self.resumes.link_up(link)
        return link

    def links(self, count: int) -> list[FakeGameLink]:
        return [self.link(f"game-{number}") for number in range(1, count + 1)]

    def begin(self, address: str = "", ticket: Ticket = TICKET, seen: int = 0) -> Caller:
        caller = Caller(address)
        self.callers.append(caller)
        self.resumes.begin(caller, ticket, seen)
        return caller

    def forget_all(self) -> None:
        for caller in self.callers:
            self.resumes.forget(caller)

    def refuse(
        self,
        link: FakeGameLink,
        code: str = nodes.NO_SUCH_PLACE,
        at: int = -1,
        *,
        ended: bool = False,
    ) -> bool:
        """``link`` refuses a call, by default the last one."""
        refusal = nodes.Refused(link.calls[at], code, "the reason", ended)
        return self.resumes.refused(link, refusal)

    async def asks_all_again(
        self, caller: Caller, links: list[FakeGameLink], *, after: float
    ) -> None:
        """Checks that all are asked again in ``after`` seconds; all refuse."""
        asked = [len(link.calls) for link in links]
        await trio.sleep(max(0, after - 0.01))
        assert [len(link.calls) for link in links] == asked
        await trio.sleep(0.12)
        assert caller.told == []
        for link in links:
            self.refuse(link)
        assert [len(link.calls) for link in links] == [count + 1 for count in asked]

    def resume(self, link: FakeGameLink, at: int = -1) -> Caller | None:
        """``link`` grants a call, by default the last one; returns who gets the place."""
        call = link.calls[at]
        item = nodes.Resumed(call, "game-2.den", "p1", 2, 1, 0, 0, "0ther", complete=True)
        answer = self.resumes.seated(link, item)
        return answer if isinstance(answer, Caller) else None

    def silence(self, link: FakeGameLink) -> None:
        link.silent = True
        self.resumes.link_state(link)

    def end_silence(self, link: FakeGameLink) -> None:
        link.silent = False
        self.resumes.link_state(link)


@pytest.fixture
async def make_harness(nursery: trio.Nursery) -> AsyncIterator[Any]:
    harnesses = []

    def make(**more: Any) -> ResumesHarness:
        harness = ResumesHarness(**more)
        harnesses.append(harness)
        nursery.start_soon(sweep_often, harness.resumes)
        return harness

    yield make
    await trio.sleep(11)  # abandoned calls are forgotten after 10 s
    for harness in harnesses:
        assert len(harness.resumes) == 0


@pytest.fixture
async def harness(make_harness: Any) -> ResumesHarness:
    return make_harness()


async def is_told(caller: Caller, answer: str, *, after: float) -> None:
    """Checks that ``caller`` gets ``answer`` in ``after`` seconds, and nothing else."""
    await trio.sleep(max(0, after - 0.01))
    assert caller.told == []
    await trio.sleep(0.12)
    assert caller.told == [answer]


# Which node is asked.


async def test_the_node_that_the_ticket_names_is_asked_first(autojump_clock, harness) -> None:
    one, two, three = harness.links(3)
    caller = harness.begin(seen=17)
    assert two.sent == [nodes.Resume(1, "game-2.den", "p1", "5ec7e7", 17)]
    assert (one.sent, three.sent) == ([], [])
    assert harness.resume(two) is caller
    assert caller.told == []


async def test_the_other_nodes_are_asked_one_after_the_other(autojump_clock, harness) -> None:
    one, two, three = harness.links(3)
    caller = harness.begin()
    assert harness.refuse(two)
    assert (len(one.sent), len(three.sent)) == (1, 0)
    assert harness.refuse(one)
    assert len(three.sent) == 1
    assert harness.resume(three) is caller


async def test_the_client_gets_4004_as_soon_as_every_node_has_refused(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    caller = harness.begin()
    harness.refuse(two)
    assert caller.told == []
    harness.refuse(one)
    assert caller.told == ["4004"]


async def test_a_room_id_that_names_no_node_is_looked_for_at_every_node(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    for room in ("nodot", "game-1", "."):
        caller = harness.begin(ticket=Ticket(room, "p", "s"))
        harness.refuse(one)
        harness.refuse(two)
        assert caller.told == ["4004"]


async def test_a_resume_waits_3_s_for_the_node_that_its_ticket_names_to_appear(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    await trio.sleep(YOUNG_SECONDS)
    for room in ("elsewhere.den", "ä.🜚"):
        caller = harness.begin(ticket=Ticket(room, "p", "s"))
        harness.refuse(one)
        harness.refuse(two)
        await harness.asks_all_again(caller, [one, two], after=3)
        assert caller.told == ["4004"]
    caller = harness.begin(ticket=Ticket("game-3.den", "p", "s"))
    harness.refuse(one)
    harness.refuse(two)
    await trio.sleep(2)
    assert harness.resume(harness.link("game-3")) is caller
    assert caller.told == []


async def test_a_node_that_cannot_resume_is_skipped(autojump_clock, harness) -> None:
    old = harness.link("game-2", wire=nodes.RESUMES - 1)
    new = harness.link("game-1")
    caller = harness.begin()
    assert old.sent == []
    harness.refuse(new)
    assert caller.told == ["4004"]


async def test_the_client_gets_4004_if_no_node_can_resume(autojump_clock, harness) -> None:
    harness.link("game-2", wire=nodes.RESUMES - 1)
    assert harness.begin().told == ["4004"]


async def test_a_node_that_has_stopped_has_no_places(autojump_clock, harness) -> None:
    one, two = harness.links(2)
    two.becomes("stopped")
    harness.resumes.link_state(two)
    caller = harness.begin()
    harness.refuse(one)
    assert caller.told == ["4004"]
    assert two.sent == []


async def test_a_draining_node_is_asked(autojump_clock, harness) -> None:
    (_, two) = harness.links(2)
    two.becomes("draining")
    harness.resumes.link_state(two)
    caller = harness.begin()
    assert harness.resume(two) is caller


async def test_a_seen_number_that_is_too_high_is_an_error(autojump_clock, harness) -> None:
    (one,) = harness.links(1)
    caller = harness.begin()
    harness.refuse(one, "bad_frame")
    assert caller.told == ["the reason"]


async def test_an_unknown_refusal_makes_the_client_try_again(autojump_clock, harness) -> None:
    (one,) = harness.links(1)
    caller = harness.begin()
    harness.refuse(one, "moved_to_the_moon")
    assert caller.told == ["1013"]


async def test_answers_to_unknown_calls_are_ignored(autojump_clock, harness) -> None:
    one, two = harness.links(2)
    caller = harness.begin()
    assert not harness.resumes.refused(two, nodes.Refused(999, nodes.NO_SUCH_PLACE, ""))
    assert not harness.resumes.refused(one, nodes.Refused(two.calls[0], nodes.NO_SUCH_PLACE, ""))
    assert harness.resume(two) is caller
    assert harness.resume(two) is None
    assert not harness.refuse(two)


# Places that are not found yet.


async def test_without_a_node_a_resume_waits_3_s(autojump_clock, harness) -> None:
    await is_told(harness.begin(), "1013", after=3)


async def test_a_node_that_is_met_within_3_s_is_asked(autojump_clock, harness) -> None:
    caller = harness.begin()
    await trio.sleep(2.9)
    two = harness.link("game-2")
    assert harness.resume(two) is caller


async def test_a_place_is_not_declared_dead_while_a_node_may_still_appear(
    autojump_clock, harness
) -> None:
    harness.missing = NOTHING_KNOWN
    one = harness.link("game-1")
    await trio.sleep(YOUNG_SECONDS)
    caller = harness.begin()
    harness.refuse(one)
    await trio.sleep(2)
    assert caller.told == []
    two = harness.link("game-2")
    assert len(one.sent) == 1
    assert harness.resume(two) is caller


async def test_the_client_gets_4004_as_soon_as_no_other_node_can_appear(
    autojump_clock, harness
) -> None:
    harness.missing = NOTHING_KNOWN
    one = harness.link("game-2")
    caller = harness.begin()
    harness.refuse(one)
    await trio.sleep(0.98)  # between two sweeps
    harness.missing = NOTHING_MISSING
    await harness.asks_all_again(caller, [one], after=0)
    assert caller.told == ["4004"]


async def test_a_node_that_has_refused_is_asked_again_after_the_resume_has_waited_for_another(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    harness.silence(two)
    caller = harness.begin()
    harness.refuse(one)
    await trio.sleep(1)  # the silent node gives the room to the other one, and ends
    harness.resumes.link_down(two)
    await trio.sleep(0.12)
    assert harness.resume(one) is caller
    assert caller.told == []


async def test_the_client_is_told_to_try_again_after_3_s_without_certainty(
    autojump_clock, harness
) -> None:
    harness.missing = NOTHING_KNOWN
    one = harness.link("game-1")
    await trio.sleep(YOUNG_SECONDS)
    caller = harness.begin()
    harness.refuse(one)
    await is_told(caller, "1013", after=3)


async def test_a_silent_node_is_not_asked_and_the_resume_waits_for_it(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    harness.silence(two)
    caller = harness.begin()
    assert two.sent == []
    harness.refuse(one)
    await trio.sleep(2)
    assert caller.told == []
    harness.end_silence(two)
    assert harness.resume(two) is caller


async def test_a_node_that_falls_silent_when_asked_is_asked_again_after_the_silence(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    caller = harness.begin()
    await trio.sleep(1)
    harness.silence(two)
    harness.refuse(one)
    await trio.sleep(1)
    harness.end_silence(two)
    assert len(two.sent) == 2
    assert (
        harness.resume(two, at=0) is None
    )  # the first answer has no waiting session: the place is reported absent
    assert harness.resume(two, at=1) is caller


async def test_a_resume_waits_for_a_silent_node_until_3_s_after_its_beginning(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    caller = harness.begin()
    await trio.sleep(1)
    harness.silence(two)
    harness.refuse(one)
    await is_told(caller, "1013", after=2)


async def test_a_resume_is_asked_elsewhere_when_its_link_goes_down(autojump_clock, harness) -> None:
    one, two = harness.links(2)
    caller = harness.begin()
    harness.resumes.link_down(two)
    assert len(one.sent) == 1
    harness.missing = NOTHING_KNOWN
    harness.refuse(one)
    again = harness.link("game-2")
    assert harness.resume(two) is None
    assert harness.resume(again) is caller


@pytest.mark.parametrize("how", ["silent", "down"])
async def test_a_node_that_has_refused_is_asked_again_if_the_next_falls_silent_or_goes_down(
    autojump_clock, harness, how: str
) -> None:
    """The rooms of the one may go on at the other by now."""
    one, two = harness.links(2)
    caller = harness.begin()
    harness.refuse(two)
    assert (len(one.sent), len(two.sent)) == (1, 1)
    if how == "silent":
        harness.silence(one)
    else:
        harness.resumes.link_down(one)
    assert (len(one.sent), len(two.sent)) == (1, 2)
    assert harness.resume(two) is caller


async def test_a_refusal_counts_for_the_process_and_not_for_the_link(
    autojump_clock, harness
) -> None:
    harness.missing = NOTHING_KNOWN
    one = harness.link("game-1")
    caller = harness.begin()
    harness.refuse(one)
    harness.resumes.link_down(one)
    again = harness.link("game-1")
    assert again.sent == []
    other = FakeGameLink("game-1", incarnation=77)
    harness.resumes.link_up(other)
    assert harness.resume(other) is caller


async def test_a_resume_at_a_live_node_that_never_answers_ends_after_10_s(
    autojump_clock, harness
) -> None:
    harness.links(1)
    await is_told(harness.begin(), "1013", after=10)


# Many resumes at once.


async def test_a_link_has_a_bounded_number_of_resumes_and_the_rest_wait_in_order(
    autojump_clock, make_harness
) -> None:
    harness = make_harness(at_once=2)
    (one,) = harness.links(1)
    callers = [harness.begin() for _ in range(5)]
    assert len(one.sent) == 2
    for index, caller in enumerate(callers):
        assert harness.resume(one, at=index) is caller
        assert len(one.sent) == min(5, index + 3)


async def test_the_time_in_a_live_links_queue_does_not_count_against_a_resume(
    autojump_clock, make_harness
) -> None:
    harness = make_harness(at_once=1)
    (one,) = harness.links(1)
    first, second = harness.begin(), harness.begin()
    await trio.sleep(9)
    assert second.told == []
    assert harness.resume(one) is first
    assert harness.resume(one) is second


async def test_resumes_in_the_queue_of_a_lost_link_are_asked_elsewhere(
    autojump_clock, make_harness
) -> None:
    harness = make_harness(at_once=1)
    one, two = harness.links(2)
    callers = [harness.begin() for _ in range(3)]
    harness.resumes.link_down(two)
    for index, caller in enumerate(callers):
        assert harness.resume(one, at=index) is caller


async def test_a_session_that_closes_frees_its_slot_only_with_the_answer(
    autojump_clock, make_harness
) -> None:
    harness = make_harness(at_once=1)
    (one,) = harness.links(1)
    first, second, third = harness.begin(), harness.begin(), harness.begin()
    harness.resumes.forget(first)
    harness.resumes.forget(second)
    assert len(one.sent) == 1  # the history of its room is on the way all the same
    assert harness.resume(one) is None
    assert harness.resume(one) is third
    assert first.told == second.told == []


async def test_a_session_that_closes_cancels_its_unanswered_call_and_nothing_else(
    autojump_clock, make_harness
) -> None:
    """The session is not charged for a guess: it waited for a place of its own."""
    harness = make_harness(at_once=1, failures=Rate(1, 5))
    (one,) = harness.links(1)
    first, second, third = (harness.begin("ann") for _ in range(3))
    harness.resumes.forget(second)  # was in the queue
    assert one.cancelled == []
    harness.resumes.forget(first)
    assert one.cancelled == one.calls
    assert harness.refuse(one, nodes.CANCELLED)
    assert harness.resume(one) is third
    harness.resumes.forget(third)
    assert (len(one.calls), one.cancelled) == (2, one.calls[:1])


async def test_a_call_at_a_node_that_falls_silent_is_cancelled(autojump_clock, harness) -> None:
    """By the time it reads both, the player may have the place through another api node."""
    (one,) = harness.links(1)
    caller = harness.begin()
    harness.silence(one)
    assert one.cancelled == one.calls
    await is_told(caller, "1013", after=3)
    harness.resumes.forget(caller)
    assert one.cancelled == one.calls


async def test_a_call_that_is_not_answered_within_10_s_is_cancelled(
    autojump_clock, harness
) -> None:
    (one,) = harness.links(1)
    caller = harness.begin()
    await is_told(caller, "1013", after=10)
    assert one.cancelled == one.calls


async def test_10_000_resumes_are_served_in_order_through_a_node_that_falls_silent(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    callers = [harness.begin() for _ in range(10_000)]
    harness.silence(two)
    harness.end_silence(two)
    assert len(one.sent) == 32
    for index, caller in enumerate(callers):
        assert harness.resume(one, at=index) is caller


async def test_10_000_resumes_without_an_answer_all_end(autojump_clock, harness) -> None:
    callers = [harness.begin() for _ in range(10_000)]
    await trio.sleep(3.2)
    assert {tuple(caller.told) for caller in callers} == {("1013",)}


# Sessions that close.


@pytest.mark.parametrize("where", ["asked", "queued", "waiting"])
async def test_a_session_that_closes_is_forgotten_in_every_state(
    autojump_clock, make_harness, where: str
) -> None:
    harness = make_harness(at_once=1, failures=Rate(1, 5))
    one = harness.link("game-2") if where != "waiting" else None
    others = [harness.begin()] if where == "queued" else []
    caller = harness.begin("a")
    harness.resumes.forget(caller)
    harness.resumes.forget(caller)
    if one is not None and one.sent:
        assert harness.resume(one) is (others[0] if others else None)
    await trio.sleep(20)
    assert caller.told == []
    assert len(harness.resumes) == 0


async def test_a_refused_resume_of_a_closed_session_is_not_asked_elsewhere(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    harness.resumes.forget(harness.begin())
    assert harness.refuse(two)
    assert one.sent == []


# RateLimiter.


def guess(harness: ResumesHarness, link: FakeGameLink, address: str) -> Caller:
    """Begins a resume with a wrong ticket; the link refuses it if it is asked."""
    before = len(link.sent)
    caller = harness.begin(address, Ticket("game-1.den", "p1", "wr0ng"))
    if len(link.sent) > before:
        harness.refuse(link)
    return caller


async def test_of_1_000_guesses_in_a_second_25_are_answered_and_975_refused_at_once(
    autojump_clock, harness
) -> None:
    (one,) = harness.links(1)
    callers = []
    for _ in range(1_000):
        callers.append(guess(harness, one, "evil"))
        assert callers[-1].told != []
        await trio.sleep(0.001)
    ends = [caller.told for caller in callers]
    assert (ends.count(["4004"]), ends.count(["1013"])) == (24, 976)
    assert {one.why for one in callers} == {"", "too many resumes have failed from here"}
    assert len(one.sent) == 24  # the 25th would be answered after exactly 1 s
    assert guess(harness, one, "evil").told == ["4004"]


async def test_guesses_while_a_node_is_missing_are_limited_too(autojump_clock, harness) -> None:
    """The node here says that there is no such place; the one that is missing may have it."""
    harness.missing = NOTHING_KNOWN
    (one,) = harness.links(1)
    callers = [guess(harness, one, "evil") for _ in range(1_000)]
    assert len(one.sent) == 20
    await trio.sleep(3.1)
    assert {tuple(caller.told) for caller in callers} == {("1013",)}


async def test_1_000_guesses_in_one_instant_reach_the_node_32_at_a_time(
    autojump_clock, harness
) -> None:
    (one,) = harness.links(1)
    wrong = Ticket("game-1.den", "p1", "wr0ng")
    callers = [harness.begin("evil", wrong) for _ in range(1_000)]
    honest = harness.begin("honest", Ticket("game-1.den", "honest", "5ec7e7"))
    for index, request in enumerate(one.sent):  # the list grows during the loop
        if request.player == "honest":
            assert harness.resume(one, at=index) is honest
        else:
            harness.refuse(one, at=index)
    assert len(one.sent) == 20 + 31 + 1  # when the 20th has failed, 31 others are under way
    assert [caller.told for caller in callers].count(["4004"]) == 51
    assert [caller.told for caller in callers].count(["1013"]) == 949
    await trio.sleep(6.3)  # the 31 above the limit are paid off like the others
    assert guess(harness, one, "evil").told == ["1013"]
    await trio.sleep(0.2)
    assert guess(harness, one, "evil").told == ["4004"]


async def test_a_flood_from_one_address_does_not_touch_another(autojump_clock, harness) -> None:
    (one,) = harness.links(1)
    for _ in range(100):
        guess(harness, one, "evil")
    before = len(one.sent)
    caller = harness.begin("honest")
    assert len(one.sent) == before + 1
    assert harness.resume(one) is caller
    harness.forget_all()


async def test_a_malformed_ticket_counts_as_a_guess_and_no_node_is_asked(
    autojump_clock, harness
) -> None:
    (one,) = harness.links(1)
    callers = [harness.begin("evil", NO_TICKET) for _ in range(50)]
    assert [caller.told for caller in callers].count(["4004"]) == 20
    assert [caller.told for caller in callers].count(["1013"]) == 30
    assert one.sent == []


async def test_1_000_old_tickets_of_ended_places_are_answered_and_hold_nobody_back(
    autojump_clock, harness
) -> None:
    one, two = harness.links(2)
    for _ in range(1_000):
        caller = harness.begin("proxy")
        harness.refuse(two, ended=True)
        harness.refuse(one)  # it does not know what the other had
        assert caller.told == ["4004"]
    caller = harness.begin("proxy")
    assert harness.resume(two) is caller


async def test_10_000_valid_resumes_from_one_address_are_not_slowed(
    autojump_clock, harness
) -> None:
    (one,) = harness.links(1)
    callers = [harness.begin("proxy") for _ in range(10_000)]
    for index, caller in enumerate(callers):
        assert harness.resume(one, at=index) is caller
    assert guess(harness, one, "proxy").told == ["4004"]


async def test_a_valid_resume_from_a_guessers_address_is_told_to_try_again(
    autojump_clock, harness
) -> None:
    (one,) = harness.links(1)
    for _ in range(20):
        guess(harness, one, "shared")
    assert harness.begin("shared").told == ["1013"]
    await trio.sleep(0.2)
    for _ in range(10):
        caller = harness.begin("shared")
        assert harness.resume(one) is caller


async def test_a_resume_that_looked_like_a_guess_gets_its_charge_back_when_its_place_is_found(
    autojump_clock, harness
) -> None:
    (one,) = harness.links(1)
    callers = [harness.begin("proxy", Ticket("game-3.den", "p", "s")) for _ in range(20)]
    for index in range(20):
        harness.refuse(one, at=index)  # game-3 may appear
    assert harness.begin("proxy").told == ["1013"]
    three = harness.link("game-3")
    for index, caller in enumerate(callers):
        assert harness.resume(three, at=index) is caller
    for _ in range(20):
        guess(harness, one, "proxy")
        harness.refuse(three)
    assert len(one.sent) == 40


@pytest.mark.parametrize("code", ["bad_frame", "strange"])
async def test_a_resume_refused_for_another_reason_does_not_count_as_a_guess(
    autojump_clock, harness, code: str
) -> None:
    (one,) = harness.links(1)
    for _ in range(100):
        harness.begin("proxy")
        harness.refuse(one, code)
    harness.begin("proxy")
    assert harness.resume(one) is not None


async def test_a_resume_without_a_node_does_not_count_as_a_guess(autojump_clock, harness) -> None:
    callers = [harness.begin("proxy") for _ in range(100)]
    await trio.sleep(3.2)
    assert {tuple(caller.told) for caller in callers} == {("1013",)}
    one = harness.link("game-2")
    caller = harness.begin("proxy")
    assert harness.resume(one) is caller


async def test_a_guess_is_charged_even_if_the_client_closes_before_the_answer(
    autojump_clock, harness
) -> None:
    (one,) = harness.links(1)
    for _ in range(40):
        before = len(one.sent)
        caller = harness.begin("evil")
        harness.resumes.forget(caller)
        if len(one.sent) > before:
            harness.refuse(one)
    assert len(one.sent) == 20
