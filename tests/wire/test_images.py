"""The image of a room: its bytes are a contract, since old and new nodes exchange it."""

from __future__ import annotations

from math import inf, nan
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from msgspec.structs import replace

from lastcall.errors import RemoteProtocolError
from lastcall.ids import PlayerId
from lastcall.wire.images import (
    AlarmImage,
    BanImage,
    EndImage,
    EventImage,
    HistoryImage,
    Image,
    decode_image,
    encode_image,
    flaw,
)
from tests.wire.image_samples import ANN, WHOLE, images

SMALL = Image(v=1, room=WHOLE.room, kind=WHOLE.kind, epoch=0, options=b"", state=b"")
OVER = replace(SMALL, over=EndImage("finished", b"7"))
MOVED = replace(SMALL, moves=2)
PRIVATE = replace(SMALL, private=True)
SAMPLES = {"whole": WHOLE, "small": SMALL, "over": OVER, "moved": MOVED, "private": PRIVATE}
BYTES: dict[str, str] = msgspec.json.decode(
    Path(__file__).with_name("golden_images_v1.json").read_bytes()
)


@pytest.mark.parametrize("name", SAMPLES)
def test_an_image_is_encoded_to_and_decoded_from_its_golden_bytes(name: str) -> None:
    assert encode_image(SAMPLES[name]).hex() == BYTES[name]
    assert decode_image(bytes.fromhex(BYTES[name])) == SAMPLES[name]
    assert flaw(SAMPLES[name]) is None


def test_the_golden_image_has_every_field_that_an_image_can_have() -> None:
    later = {"moves", "over", "private"}
    for part in (WHOLE, WHOLE.seats[0], WHOLE.history, WHOLE.alarms[1], WHOLE.gone[0]):
        fields = msgspec.to_builtins(part)
        assert fields.keys() | later >= set(part.__struct_fields__)


@given(images())
def test_any_image_is_itself_again_after_the_wire(image: Image) -> None:
    assert decode_image(encode_image(image)) == image
    assert flaw(image) is None


def with_later_fields(value: Any) -> Any:
    if isinstance(value, dict):
        return {**{key: with_later_fields(each) for key, each in value.items()}, "later": [1]}
    return [with_later_fields(each) for each in value] if isinstance(value, list) else value


def test_fields_of_a_later_version_are_ignored_in_every_part() -> None:
    fields = msgspec.msgpack.decode(bytes.fromhex(BYTES["whole"]))
    claims = fields["seats"][0]["identity"]["claims"]
    later = with_later_fields(fields)
    later["seats"][0]["identity"]["claims"] = claims
    assert decode_image(msgspec.msgpack.encode(later)) == WHOLE


@pytest.mark.parametrize(
    "wrong",
    [
        {"room": 7},
        {"room": ""},
        {"epoch": -1},
        {"epoch": 2**60},
        {"seats": [{"player": "p"}]},
        {"seats": [{"player": "p", "secret": ""}]},
        {"seats": [{"player": "p", "secret": "0", "session": 0}]},
        {"seats": [{"player": "p", "secret": "0", "identity": {"id": ""}}]},
        {"history": {"seq": -1}},
        {"history": {"kept": [[1, "text", None]]}},
        {"alarms": [{"name": "bell", "seconds_left": "soon"}]},
        {"state": "text"},
    ],
)
def test_an_image_with_a_wrong_type_or_number_cannot_be_read(wrong: dict[str, Any]) -> None:
    fields = msgspec.msgpack.decode(bytes.fromhex(BYTES["small"]))
    with pytest.raises(RemoteProtocolError, match="image cannot be read"):
        decode_image(msgspec.msgpack.encode({**fields, **wrong}))


@pytest.mark.parametrize("data", [b"", b"\xc1", b"\x80", b"\x91" * 5000])
def test_bytes_that_are_not_an_image_cannot_be_read(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError, match="image cannot be read"):
        decode_image(data)


ANN_SEAT, BOB_SEAT = WHOLE.seats
GONE = WHOLE.gone[0]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"v": 2}, "version 2"),
        ({"seats": (ANN_SEAT, ANN_SEAT)}, "'pann' has two seats"),
        ({"gone": (replace(GONE, seat=ANN_SEAT),)}, "'pann' has two seats"),
        ({"seats": (ANN_SEAT, replace(BOB_SEAT, key="k"))}, "the same key"),
        ({"history": replace(WHOLE.history, seq=11)}, "one by one up to 11"),
        ({"history": replace(WHOLE.history, seq=13)}, "one by one up to 13"),
        ({"history": HistoryImage(12, 9, ((12, b"", None), (12, b"", None)))}, "one by one"),
        ({"history": HistoryImage(12, 9, ((12, b"", None), (11, b"", None)))}, "one by one"),
        ({"history": HistoryImage(12, 9, ((10, b"", None), (12, b"", None)))}, "one by one"),
        ({"history": HistoryImage(12, 12, ((12, b"", None),))}, "only 11 can be"),
        ({"history": HistoryImage(12, 13)}, "only 12 can be"),
        ({"history": HistoryImage(2)}, "'pann' has joined after message 2"),
        ({"open_seconds": nan}, "a time is nan"),
        ({"seats": (replace(ANN_SEAT, away_seconds=-1.0),)}, "a time is -1"),
        ({"gone": (replace(GONE, seconds_left=inf),)}, "a time is inf"),
        ({"bans": (BanImage(nan, key="k"),)}, "a time is nan"),
        ({"alarms": (AlarmImage("bell", inf),)}, "a time is inf"),
        ({"alarms": (AlarmImage("bell", 1.0), AlarmImage("bell", 2.0))}, "two alarms 'bell'"),
        ({"alarms": (AlarmImage("tick", 1.0, 1e-300),)}, "repeated every 1e-300"),
        ({"alarms": (AlarmImage("tick", 1.0, -1.0),)}, "repeated every -1"),
        ({"alarms": (AlarmImage("tick", 1.0, nan),)}, "repeated every nan"),
        ({"events": (EventImage("teleport", PlayerId(ANN)),)}, "an event 'teleport'"),
    ],
)
def test_an_image_that_no_room_can_have_has_a_flaw(wrong: dict[str, Any], says: str) -> None:
    found = flaw(replace(WHOLE, **wrong))
    assert found is not None
    assert says in found
