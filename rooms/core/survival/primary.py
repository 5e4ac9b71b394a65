"""The node that runs a surviving room: which words may leave, and who holds the room's images.

* Each change of the room is a step. The words of a step leave when every standby of the newest
  config has confirmed it; without a standby, at once.
* A new standby is a *candidate* first: it gets the image and each step, but its confirmation is
  not awaited, and it cannot be promoted. Once it has the image, a step with a config names it. So a
  node that refuses the image, or dies with it, costs nothing.
* Each change of config is a step too, and the next one waits until it is confirmed. So a standby
  has the primary's newest config or the one before.
* If a standby is gone, the primary needs the votes of the newest config's witnesses. Then the epoch
  rises, and nobody can be promoted from the earlier one. Until then, the words wait. A vote that
  was asked for is awaited even if the standby is back: the witness may have given it already.
* A standby that is about to leave gets a second one beside it, and then resigns: that needs no
  vote. When its node ends, it asks to resign, and does so without a second one if there can be
  none. So it still has the image if the primary is dead and nobody knows that yet.
* Someone who knows a later epoch fences the primary: it drops the room.
"""

from __future__ import annotations

from lastcall.core.survival import farewell
from lastcall.core.survival.actions import Action, Protection, Standing
from lastcall.core.survival.epochs import Epochs
from lastcall.core.survival.line import Line
from lastcall.core.survival.links import Links, View
from lastcall.core.survival.standing import standing
from lastcall.core.survival.succession import Succession
from lastcall.ids import Incarnation, RoomId
from lastcall.wire import survival_items as items
from lastcall.wire.survival_items import Config, SurvivalItem


class Primary:
    """One room on the node that runs it; each method returns what to do, in order."""

    line_type: type[Line] = Line
    epochs_type: type[Epochs] = Epochs
    succession_type: type[Succession] = Succession
    finish = staticmethod(farewell.finish)

    def __init__(self, room: RoomId, config: Config, links: Links, last: int = 0) -> None:
        self.line = self.line_type(room, config, links, last)
        self.closed = False
        """Whether the room was dropped or has ended; it needs nothing more."""
        self._over = False
        self._links = links
        self._succession = self.succession_type(self.line, links)
        self._epochs = self.epochs_type(self.line, links)
        self._born = config.epoch
        """The first epoch of this line: answers in an earlier one count other steps."""
        self._standing = (Protection.UNPROTECTED, "")
        self._calm = False
        """Whether steps and their confirmations, which are nearly all that happens, change nothing
        but how far the line is."""

    @property
    def config(self) -> Config:
        """The newest config, which belongs into each image."""
        return self.line.config

    @property
    def last(self) -> int:
        """The number of the last step; the next one that is made has the number after it."""
        return self.line.last

    @property
    def protection(self) -> Protection:
        """How the room stands."""
        return self._standing[0]

    def step_made(self) -> list[Action]:
        """The room has changed: that is step ``line.last`` from now on."""
        self.line.step()
        return self._take_out() if self._calm else self._done()

    def receive(self, source: Incarnation, item: SurvivalItem) -> list[Action]:
        """An answer from standby, candidate or witness; others are ignored."""
        if self._calm and isinstance(item, items.StepsKept) and item.epoch >= self._born:
            self.line.confirmed(source, item.n)
            return self._take_out()
        match item:
            case items.Fenced() if item.epoch > self.config.epoch:
                self._drop(item.owner)
                self.line.send(source, items.NotHeld(self.line.room, item.epoch, 0))
            case items.Vote():
                self._epochs.answered(source, item)
            case items.StepsKept() if item.epoch >= self._born:
                self.line.confirmed(source, item.n)
            case items.Resigned() | items.NotHeld() if item.epoch >= self._born:
                self.line.former.discard(source)
                self._succession.refused(source, item.n)
                if source in self.config.standbys:
                    is_certain = isinstance(item, items.Resigned)
                    (self._epochs.resigned if is_certain else self.line.lost)(source)
            case items.Reaches() if item.epoch >= self._born:
                self._succession.reach.note(source, item.witnesses)
            case items.Leaving() if item.epoch >= self._born:
                self._succession.asked_to_leave(source)
            case items.StepsKept():  # by an image of an earlier line
                fenced = items.Fenced(self.line.room, self.config.epoch, self.config.primary)
                self.line.send(source, fenced)
        return self._done()

    def outdated(self, owner: Incarnation) -> list[Action]:
        """``owner`` has shown that the room goes on there, in a later epoch."""
        self._drop(owner)
        return self._done()

    def gone(self, node: Incarnation) -> list[Action]:
        """``node`` is gone, as the links say."""
        if self._links.is_dead(node):
            self.line.former.discard(node)
        return self._done()

    def linked(self, node: Incarnation) -> list[Action]:
        """There is a new link to ``node``: everything under way on an earlier one is lost."""
        self._epochs.linked(node)
        self._succession.linked(node)
        if node in self.config.standbys:
            self.line.send_again(node)
        return self._done()

    def sees(self, view: View) -> list[Action]:
        """The nodes are others now, or some of them drain."""
        self._succession.sees(view)
        self._epochs.looked()
        return self._done()

    def again(self) -> list[Action]:
        """Repeats what waits for an answer; called every few seconds while the room waits."""
        self._epochs.again()
        self._succession.again()
        return self._done()

    def hand_over(self, *, ends: bool = False) -> list[Action]:
        """The node drains: the standby takes over as soon as there is one, by its witness's vote.

        The room runs on until then, and is dropped when the standby says that it has it. If the
        node ``ends`` soon, the room stays with a standby that is silent.
        """
        self._succession.handing_over = True
        self._epochs.yields |= ends
        return self._done()

    def leave_to_standby(self) -> list[Action]:
        """The node ends before a standby has the room: one that may be promoted gets it, as if the
        node had crashed. Without such a standby, or if the vote that it needs may be given to this
        node already, nothing happens.
        """
        if self.line.heirs and not self._epochs.voting:
            self.closed = True
            farewell.leave_to_standby(self.line, self._epochs)
        return self._done()

    def ended(self) -> list[Action]:
        """The room has ended with its last step."""
        self._over = True
        return self._done()

    def _drop(self, owner: Incarnation) -> None:
        self.closed = True
        farewell.drop(self.line, self._epochs, owner)

    def _done(self) -> list[Action]:
        line, view = self.line, self._succession.view
        if not self.closed:
            owner = self._epochs.seek_votes(view)
            if owner is not None:
                self._drop(owner)
            elif self._over and line.left == line.last:
                self.closed = True
                self.finish(line, self._epochs)
            elif not self._over:
                self._succession.advance()
            now = standing(line, view, self._succession.reach.usable(view))
            if now != self._standing and not self.closed:
                self._standing = now
                line.out.append(Standing(line.room, *now))
        self._calm = line.settled and line.candidate is None and not (self.closed or self._over)
        return self._take_out()

    def _take_out(self) -> list[Action]:
        out, self.line.out = self.line.out, []
        return out
