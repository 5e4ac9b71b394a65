"""Seats of identities on a game node: tickets, keys, one seat each, kicks and bans."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from lastcall import Identity, Joined, Left, Room, Said, room
from lastcall.errors import BadRooms, JoinRefused
from lastcall.reasons import EndReason
from lastcall.testing import play
from lastcall.wire import nodes
from tests.harness.counts import players_in
from tests.host.host_harness import NORTH, SOUTH, open_host, recording_kind

ANN = Identity("ann", name="Ann", claims={"rank": 3}, until=1e12)
EVE = Identity("eve")


# The room and its players.


async def test_a_room_knows_who_its_players_are(autojump_clock) -> None:
    seen: dict[str, Identity | None] = {}

    @room("asks", seats=2)
    async def asks(table: Room) -> None:
        async for event in table:
            seen[event.player] = table.identity(event.player)
            if isinstance(event, Left):
                return

    async with play(asks) as table:
        ann = table.join("a name of her own", identity=ANN)
        anonymous = table.join("bob")
        await table.messages()
        assert seen == {ann: ANN, anonymous: None}
        table.leave(ann)
        await table.ended()
        assert seen[ann] is None


async def test_only_the_id_of_a_player_is_asked_for(autojump_clock) -> None:
    kind, _ = recording_kind()
    async with play(kind) as table:
        table.join(identity=ANN)
        await table.messages()
        live = table.host.find(table.room).state.table  # type: ignore[union-attr]
        with pytest.raises(TypeError, match="a player's id is a text"):
            live.identity(None)  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize(
    ("identity", "given", "shown"),
    [
        (ANN, "Napoleon", "Ann"),
        (EVE, "Napoleon", "Napoleon"),
        (Identity("x", name=""), "Napoleon", ""),
        (None, "Napoleon", "Napoleon"),
    ],
)
async def test_the_name_of_an_identity_goes_before_the_one_that_the_client_gives(
    identity: Identity | None, given: str, shown: str
) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        seat = harness.join(kind, name=given, identity=identity)
        assert [player.name for player in seat.players] == [shown]


async def test_a_resume_brings_the_newest_claims() -> None:
    newer = msgspec.structs.replace(ANN, claims={"rank": 4})
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        seat = harness.join(kind, identity=ANN)
        harness.resume(seat, identity=newer)
        live = harness.host.find(seat.room)
        assert live is not None
        assert live.state.roster.find(seat.player).identity == newer  # type: ignore[union-attr]


# Whose a seat is.

STRANGERS = pytest.mark.parametrize("other", [EVE, None], ids=["another identity", "anonymous"])


@STRANGERS
@pytest.mark.parametrize("lost", [False, True], ids=["live", "away"])
async def test_a_ticket_is_good_for_its_identity_alone(
    other: Identity | None, *, lost: bool
) -> None:
    kind, events = recording_kind()
    async with open_host(kind, takeover_seconds=0.5) as harness:
        seat = harness.join(kind, identity=ANN)
        if lost:
            harness.lose(seat)
        unknown = harness.resume(msgspec.structs.replace(seat, secret="0" * 32), identity=ANN)
        refused = harness.resume(seat, identity=other)
        assert refused == unknown == nodes.Refused(9, nodes.NO_SUCH_PLACE, "no such place here")
        resumed = harness.resume(seat, identity=ANN)
        assert resumed.player == seat.player
        await wait_all_tasks_blocked()
        assert events == [Joined(seat.player)]


@STRANGERS
async def test_a_previous_ticket_is_good_for_its_identity_alone(
    autojump_clock, other: Identity | None
) -> None:
    kind, _ = recording_kind()
    async with open_host(kind, takeover_seconds=0.5) as harness:
        seat = harness.join(kind, identity=ANN)
        harness.resume(seat, identity=ANN)  # not confirmed: the first secret is accepted still
        assert harness.resume(seat, identity=other).code == nodes.NO_SUCH_PLACE
        assert len(harness.host.running.takeovers) == 0


@STRANGERS
async def test_a_renewal_is_for_the_identity_of_the_seat(other: Identity | None) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        seat = harness.join(kind, identity=ANN)
        refused = harness.resume(seat, link=SOUTH, session=1, identity=other)
        assert refused.code == nodes.NO_SUCH_PLACE
        assert harness.resume(seat, link=SOUTH, session=1, identity=ANN).session == 1


@STRANGERS
async def test_the_result_of_an_ended_room_is_for_the_identity_of_the_seat(
    other: Identity | None,
) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        seat = harness.join(kind, identity=ANN)
        harness.say(seat, 1, "end")
        await wait_all_tasks_blocked()
        assert harness.resume(seat, identity=other).code == nodes.NO_SUCH_PLACE
        assert harness.resume(seat, identity=ANN).player == seat.player


@STRANGERS
async def test_only_the_kicked_identity_hears_that_it_was_kicked(other: Identity | None) -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        seat = harness.join(kind, identity=ANN)
        live = harness.host.find(seat.room)
        assert live is not None
        own = live.state.roster.find(seat.player)
        assert own is not None
        live.state.release(own, EndReason.KICKED)
        assert harness.resume(seat, identity=other).code == nodes.NO_SUCH_PLACE
        assert harness.resume(seat, identity=ANN).player == seat.player
        assert [out.reason for out in harness.all_of(nodes.Out)] == ["kicked", "kicked"]


async def test_a_seat_of_an_anonymous_player_is_for_whom_has_its_ticket() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        seat = harness.join(kind)
        assert harness.resume(seat, identity=EVE).player == seat.player


@STRANGERS
@pytest.mark.parametrize("named", [False, True], ids=["by kind", "by room"])
@pytest.mark.parametrize("seated_only", [False, True])
async def test_a_key_is_good_for_its_identity_alone(
    other: Identity | None, *, named: bool, seated_only: bool
) -> None:
    kind, _ = recording_kind()
    async with open_host(kind, takeover_seconds=0.5) as harness:
        seat = harness.join(kind, key="k", identity=ANN)
        where = {"room": seat.room} if named else {}
        refused = harness.join(
            kind, key="k", identity=other, seated_only=seated_only, link=SOUTH, **where
        )
        assert refused.code == nodes.WRONG_KEY
        assert players_in(harness.host) == 1
        harness.lose(seat)
        again = harness.join(kind, key="k", identity=ANN, link=SOUTH, **where)
        assert again.player == seat.player


# One seat each.


@pytest.mark.parametrize("key", ["", "another key"])
async def test_a_second_join_of_an_identity_takes_the_seat_over(autojump_clock, key: str) -> None:
    kind, events = recording_kind(one_seat_each=True)
    async with open_host(kind) as harness:
        first = harness.join(kind, key="k", identity=ANN)
        harness.say(first, 1, "hello")
        await wait_all_tasks_blocked()
        second = harness.join(room=first.room, key=key, identity=ANN, link=SOUTH)
        assert (second.player, second.session, players_in(harness.host)) == (first.player, 2, 1)
        assert (NORTH, nodes.Out(first.room, first.player, nodes.TAKEN_OVER, 1)) in harness.sent
        missed = [item for link, item in harness.sent if isinstance(item, nodes.Replay)]
        assert [item.messages for item in missed] == [[(1, b'"hello"')]]
        await wait_all_tasks_blocked()
        assert events == [Joined(first.player), Said(first.player, "hello")]


async def test_a_taken_over_seat_is_found_by_the_newer_key_and_not_by_the_older() -> None:
    kind, _ = recording_kind(one_seat_each=True)
    async with open_host(kind) as harness:
        first = harness.join(kind, key="k1", identity=ANN)
        harness.join(room=first.room, key="k2", identity=ANN)
        again = harness.join(kind, key="k2", identity=ANN, seated_only=True)
        assert again.player == first.player
        older = harness.join(kind, key="k1", identity=ANN, seated_only=True)
        assert older.code == nodes.NO_SUCH_PLACE
        assert list(harness.host.running.by_key) == [(kind.name, "k2")]
        harness.leave(again)
        assert not harness.host.running.by_key


async def test_a_join_by_a_live_identity_waits_as_one_with_a_known_key_does(autojump_clock) -> None:
    kind, _ = recording_kind(one_seat_each=True)
    async with open_host(kind, takeover_seconds=0.5) as harness:
        first = harness.join(kind, key="k1", identity=ANN)
        before = trio.current_time()
        join = nodes.Join(8, room=first.room, key="k2", identity=ANN)
        harness.host.handle(SOUTH, join)
        while not harness.all_of(nodes.Seated, SOUTH):
            await trio.sleep(0.1)
        assert trio.current_time() - before == pytest.approx(0.5, abs=0.11)


@pytest.mark.parametrize("shut", ["full", "locked"])
async def test_an_identity_finds_its_seat_in_a_room_that_takes_nobody_else(shut: str) -> None:
    kind, _ = recording_kind(one_seat_each=True, seats=1 if shut == "full" else 2)
    async with open_host(kind) as harness:
        first = harness.join(kind, identity=ANN)
        live = harness.host.find(first.room)
        assert live is not None
        live.state.roster.locked = shut == "locked"
        assert harness.join(room=first.room, identity=EVE).code == shut
        assert harness.join(room=first.room, identity=ANN).player == first.player


async def test_anonymous_players_have_a_seat_for_each_join() -> None:
    kind, _ = recording_kind(one_seat_each=True)
    async with open_host(kind) as harness:
        seats = [harness.join(kind) for _ in range(3)]
        assert len({seat.player for seat in seats}) == 3


async def test_without_one_seat_each_an_identity_may_have_several() -> None:
    kind, _ = recording_kind()
    async with open_host(kind) as harness:
        seats = [harness.join(kind, identity=ANN) for _ in range(3)]
        assert len({seat.player for seat in seats}) == 3
        assert len({seat.room for seat in seats}) == 1


def test_one_seat_each_is_true_or_false() -> None:
    with pytest.raises(BadRooms, match="one_seat_each is True or False; got 1"):
        recording_kind(one_seat_each=1)


# Kicks and bans.


@room("strict", seats=4)
async def strict(table: Room) -> None:
    """Kicks and bans each player who says for how many seconds."""
    async for event in table:
        if isinstance(event, Said):
            table.kick(event.player, ban=float(event.input))


async def kicked(table: Any, seconds: object, **who: Any) -> None:
    """A player joins, and is kicked."""
    player = table.join(**who)
    table.say(player, seconds)
    await table.messages()
    assert table.outs[player] == "kicked"


@pytest.mark.parametrize(
    ("who", "again"),
    [({"identity": ANN, "key": "k"}, {"identity": ANN, "key": "other"}), ({"key": "k"},) * 2],
    ids=["identity", "key"],
)
async def test_a_player_who_is_banned_for_60_s_joins_again_after_60_s(
    autojump_clock, who: dict[str, Any], again: dict[str, Any]
) -> None:
    async with play(strict) as table:
        table.join("bob")
        await kicked(table, 60, **who)
        with pytest.raises(JoinRefused, match="locked"):
            table.join(**again)
        await trio.sleep(59.9)
        with pytest.raises(JoinRefused, match="locked"):
            table.join(**again)
        await trio.sleep(0.2)
        table.join(**again)


async def test_a_kick_without_a_ban_keeps_nobody_out(autojump_clock) -> None:
    async with play(strict) as table:
        table.join("bob")
        await kicked(table, 0, identity=ANN)
        table.join(identity=ANN)


async def test_the_ban_of_an_anonymous_player_without_a_key_bars_nobody_else(
    autojump_clock,
) -> None:
    async with play(strict) as table:
        table.join("bob")
        await kicked(table, 60)
        table.join("cy")


async def test_a_ban_is_of_one_player(autojump_clock) -> None:
    async with play(strict) as table:
        await kicked(table, "inf", identity=ANN)
        table.join(identity=EVE)
        table.join("anonymous")


async def test_a_banned_player_finds_another_room_by_its_kind() -> None:
    async with open_host(strict) as harness:
        bob = harness.join(strict)
        ann = harness.join(strict, identity=ANN)
        assert ann.room == bob.room
        harness.say(ann, 1, 60)
        await wait_all_tasks_blocked()
        elsewhere = harness.join(strict, identity=ANN)
        assert elsewhere.room != bob.room
        assert harness.join(strict, identity=EVE).room == bob.room


@pytest.mark.parametrize("ban", [-1, float("nan")])
async def test_a_ban_is_a_number_of_seconds(autojump_clock, ban: float) -> None:
    async with play(strict) as table:
        player = table.join()
        await table.messages()
        live = table.host.find(table.room).state.table  # type: ignore[union-attr]
        with pytest.raises(ValueError, match="0 or more"):
            live.kick(player, ban=ban)  # type: ignore[union-attr]
