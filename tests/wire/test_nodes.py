"""Node messages: old and new nodes exchange them in each rollout, so their bytes are a contract.

``golden_v1.json`` holds the bytes of wire version 1, the others those of the messages that later
versions added. They never change.
"""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from lastcall.errors import RemoteProtocolError
from lastcall.ids import Incarnation, KindName, LinkId, NodeName, PlayerId, RoomId
from lastcall.wire import nodes

ROOM, ANN, BOB = RoomId("game-1.abc"), PlayerId("pann"), PlayerId("pbob")
CHESS = KindName("chess")
STATE = nodes.NodeState(revision=3, phase="serving", rooms=2, seats={CHESS: 1})

REQUESTS = {
    "attach": nodes.Attach(
        wire=1,
        link=LinkId(7),
        attempt=2,
        api=NodeName("api-1"),
        incarnation=Incarnation(9),
        feed="tcp://127.0.0.1:7001",
        version="1.0",
    ),
    "batch": nodes.Batch(link=LinkId(7), number=5, confirmed=11, missing=[(12, 14)]),
    "detach": nodes.Detach(link=LinkId(7)),
    "attach_proof": nodes.Attach(
        wire=2,
        link=LinkId(7),
        attempt=2,
        api=NodeName("api-1"),
        incarnation=Incarnation(9),
        feed="tcp://127.0.0.1:7001",
        version="1.0",
        nonce=b"\x03" * 16,
        challenge=b"\x01" * 16,
        proof=b"\x04" * 32,
    ),
    "attach_peer": nodes.Attach(
        wire=3,
        link=LinkId(7),
        attempt=2,
        api=NodeName("game-2"),
        incarnation=Incarnation(9),
        feed="tcp://127.0.0.1:7002",
        version="1.0",
        tier="game",
    ),
}
REPLIES = {
    "welcome": nodes.Welcome(
        wire=1,
        link=LinkId(7),
        name=NodeName("game-1"),
        incarnation=Incarnation(4),
        version="1.0",
        born=1.5,
        state=STATE,
    ),
    "welcome_age": nodes.Welcome(
        wire=1,
        link=LinkId(7),
        name=NodeName("game-1"),
        incarnation=Incarnation(4),
        version="1.0",
        born=1.5,
        state=STATE,
        age_seconds=2.5,
    ),
    "answer": nodes.Answer(link=LinkId(7), number=5, head=14, state=STATE),
    "answer_feed": nodes.Answer(link=LinkId(7), number=5, head=14, state=STATE, feed=b"run"),
    "unknown_link": nodes.UnknownLink(incarnation=Incarnation(4)),
    "twice": nodes.Twice(incarnation=Incarnation(4)),
    "unsupported": nodes.Unsupported(message="what?"),
    "unsupported_retry": nodes.Unsupported(message="looking up api", retry=True),
    "challenge": nodes.Challenge(incarnation=Incarnation(4), nonce=b"\x01" * 16),
    "welcome_proof": nodes.Welcome(
        wire=2,
        link=LinkId(7),
        name=NodeName("game-1"),
        incarnation=Incarnation(4),
        version="1.0",
        born=1.5,
        state=STATE,
        proof=b"\x02" * 32,
    ),
}
UP = {
    "join": nodes.Join(call=1, kind=CHESS, options=b"{}", name="ann", key="k"),
    "say": nodes.Say(room=ROOM, player=ANN, session=1, n=3, body=b'{"cell":4}'),
    "join_seated_only": nodes.Join(call=1, kind=CHESS, key="k", seated_only=True),
    "join_private": nodes.Join(call=1, kind=CHESS, new=True, private=True),
    "resume": nodes.Resume(call=2, room=ROOM, player=ANN, secret="00", seen=17),  # noqa: S106
    "renew": nodes.Renew(call=3, room=ROOM, player=ANN, secret="00", seen=17, session=2),  # noqa: S106
    "confirm": nodes.Confirm(room=ROOM, player=ANN, session=2),
    "cancel": nodes.Cancel(call=2),
    "leave": nodes.Leave(room=ROOM, player=ANN, session=1),
    "leave_secret": nodes.Leave(room=ROOM, player=ANN, session=1, secret="00"),  # noqa: S106
    "absent": nodes.Absent(room=ROOM, player=ANN, session=1),
    "adopt": nodes.Adopt(room=ROOM, epoch=1, part=0, parts=2, data=b"image"),
    "release": nodes.Release(room=ROOM, epoch=1),
    "withdraw": nodes.Withdraw(room=ROOM, epoch=1),
}
DOWN = {
    "msg": nodes.Message(room=ROOM, epoch=0, seq=18, body=b"1"),
    "msg_to": nodes.Message(room=ROOM, epoch=0, seq=19, body=b"2", to=[ANN]),
    "seated": nodes.Seated(
        call=1,
        room=ROOM,
        kind=CHESS,
        player=ANN,
        session=1,
        epoch=0,
        seq=0,
        secret="00",  # noqa: S106
        players=[nodes.Player(ANN, "ann"), nodes.Player(BOB, "")],
    ),
    "resumed": nodes.Resumed(
        call=2,
        room=ROOM,
        player=ANN,
        session=2,
        epoch=0,
        seq=17,
        n=7,
        secret="11",  # noqa: S106
        complete=False,
        state=b"{}",
    ),
    "seated_survives": nodes.Seated(
        1, ROOM, CHESS, ANN, 1, 1, 0, "00", [nodes.Player(ANN, "ann")], survives=True
    ),
    "seated_can_move": nodes.Seated(
        1, ROOM, CHESS, ANN, 1, 1, 0, "00", [nodes.Player(ANN, "ann")], can_move=True
    ),
    "resumed_survives": nodes.Resumed(
        2, ROOM, ANN, 2, 1, 17, 7, "11", complete=True, survives=True
    ),
    "replay": nodes.Replay(room=ROOM, player=ANN, session=2, messages=[(18, b"1"), (20, b"2")]),
    "refused": nodes.Refused(call=1, code="full", message="no seat"),
    "refused_ended": nodes.Refused(call=1, code="no_such_place", message="no", ended=True),
    "refused_moved": nodes.Refused(
        call=1, code="moved", message="it moved", to=Incarnation(4), name=NodeName("game-2")
    ),
    "refused_retry": nodes.Refused(call=1, code="no_such_place", message="not yet", retry=True),
    "acks": nodes.Acks(acks=[(ROOM, ANN, 3)]),
    "bad_input": nodes.BadInput(room=ROOM, player=ANN, n=4, code="bad_input", message="no"),
    "wanted": nodes.Wanted(room=ROOM, player=ANN, n=4),
    "out": nodes.Out(room=ROOM, player=ANN, reason="left"),
    "taken_over": nodes.Out(room=ROOM, player=ANN, reason="taken_over", session=1),
    "ended_before": nodes.Out(room=ROOM, player=ANN, reason="finished", session=2, result=b"7"),
    "ended": nodes.Ended(room=ROOM, epoch=0, reason="finished", result=b"null"),
    "moved": nodes.Moved(room=ROOM, epoch=1, to=Incarnation(4), name=NodeName("game-2")),
    "regroup": nodes.Regroup(room=ROOM, epoch=0, kind=CHESS, players=[(ANN, "ann", "k")]),
    "state": STATE,
    "adopted": nodes.Adopted(room=ROOM, epoch=1),
    "adoption_refused": nodes.AdoptionRefused(room=ROOM, epoch=1, reason="draining"),
    "released": nodes.Released(room=ROOM, epoch=1),
    "withdrawn": nodes.Withdrawn(room=ROOM, epoch=1),
}
BYTES: dict[str, str] = {
    name: data
    for version in (1, 2, 3)
    for name, data in msgspec.json.decode(
        Path(__file__).with_name(f"golden_v{version}.json").read_bytes()
    ).items()
}
VALUES = {**REQUESTS, **REPLIES, **UP, **DOWN}


def decode_as(name: str, data: bytes) -> object:
    if name in REQUESTS:
        return nodes.decode_request(data)
    if name in REPLIES:
        return nodes.decode_reply(data)
    decode = nodes.decode_up if name in UP else nodes.decode_down
    return decode([msgspec.Raw(data)])[0]


def test_the_golden_bytes_cover_every_message() -> None:
    assert BYTES.keys() == VALUES.keys()
    types = {type(value) for value in VALUES.values()} | {nodes.Unknown}
    types |= set(nodes.SurvivalItem.__args__)  # see test_survival_items.py
    for union in (nodes.Up, nodes.Down, nodes.Request, nodes.Reply):
        assert set(union.__args__) <= types


@pytest.mark.parametrize("name", sorted(VALUES))
def test_each_message_is_encoded_to_and_decoded_from_its_golden_bytes(name: str) -> None:
    assert nodes.encode(VALUES[name]).hex() == BYTES[name]
    assert decode_as(name, bytes.fromhex(BYTES[name])) == VALUES[name]


@pytest.mark.parametrize("name", sorted(VALUES))
def test_a_field_of_a_later_version_is_ignored(name: str) -> None:
    fields = msgspec.msgpack.decode(bytes.fromhex(BYTES[name]))
    assert decode_as(name, msgspec.msgpack.encode({**fields, "later": [1, 2]})) == VALUES[name]


def test_an_item_of_a_later_version_is_unknown_and_does_not_affect_the_others() -> None:
    later = msgspec.Raw(msgspec.msgpack.encode({"t": "teleport", "room": "r"}))
    known = msgspec.Raw(nodes.encode(UP["leave"]))
    broken = msgspec.Raw(msgspec.msgpack.encode({"t": "leave", "room": 7}))
    items = nodes.decode_up([later, known, broken])
    assert items == [nodes.Unknown(), UP["leave"], nodes.Unknown()]


def test_a_feed_run_is_decoded_as_a_batch_of_items() -> None:
    items = [msgspec.Raw(nodes.encode(item)) for item in DOWN.values()]
    data = nodes.encode(nodes.FeedRun(LinkId(7), 12, items))
    batch = nodes.decode_feed(data)
    assert (batch.link, batch.first) == (7, 12)
    assert batch.items == list(DOWN.values())
    assert batch.item_bytes == len(data) // len(items)


@pytest.mark.parametrize("odd", [{"t": "teleport", "d": [[1]]}, {"t": "leave", "room": 7}, 3])
def test_an_item_that_cannot_be_decoded_does_not_affect_the_items_beside_it(odd: object) -> None:
    up = [msgspec.Raw(nodes.encode(UP["say"])), msgspec.Raw(msgspec.msgpack.encode(odd))] * 2
    fields = {"t": "batch", "link": 7, "number": 5, "confirmed": 11, "items": up}
    batch = nodes.decode_request(msgspec.msgpack.encode(fields))
    assert batch == nodes.Batch(LinkId(7), 5, 11, [], [UP["say"], nodes.Unknown()] * 2)
    down = [msgspec.Raw(nodes.encode(DOWN["msg"])), msgspec.Raw(msgspec.msgpack.encode(odd))]
    feed = nodes.decode_feed(nodes.encode(nodes.FeedRun(LinkId(7), 1, down)))
    assert feed.items == [DOWN["msg"], nodes.Unknown()]


def test_the_estimated_size_of_an_item_is_within_16_bytes() -> None:
    for item in UP.values():
        assert abs(nodes.size_of(item) - len(nodes.encode(item))) < 16


@pytest.mark.parametrize("data", [b"", b"\xc1", b"GET / HTTP/1.1\r\n", b"\x91" * 5000, b"\x80"])
def test_bytes_that_are_not_a_message_raise_a_remote_protocol_error(data: bytes) -> None:
    for decode in (nodes.decode_request, nodes.decode_reply, nodes.decode_feed):
        with pytest.raises(RemoteProtocolError, match="cannot be read"):
            decode(data)
