"""The numbered steps of one room at its primary, and how far each standby has confirmed them."""

from __future__ import annotations

import msgspec
from msgspec.structs import replace

from lastcall.core.survival.actions import Action, Leave, Send, SendImage, SendStep
from lastcall.core.survival.links import Links
from lastcall.ids import Incarnation, RoomId
from lastcall.wire.survival_items import Config, Resign, SurvivalItem


class Candidate(msgspec.Struct):
    """A node that gets the image as of step ``image``, and has confirmed ``kept``."""

    node: Incarnation
    image: int
    kept: int = 0

    @property
    def ready(self) -> bool:
        """Whether the node has the image."""
        return self.kept >= self.image


class Line:
    """The line of history that one node writes; ``out`` gathers what to do.

    ``last`` is the number of the last step, and ``left`` that of the last whose words may leave.
    """

    def __init__(self, room: RoomId, config: Config, links: Links, last: int) -> None:
        self.room = room
        self.config = config
        self.last = self.left = last
        self.candidate: Candidate | None = None
        self.former = {*config.former}
        """Nodes that may have an old image, which no vote can bring to life."""
        self.out: list[Action] = []
        self._links = links
        self._config_at = last
        self._settled = config
        """The newest config that every standby has confirmed."""
        self._kept: dict[Incarnation, int] = {}
        self._lost: set[Incarnation] = set()
        """The standbys that do not hold the image any more, as they say."""

    @property
    def whole(self) -> bool:
        """Whether all standbys are heard, and hold the image."""
        return all(self.in_touch(node) for node in self.config.standbys)

    @property
    def settled(self) -> bool:
        """Whether every standby has confirmed the newest config."""
        return self.left >= self._config_at

    @property
    def heirs(self) -> list[Incarnation]:
        """The standbys that know that they are some in this epoch, and so may be promoted."""
        known, now = self._settled, self.config
        if known.epoch != now.epoch:
            return []
        return [one for one in known.standbys if one in now.standbys]

    def in_touch(self, node: Incarnation) -> bool:
        """Whether ``node`` is heard and has not said that it lost the image."""
        return node not in self._lost and not self._links.is_gone(node)

    def may_have_image(self, node: Incarnation) -> bool:
        """Whether ``node`` is not certain to be dead, and has not said that it lost the image."""
        return node not in self._lost and not self._links.is_dead(node)

    def step(self, config: Config | None = None) -> None:
        """The next step, with ``config`` or with a change of the room."""
        self.last += 1
        if config is not None:
            config = replace(config, former=tuple(sorted(self.former)))
            self.config, self._config_at = config, self.last
            self._kept = {node: self._kept.get(node, 0) for node in config.standbys}
            self._lost.intersection_update(config.standbys)
        for node in self.followers:
            self.out.append(SendStep(self.room, node, self.config.epoch, self.last, config))
        self.commit()

    def send_image(self, node: Incarnation) -> int:
        """Sends the image as a step of its own, which is empty for the others; its number."""
        self.last += 1
        epoch = self.config.epoch
        for other in self.followers:
            if other != node:
                self.out.append(SendStep(self.room, other, epoch, self.last, None))
        self.out.append(SendImage(self.room, node, epoch, self.last, self.config))
        self.commit()
        return self.last

    def appoint(self, candidate: Candidate, config: Config) -> None:
        """``candidate`` is a standby of ``config`` from the next step on."""
        self.candidate = None
        self.former.discard(candidate.node)
        self._kept[candidate.node] = candidate.kept
        self.step(config)

    def confirmed(self, node: Incarnation, n: int) -> None:
        """``node`` holds all steps up to ``n``. It is to forget them, if it got the image to become
        a standby, and is none.
        """
        if node not in self.followers:
            self.send(node, Resign(self.room, self.config.epoch, self.last))
        if self.candidate is not None and self.candidate.node == node:
            self.candidate.kept = max(self.candidate.kept, n)
        if node in self._kept:
            self._kept[node] = max(self._kept[node], n)
            self.commit()

    def lost(self, node: Incarnation) -> None:
        """Standby ``node`` says that it does not hold the image."""
        self._lost.add(node)

    def send_again(self, node: Incarnation) -> None:
        """There is a new link to standby ``node``: what was under way on the last one is lost.

        It gets the last step at least: if it does not hold the image any more, it says so.
        """
        self._lost.discard(node)
        kept = self._kept[node]
        if kept < self.left:  # the words of those steps have left, and the node has forgotten them
            self.send_image(node)
            return
        for n in range(min(kept + 1, self.last), self.last + 1):
            config = self.config if n == self._config_at else None
            self.out.append(SendStep(self.room, node, self.config.epoch, n, config))

    def send(self, to: Incarnation, item: SurvivalItem) -> None:
        """Sends ``item``."""
        self.out.append(Send(self.room, to, item))

    def commit(self) -> None:
        """Lets all words leave that every standby has."""
        confirmed = min(map(self._kept.__getitem__, self.config.standbys), default=self.last)
        if confirmed > self.left:
            self.left = confirmed
            if self.settled:
                self._settled = self.config
            self.out.append(Leave(self.room, confirmed))

    @property
    def followers(self) -> list[Incarnation]:
        """The standbys and the candidate: all get each step."""
        candidate = [self.candidate.node] if self.candidate is not None else []
        return [*self.config.standbys, *candidate]
