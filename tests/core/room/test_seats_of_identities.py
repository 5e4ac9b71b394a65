"""A seat that was taken with an identity is that identity's alone."""

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.roster import Roster, Seat
from lastcall.identity import Identity
from lastcall.ids import LinkId, PlayerId

LINK = LinkId(1)
identities = st.sampled_from([None, Identity("ann"), Identity("bob"), Identity("eve")])
keys = st.sampled_from(["", "k1", "k2", "k3"])


def seat(number: int, identity: Identity | None, key: str = "") -> Seat:
    return Seat(PlayerId(f"p{number}"), LINK, "secret", key=key, identity=identity)


@given(identities, identities)
def test_an_anonymous_seat_is_for_all_and_any_other_for_its_identity(
    own: Identity | None, asks: Identity | None
) -> None:
    assert seat(1, own).is_for(asks) == (own is None or own == asks)


def test_the_claims_of_an_identity_may_change_and_its_id_may_not() -> None:
    one = seat(1, Identity("ann", claims={"rank": 1}))
    newer = Identity("ann", claims={"rank": 2}, until=99)
    assert one.is_for(newer)
    one.refresh(newer)
    assert one.identity == newer


def test_an_anonymous_seat_stays_anonymous() -> None:
    one = seat(1, None)
    one.refresh(Identity("ann"))
    assert one.identity is None


Step = st.tuples(st.sampled_from(["join", "leave"]), identities, keys)


@given(st.lists(Step, max_size=30))
def test_with_one_seat_each_no_identity_ever_has_two(
    steps: list[tuple[str, Identity, str]],
) -> None:
    roster = Roster(99, one_seat_each=True)
    for number, (what, identity, key) in enumerate(steps):
        found = roster.find_own(key, identity)
        if what == "leave":
            if found is not None:
                roster.release(found.player)
        elif found is None:
            roster.add(seat(number, identity, key))
        elif found.is_for(identity) and key:
            roster.rekey(found, key)
        owners = [one.identity.id for one in roster if one.identity is not None]
        assert len(owners) == len(set(owners))
        for one in roster:
            assert roster.find_own(one.key) is (one if one.key else None)


@given(st.lists(st.tuples(identities, keys), max_size=10))
def test_without_one_seat_each_a_seat_is_found_by_its_key_alone(
    joins: list[tuple[Identity | None, str]],
) -> None:
    roster = Roster(99)
    for number, (identity, key) in enumerate(joins):
        assert roster.find_own(key, identity) is roster.find_own(key)
        if roster.find_own(key) is None:
            roster.add(seat(number, identity, key))
