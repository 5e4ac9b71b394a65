from __future__ import annotations

from lastcall.core.room.former_places import (
    TICKETS_MAX,
    FormerPlaces,
    FormerResume,
    read_tickets,
    tickets_of,
)
from lastcall.core.room.roster import Seat
from lastcall.ids import LinkId, PlayerId, RoomId, Ticket
from lastcall.wire import nodes

OLD, NEW = RoomId("game-1.old"), RoomId("game-2.new")
TICKET = Ticket(OLD, PlayerId("p1"), "s1")


def seat(player: str = "p9", former: tuple[Ticket, ...] = (TICKET,)) -> Seat:
    return Seat(PlayerId(player), LinkId(1), "s9", former=former)


def test_a_resume_of_a_former_place_becomes_that_of_the_present_one() -> None:
    places = FormerPlaces()
    places.add(NEW, seat())
    resume = nodes.Resume(7, OLD, PlayerId("p1"), "s1", 30)
    assert places.translate(resume) == FormerResume(7, NEW, PlayerId("p9"), "s1", 0)


def test_any_other_resume_stays_as_it_is() -> None:
    places = FormerPlaces()
    places.add(NEW, seat())
    resume = nodes.Resume(7, NEW, PlayerId("p9"), "s9", 30)
    assert places.translate(resume) is resume


def test_a_former_place_is_forgotten_with_the_confirmation() -> None:
    places, new = FormerPlaces(), seat()
    places.add(NEW, new)
    assert places.find([TICKET]) == (NEW, "p9")
    places.forget(new)
    new.confirm()
    assert (places.find([TICKET]), len(places), new.former) == (None, 0, ())


def test_of_too_many_places_the_oldest_are_forgotten() -> None:
    places = FormerPlaces(places_max=3)
    tickets = [Ticket(OLD, PlayerId(f"p{n}"), "s") for n in range(5)]
    for ticket in tickets:
        places.add(NEW, seat(former=(ticket,)))
    assert [places.find([ticket]) is not None for ticket in tickets] == [False] * 2 + [True] * 3


def test_a_seat_accepts_its_former_tickets_until_its_player_confirms() -> None:
    new = seat()
    assert (new.accepts("s1"), new.accepts_previous("s1"), new.accepts("s2")) == (True, True, False)
    new.confirm()
    assert (new.accepts("s1"), new.accepts("s9")) == (False, True)


def test_the_tickets_of_a_seat_are_its_own_and_the_former_ones_the_newest_first() -> None:
    new = seat()
    new.renew("s9", "s10")
    texts = tickets_of(NEW, new)
    assert texts == (f"{NEW}/p9/s10", f"{NEW}/p9/s9", f"{OLD}/p1/s1")
    assert read_tickets([*texts, "none"])[2] == TICKET


def test_a_player_who_never_learns_of_any_room_does_not_collect_tickets_without_end() -> None:
    former: tuple[Ticket, ...] = ()
    for _ in range(20):
        former = read_tickets(tickets_of(NEW, seat(former=former)))
    assert len(former) == TICKETS_MAX
