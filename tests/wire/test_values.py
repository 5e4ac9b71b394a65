"""Which values a room, a client and a server agree on."""

from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lastcall.errors import BadFrame
from lastcall.wire import frames
from lastcall.wire.values import encode_value

GOOD: dict[str, Any] = {
    "null": None,
    "a list with null": [None, 1.5],
    "a text that is null": "null",
    "minus zero": -0.0,
    "2^53 + 1": 2**53 + 1,
    "30 digits": 10**29,
    "the largest float": 1.7976931348623157e308,
    "NUL": "a\x00b",
    "an emoji": "😀",
    "a key that is null": {"null": None},
    "500 levels": None,
}
deep: Any = 1
for _ in range(500):
    deep = [deep]
GOOD["500 levels"] = deep


def circle() -> list[Any]:
    values: list[Any] = []
    values.append(values)
    return values


def too_deep() -> Any:
    value: Any = 1
    for _ in range(100_000):
        value = [value]
    return value


BAD: dict[str, Any] = {
    "NaN": math.nan,
    "Infinity": math.inf,
    "NaN inside": {"x": [1, {"y": -math.inf}], "null": None},
    "half an emoji": "\ud83d",
    "half an emoji as a key": {"\ud83d": 1},
    "an object": object(),
    "a complex number": 1j,
    "a circle": circle(),
    "100 000 levels": too_deep(),
    "a key that is a tuple": {(1, 2): 3},
}


@pytest.mark.parametrize("name", GOOD)
def test_what_json_can_hold_arrives_as_it_is(name: str) -> None:
    body = encode_value(GOOD[name])
    assert json.loads(body) == GOOD[name]
    assert math.copysign(1, json.loads(encode_value(-0.0))) == -1
    said = frames.decode(b'{"t":"say","n":7,"d":%b}' % body)
    assert isinstance(said, frames.Say)
    assert bytes(said.d) == body


@pytest.mark.parametrize("name", BAD)
def test_what_json_cannot_hold_is_a_type_error_with_a_sentence(name: str) -> None:
    with pytest.raises(TypeError, match=r"JSON cannot hold|unsupported|Only dicts"):
        encode_value(BAD[name])


@given(
    st.recursive(
        st.none() | st.floats() | st.text(), lambda v: st.lists(v) | st.dictionaries(st.text(), v)
    )
)
def test_a_value_is_refused_or_arrives_as_it_is(value: Any) -> None:
    try:
        body = encode_value(value)
    except TypeError:
        assert "nan" in repr(value) or "inf" in repr(value) or "\\ud" in repr(value)
    else:
        assert json.loads(body) == value


UNREADABLE_INPUTS = {
    "half an emoji": r'"\ud83d"',
    "half an emoji as a key": r'{"\ud83d":1}',
    "NaN": "NaN",
    "-Infinity": "[-Infinity]",
    "a control character": '"\x01"',
    "100 000 levels": "[" * 30_000 + "]" * 30_000,
}


@pytest.mark.parametrize("name", UNREADABLE_INPUTS)
def test_an_input_whose_value_cannot_be_read_keeps_its_number(name: str) -> None:
    said = frames.decode('{"t":"say","n":7,"d":' + UNREADABLE_INPUTS[name] + "}")
    assert isinstance(said, frames.Say)
    assert (said.n, bytes(said.d)) == (7, b"")


@pytest.mark.parametrize(
    "text",
    [
        '{"t":"say","n":1,"d":tru}',
        '{"t":"say","n":"1","d":NaN}',
        '{"t":"say","n":0,"d":NaN}',
        '{"t":"say","n":1.5,"d":NaN}',
        '{"t":"say","d":NaN}',
        '{"t":"got","seq":NaN}',
        "[" * 100_000,
        '{"t":"say","n":1,"d":',
    ],
)
def test_a_frame_without_a_number_that_can_be_read_is_bad(text: str) -> None:
    with pytest.raises(BadFrame) as caught:
        frames.decode(text)
    assert caught.value.code in {"bad_json", "bad_frame"}


def test_null_in_a_join_is_a_field_left_out() -> None:
    nulls = '{"t":"join","kind":"den","room":null,"new":null,"options":null,"name":null,"key":null}'
    assert msgspec.structs.asdict(frames.decode(nulls)) | {
        "options": b"{}"
    } == msgspec.structs.asdict(
        frames.Join(kind="den")  # type: ignore[arg-type]
    ) | {"options": b"{}"}
