"""The example rooms, each in the test kit."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

import lastcall.game.examples
from lastcall import Kind
from lastcall.errors import BadFrame, JoinRefused, StateFailed
from lastcall.game.examples.arena import arena
from lastcall.game.examples.countdown import countdown
from lastcall.game.examples.lounge import lounge
from lastcall.game.examples.tictactoe import tictactoe
from lastcall.ids import PlayerId
from lastcall.reasons import EndReason
from lastcall.testing.harness import Table, play


def test_each_example_has_less_than_80_lines() -> None:
    folder = Path(str(lastcall.game.examples.__file__)).parent
    lines = {path.name: len(path.read_text().splitlines()) for path in folder.glob("*.py")}
    assert {name: count for name, count in lines.items() if count >= 80} == {}


# tictactoe


async def make_moves(table: Table, players: list[PlayerId], cells: str) -> None:
    """Makes the moves of both players in turn, X first; each digit is a cell."""
    for turn, cell in enumerate(cells):
        table.say(players[turn % 2], {"cell": int(cell)})
    await table.messages()


async def test_the_first_to_join_is_x_and_moves_first() -> None:
    async with play(tictactoe) as table:
        ann = table.join("ann")
        assert await table.messages() == []
        bob = table.join("bob")
        assert await table.messages() == [{"board": "---------", "turn": ann}]
        table.say(ann, {"cell": 4})
        assert await table.messages() == [{"board": "----X----", "turn": bob}]


async def test_three_in_a_line_win_and_the_last_board_is_shown() -> None:
    async with play(tictactoe) as table:
        ann, bob = table.join("ann"), table.join("bob")
        await make_moves(table, [ann, bob], "03142")
        assert table.heard[-1] == {"board": "XXXOO----", "turn": bob}
        assert await table.ended() == {"winner": ann, "board": "XXXOO----"}


@pytest.mark.parametrize("line", ["012", "345", "678", "036", "147", "258", "048", "246"])
async def test_each_line_wins_for_the_second_player_too(line: str) -> None:
    corners = [cell for cell in "013578642" if cell not in line]
    elsewhere = next(
        f"{a}{b}{c}"
        for a in corners
        for b in corners
        for c in corners
        if len({a, b, c}) == 3
        and "".join(sorted((a, b, c)))
        not in ("012", "345", "678", "036", "147", "258", "048", "246")
    )
    async with play(tictactoe) as table:
        ann, bob = table.join(), table.join()
        turns = zip(elsewhere, line, strict=True)
        await make_moves(table, [ann, bob], "".join(x + o for x, o in turns))
        assert (await table.ended())["winner"] == bob


async def test_a_full_board_without_a_line_is_drawn() -> None:
    async with play(tictactoe) as table:
        players = [table.join(), table.join()]
        await make_moves(table, players, "048176253")
        assert await table.ended() == {"winner": None, "board": table.heard[-1]["board"]}
        assert "-" not in table.heard[-1]["board"]
        assert table.heard[-1]["turn"] in players


async def test_a_move_out_of_turn_or_on_a_taken_cell_is_ignored() -> None:
    async with play(tictactoe) as table:
        ann = table.join("ann")
        table.say(ann, {"cell": 0})
        bob = table.join("bob")
        table.say(bob, {"cell": 1})
        table.say(ann, {"cell": 2})
        table.say(bob, {"cell": 2})
        table.say(ann, {"cell": 3})
        boards = [message["board"] for message in await table.messages()]
        assert boards == ["---------", "--X------"]


@pytest.mark.parametrize("move", [{"cell": 9}, {"cell": -1}, {"cell": "0"}, {}, 4])
async def test_an_input_that_is_not_a_cell_is_refused(move: object) -> None:
    async with play(tictactoe) as table:
        ann = table.join("ann")
        with pytest.raises(BadFrame) as caught:
            table.say(ann, move)
        assert caught.value.code == "bad_input"


async def test_the_remaining_player_wins_but_nobody_wins_before_the_start() -> None:
    async with play(tictactoe) as table:
        ann, bob = table.join("ann"), table.join("bob")
        await table.messages()
        table.leave(ann)
        assert await table.ended() == {"winner": bob, "board": "---------"}
    async with play(tictactoe) as table:
        table.leave(table.join("ann"))
        assert await table.ended() == {"winner": None, "board": "---------"}


async def test_a_third_player_is_refused() -> None:
    async with play(tictactoe) as table:
        table.join()
        table.join()
        await table.messages()
        with pytest.raises(JoinRefused) as caught:
            table.join()
        assert caught.value.code == "full"


async def test_a_lost_socket_does_not_lose_the_match_and_the_state_is_the_board(
    autojump_clock: MockClock,
) -> None:
    async with play(tictactoe) as table:
        ann, bob = table.join("ann"), table.join("bob")
        await table.messages()
        table.away(ann)
        await trio.sleep(29)
        table.back(ann)
        await make_moves(table, [ann, bob], "03")
        assert table.picture(ann) == {"board": "X--O-----", "turn": ann}
        assert table.heard_by(ann) == table.heard_by(bob)
        table.away(bob)
        assert (await table.ended())["winner"] == ann


# countdown


async def test_a_countdown_of_10_sends_9_to_0_once_a_second_and_ends(
    autojump_clock: MockClock,
) -> None:
    async with play(countdown) as table:
        table.join()
        start = trio.current_time()
        await trio.sleep(3.5)
        assert await table.messages() == [{"left": 9}, {"left": 8}, {"left": 7}]
        assert await table.ended() == {"left": 0}
        assert trio.current_time() - start == 10
        assert [message["left"] for message in table.heard] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


async def test_a_countdown_takes_its_seconds_from_the_options(autojump_clock: MockClock) -> None:
    async with play(countdown, options={"seconds": 3600}) as table:
        table.join()
        start = trio.current_time()
        await table.ended()
        assert trio.current_time() - start == 3600


async def test_a_countdown_refuses_inputs() -> None:
    async with play(countdown) as table:
        ann = table.join()
        for said in (None, {}, "wait!"):
            with pytest.raises(BadFrame, match="takes no inputs"):
                table.say(ann, said)


@pytest.mark.parametrize("seconds", [0, 3601, 1.5, "9"])
async def test_a_countdown_refuses_invalid_seconds(seconds: object) -> None:
    async with play(countdown, options={"seconds": seconds}) as table:
        with pytest.raises(JoinRefused) as caught:
            table.join()
        assert caught.value.code == "bad_input"


# arena


async def test_an_arena_sends_the_positions_20_times_a_second(autojump_clock: MockClock) -> None:
    async with play(arena, options={"seconds": 1}) as table:
        ann, bob = table.join(), table.join()
        table.say(ann, {"dx": 1, "dy": -0.5})
        start = trio.current_time()
        await table.ended()
        assert trio.current_time() - start == 1
        assert len(table.heard) == 20
        assert table.heard[0]["at"] == {ann: [51, 49.5], bob: [50, 50]}
        assert table.heard[-1]["at"] == {ann: [70, 40], bob: [50, 50]}


async def test_an_arena_has_walls(autojump_clock: MockClock) -> None:
    async with play(arena, options={"seconds": 5}) as table:
        ann = table.join()
        table.say(ann, {"dx": -1, "dy": 1})
        await table.ended()
        assert table.heard[-1]["at"] == {ann: [0, 100]}


async def test_a_player_who_reaches_the_coin_scores_and_the_next_coin_is_elsewhere(
    autojump_clock: MockClock,
) -> None:
    async with play(arena, options={"seconds": 2}) as table:
        ann, bob = table.join(), table.join()
        await trio.sleep(0.06)
        assert table.heard[0]["coin"] == [37, 61]
        table.say(ann, {"dx": -1, "dy": 11 / 13})  # from the middle, 13 ticks away
        await trio.sleep(1)
        table.say(ann, {"dx": 0, "dy": 0})
        assert await table.ended() == {"scores": {ann: 1, bob: 0}}
        assert table.heard[-1]["coin"] == [74, 22]


async def test_an_arena_refuses_a_speed_above_the_maximum() -> None:
    async with play(arena) as table:
        ann = table.join()
        with pytest.raises(BadFrame):
            table.say(ann, {"dx": 1.1, "dy": 0})


async def test_a_player_who_is_away_stands_still(autojump_clock: MockClock) -> None:
    async with play(arena, options={"seconds": 4}) as table:
        ann = table.join()
        table.say(ann, {"dx": 0.5, "dy": 0})
        await trio.sleep(1.01)
        table.away(ann)
        await trio.sleep(2.5)
        table.back(ann)
        await table.ended()
        assert 79 <= table.heard[-1]["at"][ann][0] <= 81  # 3 s of half speed
        assert len(table.heard_by(ann)) == 80


async def test_a_player_who_leaves_the_arena_disappears_but_keeps_the_score(
    autojump_clock: MockClock,
) -> None:
    async with play(arena, options={"seconds": 1}) as table:
        ann, bob = table.join(), table.join()
        await trio.sleep(0.51)
        table.leave(ann)
        assert await table.ended() == {"scores": {ann: 0, bob: 0}}
        assert list(table.heard[-1]["at"]) == [bob]
        assert len(table.heard_by(ann)) == 10


# lounge


async def test_a_lounge_sends_each_input_to_all_players_including_its_sender() -> None:
    async with play(lounge) as table:
        ann, bob = table.join("ann"), table.join("bob")
        for said in ("hi", {"x": [1, None]}, 4, None):
            table.say(ann, said)
        expected = [{"from": ann, "said": said} for said in ("hi", {"x": [1, None]}, 4, None)]
        assert await table.messages() == expected
        assert table.heard_by(ann) == table.heard_by(bob) == expected


async def test_a_lounge_ends_when_the_last_player_leaves(autojump_clock: MockClock) -> None:
    async with play(lounge) as table:
        ann, bob = table.join(), table.join()
        table.leave(ann)
        await trio.sleep(3600)
        assert table.reason is None
        table.leave(bob)
        assert await table.ended() is None
        assert table.reason is EndReason.FINISHED


async def test_a_lounge_with_a_player_is_cut_at_the_deadline(
    autojump_clock: MockClock,
) -> None:
    async with play(lounge) as table:
        table.join()
        table.drain(30)
        await trio.sleep(30)
        assert table.reason is None
        table.cut()
        assert await table.ended() is None
        assert table.reason is EndReason.CUT


# a move to another node, in mid-match


def test_all_examples_move_at_the_deadline_and_two_survive() -> None:
    kinds = (arena, countdown, lounge, tictactoe)
    assert {kind.moves for kind in kinds} == {"deadline"}
    assert [kind.name for kind in kinds if kind.survives] == ["lounge", "tictactoe"]


async def test_a_match_of_tictactoe_goes_on_after_a_move_before_each_of_its_moves() -> None:
    async with play(tictactoe) as table:
        ann, bob = table.join("ann"), table.join("bob")
        await table.messages()
        for turn, cell in enumerate("03142"):
            await table.move()
            assert await table.messages() == []
            assert table.picture(ann) == table.heard[-1]
            table.say([ann, bob][turn % 2], {"cell": int(cell)})
            await table.messages()
        assert await table.ended() == {"winner": ann, "board": "XXXOO----"}
        boards = ["---------", "X--------", "X--O-----", "XX-O-----", "XX-OO----", "XXXOO----"]
        assert [message["board"] for message in table.heard_by(bob)] == boards
        assert table.heard_by(ann) == table.heard_by(bob)


async def test_a_third_player_is_refused_after_a_move_too() -> None:
    async with play(tictactoe) as table:
        table.join()
        table.join()
        await table.messages()
        await table.move()
        with pytest.raises(JoinRefused) as caught:
            table.join()
        assert caught.value.code == "full"


async def test_a_countdown_that_moves_every_0_7_s_still_ends_after_10_s(
    autojump_clock: MockClock,
) -> None:
    async with play(countdown) as table:
        table.join()
        start = trio.current_time()
        for _ in range(14):
            await trio.sleep(0.7)
            await table.move()
        assert await table.ended() == {"left": 0}
        assert trio.current_time() - start == pytest.approx(10)
        assert [message["left"] for message in table.heard] == [9, 8, 7, 6, 5, 4, 3, 2, 1, 0]


async def test_an_arena_that_moves_between_its_ticks_misses_none(autojump_clock: MockClock) -> None:
    async with play(arena, options={"seconds": 2}) as table:
        ann, bob = table.join(), table.join()
        await trio.sleep(0.06)
        table.say(ann, {"dx": -1, "dy": 11 / 13})  # to the first coin, as above
        await trio.sleep(0.3)
        await table.move()
        await trio.sleep(0.7)
        table.say(ann, {"dx": 0, "dy": 0})
        await table.move()
        assert await table.ended() == {"scores": {ann: 1, bob: 0}}
        assert table.heard[-1]["coin"] == [74, 22]
        assert len(table.heard_by(ann)) == len(table.heard_by(bob)) == 40


async def test_a_lounge_goes_on_after_a_move_with_the_same_players(
    autojump_clock: MockClock,
) -> None:
    async with play(lounge) as table:
        ann, bob = table.join("ann"), table.join("bob")
        table.say(ann, "before")
        await table.messages()
        table.away(bob)
        await table.move()
        table.say(ann, "after")
        await table.messages()
        table.back(bob)
        said = [{"from": ann, "said": "before"}, {"from": ann, "said": "after"}]
        assert table.heard_by(ann) == table.heard_by(bob) == said
        table.leave(ann)
        table.leave(bob)
        assert await table.ended() is None
        assert table.reason is EndReason.FINISHED


# the death of their node, in mid-match


async def test_a_match_of_tictactoe_outlives_its_node_before_and_after_each_of_its_moves() -> None:
    async with play(tictactoe) as table:
        ann, bob = table.join("ann"), table.join("bob")
        await table.messages()
        for turn, cell in enumerate("03142"):
            await table.lose_node()
            assert await table.messages() == []
            assert table.picture(ann) == table.heard[-1]
            table.say([ann, bob][turn % 2], {"cell": int(cell)})
            await table.lose_node()  # before the room has read the move
            await table.messages()
        assert await table.ended() == {"winner": ann, "board": "XXXOO----"}
        boards = ["---------", "X--------", "X--O-----", "XX-O-----", "XX-OO----", "XXXOO----"]
        assert [message["board"] for message in table.heard_by(bob)] == boards
        assert table.heard_by(ann) == table.heard_by(bob)


async def test_a_lost_player_of_tictactoe_loses_although_the_node_died_meanwhile(
    autojump_clock: MockClock,
) -> None:
    async with play(tictactoe) as table:
        ann, bob = table.join("ann"), table.join("bob")
        await table.messages()
        table.away(ann)
        await trio.sleep(20)
        await table.lose_node()
        began = trio.current_time()
        assert await table.ended() == {"winner": bob, "board": "---------"}
        assert trio.current_time() - began == pytest.approx(10)
        with pytest.raises(StateFailed, match="does not run"):
            await table.lose_node()


async def test_a_lounge_outlives_its_node_with_all_that_was_said_and_all_who_are_there(
    autojump_clock: MockClock,
) -> None:
    async with play(lounge) as table:
        ann, bob = table.join("ann"), table.join("bob")
        await table.messages()
        table.away(bob)
        for number in range(20):
            table.say(ann, number)
            if number % 3 == 0:
                await table.lose_node()
        await table.messages()
        table.back(bob)
        assert table.heard_by(ann) == [{"from": ann, "said": number} for number in range(20)]
        assert table.heard_by(bob) == table.heard_by(ann)
        table.leave(ann)
        await table.lose_node()
        table.leave(bob)
        assert await table.ended() is None
        assert table.reason is EndReason.FINISHED


@pytest.mark.parametrize("kind", [arena, countdown])
async def test_the_other_examples_say_that_they_do_not_survive(kind: Kind) -> None:
    async with play(kind) as table:
        table.join()
        await table.messages()
        with pytest.raises(StateFailed, match="die with their node"):
            await table.lose_node()
