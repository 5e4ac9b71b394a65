"""One room's image on a node that does not run it, as it follows the primary's steps."""

from __future__ import annotations

from lastcall.core.survival.actions import Action, Keep, Send
from lastcall.ids import Incarnation
from lastcall.wire import survival_items as items
from lastcall.wire.survival_items import Config, SurvivalItem


class Follower:
    """The image of ``config``'s room as of step ``last``; ``out`` gathers what to do."""

    def __init__(self, image: items.StandbyImage, me: Incarnation) -> None:
        self.room = image.room
        self.me = me
        self.config: Config = image.config
        self.last = image.n
        self.closed = False
        """Whether the image was dropped or promoted; it needs nothing more."""
        self.out: list[Action] = []

    @property
    def appointed(self) -> bool:
        """Whether it may be promoted; else it is a candidate."""
        return self.me in self.config.standbys

    @property
    def named(self) -> bool:
        """Whether the primary may have appointed it by now: what says so may be under way."""
        return self.appointed or self.me in self.config.coming

    @property
    def rivals(self) -> list[Incarnation]:
        """The others who may go on with the room, now or soon."""
        nodes = (self.config.primary, *self.config.standbys, *self.config.coming)
        return [node for node in nodes if node != self.me]

    def is_old(self, source: Incarnation, item: SurvivalItem) -> bool:
        """Whether ``item`` is of a line that this one has replaced."""
        is_of_a_line = isinstance(item, items.ToStandby | items.StepsKept)
        is_earlier = item.epoch < self.config.epoch and source != self.config.primary
        return is_of_a_line and is_earlier

    def take_image(self, source: Incarnation, image: items.StandbyImage) -> None:
        """``image`` takes the place of the one that is held."""
        self.config, self.last = image.config, image.n
        self.out.append(Keep(self.room))
        self.confirm(source)

    def take_step(self, source: Incarnation, step: items.Step) -> None:
        """Takes the next step; it may come twice."""
        if source != self.config.primary or step.n > self.last + 1:
            self.send(source, items.NotHeld(self.room, step.epoch, step.n))
            return
        if step.n == self.last + 1:
            self.last = step.n
            self.out.append(Keep(self.room))
            self.config = step.config or self.config
        self.confirm(source)

    def confirm(self, primary: Incarnation) -> None:
        """Says how far the image is."""
        self.send(primary, items.StepsKept(self.room, self.config.epoch, self.last))

    def send(self, to: Incarnation, item: SurvivalItem) -> None:
        """Sends ``item``."""
        self.out.append(Send(self.room, to, item))
