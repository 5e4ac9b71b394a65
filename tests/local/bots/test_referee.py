"""The rules of a tic-tac-toe match, without any network."""

from __future__ import annotations

import random

import pytest

from lastcall.errors import RemoteProtocolError
from lastcall.local.bots.referee import Outcome, Referee


def watch(*boards, you="p9"):
    referee = Referee(you)
    for number, board in enumerate(boards):
        referee.on_message({"board": board, "turn": f"p{number % 2}"})
    return referee


def test_a_won_match_has_the_winner_who_moved_last():
    referee = watch("---------", "X--------", "X--O-----", "XX-O-----", "XX-OO----", "XXXOO----")
    assert referee.over
    outcome = referee.on_result({"winner": "p0", "board": "XXXOO----"})
    assert outcome == Outcome("p0", "XXXOO----")


def test_a_result_with_the_wrong_winner_is_a_fault():
    referee = watch("---------", "X--------", "X--O-----", "XX-O-----", "XX-OO----", "XXXOO----")
    with pytest.raises(RemoteProtocolError, match="the winner is p0"):
        referee.on_result({"winner": "p1", "board": "XXXOO----"})


def test_a_result_with_another_board_is_a_fault():
    with pytest.raises(RemoteProtocolError, match="after the board"):
        watch("---------").on_result({"winner": None, "board": "X--------"})


@pytest.mark.parametrize(
    "boards",
    [
        ("X--------",),
        ("---------", "---------"),
        ("---------", "O--------"),
        ("---------", "XO-------"),
        ("---------", "X--------", "-O-------"),
        ("---------", "X-------"),
    ],
)
def test_a_board_that_does_not_follow_from_the_last_is_a_fault(boards):
    with pytest.raises(RemoteProtocolError):
        watch(*boards)


def test_a_board_after_the_end_is_a_fault():
    won = ("---------", "X--------", "X--O-----", "XX-O-----", "XX-OO----", "XXXOO----")
    with pytest.raises(RemoteProtocolError, match="does not follow"):
        watch(*won, "XXXOOO---")


def test_two_turns_in_a_row_are_a_fault():
    referee = watch("---------")
    with pytest.raises(RemoteProtocolError, match="two turns"):
        referee.on_message({"board": "X--------", "turn": "p0"})


def test_a_board_without_the_bots_own_move_is_a_fault():
    referee = watch("---------", you="p0")
    cell = referee.choose(random.Random(1))
    assert cell is not None
    other = (cell + 1) % 9
    with pytest.raises(RemoteProtocolError, match=f"the bot moved to {cell}"):
        referee.on_message({"board": "-" * other + "X" + "-" * (8 - other), "turn": "p1"})


def test_the_bot_does_not_move_when_it_is_not_its_turn():
    assert watch("---------", you="p1").choose(random.Random(1)) is None


@pytest.mark.parametrize("data", [None, [], {"board": 3, "turn": "p0"}, {"board": "---------"}])
def test_a_message_that_is_not_a_board_is_a_fault(data):
    with pytest.raises(RemoteProtocolError, match="is not a board"):
        Referee("p0").on_message(data)
