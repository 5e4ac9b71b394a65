"""The choice of a room's next standby and witness, and of standbys that resign or take over."""

from __future__ import annotations

from msgspec.structs import replace

from lastcall.core.survival.line import Candidate, Line
from lastcall.core.survival.links import Links, View
from lastcall.core.survival.witnesses import Reach, next_witnesses
from lastcall.ids import Incarnation
from lastcall.wire.survival_items import Resign, TakeOver


class Succession:
    """Changes the standbys and witnesses of ``line``; ``view`` says which nodes there are."""

    def __init__(self, line: Line, links: Links) -> None:
        self.view = View()
        self.handing_over = False
        self.reach = Reach(line)
        self._line = line
        self._links = links
        self._refused: set[Incarnation] = set()
        self._ending: set[Incarnation] = set()
        """The standbys whose nodes end as soon as they may give the image back."""
        self._told: dict[Incarnation, type[Resign | TakeOver]] = {}
        """The standbys that were asked to resign or to take over, on the present link."""

    def sees(self, view: View) -> None:
        """The nodes are others now: those that have refused may be asked again."""
        if view.takers != self.view.takers:
            self._refused.clear()
        self.view = view

    def asked_to_leave(self, node: Incarnation) -> None:
        """The node of standby ``node`` ends; if it is none any more, it may go at once."""
        line = self._line
        self._ending = {node, *self._ending}.intersection(line.config.standbys)
        if node not in self._ending:
            line.send(node, Resign(line.room, line.config.epoch, line.last))

    def refused(self, node: Incarnation, n: int) -> None:
        """``node`` keeps no image up to step ``n``; if it is the candidate, another one is next."""
        self._told.pop(node, None)  # it has done so: it may get an image, and be told, again
        if node in self._ending:
            self._ending.discard(node)
            self._refused.add(node)
        candidate = self._line.candidate
        if candidate is not None and candidate.node == node and n >= candidate.image:
            self._line.candidate = None
            self._refused.add(node)

    def linked(self, node: Incarnation) -> None:
        """There is a new link to ``node``."""
        self._told.pop(node, None)
        candidate = self._line.candidate
        if candidate is not None and candidate.node == node:
            self._line.candidate = None

    def again(self) -> None:
        """Requests may have been ignored, and nodes that have refused may have room: ask again."""
        self._told.clear()
        self._refused.clear()

    def advance(self) -> None:
        """Takes the next step, if the last one is confirmed and all standbys are heard."""
        line = self._line
        if line.candidate is not None and self._links.is_gone(line.candidate.node):
            line.candidate = None
        if self.view.withheld:
            self._take_back()
            return
        if line.settled and line.whole:
            self._replace_witness()
        if line.settled and line.whole:
            self._replace_standby()
            self._hand_over()

    def _take_back(self) -> None:
        """Nobody may have an image: all who have one are asked to forget it, until they have."""
        line = self._line
        resign = Resign(line.room, line.config.epoch, line.last)
        if line.candidate is not None:
            line.send(line.candidate.node, resign)
            line.candidate = None
        for node in line.config.standbys:
            self._tell(node, resign)

    def _replace_witness(self) -> None:
        config = self._line.config
        if not config.standbys:
            return  # the next standby is appointed together with a witness
        witnesses = next_witnesses(config.witnesses, self.reach.usable(self.view))
        if witnesses != config.witnesses:
            self._line.step(replace(config, witnesses=witnesses))

    def _replace_standby(self) -> None:
        line, standbys = self._line, self._line.config.standbys
        if len(standbys) == 2:
            self._tell(standbys[0], Resign(line.room, line.config.epoch, line.last))
        elif not standbys or standbys[0] in self.view.leaving | self._ending:
            if line.candidate is not None and line.candidate.ready:
                self._appoint(line.candidate)
            elif line.candidate is None and not self._choose():
                self._let_go()

    def _let_go(self) -> None:
        """Nobody can take the image: a standby that waits for it to end does so without."""
        line = self._line
        for node in self._ending.intersection(line.config.standbys):
            if not self.handing_over:
                self._tell(node, Resign(line.room, line.config.epoch, line.last))

    def _choose(self) -> bool:
        line, config = self._line, self._line.config
        unfit = {config.primary, *config.standbys, *self._refused}
        for node in self.view.takers:
            if self.view.witnesses and node not in unfit and not self._links.is_gone(node):
                line.candidate = Candidate(node, line.send_image(node))
                return True
        return False

    def _appoint(self, candidate: Candidate) -> None:
        config, coming = self._line.config, (candidate.node,)
        if config.standbys and config.coming != coming:
            self._line.step(replace(config, coming=coming))
            return
        witnesses = config.witnesses if config.standbys else self.reach.usable(self.view)[:1]
        if witnesses:
            standbys = (*config.standbys, candidate.node)
            config = replace(config, standbys=standbys, witnesses=witnesses, coming=())
            self._line.appoint(candidate, config)

    def _hand_over(self) -> None:
        line, standbys = self._line, self._line.config.standbys
        if self.handing_over and len(standbys) == 1:
            self._tell(standbys[0], TakeOver(line.room, line.config.epoch))

    def _tell(self, node: Incarnation, item: Resign | TakeOver) -> None:
        if self._told.get(node) is not type(item):
            self._told[node] = type(item)
            self._line.send(node, item)
