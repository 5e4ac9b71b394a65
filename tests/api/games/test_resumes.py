"""Resumes under way: who is asked, in which order, and what comes of those without an answer."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
import trio

from lastcall.api.games.resumes import Resumes
from lastcall.ids import Ticket
from lastcall.policy import SocketPolicy
from lastcall.wire import nodes
from tests.api.fake_links import Caller, FakeGameLink

TICKET = Ticket("game-2.den", "p1", "5ec7e7")
NO_TICKET = Ticket("", "", "")


class Desk:
    """Resumes between sessions and links; ``everyone`` is what the test says."""

    def __init__(self, *, at_once: int = 32, **policy: Any) -> None:
        self.everyone = True
        self.callers: list[Caller] = []
        self.resumes = Resumes(
            numbers=itertools.count(1),
            all_met=lambda: self.everyone,
            policy=SocketPolicy(**policy),
            at_once=at_once,
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

    def says_no(self, link: FakeGameLink, code: str = nodes.NO_SUCH_PLACE, at: int = -1) -> bool:
        """``link`` refuses what it was asked last."""
        return self.resumes.refused(link, nodes.Refused(link.calls[at], code, "the reason"))

    def has_it(self, link: FakeGameLink, at: int = -1) -> Caller | None:
        """``link`` has the place that it was asked for last."""
        call = link.calls[at]
        item = nodes.Resumed(call, "game-2.den", "p1", 2, 1, 0, 0, "0ther", complete=True)
        return self.resumes.resumed(link, item)

    def falls_silent(self, link: FakeGameLink) -> None:
        link.silent = True
        self.resumes.link_state(link)

    def speaks_again(self, link: FakeGameLink) -> None:
        link.silent = False
        self.resumes.link_state(link)


@pytest.fixture
async def make_desk(nursery: trio.Nursery) -> AsyncIterator[Any]:
    desks = []

    def make(**more: Any) -> Desk:
        desk = Desk(**more)
        desks.append(desk)
        nursery.start_soon(desk.resumes.sweep)
        return desk

    yield make
    await trio.sleep(11)  # abandoned calls are forgotten after 10 s
    for desk in desks:
        assert len(desk.resumes) == 0


@pytest.fixture
async def desk(make_desk: Any) -> Desk:
    return make_desk()


async def told(caller: Caller, answer: str, *, after: float) -> None:
    """``caller`` hears ``answer`` so many seconds from now, and nothing before or after it."""
    await trio.sleep(max(0, after - 0.01))
    assert caller.told == []
    await trio.sleep(0.12)
    assert caller.told == [answer]


# Who is asked.


async def test_the_node_that_the_ticket_hints_at_is_asked_first(autojump_clock, desk) -> None:
    one, two, three = desk.links(3)
    caller = desk.begin(seen=17)
    assert two.sent == [nodes.Resume(1, "game-2.den", "p1", "5ec7e7", 17)]
    assert (one.sent, three.sent) == ([], [])
    assert desk.has_it(two) is caller
    assert caller.told == []


async def test_the_others_are_asked_one_after_the_other(autojump_clock, desk) -> None:
    one, two, three = desk.links(3)
    caller = desk.begin()
    assert desk.says_no(two)
    assert (len(one.sent), len(three.sent)) == (1, 0)
    assert desk.says_no(one)
    assert len(three.sent) == 1
    assert desk.has_it(three) is caller


async def test_4004_comes_at_once_when_each_has_said_no(autojump_clock, desk) -> None:
    one, two = desk.links(2)
    caller = desk.begin()
    desk.says_no(two)
    assert caller.told == []
    desk.says_no(one)
    assert caller.told == ["4004"]


async def test_a_hint_that_no_node_bears_only_orders_the_questions(autojump_clock, desk) -> None:
    one, two = desk.links(2)
    for room in ("nodot", "game-1", "."):
        caller = desk.begin(ticket=Ticket(room, "p", "s"))
        desk.says_no(one)
        desk.says_no(two)
        assert caller.told == ["4004"]


async def test_a_hint_at_a_node_that_was_never_met_is_given_3_s_to_come_true(
    autojump_clock, desk
) -> None:
    one, two = desk.links(2)
    for room in ("elsewhere.den", "ä.🜚"):
        caller = desk.begin(ticket=Ticket(room, "p", "s"))
        desk.says_no(one)
        desk.says_no(two)
        await told(caller, "4004", after=3)
    caller = desk.begin(ticket=Ticket("game-3.den", "p", "s"))
    desk.says_no(one)
    desk.says_no(two)
    await trio.sleep(2)
    assert desk.has_it(desk.link("game-3")) is caller
    assert caller.told == []


async def test_a_node_that_cannot_resume_is_passed_over(autojump_clock, desk) -> None:
    old = desk.link("game-2", wire=nodes.RESUMES - 1)
    new = desk.link("game-1")
    caller = desk.begin()
    assert old.sent == []
    desk.says_no(new)
    assert caller.told == ["4004"]


async def test_where_no_node_can_resume_there_is_no_place(autojump_clock, desk) -> None:
    desk.link("game-2", wire=nodes.RESUMES - 1)
    assert desk.begin().told == ["4004"]


async def test_a_node_that_has_stopped_has_no_places(autojump_clock, desk) -> None:
    one, two = desk.links(2)
    two.becomes("stopped")
    desk.resumes.link_state(two)
    caller = desk.begin()
    desk.says_no(one)
    assert caller.told == ["4004"]
    assert two.sent == []


async def test_a_draining_node_is_asked(autojump_clock, desk) -> None:
    (_, two) = desk.links(2)
    two.becomes("draining")
    desk.resumes.link_state(two)
    caller = desk.begin()
    assert desk.has_it(two) is caller


async def test_a_number_from_the_future_is_told(autojump_clock, desk) -> None:
    (one,) = desk.links(1)
    caller = desk.begin()
    desk.says_no(one, "bad_frame")
    assert caller.told == ["the reason"]


async def test_a_refusal_of_a_later_version_is_to_try_again(autojump_clock, desk) -> None:
    (one,) = desk.links(1)
    caller = desk.begin()
    desk.says_no(one, "moved_to_the_moon")
    assert caller.told == ["1013"]


async def test_calls_of_others_are_not_taken(autojump_clock, desk) -> None:
    one, two = desk.links(2)
    caller = desk.begin()
    assert not desk.resumes.refused(two, nodes.Refused(999, nodes.NO_SUCH_PLACE, ""))
    assert not desk.resumes.refused(one, nodes.Refused(two.calls[0], nodes.NO_SUCH_PLACE, ""))
    assert desk.has_it(two) is caller
    assert desk.has_it(two) is None
    assert not desk.says_no(two)


# A place that is not found yet.


async def test_without_a_node_a_resume_waits_3_s(autojump_clock, desk) -> None:
    await told(desk.begin(), "1013", after=3)


async def test_a_node_that_is_met_within_3_s_is_asked(autojump_clock, desk) -> None:
    caller = desk.begin()
    await trio.sleep(2.9)
    two = desk.link("game-2")
    assert desk.has_it(two) is caller


async def test_no_place_is_declared_dead_while_a_node_may_still_come(autojump_clock, desk) -> None:
    desk.everyone = False
    one = desk.link("game-1")
    caller = desk.begin()
    desk.says_no(one)
    await trio.sleep(2)
    assert caller.told == []
    two = desk.link("game-2")
    assert len(one.sent) == 1
    assert desk.has_it(two) is caller


async def test_a_place_is_gone_as_soon_as_it_is_certain_that_no_other_comes(
    autojump_clock, desk
) -> None:
    desk.everyone = False
    one = desk.link("game-2")
    caller = desk.begin()
    desk.says_no(one)
    await trio.sleep(1)
    desk.everyone = True
    await told(caller, "4004", after=0)


async def test_after_3_s_without_certainty_the_client_tries_again(autojump_clock, desk) -> None:
    desk.everyone = False
    one = desk.link("game-1")
    caller = desk.begin()
    desk.says_no(one)
    await told(caller, "1013", after=3)


async def test_a_silent_node_is_not_asked_and_the_place_waits_for_it(autojump_clock, desk) -> None:
    one, two = desk.links(2)
    desk.falls_silent(two)
    caller = desk.begin()
    assert two.sent == []
    desk.says_no(one)
    await trio.sleep(2)
    assert caller.told == []
    desk.speaks_again(two)
    assert desk.has_it(two) is caller


async def test_a_node_that_falls_silent_when_asked_is_asked_again_when_it_speaks(
    autojump_clock, desk
) -> None:
    one, two = desk.links(2)
    caller = desk.begin()
    await trio.sleep(1)
    desk.falls_silent(two)
    desk.says_no(one)
    await trio.sleep(1)
    desk.speaks_again(two)
    assert len(two.sent) == 2
    assert desk.has_it(two, at=0) is None  # its first answer: the caller says that he is absent
    assert desk.has_it(two, at=1) is caller


async def test_a_node_that_stays_silent_costs_3_s_from_the_beginning(autojump_clock, desk) -> None:
    one, two = desk.links(2)
    caller = desk.begin()
    await trio.sleep(1)
    desk.falls_silent(two)
    desk.says_no(one)
    await told(caller, "1013", after=2)


async def test_a_link_that_goes_down_when_asked_sends_the_question_elsewhere(
    autojump_clock, desk
) -> None:
    one, two = desk.links(2)
    caller = desk.begin()
    desk.resumes.link_down(two)
    assert len(one.sent) == 1
    desk.everyone = False
    desk.says_no(one)
    again = desk.link("game-2")
    assert desk.has_it(two) is None
    assert desk.has_it(again) is caller


async def test_a_no_counts_for_the_process_and_not_for_the_link(autojump_clock, desk) -> None:
    desk.everyone = False
    one = desk.link("game-1")
    caller = desk.begin()
    desk.says_no(one)
    desk.resumes.link_down(one)
    again = desk.link("game-1")
    assert again.sent == []
    other = FakeGameLink("game-1", incarnation=77)
    desk.resumes.link_up(other)
    assert desk.has_it(other) is caller


async def test_a_living_node_that_never_answers_costs_10_s(autojump_clock, desk) -> None:
    desk.links(1)
    await told(desk.begin(), "1013", after=10)


# Many at once.


async def test_a_link_has_so_many_to_answer_at_once_and_the_rest_wait_in_order(
    autojump_clock, make_desk
) -> None:
    desk = make_desk(at_once=2)
    (one,) = desk.links(1)
    callers = [desk.begin() for _ in range(5)]
    assert len(one.sent) == 2
    for index, caller in enumerate(callers):
        assert desk.has_it(one, at=index) is caller
        assert len(one.sent) == min(5, index + 3)


async def test_the_time_in_a_living_nodes_line_is_not_held_against_anybody(
    autojump_clock, make_desk
) -> None:
    desk = make_desk(at_once=1)
    (one,) = desk.links(1)
    first, second = desk.begin(), desk.begin()
    await trio.sleep(9)
    assert second.told == []
    assert desk.has_it(one) is first
    assert desk.has_it(one) is second


async def test_whoever_waits_in_the_line_of_a_link_that_goes_is_asked_for_elsewhere(
    autojump_clock, make_desk
) -> None:
    desk = make_desk(at_once=1)
    one, two = desk.links(2)
    callers = [desk.begin() for _ in range(3)]
    desk.resumes.link_down(two)
    for index, caller in enumerate(callers):
        assert desk.has_it(one, at=index) is caller


async def test_one_who_goes_frees_no_slot_before_his_answer(autojump_clock, make_desk) -> None:
    desk = make_desk(at_once=1)
    (one,) = desk.links(1)
    first, second, third = desk.begin(), desk.begin(), desk.begin()
    desk.resumes.forget(first)
    desk.resumes.forget(second)
    assert len(one.sent) == 1  # its history is on the way all the same
    assert desk.has_it(one) is None
    assert desk.has_it(one) is third
    assert first.told == second.told == []


async def test_who_goes_cancels_what_a_node_has_not_answered_and_nothing_else(
    autojump_clock, make_desk
) -> None:
    """He is no guesser: the place that he waited for was his."""
    desk = make_desk(at_once=1, burst_failed_resumes=1)
    (one,) = desk.links(1)
    first, second, third = (desk.begin("ann") for _ in range(3))
    desk.resumes.forget(second)  # stood in line
    assert one.cancelled == []
    desk.resumes.forget(first)
    assert one.cancelled == one.calls
    assert desk.says_no(one, nodes.CANCELLED)
    assert desk.has_it(one) is third
    desk.resumes.forget(third)
    assert (len(one.calls), one.cancelled) == (2, one.calls[:1])


async def test_a_node_that_falls_silent_is_told_that_nobody_waits_for_its_answer(
    autojump_clock, desk
) -> None:
    """By the time it hears both, the player may have his place through another api node."""
    (one,) = desk.links(1)
    caller = desk.begin()
    desk.falls_silent(one)
    assert one.cancelled == one.calls
    await told(caller, "1013", after=3)
    desk.resumes.forget(caller)
    assert one.cancelled == one.calls


async def test_an_answer_that_does_not_come_within_10_s_is_cancelled(autojump_clock, desk) -> None:
    (one,) = desk.links(1)
    caller = desk.begin()
    await told(caller, "1013", after=10)
    assert one.cancelled == one.calls


async def test_10_000_resumes_are_served_in_order_through_a_node_that_falls_silent(
    autojump_clock, desk
) -> None:
    one, two = desk.links(2)
    callers = [desk.begin() for _ in range(10_000)]
    desk.falls_silent(two)
    desk.speaks_again(two)
    assert len(one.sent) == 32
    for index, caller in enumerate(callers):
        assert desk.has_it(one, at=index) is caller


async def test_10_000_that_nobody_answers_are_all_told(autojump_clock, desk) -> None:
    callers = [desk.begin() for _ in range(10_000)]
    await trio.sleep(3.2)
    assert {tuple(caller.told) for caller in callers} == {("1013",)}


# Those who go.


@pytest.mark.parametrize("where", ["asked", "in line", "waiting", "slowed"])
async def test_a_session_that_goes_is_forgotten_wherever_it_stands(
    autojump_clock, make_desk, where: str
) -> None:
    desk = make_desk(at_once=1, burst_failed_resumes=1)
    one = desk.link("game-2") if where != "waiting" else None
    if where == "slowed":
        desk.begin("a", NO_TICKET)
    others = [desk.begin()] if where == "in line" else []
    caller = desk.begin("a")
    desk.resumes.forget(caller)
    desk.resumes.forget(caller)
    if one is not None and one.sent:
        assert desk.has_it(one) is (others[0] if others else None)
    await trio.sleep(20)
    assert caller.told == []
    assert len(desk.resumes) == 0


async def test_a_no_for_one_who_has_gone_is_asked_nowhere_else(autojump_clock, desk) -> None:
    one, two = desk.links(2)
    desk.resumes.forget(desk.begin())
    assert desk.says_no(two)
    assert one.sent == []


# FailedResumeLimiter.


def guess(desk: Desk, link: FakeGameLink, address: str) -> Caller:
    """A resume with a wrong ticket; answered if it is asked for."""
    before = len(link.sent)
    caller = desk.begin(address, Ticket("game-1.den", "p1", "wr0ng"))
    if len(link.sent) > before:
        desk.says_no(link)
    return caller


async def test_1_000_guesses_from_one_address_are_slowed_then_refused(autojump_clock, desk) -> None:
    (one,) = desk.links(1)
    callers = [guess(desk, one, "evil") for _ in range(1_000)]
    ends = [caller.told for caller in callers]
    assert (ends.count(["4004"]), ends.count([]), ends.count(["1013"])) == (20, 20, 960)
    asked = len(one.sent)
    for second in range(1, 5):
        await trio.sleep(1)
        while asked < len(one.sent):
            desk.says_no(one, at=asked)
            asked += 1
        assert asked == pytest.approx(20 + 5 * second, abs=1)
    await trio.sleep(0.2)
    desk.says_no(one)
    assert [caller.told for caller in callers].count(["4004"]) == 40


async def test_1_000_guesses_in_one_instant_reach_the_node_32_at_a_time(
    autojump_clock, desk
) -> None:
    (one,) = desk.links(1)
    callers = [desk.begin("evil") for _ in range(1_000)]
    honest = desk.begin("honest", Ticket("game-1.den", "honest", "5ec7e7"))
    for index, asked in enumerate(one.sent):  # which grows meanwhile
        if asked.player == "honest":
            assert desk.has_it(one, at=index) is honest
        else:
            desk.says_no(one, at=index)
    assert len(one.sent) <= 20 + 32 + 1
    assert sum(caller.told == ["1013"] for caller in callers) > 900
    for caller in callers:
        desk.resumes.forget(caller)


async def test_a_flood_from_one_address_does_not_touch_another(autojump_clock, desk) -> None:
    (one,) = desk.links(1)
    for _ in range(100):
        guess(desk, one, "evil")
    before = len(one.sent)
    caller = desk.begin("honest")
    assert len(one.sent) == before + 1
    assert desk.has_it(one) is caller
    desk.forget_all()


async def test_a_text_that_is_no_ticket_is_a_guess_and_nobody_is_asked(
    autojump_clock, desk
) -> None:
    (one,) = desk.links(1)
    callers = [desk.begin("evil", NO_TICKET) for _ in range(50)]
    assert [caller.told for caller in callers].count(["4004"]) == 20
    assert [caller.told for caller in callers].count(["1013"]) == 10
    await trio.sleep(4.2)
    assert [caller.told for caller in callers].count(["4004"]) == 40
    assert one.sent == []


async def test_10_000_honest_resumes_from_one_address_are_not_slowed(autojump_clock, desk) -> None:
    (one,) = desk.links(1)
    callers = [desk.begin("proxy") for _ in range(10_000)]
    for index, caller in enumerate(callers):
        assert desk.has_it(one, at=index) is caller
    assert guess(desk, one, "proxy").told == ["4004"]


async def test_an_honest_resume_at_a_guessers_address_is_slowed_and_gives_its_charge_back(
    autojump_clock, desk
) -> None:
    (one,) = desk.links(1)
    for _ in range(20):
        guess(desk, one, "shared")
    callers = [desk.begin("shared") for _ in range(10)]
    assert len(one.sent) == 20
    await trio.sleep(2.1)
    for index, caller in enumerate(callers, 20):
        assert desk.has_it(one, at=index) is caller
    for _ in range(10):
        assert guess(desk, one, "shared").told == ["4004"]


@pytest.mark.parametrize("code", ["bad_frame", "strange"])
async def test_what_is_refused_for_another_reason_is_no_guess(
    autojump_clock, desk, code: str
) -> None:
    (one,) = desk.links(1)
    for _ in range(100):
        desk.begin("proxy")
        desk.says_no(one, code)
    desk.begin("proxy")
    assert desk.has_it(one) is not None


@pytest.mark.parametrize("code", ["bad_frame", "strange"])
async def test_what_was_slowed_and_is_refused_for_another_reason_gives_its_charge_back(
    autojump_clock, desk, code: str
) -> None:
    (one,) = desk.links(1)
    for _ in range(20):
        guess(desk, one, "proxy")
    for _ in range(10):
        desk.begin("proxy")
    await trio.sleep(2.1)
    for index in range(20, 30):
        desk.says_no(one, code, at=index)
    assert guess(desk, one, "proxy").told == ["4004"]


async def test_a_place_that_could_not_be_looked_for_is_no_guess(autojump_clock, desk) -> None:
    callers = [desk.begin("proxy") for _ in range(100)]
    await trio.sleep(3.2)
    assert {tuple(caller.told) for caller in callers} == {("1013",)}
    one = desk.link("game-2")
    caller = desk.begin("proxy")
    assert desk.has_it(one) is caller


async def test_a_guesser_who_does_not_wait_for_the_answer_is_charged(autojump_clock, desk) -> None:
    (one,) = desk.links(1)
    for _ in range(40):
        before = len(one.sent)
        caller = desk.begin("evil")
        desk.resumes.forget(caller)
        if len(one.sent) > before:
            desk.says_no(one)
    assert len(one.sent) == 20


async def test_a_slowed_resume_has_its_3_s_after_its_turn(autojump_clock, desk) -> None:
    (one,) = desk.links(1)
    for _ in range(30):
        guess(desk, one, "shared")
    desk.forget_all()
    caller = desk.begin("shared")  # its turn comes in 11 / 5 s
    await trio.sleep(1)
    desk.resumes.link_down(one)
    await trio.sleep(3.5)
    assert caller.told == []
    one = desk.link("game-1")
    assert desk.has_it(one) is caller
