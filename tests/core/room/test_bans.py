"""The players who were kicked out of a room, and for how long."""

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.room.bans import BANS_MAX, Bans
from lastcall.core.room.roster import Seat
from lastcall.identity import Identity
from lastcall.ids import LinkId, PlayerId

ids = st.sampled_from(["ann", "bob", "eve"])
seconds = st.floats(0, 100)


def seat(identity: str = "", key: str = "") -> Seat:
    who = Identity(identity) if identity else None
    return Seat(PlayerId("p1"), LinkId(1), "secret", key=key, identity=who)


@given(st.lists(st.tuples(ids, seconds), min_size=1), ids, seconds)
def test_a_ban_holds_its_identity_until_the_end_of_the_latest_one(
    bans: list[tuple[str, float]], who: str, now: float
) -> None:
    kept = Bans()
    for banned, until in bans:
        kept.add(seat(banned), until)
    latest = dict(bans).get(who)
    assert kept.hold(Identity(who), "any key", now) == (latest is not None and now < latest)


def test_an_anonymous_player_is_known_by_their_key_alone() -> None:
    bans = Bans()
    bans.add(seat(key="k"), 10)
    assert bans.hold(None, "k", 9)
    assert not bans.hold(None, "another", 9)
    assert not bans.hold(Identity("k"), "k", 9)


def test_an_anonymous_player_without_a_key_cannot_be_banned_and_bars_nobody_else() -> None:
    bans = Bans()
    bans.add(seat(), 10)
    assert not bans.hold(None, "", 9)
    assert len(bans) == 0


def test_an_identity_is_banned_whatever_key_it_joins_with() -> None:
    bans = Bans()
    bans.add(seat("ann", key="k"), 10)
    assert bans.hold(Identity("ann"), "another", 9)
    assert not bans.hold(None, "k", 9)


def test_the_oldest_of_too_many_bans_is_forgotten() -> None:
    bans = Bans()
    for number in range(BANS_MAX + 1):
        bans.add(seat(f"u{number}"), 10)
    assert len(bans) == BANS_MAX
    assert not bans.hold(Identity("u0"), "", 0)
    assert bans.hold(Identity("u1"), "", 0)


def test_a_ban_that_is_over_takes_no_memory() -> None:
    bans = Bans()
    bans.add(seat("ann"), 10)
    assert not bans.hold(Identity("ann"), "", 10)
    assert len(bans) == 0
