from __future__ import annotations

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.roster import Seat
from lastcall.core.room.takeovers import PendingTakeover, Takeovers
from lastcall.ids import KindName, LinkId, PlayerId, RoomId
from lastcall.wire import nodes

NORTH, SOUTH, EAST = LinkId(1), LinkId(2), LinkId(3)
DEN, LAIR = RoomId("den"), RoomId("lair")


def seat_of(player: str) -> Seat:
    return Seat(PlayerId(player), link=NORTH, secret="first", key="k")  # noqa: S106


def resume(call: int, secret: str = "first") -> nodes.Resume:  # noqa: S107
    return nodes.Resume(call, DEN, PlayerId("ann"), secret, 0)


def join(call: int) -> nodes.Join:
    return nodes.Join(call, KindName("den"), key="k")


class Desk:
    """Claims on the seats of ann, in the den, and of bob, in the lair; 0.5 s each."""

    def __init__(self) -> None:
        self.contests = Takeovers(0.5)
        self.ann, self.bob = seat_of("ann"), seat_of("bob")

    def claim(
        self, link: LinkId, ask: nodes.Join | nodes.Resume, now: float = 0, *, bob: bool = False
    ) -> int | None:
        """Returns the call of the claim that this one replaces."""
        seat, room = (self.bob, LAIR) if bob else (self.ann, DEN)
        replaced = self.contests.begin(link, ask, room=room, seat=seat, now=now)
        return None if replaced is None else replaced.ask.call


def calls(claims: list[PendingTakeover]) -> list[int]:
    return [claim.ask.call for claim in claims]


def test_a_claim_is_carried_out_after_half_a_second() -> None:
    desk = Desk()
    assert desk.contests.next_at == inf
    desk.claim(SOUTH, resume(1), 10)
    desk.claim(EAST, join(1), 10.2)
    assert desk.contests.next_at == 10.5
    assert desk.contests.due(10.49, 9) == []
    assert calls(desk.contests.due(10.5, 9)) == [1]
    assert desk.contests.next_at == 10.7
    [claim] = desk.contests.due(10.7, 9)
    assert (claim.link, claim.room, claim.seat) == (EAST, DEN, desk.ann)
    assert (len(desk.contests), desk.contests.next_at) == (0, inf)


def test_of_many_that_are_due_come_so_many_the_others_next() -> None:
    desk = Desk()
    for number in range(5):
        desk.claim(LinkId(number), resume(number))
    assert calls(desk.contests.due(1, 3)) == [0, 1, 2]
    assert calls(desk.contests.due(1, 3)) == [3, 4]


def test_one_that_is_cancelled_is_gone_and_only_that_one() -> None:
    desk = Desk()
    desk.claim(SOUTH, resume(1))
    desk.claim(EAST, resume(1))
    assert desk.contests.cancel(SOUTH, 2) is None
    claim = desk.contests.cancel(SOUTH, 1)
    assert claim is not None
    assert claim.link == SOUTH
    assert desk.contests.cancel(SOUTH, 1) is None
    assert [claim.link for claim in desk.contests.due(1, 9)] == [EAST]


def test_by_one_link_only_the_last_claim_on_a_seat_waits_and_its_time_is_its_own() -> None:
    desk = Desk()
    assert desk.claim(SOUTH, resume(1), 0) is None
    assert desk.claim(EAST, resume(2), 0) is None
    assert desk.claim(SOUTH, resume(3), 0.4) == 1
    assert desk.claim(SOUTH, resume(4), 0.4, bob=True) is None
    assert calls(desk.contests.due(0.5, 9)) == [2]
    assert calls(desk.contests.due(0.9, 9)) == [3, 4]


def test_a_call_that_comes_twice_is_one_claim_even_on_another_seat() -> None:
    desk = Desk()
    desk.claim(SOUTH, resume(1))
    assert desk.claim(SOUTH, resume(1)) is None
    assert desk.claim(SOUTH, resume(1), bob=True) is None
    assert len(desk.contests) == 1
    assert not desk.contests.waits(desk.ann)
    assert desk.contests.waits(desk.bob)


def test_when_the_seat_is_confirmed_who_shows_the_secret_before_is_refused() -> None:
    """The key stays good, and so does the newest secret: they wait on."""
    desk = Desk()
    desk.ann.renew("first", "second")
    desk.claim(SOUTH, resume(1, "first"))
    desk.claim(EAST, resume(2, "second"))
    desk.claim(NORTH, join(3))
    assert desk.contests.confirmed(desk.ann) == []
    desk.ann.confirm()
    assert desk.contests.confirmed(desk.bob) == []
    assert calls(desk.contests.confirmed(desk.ann)) == [1]
    assert calls(desk.contests.due(0.5, 9)) == [2, 3]


def test_when_the_seat_is_away_the_last_to_come_has_it_and_the_others_wait_on() -> None:
    desk = Desk()
    desk.claim(SOUTH, resume(1))
    desk.claim(EAST, resume(2))
    desk.claim(EAST, resume(3), bob=True)
    claim = desk.contests.away(desk.ann)
    assert claim is not None
    assert claim.ask.call == 2
    claim = desk.contests.away(desk.ann)
    assert claim is not None
    assert claim.ask.call == 1
    assert desk.contests.away(desk.ann) is None
    assert calls(desk.contests.due(0.5, 9)) == [3]


def test_when_the_room_ends_all_who_wait_for_its_seats_are_told_in_order() -> None:
    desk = Desk()
    desk.claim(SOUTH, resume(1))
    desk.claim(SOUTH, resume(2), bob=True)
    desk.claim(EAST, join(3))
    assert calls(desk.contests.ended(DEN)) == [1, 3]
    assert desk.contests.ended(DEN) == []
    assert calls(desk.contests.due(0.5, 9)) == [2]


def test_nobody_is_answered_by_way_of_a_link_that_is_gone() -> None:
    desk = Desk()
    desk.claim(SOUTH, resume(1))
    desk.claim(EAST, resume(2))
    desk.contests.drop_link(SOUTH)
    assert calls(desk.contests.due(0.5, 9)) == [2]


STEPS = st.tuples(
    st.sampled_from(["claim", "cancel", "drop", "confirmed", "away", "ended", "due"]),
    st.integers(1, 3),
    st.integers(1, 4),
    st.booleans(),
)


@given(st.lists(STEPS, max_size=40))
def test_every_claim_comes_out_once_or_is_dropped_and_no_more_wait_than_seats_times_links(
    steps: list[tuple[str, int, int, bool]],
) -> None:
    desk, now = Desk(), 0.0
    contests = desk.contests
    for what, link, call, bob in steps:
        now += 0.1
        seat, before = (desk.bob if bob else desk.ann), len(contests)
        out: list[PendingTakeover] = []
        if what == "claim":
            desk.claim(LinkId(link), resume(call) if call % 2 else join(call), now, bob=bob)
        elif what == "cancel":
            out = list(filter(None, [contests.cancel(LinkId(link), call)]))
        elif what == "drop":
            contests.drop_link(LinkId(link))
        elif what == "confirmed":
            seat.renew("first", "second")
            seat.confirm()
            out = contests.confirmed(seat)
        elif what == "away":
            out = list(filter(None, [contests.away(seat)]))
        elif what == "ended":
            out = contests.ended(LAIR if bob else DEN)
        else:
            out = contests.due(now, 2)
        if what not in {"claim", "drop"}:
            assert len(contests) == before - len(out)
        assert len(contests) <= 6
        assert contests.waits(desk.ann) + contests.waits(desk.bob) <= len(contests)
    assert len(contests.due(inf, 9)) <= 6
    assert [len(contests), contests.waits(desk.ann), contests.waits(desk.bob)] == [0, 0, 0]
