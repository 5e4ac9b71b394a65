"""A witness gives one vote for each room and epoch, and forgets none that somebody may ask for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.survival.links import Links
from lastcall.core.survival.votes import Votes
from lastcall.ids import Incarnation, RoomId
from lastcall.wire.survival_items import Answer, VoteAsked, VoteReturned

ROOM, OTHER = RoomId("a"), RoomId("b")
P, S, X = Incarnation(1), Incarnation(2), Incarnation(3)


def ask(votes: Votes, asker: Incarnation, epoch: int, room: RoomId = ROOM) -> Answer:
    rivals = tuple(node for node in (P, S) if node != asker)
    return votes.ask(asker, VoteAsked(room, epoch, rivals)).answer


def test_the_first_has_the_vote_and_the_second_is_told_who_has_it() -> None:
    votes = Votes(Links())
    assert ask(votes, S, 4) is Answer.GRANTED
    denied = votes.ask(P, VoteAsked(ROOM, 4, (S,)))
    assert (denied.answer, denied.owner) == (Answer.DENIED, S)
    assert ask(votes, S, 4) is Answer.GRANTED, "the same answer again"


def test_a_later_epoch_is_another_vote_and_an_earlier_one_is_denied() -> None:
    votes = Votes(Links())
    ask(votes, S, 4)
    assert ask(votes, P, 5) is Answer.GRANTED
    assert ask(votes, S, 4) is Answer.DENIED
    assert len(votes) == 1


def test_a_full_memory_votes_for_known_rooms_only() -> None:
    votes = Votes(Links(), limit=1)
    ask(votes, S, 0)
    assert ask(votes, S, 0, OTHER) is Answer.LATER
    assert ask(votes, S, 1) is Answer.GRANTED
    votes.returned(P, VoteReturned(ROOM, 1))
    assert ask(votes, P, 0, OTHER) is Answer.GRANTED


def test_a_vote_is_remembered_until_each_rival_is_dead_or_asks_no_more() -> None:
    votes = Votes(Links())
    ask(votes, S, 0)
    votes.ask(X, VoteAsked(ROOM, 1, (S,)))
    votes.returned(S, VoteReturned(ROOM, 1))
    assert ask(votes, P, 0) is Answer.DENIED, "a primary that was only stopped"
    votes.dead(P)
    assert len(votes) == 0


def test_a_vote_that_its_owner_returns_unused_is_free_and_earlier_ones_stay_denied() -> None:
    votes = Votes(Links())
    ask(votes, S, 4)
    votes.returned(S, VoteReturned(ROOM, 4))
    assert ask(votes, P, 3) is Answer.DENIED
    assert ask(votes, P, 4) is Answer.GRANTED


def test_a_vote_against_a_dead_rival_takes_no_memory() -> None:
    links = Links()
    links.gone(S, certain=True)
    votes = Votes(links)
    assert ask(votes, P, 0) is Answer.GRANTED
    assert len(votes) == 0


def test_a_game_node_forgets_a_vote_only_if_its_owner_has_not_used_it() -> None:
    votes = Votes()
    ask(votes, P, 3)
    votes.dead(S)
    votes.returned(S, VoteReturned(ROOM, 3))
    assert ask(votes, S, 3) is Answer.DENIED
    votes.returned(P, VoteReturned(ROOM, 3))
    assert len(votes) == 0


def test_a_vote_is_remembered_for_rivals_that_only_a_later_config_of_its_epoch_names() -> None:
    votes = Votes(Links())
    votes.ask(S, VoteAsked(ROOM, 0, (P,)))
    assert votes.ask(P, VoteAsked(ROOM, 0, (S, X))).answer is Answer.DENIED
    votes.returned(P, VoteReturned(ROOM, 0))
    assert votes.ask(X, VoteAsked(ROOM, 0, (P, S))).answer is Answer.DENIED


@given(st.lists(st.tuples(st.sampled_from([P, S, X]), st.integers(0, 3), st.booleans())))
def test_no_vote_is_given_to_two(events: list[tuple[Incarnation, int, bool]]) -> None:
    """Nodes ask in any order, but each asks for an epoch that is not earlier than its last one: it
    asks for that of its image, which only rises, or of one that it gets after it has returned its
    right for the epochs until then.

    A vote that is returned was not used, and may be given once more.
    """
    votes, owners = Votes(Links()), dict[int, Incarnation]()
    asks_from = dict.fromkeys((P, S, X), 0)
    for node, epoch, returns in events:
        if returns:
            votes.returned(node, VoteReturned(ROOM, epoch))
            asks_from[node] = max(asks_from[node], epoch + 1)
            if owners.get(epoch) == node:
                del owners[epoch]
        elif epoch >= asks_from[node]:
            asks_from[node] = epoch
            rivals = tuple(other for other in (P, S, X) if other != node)
            if votes.ask(node, VoteAsked(ROOM, epoch, rivals)).answer is Answer.GRANTED:
                assert owners.setdefault(epoch, node) == node
