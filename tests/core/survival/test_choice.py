"""The choice of standbys and witnesses, by arithmetic."""

from __future__ import annotations

from lastcall.core.edge.placement import Candidate
from lastcall.core.survival.choice import Api, Game, standbys, witnesses
from lastcall.ids import Incarnation, KindName, NodeName
from lastcall.wire.nodes import NodeState

ARK = KindName("ark")


def game(
    number: int, host: str, *, rooms: int = 0, phase: str = "serving", version: str = "1"
) -> Game:
    state = NodeState(revision=1, phase=phase, rooms=rooms, seats={ARK: 0}, sizes={ARK: 2})
    born = float(version)
    candidate = Candidate(
        address=f"tcp://{host}:{number}",
        name=NodeName(f"game-{number}"),
        incarnation=Incarnation(number),
        version=version,
        born=born,
        state=state,
    )
    return Game(candidate, host)


def chosen(*games: Game, kept: dict[int, int] | None = None) -> list[int]:
    counts = {Incarnation(node): count for node, count in (kept or {}).items()}
    return list(standbys(games, ARK, host="here", kept=counts))


def test_a_node_at_another_host_comes_before_a_better_one_at_this_host() -> None:
    assert chosen(game(1, "here"), game(2, "there", rooms=50)) == [2, 1]


def test_of_two_hosts_the_newest_version_comes_first_and_then_the_node_with_the_fewest_rooms() -> (
    None
):
    games = game(1, "a", rooms=2), game(2, "b", rooms=1), game(3, "c", rooms=9, version="2")
    assert chosen(*games) == [3, 2, 1]


def test_images_that_a_node_has_from_here_count_as_its_rooms() -> None:
    games = game(1, "a", rooms=2), game(2, "b", rooms=0)
    assert chosen(*games) == [2, 1]
    assert chosen(*games, kept={2: 3}) == [1, 2]


def test_a_node_that_drains_or_is_cordoned_or_does_not_know_the_kind_is_never_chosen() -> None:
    games = game(1, "a", phase="draining"), game(2, "b", phase="cordoned"), game(3, "c")
    assert chosen(*games) == [3]
    assert standbys(games, KindName("den"), host="here", kept={}) == ()


def test_a_witness_at_another_host_comes_first_and_then_the_first_by_name() -> None:
    apis = [
        Api(NodeName("api-1"), Incarnation(1), "here"),
        Api(NodeName("api-3"), Incarnation(3), "there"),
        Api(NodeName("api-2"), Incarnation(2), "there"),
    ]
    assert witnesses(apis, host="here") == (2, 3, 1)
