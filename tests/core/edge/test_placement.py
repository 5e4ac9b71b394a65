from __future__ import annotations

import itertools
import random

import msgspec

from lastcall.core.edge.placement import Candidate, choose, choose_for_room, holders, knows_kind
from lastcall.ids import Incarnation, KindName, NodeName, RoomId
from lastcall.wire.nodes import NodeState

CHESS = KindName("chess")


def node(
    name: str,
    *,
    seats: int = 0,
    rooms: int = 0,
    phase: str = "serving",
    version: str = "1",
    born: float = 0.0,
    asked: dict[tuple[KindName, bool], int] | None = None,
    silent: bool = False,
    wanted: bool = True,
) -> Candidate:
    state = NodeState(revision=1, phase=phase, rooms=rooms, seats={CHESS: seats}, sizes={CHESS: 2})
    return Candidate(
        address=f"tcp://{name}:1",
        name=NodeName(name),
        incarnation=Incarnation(hash(name)),
        version=version,
        born=born,
        state=state,
        asked=asked or {},
        silent=silent,
        wanted=wanted,
    )


def chosen(*nodes: Candidate, new: bool = False) -> str | None:
    shuffled = random.sample(nodes, len(nodes))
    node = choose(shuffled, CHESS, new=new)
    return node.name if node else None


def test_an_open_seat_is_taken_before_the_least_loaded_node() -> None:
    assert chosen(node("a", rooms=0), node("b", rooms=50, seats=1)) == "b"


def test_a_new_room_goes_to_the_least_loaded_node() -> None:
    assert chosen(node("a", rooms=3), node("b", rooms=50, seats=1), new=True) == "a"


def test_without_open_seats_the_least_loaded_is_chosen_and_ties_go_by_name() -> None:
    assert chosen(node("b", rooms=1), node("a", rooms=2)) == "b"
    assert chosen(node("b", rooms=1), node("a", rooms=1)) == "a"


def test_two_players_who_join_at_the_same_time_go_to_the_same_node() -> None:
    one_under_way = node("b", asked={(CHESS, False): 1})
    assert chosen(node("a"), one_under_way) == "b"
    two_under_way = node("a", asked={(CHESS, False): 2})
    assert chosen(two_under_way, node("b")) == "b"


def test_pending_joins_count_as_taken_seats_and_open_rooms() -> None:
    assert node("a", seats=1, asked={(CHESS, False): 1}).expected(CHESS) == (0, 0)
    assert node("a", seats=1, asked={(CHESS, False): 4}).expected(CHESS) == (1, 2)
    assert node("a", asked={(CHESS, True): 3}).expected(CHESS) == (3, 3)
    assert node("a", asked={(CHESS, True): 3, (CHESS, False): 3}).expected(CHESS) == (0, 3)
    assert node("a", rooms=7, asked={(CHESS, True): 3}).load == 10


def test_only_serving_nodes_get_joins() -> None:
    assert chosen(node("a", phase="draining", seats=1), node("b")) == "b"
    assert chosen(node("a", phase="cordoned"), node("b", silent=True)) is None


def test_a_node_that_is_not_wanted_gets_no_new_rooms_but_is_asked_for_those_that_it_has() -> None:
    unwanted = node("a", seats=1, rooms=1, wanted=False)
    assert chosen(unwanted, node("b")) == "b"
    assert chosen(unwanted) is None
    assert choose_for_room([unwanted], RoomId("a.den")) is unwanted
    assert holders([unwanted], RoomId("a.den")) == [unwanted]
    assert unwanted.useful
    assert not node("a", wanted=False).useful


def test_the_newest_version_is_the_one_whose_oldest_node_is_youngest() -> None:
    rolled_back = [node("a", version="2", born=10.0), node("b", version="1", born=20.0)]
    assert chosen(*rolled_back) == "b"
    old_fleet = node("c", version="1", born=1.0)
    assert chosen(*rolled_back, old_fleet) == "a"


def test_a_node_that_refused_is_not_asked_again() -> None:
    a, b = node("a", seats=1), node("b")
    second = choose([a, b], CHESS, without={a.incarnation})
    assert second is b
    assert choose([a], CHESS, without={a.incarnation}) is None


def test_a_room_is_looked_for_at_the_node_in_its_id_and_then_at_all_others() -> None:
    nodes = [node("a"), node("b"), node("c", phase="draining")]
    assert [n.name for n in holders(nodes, RoomId("c.xyz"))] == ["c", "a", "b"]
    assert [n.name for n in holders(nodes, RoomId("gone.xyz"))] == ["a", "b", "c"]


def test_of_two_nodes_with_the_same_name_every_api_node_asks_and_chooses_the_same_first() -> None:
    twins = [msgspec.structs.replace(node("a"), incarnation=Incarnation(k)) for k in (1, 2, 3)]
    for order in itertools.permutations(twins):
        assert [n.incarnation for n in holders(order, RoomId("a.xyz"))] == [1, 2, 3]
        assert choose(order, CHESS) == twins[0]


def test_a_kind_is_known_if_any_node_has_it_even_a_draining_one() -> None:
    assert knows_kind([node("a", phase="draining")], CHESS)
    assert not knows_kind([node("a")], KindName("poker"))
