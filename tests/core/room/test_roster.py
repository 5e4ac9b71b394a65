from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.roster import Roster, Seat, listed, to_notify
from lastcall.core.sequence import SequenceCheck
from lastcall.ids import LinkId, PlayerId
from lastcall.reasons import ErrorCode

ANN, BOB = PlayerId("ann"), PlayerId("bob")
NORTH, SOUTH = LinkId(1), LinkId(2)
ONE = "one"


def seat(player: PlayerId, link: LinkId = NORTH, key: str = "") -> Seat:
    return Seat(player, link=link, secret="", key=key)


def test_a_full_room_refuses_with_full_even_if_it_is_also_locked() -> None:
    roster = Roster(1)
    assert roster.add(seat(ANN)) is None
    roster.locked = True
    assert roster.add(seat(BOB)) is ErrorCode.FULL
    assert roster.players == (ANN,)


def test_a_locked_room_with_free_seats_refuses_with_locked() -> None:
    roster = Roster(2)
    roster.locked = True
    assert roster.add(seat(ANN)) is ErrorCode.LOCKED
    assert len(roster) == 0


def test_each_link_counts_its_connected_players() -> None:
    roster = Roster(3)
    for player in (ANN, BOB):
        roster.add(seat(player))
    roster.add(seat(PlayerId("cid"), SOUTH))
    assert roster.links == {NORTH: 2, SOUTH: 1}
    roster.release(ANN)
    roster.release(BOB)
    assert roster.links == {SOUTH: 1}
    assert [s.player for s in roster.of_link(SOUTH)] == ["cid"]
    assert roster.of_link(NORTH) == []


def test_a_key_finds_its_seat_and_an_empty_key_finds_none() -> None:
    roster = Roster(2)
    roster.add(seat(ANN))
    roster.add(seat(BOB, key="k"))
    assert roster.find_own("k") is roster.find(BOB)
    assert roster.find_own("") is None


def test_a_key_is_kept_when_its_seat_moves_to_a_new_socket_and_forgotten_with_the_seat() -> None:
    roster = Roster(2)
    roster.add(seat(ANN))
    bob = seat(BOB, key="k")
    roster.add(bob)
    roster.rebind(bob, SOUTH)
    roster.release(ANN)
    assert roster.find_own("k") is bob
    roster.release(BOB)
    assert roster.find_own("k") is None


def test_a_player_list_has_the_first_players_to_join_and_the_player_it_is_for() -> None:
    roster = Roster(9)
    seats = [seat(PlayerId(f"p{n}")) for n in range(5)]
    for each in seats:
        roster.add(each)
    assert listed(roster, seats[4], 9) == seats
    assert listed(roster, seats[4], 3) == [seats[0], seats[1], seats[4]]
    assert listed(roster, seats[1], 3) == seats[:3]
    assert listed(roster, seats[4], 1) == [seats[4]]


def test_a_seat_that_moves_to_a_new_socket_gets_the_next_session_and_keeps_its_count() -> None:
    roster = Roster(1)
    ann = seat(ANN, NORTH, "k")
    roster.add(ann)
    ann.advance()
    roster.rebind(ann, SOUTH)
    assert ann.session == 2
    assert roster.links == {SOUTH: 1}
    assert ann.judge(NORTH, 1, 2) is SequenceCheck.STALE
    assert ann.judge(SOUTH, 2, 1) is SequenceCheck.REPEAT
    assert ann.judge(SOUTH, 2, 2) is SequenceCheck.NEXT


def test_the_verdict_on_each_input_number() -> None:
    roster = Roster(1)
    ann = seat(ANN)
    roster.add(ann)
    for _ in range(3):
        ann.advance()
    verdicts = [ann.judge(NORTH, 1, n) for n in (1, 3, 4, 5)]
    assert verdicts == [
        SequenceCheck.REPEAT,
        SequenceCheck.REPEAT,
        SequenceCheck.NEXT,
        SequenceCheck.GAP,
    ]


def test_a_blocked_player_is_notified_once_and_later_inputs_are_not_a_gap_meanwhile() -> None:
    roster = Roster(1)
    ann = seat(ANN)
    roster.add(ann)
    ann.block()
    assert ann.judge(NORTH, 1, 2) is SequenceCheck.BLOCKED
    assert to_notify(roster) == [(ann, 1)]
    assert to_notify(roster) == []
    assert ann.judge(NORTH, 1, 2) is SequenceCheck.BLOCKED  # in flight when the player was notified
    assert ann.judge(NORTH, 1, 1) is SequenceCheck.NEXT
    ann.advance()
    assert ann.judge(NORTH, 1, 3) is SequenceCheck.GAP


def test_a_player_who_is_blocked_again_is_notified_again() -> None:
    roster = Roster(1)
    ann = seat(ANN)
    roster.add(ann)
    ann.block()
    to_notify(roster)
    ann.block()
    assert to_notify(roster) == [(ann, 1)]


def test_one_player_can_be_notified_alone() -> None:
    roster = Roster(2)
    ann, bob = seat(ANN), seat(BOB)
    for each in (ann, bob):
        roster.add(each)
        each.block()
    assert to_notify(roster, BOB) == [(bob, 1)]
    assert to_notify(roster, BOB) == []
    assert to_notify(roster, PlayerId("nobody")) == []
    assert to_notify(roster) == [(ann, 1)]


@given(st.lists(st.tuples(st.integers(1, 12), st.booleans())))
def test_each_input_is_applied_once_and_in_order_whatever_arrives(
    arrived: list[tuple[int, bool]],
) -> None:
    """Inputs arrive in any order, with repeats and gaps, and the inbox may be full at any time."""
    roster = Roster(1)
    ann = seat(ANN)
    roster.add(ann)
    applied = []
    for n, fits in arrived:
        if ann.judge(NORTH, 1, n) is SequenceCheck.NEXT:
            if fits:
                applied.append(n)
                ann.advance()
            else:
                ann.block()
    assert applied == list(range(1, len(applied) + 1))
    assert ann.last_n == len(applied)
    following = ann.judge(NORTH, 1, len(applied) + 1)
    assert following is SequenceCheck.NEXT  # no player is ever stuck


def test_a_player_who_is_away_keeps_the_seat_but_is_not_counted_by_a_link() -> None:
    roster = Roster(2)
    ann, bob = seat(ANN), seat(BOB)
    roster.add(ann)
    roster.add(bob)
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


def test_inputs_of_a_session_that_is_away_are_stale_and_its_player_is_not_notified() -> None:
    roster = Roster(1)
    ann = seat(ANN)
    roster.add(ann)
    ann.block()
    roster.lose(ann, 0)
    assert ann.judge(NORTH, 1, 1) is SequenceCheck.STALE
    assert not ann.expects(NORTH, 1, 1)
    assert to_notify(roster) == []


def test_a_seat_without_a_previous_secret_does_not_accept_an_empty_one() -> None:
    ann = Seat(ANN, link=NORTH, secret=ONE)
    assert [ann.accepts(secret) for secret in ("one", "", "two", "onE", "öne")] == [
        True,
        *[False] * 4,
    ]


def test_a_used_secret_is_accepted_until_the_next_one_is_confirmed() -> None:
    ann = Seat(ANN, link=NORTH, secret=ONE)
    ann.renew("one", "two")
    assert (ann.accepts("one"), ann.accepts("two")) == (True, True)
    ann.confirm()
    assert (ann.accepts("one"), ann.accepts("two")) == (False, True)


def test_the_secret_of_a_lost_answer_is_not_accepted_after_the_next_resume() -> None:
    ann = Seat(ANN, link=NORTH, secret=ONE)
    ann.renew("one", "two")
    ann.renew("one", "three")
    assert [ann.accepts(s) for s in ("one", "two", "three")] == [True, False, True]
    ann.renew("three", "four")
    assert [ann.accepts(s) for s in ("one", "three", "four")] == [False, True, True]


def test_after_the_seats_are_moved_out_the_roster_is_empty() -> None:
    roster = Roster(1)
    ann = seat(ANN, key="k")
    roster.add(ann)
    moved = roster.move_out()
    assert (moved.find(ANN), moved.find_own("k"), moved.links) == (ann, ann, {NORTH: 1})
    assert (len(roster), roster.find_own("k"), roster.links) == (0, None, {})


def test_a_roster_that_has_moved_out_is_empty_for_those_who_hold_its_dicts_too() -> None:
    roster = Roster(2)
    by_player, links = roster.by_player, roster.links
    roster.add(seat(ANN))
    moved = roster.move_out()
    assert (list(moved), moved.links) == ([moved.find(ANN)], {NORTH: 1})
    assert (by_player, links, len(roster)) == ({}, {}, 0)
    assert by_player is roster.by_player
    assert links is roster.links
