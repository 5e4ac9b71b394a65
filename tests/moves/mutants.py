"""Faults that are put into the product, to show that the walks find them.

Each breaks one rule of rooms that move or survive. The rules for which the order of few events
matters have mutants of their own, in ``tests/core``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from lastcall.api.sessions.place import Place
from lastcall.api.sessions.relays import Relays
from lastcall.core.edge.input_window import InputWindow
from lastcall.core.survival.succession import Succession
from lastcall.core.survival.votes import Votes, answer
from lastcall.errors import StateUnreadable
from lastcall.game.standby_copies import StandbyCopies
from lastcall.host import moves
from lastcall.host.codec import KindCodec
from lastcall.host.held_rooms import HeldRooms
from lastcall.host.words import Words
from lastcall.ids import Incarnation, LinkId, RoomId
from lastcall.wire import nodes
from lastcall.wire.survival_items import Answer, Vote, VoteAsked

Mutant = Callable[[pytest.MonkeyPatch], None]


def words_leave_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    def leave_at_once(words: Words, left: int) -> None:
        """Holds nothing back."""

    patch.setattr(Words, "hold", leave_at_once)


def a_standby_confirms_a_step_that_it_does_not_keep(patch: pytest.MonkeyPatch) -> None:
    def forget(copies: StandbyCopies, room: object, step: bytes) -> None:
        """Keeps the image as it came."""

    patch.setattr(StandbyCopies, "apply", forget)


def an_api_node_does_not_say_inputs_again(patch: pytest.MonkeyPatch) -> None:
    def none(window: InputWindow, n: int) -> Sequence[tuple[int, bytes]]:
        return []

    patch.setattr(InputWindow, "unacked_from", none)


def an_image_does_not_count_the_inputs_that_were_done(patch: pytest.MonkeyPatch) -> None:
    restore = moves.restore

    def anew(host: Any, codec: Any, image: Any) -> Any:
        seats = tuple(replace(seat, last_n=0) for seat in image.seats)
        return restore(host, codec, replace(image, seats=seats))

    patch.setattr(moves, "restore", anew)


def a_node_takes_a_state_that_it_cannot_read(patch: pytest.MonkeyPatch) -> None:
    read = KindCodec.read_state

    def read_anything(codec: KindCodec, data: bytes) -> Any:
        try:
            return read(codec, data)
        except StateUnreadable:
            return codec.fresh_state({})

    patch.setattr(KindCodec, "read_state", read_anything)


def a_room_takes_no_other_standby(patch: pytest.MonkeyPatch) -> None:
    def wait(succession: Succession) -> None:
        """Leaves the room alone."""

    patch.setattr(Succession, "_choose", wait)


def acks_leave_before_the_commit(patch: pytest.MonkeyPatch) -> None:
    put = Words.put

    def ack_at_once(words: Words, link: LinkId, item: nodes.Down) -> None:
        if isinstance(item, nodes.Acks):
            words._outbox(link, item)
        else:
            put(words, link, item)

    patch.setattr(Words, "put", ack_at_once)


def witnesses_give_their_vote_to_whoever_asks(patch: pytest.MonkeyPatch) -> None:
    def grant(_votes: Votes, asker: Incarnation, asked: VoteAsked) -> Vote:
        return answer(asked, Answer.GRANTED, asker)

    patch.setattr(Votes, "ask", grant)


def a_node_does_not_say_where_a_room_is_that_has_moved(patch: pytest.MonkeyPatch) -> None:
    receive = HeldRooms.receive

    def forget(rooms: HeldRooms, link: LinkId, item: nodes.Up, room: RoomId | None) -> bool:
        is_held = room in rooms.by_id or room in rooms.waking
        return is_held and receive(rooms, link, item, room)

    patch.setattr(HeldRooms, "receive", forget)


def an_api_node_does_not_follow_a_room_that_moves(patch: pytest.MonkeyPatch) -> None:
    take = Relays.take

    def stay(relays: Relays, link: Any, item: nodes.Down) -> Sequence[Place]:
        return () if isinstance(item, nodes.Moved) else take(relays, link, item)

    patch.setattr(Relays, "take", stay)


def an_api_node_passes_on_what_a_former_owner_says(patch: pytest.MonkeyPatch) -> None:
    take = Relays.take

    def pass_on(relays: Relays, link: Any, item: nodes.Down) -> Sequence[Place]:
        if isinstance(item, nodes.Message):
            relay = relays._relays.get(item.room)
            if relay is not None and item.epoch < relay.epoch:
                relay.message(item)
        return take(relays, link, item)

    patch.setattr(Relays, "take", pass_on)


FOUND: dict[Mutant, int] = {
    words_leave_before_the_commit: 21,
    a_standby_confirms_a_step_that_it_does_not_keep: 1,
    an_api_node_does_not_say_inputs_again: 7,
    an_image_does_not_count_the_inputs_that_were_done: 1,
    a_node_takes_a_state_that_it_cannot_read: 6,
    a_room_takes_no_other_standby: 15,
    acks_leave_before_the_commit: 22,
    witnesses_give_their_vote_to_whoever_asks: 94,
    a_node_does_not_say_where_a_room_is_that_has_moved: 72,
    an_api_node_does_not_follow_a_room_that_moves: 130,
    an_api_node_passes_on_what_a_former_owner_says: 69,
}
"""Each with the seed of a walk that finds it, to try first: that only saves time."""
