"""Each rule of a surviving room, taken out: the model has to find that its law breaks.

A mutant is a set of subclasses in which one rule is missing; its name is the rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace

from lastcall.core.survival import farewell
from lastcall.core.survival.actions import Finished, Send
from lastcall.core.survival.arrivals import Arrivals
from lastcall.core.survival.ballot import Ballot
from lastcall.core.survival.claim import Claim
from lastcall.core.survival.epochs import Epochs
from lastcall.core.survival.follower import Follower
from lastcall.core.survival.holders import Holders
from lastcall.core.survival.line import Candidate, Line
from lastcall.core.survival.links import Links, View
from lastcall.core.survival.primary import Primary
from lastcall.core.survival.rooms import SurvivingRooms
from lastcall.core.survival.standby import Standby
from lastcall.core.survival.succession import Succession
from lastcall.core.survival.votes import Votes
from lastcall.ids import Incarnation, RoomId
from lastcall.wire import survival_items as items
from lastcall.wire.survival_items import Answer, Config, Vote
from tests.core.survival.nodes import ApiNode


@dataclass(frozen=True)
class Mutant:
    rule: str
    rooms: type[SurvivingRooms] = SurvivingRooms
    api: type[ApiNode] = ApiNode


def of_primary(rule: str, **parts: Any) -> Mutant:
    """``parts``: ``line_type``, ``epochs_type``, ``succession_type``."""
    return of_holders(rule, primary_type=type("P", (Primary,), parts))


def of_standby(rule: str, **parts: Any) -> Mutant:
    """``parts``: ``follower_type``, ``claim_type``."""
    return of_holders(rule, standby_type=type("S", (Standby,), parts))


def of_holders(rule: str, **parts: Any) -> Mutant:
    """``parts``: ``primary_type``, ``standby_type``."""
    return of_rooms(rule, holders_type=type("H", (Holders,), parts))


def of_rooms(rule: str, **parts: Any) -> Mutant:
    return Mutant(rule, type("Rooms", (SurvivingRooms,), parts))


def of_ballots(rule: str, ballot: type[Ballot], *, of: str = "both") -> Mutant:
    parts: dict[str, Any] = {}
    if of != "standby":
        epochs = type("E", (Epochs,), {"ballot_type": ballot})
        parts["primary_type"] = type("P", (Primary,), {"epochs_type": epochs})
    if of != "primary":
        claim = type("C", (Claim,), {"ballot_type": ballot})
        parts["standby_type"] = type("S", (Standby,), {"claim_type": claim})
    return of_holders(rule, **parts)


def of_votes(rule: str, votes: type[Votes]) -> Mutant:
    class Rooms(SurvivingRooms):
        votes_type = votes

    class Api(ApiNode):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.votes = votes(self.links)

    return Mutant(rule, Rooms, Api)


class HastyLine(Line):
    def commit(self) -> None:
        confirmed = max((self._kept[node] for node in self.config.standbys), default=self.last)
        if self.config.standbys and confirmed <= self.last:
            confirmed = self.last
        kept, self._kept = self._kept, dict.fromkeys(self.config.standbys, confirmed)
        super().commit()
        self._kept = kept


class OneOfTwo(Line):
    def commit(self) -> None:
        if len(self.config.standbys) < 2:
            super().commit()
            return
        kept = self._kept
        self._kept = dict.fromkeys(kept, max(kept.values()))
        super().commit()
        self._kept = kept


class TrustsNewStandbys(Line):
    """Until a new standby has confirmed its config, its confirmation is not awaited."""

    def commit(self) -> None:
        kept = self._kept
        self._kept = {n: k if k >= self._config_at else self.last for n, k in kept.items()}
        super().commit()
        self._kept = kept


class LosesSteps(Line):
    def send_again(self, node: Incarnation) -> None:
        self._lost.discard(node)


class RepeatsForgottenSteps(Line):
    def send_again(self, node: Incarnation) -> None:
        left, self.left = self.left, 0
        super().send_again(node)
        self.left = left


class NeverUnsettled(Line):
    @property
    def settled(self) -> bool:
        return True


class NeverLost(Line):
    def lost(self, node: Incarnation) -> None: ...


class ImageNamesStandby(Succession):
    def _choose(self) -> bool:
        chosen = super()._choose()
        if (candidate := self._line.candidate) is not None:
            candidate.kept = candidate.image
        return chosen


class OneStep(Succession):
    def _replace_witness(self) -> None:
        config = self._line.config
        usable = self.reach.usable(self.view)
        if config.standbys and usable and config.witnesses[0] not in usable:
            self._line.step(replace(config, witnesses=(usable[0],)))


class Unannounced(Succession):
    """A second standby may ask for votes before the first one knows of it."""

    def _appoint(self, candidate: Candidate) -> None:
        config = self._line.config
        self._line.config = replace(config, coming=(candidate.node,))
        super()._appoint(candidate)


class OffersToRefusers(Succession):
    def refused(self, node: Incarnation, n: int) -> None:
        """The candidate stays."""


class WithoutVotes(Ballot):
    def missing(self, config: Config, links: Links, view: View) -> list[Incarnation] | None:
        return None


class OneVote(Ballot):
    """While there are two witnesses, the new one's vote is enough."""

    def missing(self, config: Config, links: Links, view: View) -> list[Incarnation] | None:
        return super().missing(replace(config, witnesses=config.witnesses[-1:]), links, view)


class OldVote(Ballot):
    def missing(self, config: Config, links: Links, view: View) -> list[Incarnation] | None:
        return super().missing(replace(config, witnesses=config.witnesses[:1]), links, view)


class OtherOrder(Ballot):
    def missing(self, config: Config, links: Links, view: View) -> list[Incarnation] | None:
        return super().missing(replace(config, witnesses=config.witnesses[::-1]), links, view)


class DeadWitnessAgrees(Ballot):
    def missing(self, config: Config, links: Links, view: View) -> list[Incarnation] | None:
        alive = tuple(node for node in config.witnesses if not links.is_dead(node))
        return super().missing(replace(config, witnesses=alive), links, view)


class TwoDeathsAreEnough(Epochs):
    """If standby and witness are dead, the primary goes on, without a question to anybody."""

    def seek_votes(self, view: View) -> Incarnation | None:
        config = self._line.config
        if config.standbys and all(map(self._links.is_dead, config.standbys + config.witnesses)):
            self._go_on_by_vote()
        return super().seek_votes(view)


class DeadWitnessWaits(Ballot):
    def missing(self, config: Config, links: Links, view: View) -> list[Incarnation] | None:
        return super().missing(config, Links(), view)


class SilentNodesAgree(Ballot):
    def missing(self, config: Config, links: Links, view: View) -> list[Incarnation] | None:
        heard = frozenset(game for game in view.games if not links.is_gone(game))
        return super().missing(config, links, replace(view, games=heard))


class LooksOnce(Ballot):
    def answered(self, voter: Incarnation, vote: Vote) -> None:
        super().answered(voter, vote)
        self.looked()


class GivesUpAsking(Ballot):
    def concerns(self, config: Config) -> bool:
        return False


class AsksOnce(Ballot):
    def again(self, voter: Incarnation | None = None) -> None: ...


class EveryDenialCounts(Epochs):
    def seek_votes(self, view: View) -> Incarnation | None:
        owner = super().seek_votes(view)
        return owner or next(iter(self._ballot._denied.values()), None)


class OldGrantsCount(Epochs):
    def answered(self, voter: Incarnation, vote: Vote) -> None:
        self._ballot.answered(voter, vote)


class RisesWithoutVote(Epochs):
    def resigned(self, node: Incarnation) -> None:
        config = self._line.config
        others = tuple(other for other in config.standbys if other != node)
        self._go_on(config.epoch + 1, others, config.agreed)


class KeepsEpoch(Epochs):
    def resigned(self, node: Incarnation) -> None:
        config = self._line.config
        others = tuple(other for other in config.standbys if other != node)
        if not others:
            self._return(self._ballot.voters)
        self._go_on(config.epoch, others, config.agreed)


class BelievesStrangers(Primary):
    def receive(self, source: Incarnation, item: items.SurvivalItem) -> list[Any]:
        if isinstance(item, items.NotHeld):
            item = items.Resigned(item.room, item.epoch, item.n)
        return super().receive(source, item)


class CountsOldAnswers(Primary):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._born = 0


class CannotBeFenced(Primary):
    def receive(self, source: Incarnation, item: items.SurvivalItem) -> list[Any]:
        return [] if isinstance(item, items.Fenced) else super().receive(source, item)


class ForgetsToSayOver(Primary):
    finish = staticmethod(lambda line, _epochs: line.out.append(Finished(line.room)))


class PromotesCandidates(Follower):
    @property
    def appointed(self) -> bool:
        return bool(self.config.witnesses) or self.me not in self.config.standbys


class SkipsSteps(Follower):
    def take_step(self, source: Incarnation, step: items.Step) -> None:
        self.last = max(self.last, step.n - 1)
        super().take_step(source, step)


class RepeatsSteps(Follower):
    def take_step(self, source: Incarnation, step: items.Step) -> None:
        self.last = min(self.last, step.n - 1)
        super().take_step(source, step)


class ResignsWhileVoting(Standby):
    @property
    def voting(self) -> bool:
        return False


class LeavesAlways(Standby):
    """A node that ends gives back an image that it may have to run."""

    def leave(self) -> list[Any]:
        return self.resign(self.config.primary)


class LeavesTheLastImage(Standby):
    """A node that ends gives back an image although the primary is gone, and nobody else has it."""

    def leave(self) -> list[Any]:
        if self._links.is_gone(self.config.primary) and not self.claim.waits:
            return self.resign(self.config.primary)
        return super().leave()


class LeavesUnasked(Standby):
    """A node that ends does not wait until the primary, which may be dead, has let it go."""

    def leave(self) -> list[Any]:
        if self._links.is_gone(self.config.primary) or self.claim.waits:
            return super().leave()
        return self.resign(self.config.primary)


class LeavesWithAVote(Primary):
    """A node that ends leaves its room to a standby, whose vote it may have."""

    def leave_to_standby(self) -> list[Any]:
        return self.leave(self.line.heirs)

    def leave(self, heirs: list[Incarnation]) -> list[Any]:
        if heirs:
            self.closed = True
            farewell.leave_to_standby(self.line, self._epochs)
        return self._done()


class LeavesToACandidate(LeavesWithAVote):
    """A node that ends leaves its room also to a node that cannot be promoted."""

    def leave_to_standby(self) -> list[Any]:
        return self.leave([] if self._epochs.voting else self.line.followers)


class LeavesInSilence(Primary):
    """A node that ends leaves its room, and does not tell the standby, which still hears it."""

    def leave_to_standby(self) -> list[Any]:
        told = super().leave_to_standby()
        return [one for one in told if not isinstance(one, Send)]


class KeepsOldConfig(Follower):
    def take_step(self, source: Incarnation, step: items.Step) -> None:
        new = step.config
        if new is not None and self.appointed and new.epoch == self.config.epoch:
            step = replace(step, config=None)
        super().take_step(source, step)


class KeepsRunning(Arrivals):
    def _make_way(self, source: Incarnation, item: items.SurvivalItem) -> list[Any]:
        return []


class TakesLaterImages(Votes):
    def forbid(self, room: RoomId, config: Config) -> bool:
        return False


class VotesThoughConcerned(Arrivals):
    def _vote(self, asker: Incarnation, asked: items.VoteAsked) -> Any:
        return self._votes.ask(asker, asked)


class VotesTwice(Votes):
    def ask(self, asker: Incarnation, asked: items.VoteAsked) -> Vote:
        return Vote(asked.room, asked.epoch, Answer.GRANTED, asker)


class VotesForEarlierEpochs(Votes):
    def ask(self, asker: Incarnation, asked: items.VoteAsked) -> Vote:
        voted = self._voted.get(asked.room)
        if voted is not None and voted.epoch > asked.epoch:
            return Vote(asked.room, asked.epoch, Answer.GRANTED, asker)
        return super().ask(asker, asked)


class ChangesItsMind(Votes):
    """A vote is denied when it is asked for again."""

    def ask(self, asker: Incarnation, asked: items.VoteAsked) -> Vote:
        voted = self._voted.get(asked.room)
        if voted is not None and voted.epoch == asked.epoch:
            return Vote(asked.room, asked.epoch, Answer.DENIED, voted.owner)
        return super().ask(asker, asked)


class ForgetsTheEnd(Votes):
    def close(self, room: Any, config: Config) -> None: ...


class FreesTooEarly(Votes):
    """A vote is forgotten as soon as anybody returns theirs."""

    def returned(self, node: Incarnation, item: items.VoteReturned) -> None:
        self._voted.pop(item.room, None)


def mutants() -> Iterator[Mutant]:
    """Those that schedules find whose things happen with fixed weights."""
    yield of_primary("words wait for the standby", line_type=HastyLine)
    yield of_primary("words wait for a new standby, too", line_type=TrustsNewStandbys)
    yield of_primary("steps are sent again on a new link", line_type=LosesSteps)
    yield of_primary("a standby without image is gone", line_type=NeverLost)
    yield of_primary("a candidate has the image first", succession_type=ImageNamesStandby)
    yield of_primary("witnesses change by a joint config", succession_type=OneStep)
    yield of_primary("another node is asked after a refusal", succession_type=OffersToRefusers)
    yield of_holders("a stranger has not resigned", primary_type=BelievesStrangers)
    yield of_holders("a fenced primary drops the room", primary_type=CannotBeFenced)
    yield of_holders("a standby hears of the end", primary_type=ForgetsToSayOver)
    yield of_ballots("a primary needs votes", WithoutVotes, of="primary")
    yield of_ballots("a standby needs votes", WithoutVotes, of="standby")
    yield of_ballots("a dead witness does not agree", DeadWitnessAgrees)
    yield of_ballots("votes are asked for again", AsksOnce)
    yield of_standby("a candidate is not promoted", follower_type=PromotesCandidates)
    yield of_standby("no step is taken twice", follower_type=RepeatsSteps)
    yield of_standby("a standby's newest config counts", follower_type=KeepsOldConfig)
    yield of_votes("one vote for each epoch", VotesTwice)
    yield of_votes("no vote for an earlier epoch", VotesForEarlierEpochs)
    yield of_votes("the same answer again", ChangesItsMind)
    yield of_votes("votes are kept while anybody may ask", FreesTooEarly)
    yield of_votes("the end is remembered", ForgetsTheEnd)
    yield of_rooms("a primary makes way", arrivals_type=KeepsRunning)


def swarm_mutants() -> Iterator[Mutant]:
    """Those that no such schedule of the tests finds, but one with weights of its own."""
    yield of_primary("a config waits for the last one", line_type=NeverUnsettled)
    yield of_ballots("both witnesses have to vote (new)", OneVote)
    yield of_ballots("both witnesses have to vote (old)", OldVote)
    yield of_ballots("both ask in the same order", OtherOrder, of="standby")
    yield of_primary("only needed votes can be lost", epochs_type=EveryDenialCounts)
    yield of_primary("a vote is for one epoch", epochs_type=OldGrantsCount)
    yield of_rooms("a holder of the image does not vote", arrivals_type=VotesThoughConcerned)


def scenario_mutants() -> Iterator[Mutant]:
    """Those that no schedule of the tests finds, but a scenario each, of ``test_scenarios`` or of
    ``test_rare_orders``.
    """
    yield of_primary("words wait for both standbys", line_type=OneOfTwo)
    yield of_primary("the standby knows of a second one first", succession_type=Unannounced)
    yield of_primary("two deaths are not enough", epochs_type=TwoDeathsAreEnough)
    yield of_ballots("others vote for a dead witness", DeadWitnessWaits)
    yield of_ballots("the others' votes need another look", LooksOnce)
    yield of_ballots("all others vote for a dead witness", SilentNodesAgree)
    yield of_primary("the epoch does not rise beside a standby", epochs_type=RisesWithoutVote)
    yield of_primary("the epoch rises without standbys", epochs_type=KeepsEpoch)
    yield of_holders("answers to an earlier line do not count", primary_type=CountsOldAnswers)
    yield of_ballots("the answer is awaited", GivesUpAsking, of="primary")
    yield of_standby("no step is skipped", follower_type=SkipsSteps)
    yield of_holders("a standby that votes does not resign", standby_type=ResignsWhileVoting)
    yield of_votes("a voter takes no later image", TakesLaterImages)
    yield of_primary("a standby far behind gets the image", line_type=RepeatsForgottenSteps)


def without(rule: str) -> Mutant:
    """The mutant of a scenario."""
    return next(mutant for mutant in scenario_mutants() if mutant.rule == rule)
