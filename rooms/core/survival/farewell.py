"""How a primary gives its room up for good: what it says to those who have images or votes."""

from __future__ import annotations

from lastcall.core.survival.actions import Drop, Finished, LeftToStandby
from lastcall.core.survival.epochs import Epochs
from lastcall.core.survival.line import Line
from lastcall.ids import Incarnation
from lastcall.wire import survival_items as items


def drop(line: Line, epochs: Epochs, owner: Incarnation) -> None:
    """The room goes on at ``owner`` (0: unknown)."""
    for node in line.followers:
        if node != owner:
            line.send(node, items.Fenced(line.room, line.config.epoch + 1, owner))
    epochs.give_back()
    line.out.append(Drop(line.room, owner))


def leave_to_standby(line: Line, epochs: Epochs) -> None:
    """The room goes on at one of its standbys, as if this node had crashed."""
    for node in line.followers:
        if node in line.heirs:
            line.send(node, items.TakeOver(line.room, line.config.epoch))
        else:
            line.send(node, items.Resign(line.room, line.config.epoch, line.last))
    epochs.give_back()
    line.out.append(LeftToStandby(line.room))


def finish(line: Line, epochs: Epochs) -> None:
    """The room has ended, and everything that it said may leave."""
    for node in sorted({*line.followers, *line.former}):
        line.send(node, items.RoomOver(line.room, line.config.epoch))
    epochs.give_back()
    line.out.append(Finished(line.room))
