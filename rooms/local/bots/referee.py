"""Checks a tic-tac-toe match against its rules, from one player's place."""

from __future__ import annotations

import random

import msgspec

from lastcall.errors import RemoteProtocolError

EMPTY = "-" * 9
LINES = ((0, 1, 2), (3, 4, 5), (6, 7, 8), (0, 3, 6), (1, 4, 7), (2, 5, 8), (0, 4, 8), (2, 4, 6))


class Board(msgspec.Struct, frozen=True):
    """A message of the room: the board after a move, and the player whose turn it is."""

    board: str
    turn: str


class Outcome(msgspec.Struct, frozen=True):
    """The room's result. ``winner`` is None at a draw; when a player leaves, the other one wins."""

    winner: str | None
    board: str


class Referee:
    """Checks that each board follows from the one before, and the result from the last board.

    Every violation raises :class:`lastcall.errors.RemoteProtocolError`, which names it.
    """

    def __init__(self, you: str) -> None:
        self._you = you
        self._board: str | None = None
        self._turn = ""
        self.opponent: str | None = None
        """The other player, once it was their turn."""
        self._moved_last = ""
        self._our_cell: int | None = None

    def on_message(self, data: object) -> None:
        """Checks a message; raises if it is not a legal next board."""
        try:
            shown = msgspec.convert(data, Board)
        except msgspec.ValidationError as error:
            raise RemoteProtocolError(f"{data!r} is not a board: {error}") from error
        if self._board is None:
            if shown.board != EMPTY:
                raise RemoteProtocolError(f"the first board is not empty: {shown.board}")
        else:
            self._check_move(self._board, shown)
            self._moved_last = self._turn
        self._board, self._turn = shown.board, shown.turn
        if shown.turn != self._you:
            self.opponent = shown.turn

    def _check_move(self, before: str, shown: Board) -> None:
        mark = "XO"[9 - before.count("-") & 1]
        legal = [cell for cell in range(9) if before[cell] == "-" and not self.over]
        after = {cell: before[:cell] + mark + before[cell + 1 :] for cell in legal}
        if shown.board not in after.values():
            raise RemoteProtocolError(f"{shown.board} does not follow from {before}")
        ours = None if self._our_cell is None else after.get(self._our_cell)
        if self._turn == self._you and shown.board != ours:
            raise RemoteProtocolError(
                f"the bot moved to {self._our_cell} on {before}: got {shown.board}"
            )
        if shown.turn == self._turn and not _over(shown.board):
            raise RemoteProtocolError(f"{shown.turn} has two turns in a row, at {shown.board}")

    @property
    def awaits_opponent(self) -> bool:
        """Whether the other player has to move."""
        return self._turn == self.opponent and not self.over

    @property
    def over(self) -> bool:
        """Whether a player has won, or the board is full."""
        return self._board is not None and _over(self._board)

    def choose(self, rng: random.Random) -> int | None:
        """A random free cell if it is the bot's turn, else None."""
        if self._board is None or self.over or self._turn != self._you:
            return None
        self._our_cell = rng.choice([cell for cell in range(9) if self._board[cell] == "-"])
        return self._our_cell

    def on_result(self, result: object) -> Outcome:
        """Checks the result of a match; raises if it does not follow from the last board."""
        try:
            outcome = msgspec.convert(result, Outcome)
        except msgspec.ValidationError as error:
            raise RemoteProtocolError(f"{result!r} is not a result: {error}") from error
        if self._board is not None and outcome.board != self._board:
            raise RemoteProtocolError(f"result {outcome} after the board {self._board}")
        if self.over:
            winner = self._moved_last if _won(outcome.board) else None
            if outcome.winner != winner:
                raise RemoteProtocolError(f"result {outcome}, but the winner is {winner}")
        return outcome


def _won(board: str) -> bool:
    return any(board[a] == board[b] == board[c] != "-" for a, b, c in LINES)


def _over(board: str) -> bool:
    return "-" not in board or _won(board)
