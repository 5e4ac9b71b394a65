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


class Requests:
    """Requests for the seats of ann, in the den, and of bob, in the lair; each waits 0.5 s."""

    def __init__(self) -> None:
        self.takeovers = Takeovers(0.5)
        self.ann, self.bob = seat_of("ann"), seat_of("bob")

    def begin(
        self, link: LinkId, request: nodes.Join | nodes.Resume, now: float = 0, *, bob: bool = False
    ) -> int | None:
        """Returns the call of the request that this one replaces."""
        seat, room = (self.bob, LAIR) if bob else (self.ann, DEN)
        replaced = self.takeovers.begin(link, request, room=room, seat=seat, now=now)
        return None if replaced is None else replaced.request.call


def calls(takeovers: list[PendingTakeover]) -> list[int]:
    return [takeover.request.call for takeover in takeovers]


def test_a_request_is_due_after_half_a_second() -> None:
    requests = Requests()
    assert requests.takeovers.next_at == inf
    requests.begin(SOUTH, resume(1), 10)
    requests.begin(EAST, join(1), 10.2)
    assert requests.takeovers.next_at == 10.5
    assert requests.takeovers.due(10.49, 9) == []
    assert calls(requests.takeovers.due(10.5, 9)) == [1]
    assert requests.takeovers.next_at == 10.7
    [takeover] = requests.takeovers.due(10.7, 9)
    assert (takeover.link, takeover.room, takeover.seat) == (EAST, DEN, requests.ann)
    assert (len(requests.takeovers), requests.takeovers.next_at) == (0, inf)


def test_one_call_returns_a_limited_number_of_due_requests_and_the_next_call_the_rest() -> None:
    requests = Requests()
    for number in range(5):
        requests.begin(LinkId(number), resume(number))
    assert calls(requests.takeovers.due(1, 3)) == [0, 1, 2]
    assert calls(requests.takeovers.due(1, 3)) == [3, 4]


def test_a_cancel_drops_only_its_own_request() -> None:
    requests = Requests()
    requests.begin(SOUTH, resume(1))
    requests.begin(EAST, resume(1))
    assert requests.takeovers.cancel(SOUTH, 2) is None
    takeover = requests.takeovers.cancel(SOUTH, 1)
    assert takeover is not None
    assert takeover.link == SOUTH
    assert requests.takeovers.cancel(SOUTH, 1) is None
    assert [takeover.link for takeover in requests.takeovers.due(1, 9)] == [EAST]


def test_only_the_last_request_of_a_link_waits_for_a_seat_with_its_own_time() -> None:
    requests = Requests()
    assert requests.begin(SOUTH, resume(1), 0) is None
    assert requests.begin(EAST, resume(2), 0) is None
    assert requests.begin(SOUTH, resume(3), 0.4) == 1
    assert requests.begin(SOUTH, resume(4), 0.4, bob=True) is None
    assert calls(requests.takeovers.due(0.5, 9)) == [2]
    assert calls(requests.takeovers.due(0.9, 9)) == [3, 4]


def test_a_repeated_call_waits_once_even_if_it_is_for_another_seat() -> None:
    requests = Requests()
    requests.begin(SOUTH, resume(1))
    assert requests.begin(SOUTH, resume(1)) is None
    assert requests.begin(SOUTH, resume(1), bob=True) is None
    assert len(requests.takeovers) == 1
    assert not requests.takeovers.waits(requests.ann)
    assert requests.takeovers.waits(requests.bob)


def test_when_the_seat_is_confirmed_a_request_with_the_previous_secret_is_refused() -> None:
    """Requests with the key or with the newest secret continue to wait."""
    requests = Requests()
    requests.ann.renew("first", "second")
    requests.begin(SOUTH, resume(1, "first"))
    requests.begin(EAST, resume(2, "second"))
    requests.begin(NORTH, join(3))
    assert requests.takeovers.confirmed(requests.ann) == []
    requests.ann.confirm()
    assert requests.takeovers.confirmed(requests.bob) == []
    assert calls(requests.takeovers.confirmed(requests.ann)) == [1]
    assert calls(requests.takeovers.due(0.5, 9)) == [2, 3]


def test_when_the_seat_is_away_the_last_request_gets_it_and_the_others_still_wait() -> None:
    requests = Requests()
    requests.begin(SOUTH, resume(1))
    requests.begin(EAST, resume(2))
    requests.begin(EAST, resume(3), bob=True)
    takeover = requests.takeovers.away(requests.ann)
    assert takeover is not None
    assert takeover.request.call == 2
    takeover = requests.takeovers.away(requests.ann)
    assert takeover is not None
    assert takeover.request.call == 1
    assert requests.takeovers.away(requests.ann) is None
    assert calls(requests.takeovers.due(0.5, 9)) == [3]


def test_the_end_of_a_room_returns_the_requests_for_its_seats_in_order() -> None:
    requests = Requests()
    requests.begin(SOUTH, resume(1))
    requests.begin(SOUTH, resume(2), bob=True)
    requests.begin(EAST, join(3))
    assert calls(requests.takeovers.ended(DEN)) == [1, 3]
    assert requests.takeovers.ended(DEN) == []
    assert calls(requests.takeovers.due(0.5, 9)) == [2]


def test_the_requests_of_a_lost_link_are_dropped() -> None:
    requests = Requests()
    requests.begin(SOUTH, resume(1))
    requests.begin(EAST, resume(2))
    requests.takeovers.drop_link(SOUTH)
    assert calls(requests.takeovers.due(0.5, 9)) == [2]


STEPS = st.tuples(
    st.sampled_from(["begin", "cancel", "drop", "confirmed", "away", "ended", "due"]),
    st.integers(1, 3),
    st.integers(1, 4),
    st.booleans(),
)


@given(st.lists(STEPS, max_size=40))
def test_each_request_is_returned_once_or_dropped_and_at_most_seats_times_links_wait(
    steps: list[tuple[str, int, int, bool]],
) -> None:
    requests, now = Requests(), 0.0
    takeovers = requests.takeovers
    for step, link, call, bob in steps:
        now += 0.1
        seat, before = (requests.bob if bob else requests.ann), len(takeovers)
        out: list[PendingTakeover] = []
        if step == "begin":
            requests.begin(LinkId(link), resume(call) if call % 2 else join(call), now, bob=bob)
        elif step == "cancel":
            out = list(filter(None, [takeovers.cancel(LinkId(link), call)]))
        elif step == "drop":
            takeovers.drop_link(LinkId(link))
        elif step == "confirmed":
            seat.renew("first", "second")
            seat.confirm()
            out = takeovers.confirmed(seat)
        elif step == "away":
            out = list(filter(None, [takeovers.away(seat)]))
        elif step == "ended":
            out = takeovers.ended(LAIR if bob else DEN)
        else:
            out = takeovers.due(now, 2)
        if step not in {"begin", "drop"}:
            assert len(takeovers) == before - len(out)
        assert len(takeovers) <= 6
        assert takeovers.waits(requests.ann) + takeovers.waits(requests.bob) <= len(takeovers)
    assert len(takeovers.due(inf, 9)) <= 6
    assert [len(takeovers), takeovers.waits(requests.ann), takeovers.waits(requests.bob)] == [
        0,
        0,
        0,
    ]
