"""The steps of a surviving room: their bytes are a contract, since old and new nodes send them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from lastcall.errors import RemoteProtocolError
from lastcall.wire.images import EndImage
from lastcall.wire.steps import RoomStep, decode_step, encode_step
from tests.wire.image_samples import ANN, BOB, CAT, WHOLE

USUAL = RoomStep(state=b"\x81\xa1n\x01", said=((13, b'"hi"', None),), done={ANN: 10})
FULL = RoomStep(
    state=WHOLE.state,
    said=((13, b"3", BOB),),
    seq=14,
    forgotten=10,
    done={ANN: 10},
    seats=WHOLE.seats,
    freed=(CAT,),
    alarms=WHOLE.alarms,
    events=WHOLE.events,
    more_events=WHOLE.events[1:],
    bans=WHOLE.bans,
    gone=WHOLE.gone,
    started=False,
    locked=True,
    over=EndImage("finished", b"7"),
)
SAMPLES = {
    "usual": USUAL,
    "full": FULL,
    "empty": RoomStep(),
    "cleared": RoomStep(alarms=(), events=(), bans=(), gone=()),
}
BYTES: dict[str, str] = msgspec.json.decode(
    Path(__file__).with_name("golden_steps_v1.json").read_bytes()
)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_step_is_encoded_to_and_decoded_from_its_golden_bytes(name: str) -> None:
    assert encode_step(SAMPLES[name]).hex() == BYTES[name]
    assert decode_step(bytes.fromhex(BYTES[name])) == SAMPLES[name]


def test_the_golden_step_has_every_field_that_a_step_can_have() -> None:
    assert msgspec.to_builtins(FULL).keys() == set(RoomStep.__struct_fields__)


def test_the_usual_step_is_small() -> None:
    assert len(encode_step(USUAL)) < 50


def test_fields_of_a_later_version_are_ignored() -> None:
    fields = msgspec.msgpack.decode(encode_step(USUAL))
    assert decode_step(msgspec.msgpack.encode({**fields, "later": [1]})) == USUAL


@pytest.mark.parametrize(
    "wrong",
    [b"", b"\xc1", b"\x80\x80", {"state": 7}, {"said": [[1, b""]]}, {"done": {"p": -1}}, []],
)
def test_what_is_no_step_cannot_be_read(wrong: Any) -> None:
    data = wrong if isinstance(wrong, bytes) else msgspec.msgpack.encode(wrong)
    with pytest.raises(RemoteProtocolError, match="a room's step cannot be read"):
        decode_step(data)
