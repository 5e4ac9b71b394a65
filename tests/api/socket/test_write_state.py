from __future__ import annotations

import itertools

import pytest

from lastcall.api.socket.write_state import TABLE, WriteEvent, WriteState


@pytest.mark.parametrize("state", WriteState)
@pytest.mark.parametrize("event", WriteEvent)
def test_no_event_changes_a_stream_twice(state: WriteState, event: WriteEvent) -> None:
    after = TABLE[state].get(event)
    assert after is None or event not in TABLE[after]


@pytest.mark.parametrize("state", [WriteState.OPEN, WriteState.OVERFLOWED, WriteState.CLOSED])
def test_every_stream_can_be_lost(state: WriteState) -> None:
    assert TABLE[state][WriteEvent.LOSS] is WriteState.LOST


def test_after_a_close_frame_and_after_a_loss_no_stream_sends_again() -> None:
    sends = {WriteState.OPEN, WriteState.OVERFLOWED}
    for state, event in itertools.product({WriteState.CLOSED, WriteState.LOST}, WriteEvent):
        assert TABLE[state].get(event, state) not in sends
