"""Takes a room from one node to another, as nodes do, but within one process."""

from __future__ import annotations

import msgspec

from lastcall.errors import StateFailed
from lastcall.host.host import Host
from lastcall.host.live_room import LiveRoom
from lastcall.ids import Incarnation, NodeName, RoomId
from lastcall.testing.node import TableNode
from lastcall.testing.standby import Standby
from lastcall.wire.images import Image, decode_image, encode_image, for_another_node
from lastcall.wire.nodes import Whereabouts


async def move_room(room_id: RoomId, before: TableNode, after: TableNode) -> None:
    """The room goes on at the new node ``after``: from its image, encoded and decoded, or from its
    standby's copy if it survives.

    Raises :class:`StateFailed` or :class:`StateUnreadable` if it cannot; then it is where it was.
    When cancelled, it is in one of the two.
    """
    await after.start()
    room = _running(room_id, before.host)
    if before.standby is None:
        await _hand_off(room, before.host, after.host)
    else:
        image = _kept_image(room, before.standby)
        _promote(image, after.host)
        before.host.moves.drop(room_id, _whereabouts(image))
    await after.host.moves.waking.wait(room_id)


async def outlive(room_id: RoomId, before: TableNode, after: TableNode) -> None:
    """The node ``before`` dies, before anything else happens; the room goes on at the new node
    ``after``, from its standby's copy.

    Raises :class:`StateFailed` or :class:`StateUnreadable` if it cannot. Without an image no node
    has died; with one that cannot run, the room is lost.
    """
    room = _running(room_id, before.host)
    if before.standby is None:
        raise StateFailed(
            f"rooms of the kind {room.state.kind!r} die with their node: with "
            f'@room("{room.state.kind}", …, survives=True) they go on at another one'
        )
    image = _kept_image(room, before.standby)
    await before.kill()
    await after.start()
    _promote(image, after.host)
    await after.host.moves.waking.wait(room_id)


async def _hand_off(room: LiveRoom, before: Host, after: Host) -> None:
    state = room.state
    if not state.codec.kind.can_move:
        raise StateFailed(f'rooms of the kind {state.kind!r} never move: see "moves" of @room')
    _check_state(room)
    image = await before.moves.freeze(state.id)
    if image is None:
        raise StateFailed(
            f"the room {state.id} has not moved: it has ended, or its function did not wait for "
            "its next event within 1 s; wait for events and alarms, or say table.commit()"
        )
    moved = decode_image(encode_image(for_another_node(image, image.epoch + 1)))
    refusal = after.moves.adopt(moved)
    if refusal is not None:
        before.moves.thaw(image)
        raise StateFailed(f"the room {state.id} has not moved: {refusal}")
    before.moves.moved(state.id, _whereabouts(moved))
    after.moves.release(state.id)


def _promote(image: Image, after: Host) -> None:
    refusal = after.moves.promote(image)
    if refusal is not None:
        raise StateFailed(f"the room {image.room} is lost: {refusal}")


def _kept_image(room: LiveRoom, standby: Standby) -> Image:
    """The image by which another node runs the room, as its standby has it."""
    if room.state.state_failing:
        _check_state(room)
    image = standby.image(room.state.id)
    room.state.codec.read_state(image.state)
    return for_another_node(image, image.epoch + 1)


def _whereabouts(image: Image) -> Whereabouts:
    return Whereabouts(Incarnation(image.epoch), NodeName(f"table-{image.epoch}"), image.epoch)


def _running(room_id: RoomId, host: Host) -> LiveRoom:
    room = host.find(room_id)
    if room is None:
        raise StateFailed(f"the room {room_id!r} does not run")
    return room


def _check_state(room: LiveRoom) -> None:
    """Raises for what a node would only log: a state that cannot be encoded and read again."""
    state = room.state
    if state.author_state is not msgspec.UNSET:
        state.codec.read_state(state.codec.encode_state(state.author_state))
