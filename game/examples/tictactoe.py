"""Tic-tac-toe: events in, messages out, and a result.

The first to sit is X and moves first. A move out of turn, or to a cell that is taken, is ignored.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from lastcall import Joined, Left, Room, Said, room

LINES = ("012", "345", "678", "036", "147", "258", "048", "246")


class Place(msgspec.Struct):
    """A move: the cells are 0 to 8, row by row."""

    cell: Annotated[int, msgspec.Meta(ge=0, le=8)]


@room("tictactoe", seats=2, starts=2, inputs=Place)
async def tictactoe(table: Room) -> dict[str, Any]:
    """Two players; ends with the winner, or with None when it is drawn."""
    board = "-" * 9
    seated: list[str] = []  # X, then O
    table.state_for = lambda _player: picture(board, seated)
    async for event in table:
        match event:
            case Joined(player):
                seated.append(player)
                if len(seated) == 2:
                    table.lock()
                    table.broadcast(picture(board, seated))
            case Said(player, Place(cell)):
                if len(seated) == 2 and player == turn(board, seated) and board[cell] == "-":
                    mark = "XO"[seated.index(player)]
                    board = board[:cell] + mark + board[cell + 1 :]
                    table.broadcast(picture(board, seated))
                    if has_line(board, mark) or "-" not in board:
                        winner = player if has_line(board, mark) else None
                        return {"winner": winner, "board": board}
            case Left(player):
                stayed = [other for other in seated if other != player]
                return {"winner": stayed[0] if stayed else None, "board": board}
    raise AssertionError("a room's events do not end before it does")


def turn(board: str, seated: list[str]) -> str:
    """Whose move it is, or would be."""
    return seated[board.count("X") > board.count("O")]


def picture(board: str, seated: list[str]) -> dict[str, Any]:
    """The message to the players: the board, and whose turn it is."""
    return {"board": board, "turn": turn(board, seated)}


def has_line(board: str, mark: str) -> bool:
    """Whether three of ``mark`` stand in a line."""
    return any(all(board[int(cell)] == mark for cell in line) for line in LINES)
