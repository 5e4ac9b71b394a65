from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.roster import Roster, Seat
from lastcall.core.sequence import SequenceCheck
from lastcall.ids import LinkId, PlayerId
from lastcall.reasons import ErrorCode

ANN, BOB = PlayerId("ann"), PlayerId("bob")
NORTH, SOUTH = LinkId(1), LinkId(2)
ONE = "one"


def seat(player: PlayerId, link: LinkId = NORTH, key: str = "") -> Seat:
    return Seat(player, link=link, secret="", key=key)


def test_a_full_room_says_full_even_when_it_is_locked_too() -> None:
    roster = Roster(1)
    assert roster.take(seat(ANN)) is None
    roster.locked = True
    assert roster.take(seat(BOB)) is ErrorCode.FULL
    assert roster.players == (ANN,)


def test_a_locked_room_with_free_seats_says_locked() -> None:
    roster = Roster(2)
    roster.locked = True
    assert roster.take(seat(ANN)) is ErrorCode.LOCKED
    assert len(roster) == 0


def test_links_count_the_players_that_sit_by_way_of_them() -> None:
    roster = Roster(3)
    for player in (ANN, BOB):
        roster.take(seat(player))
    roster.take(seat(PlayerId("cid"), SOUTH))
    assert roster.links == {NORTH: 2, SOUTH: 1}
    roster.release(ANN)
    roster.release(BOB)
    assert roster.links == {SOUTH: 1}
    assert [s.player for s in roster.of_link(SOUTH)] == ["cid"]
    assert roster.of_link(NORTH) == []


def test_a_key_finds_its_seat_and_an_empty_key_finds_none() -> None:
    roster = Roster(2)
    roster.take(seat(ANN))
    roster.take(seat(BOB, key="k"))
    assert roster.find_key("k") is roster.find(BOB)
    assert roster.find_key("") is None


def test_a_key_is_forgotten_with_its_seat_and_kept_when_the_place_is_retaken() -> None:
    roster = Roster(2)
    roster.take(seat(ANN))
    bob = seat(BOB, key="k")
    roster.take(bob)
    roster.rebind(bob, SOUTH)
    roster.release(ANN)
    assert roster.find_key("k") is bob
    roster.release(BOB)
    assert roster.find_key("k") is None


def test_a_list_holds_the_first_to_join_and_the_one_it_is_for() -> None:
    roster = Roster(9)
    seats = [seat(PlayerId(f"p{n}")) for n in range(5)]
    for each in seats:
        roster.take(each)
    assert roster.listed(seats[4], 9) == seats
    assert roster.listed(seats[4], 3) == [seats[0], seats[1], seats[4]]
    assert roster.listed(seats[1], 3) == seats[:3]
    assert roster.listed(seats[4], 1) == [seats[4]]


def test_a_place_that_is_retaken_has_a_raised_session_and_counts_on() -> None:
    roster = Roster(1)
    ann = seat(ANN, NORTH, "k")
    roster.take(ann)
    roster.advance(ann)
    roster.rebind(ann, SOUTH)
    assert ann.session == 2
    assert roster.links == {SOUTH: 1}
    assert ann.judge(1, 2) is SequenceCheck.STALE
    assert ann.judge(2, 1) is SequenceCheck.REPEAT
    assert ann.judge(2, 2) is SequenceCheck.NEXT


def test_what_each_input_number_means() -> None:
    roster = Roster(1)
    ann = seat(ANN)
    roster.take(ann)
    for _ in range(3):
        roster.advance(ann)
    verdicts = [ann.judge(1, n) for n in (1, 3, 4, 5)]
    assert verdicts == [
        SequenceCheck.REPEAT,
        SequenceCheck.REPEAT,
        SequenceCheck.NEXT,
        SequenceCheck.GAP,
    ]


def test_a_held_player_is_called_once_and_what_follows_is_no_gap_until_he_answers() -> None:
    roster = Roster(1)
    ann = seat(ANN)
    roster.take(ann)
    roster.block(ann)
    assert ann.judge(1, 2) is SequenceCheck.BLOCKED
    assert roster.to_notify() == [(ann, 1)]
    assert roster.to_notify() == []
    assert ann.judge(1, 2) is SequenceCheck.BLOCKED  # was under way when he was called
    assert ann.judge(1, 1) is SequenceCheck.NEXT
    roster.advance(ann)
    assert ann.judge(1, 3) is SequenceCheck.GAP


def test_a_player_who_is_held_again_is_called_again() -> None:
    roster = Roster(1)
    ann = seat(ANN)
    roster.take(ann)
    roster.block(ann)
    roster.to_notify()
    roster.block(ann)
    assert roster.to_notify() == [(ann, 1)]


def test_one_player_is_called_alone() -> None:
    roster = Roster(2)
    ann, bob = seat(ANN), seat(BOB)
    for each in (ann, bob):
        roster.take(each)
        roster.block(each)
    assert roster.to_notify(BOB) == [(bob, 1)]
    assert roster.to_notify(BOB) == []
    assert roster.to_notify(PlayerId("nobody")) == []
    assert roster.to_notify() == [(ann, 1)]


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans())))
def test_whatever_comes_each_input_is_applied_once_and_in_order(
    heard: list[tuple[int, bool]],
) -> None:
    """Under any order, repeats and gaps, and with an inbox that is full at any time."""
    roster = Roster(1)
    ann = seat(ANN)
    roster.take(ann)
    applied = []
    for n, fits in heard:
        if ann.judge(1, n) is SequenceCheck.NEXT:
            if fits:
                applied.append(n)
                roster.advance(ann)
            else:
                roster.block(ann)
    assert applied == list(range(1, len(applied) + 1))
    assert ann.last_n == len(applied)
    following = ann.judge(1, len(applied) + 1)
    assert following is SequenceCheck.NEXT  # nobody is ever stuck


def test_who_is_away_keeps_his_seat_and_no_link_counts_him() -> None:
    roster = Roster(2)
    ann, bob = seat(ANN), seat(BOB)
    roster.take(ann)
    roster.take(bob)
    roster.lose(ann, 7)
    assert (ann.away, ann.away_at, bob.away) == (True, 7, False)
    assert (len(roster), roster.present, roster.links) == (2, 1, {NORTH: 1})
    assert roster.refusal is ErrorCode.FULL
    assert roster.of_link(NORTH) == [bob]
    roster.rebind(ann, SOUTH)
    assert (ann.away, roster.present, roster.links) == (False, 2, {NORTH: 1, SOUTH: 1})
    roster.lose(ann, 8)
    roster.release(ANN)
    assert roster.links == {NORTH: 1}


def test_who_is_away_says_nothing_more_in_that_session_and_is_not_called() -> None:
    roster = Roster(1)
    ann = seat(ANN)
    roster.take(ann)
    roster.block(ann)
    roster.lose(ann, 0)
    assert ann.judge(1, 1) is SequenceCheck.STALE
    assert not ann.expects(1, 1)
    assert roster.to_notify() == []


def test_a_seat_without_a_secret_before_does_not_take_an_empty_one() -> None:
    ann = Seat(ANN, link=NORTH, secret=ONE)
    assert [ann.accepts(secret) for secret in ("one", "", "two", "onE", "öne")] == [
        True,
        *[False] * 4,
    ]


def test_a_shown_secret_is_good_until_the_next_is_confirmed() -> None:
    ann = Seat(ANN, link=NORTH, secret=ONE)
    ann.renew("one", "two")
    assert (ann.accepts("one"), ann.accepts("two")) == (True, True)
    ann.confirm()
    assert (ann.accepts("one"), ann.accepts("two")) == (False, True)


def test_the_secret_of_an_answer_that_was_lost_is_replaced_and_good_no_more() -> None:
    ann = Seat(ANN, link=NORTH, secret=ONE)
    ann.renew("one", "two")
    ann.renew("one", "three")
    assert [ann.accepts(s) for s in ("one", "two", "three")] == [True, False, True]
    ann.renew("three", "four")
    assert [ann.accepts(s) for s in ("one", "three", "four")] == [False, True, True]
