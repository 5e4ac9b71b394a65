"""Tic-tac-toe: a state, events in, messages out, and a result.

The first to sit is X and moves first. A move out of turn, or to a cell that is taken, is ignored.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from lastcall import Joined, Left, PlayerId, Room, Said, room

LINES = ("012", "345", "678", "036", "147", "258", "048", "246")


class Place(msgspec.Struct):
    """A move: the cells are 0 to 8, row by row."""

    cell: Annotated[int, msgspec.Meta(ge=0, le=8)]


class Board(msgspec.Struct):
    """The state, which moves with the room: the cells, and who plays X, then O."""

    cells: str = "---------"
    players: list[PlayerId] = []

    @property
    def turn(self) -> PlayerId:
        """Whose move it is, or would be."""
        return self.players[self.cells.count("X") > self.cells.count("O")]

    def allows(self, player: PlayerId, cell: int) -> bool:
        """Whether the player may take that cell now."""
        return len(self.players) == 2 and player == self.turn and self.cells[cell] == "-"

    def take(self, player: PlayerId, cell: int) -> bool:
        """Marks the cell; returns whether that makes a line."""
        mark = "XO"[self.players.index(player)]
        self.cells = self.cells[:cell] + mark + self.cells[cell + 1 :]
        return any(all(self.cells[int(each)] == mark for each in line) for line in LINES)

    def picture(self) -> dict[str, Any]:
        """The message to the players."""
        return {"board": self.cells, "turn": self.turn}


@room("tictactoe", seats=2, starts=2, inputs=Place, state=Board, survives=True)
async def tictactoe(table: Room[Board]) -> dict[str, Any]:
    """Two players take turns, and three in a line win."""
    board = table.state
    table.state_for = lambda _player: board.picture()
    async for event in table:
        match event:
            case Joined(player):
                board.players.append(player)
                if len(board.players) == 2:
                    table.lock()
                    table.broadcast(board.picture())
            case Said(player, Place(cell)) if board.allows(player, cell):
                wins = board.take(player, cell)
                table.broadcast(board.picture())
                if wins or "-" not in board.cells:
                    return {"winner": player if wins else None, "board": board.cells}
            case Left(player):
                stayed = [other for other in board.players if other != player]
                return {"winner": stayed[0] if stayed else None, "board": board.cells}
    raise AssertionError("a room's events do not end before it does")
