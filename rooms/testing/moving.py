"""Moves a room from one host to another, as two nodes do, but within one process."""

from __future__ import annotations

import msgspec

from lastcall.errors import StateFailed
from lastcall.host.host import Host
from lastcall.ids import Incarnation, NodeName, RoomId
from lastcall.wire.images import Image, decode_image, encode_image, for_another_node
from lastcall.wire.nodes import Whereabouts


async def move_room(room_id: RoomId, before: Host, after: Host) -> None:
    """The room goes on in the host ``after``, from its image, encoded and decoded.

    Raises :class:`StateFailed` or :class:`StateUnreadable` if it cannot; then it is where it was.
    When cancelled, it is in one of the two.
    """
    _check(room_id, before)
    image = await before.moves.freeze(room_id)
    if image is None:
        raise StateFailed(
            f"the room {room_id} has not moved: it has ended, or its function did not wait for its "
            "next event within 1 s; wait for events and alarms, or say table.commit()"
        )
    moved = _on_the_wire(image)
    refusal = after.moves.adopt(moved)
    if refusal is not None:
        before.moves.thaw(image)
        raise StateFailed(f"the room {room_id} has not moved: {refusal}")
    where = Whereabouts(Incarnation(moved.epoch), NodeName(f"table-{moved.epoch}"), moved.epoch)
    before.moves.moved(room_id, where)
    after.moves.release(room_id)
    await after.moves.wait_awake(room_id)


def _on_the_wire(image: Image) -> Image:
    """The image as another node gets it, for its next epoch."""
    return decode_image(encode_image(for_another_node(image, image.epoch + 1)))


def _check(room_id: RoomId, host: Host) -> None:
    """Raises for what a node would only log: a state that cannot be encoded and read again."""
    room = host.find(room_id)
    if room is None:
        raise StateFailed(f"the room {room_id!r} does not run")
    codec = room.state.codec
    if not codec.kind.can_move:
        raise StateFailed(f'rooms of the kind {codec.kind.name!r} never move: see "moves" of @room')
    if room.state.author_state is not msgspec.UNSET:
        codec.read_state(codec.encode_state(room.state.author_state))
