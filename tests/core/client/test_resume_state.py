import msgspec
from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.client.resume_state import GOT_EVERY, UNACKED_MAX, ResumeState
from lastcall.ids import KindName, PlayerId, RoomId
from lastcall.wire import frames

ROOM = RoomId("game-1.r1")


def joined(seq: int = 0, room: RoomId = ROOM) -> frames.Joined:
    return frames.Joined(room, KindName("k"), PlayerId("p"), seq, "t1", [])


def resumed(n: int, *, seq: int = 0, complete: bool = True) -> frames.Resumed:
    return frames.Resumed(ROOM, seq, n, "t2", complete)


def numbers_of(inputs: list[frames.Say]) -> list[int]:
    return [say.n for say in inputs]


def test_a_resume_has_the_last_received_number_and_the_newest_ticket() -> None:
    state = ResumeState(joined(seq=4))
    assert state.receive(5)
    assert state.resume() == frames.Resume("t1", 5)
    state.resumed(resumed(0, seq=5))
    assert state.receive(8)
    assert state.resume() == frames.Resume("t2", 8)
    assert state.holes == 2


def test_only_inputs_that_the_room_does_not_have_are_sent_again_with_the_same_numbers() -> None:
    state = ResumeState(joined())
    for body in (b"1", b"2", b"3", b"4"):
        state.say(body)
    state.inputs.ack(1)
    again = state.resumed(resumed(2))
    assert again == [frames.Say(3, msgspec.Raw(b"3")), frames.Say(4, msgspec.Raw(b"4"))]
    assert state.say(b"5").n == 5
    assert numbers_of(state.resumed(resumed(2))) == [3, 4, 5]


def test_after_an_incomplete_resume_numbers_continue_from_the_state_without_holes() -> None:
    state = ResumeState(joined())
    state.resumed(resumed(0, seq=2000, complete=False))
    assert not state.receive(1999)
    assert state.receive(2001)
    assert state.holes == 0


def test_a_complete_resume_does_not_change_the_last_number() -> None:
    state = ResumeState(joined())
    state.resumed(resumed(0, seq=7))
    assert state.receive(1)


def test_numbers_restart_in_another_room() -> None:
    state = ResumeState(joined())
    state.receive(3)
    state.say(b"1")
    state.joined(joined(seq=9, room=RoomId("game-2.r2")))
    assert state.say(b"1").n == 1
    assert state.got() == frames.Got(9, RoomId("game-2.r2"))
    assert state.holes == 2  # counted over all rooms of the place


def test_got_is_due_every_32_messages() -> None:
    state, gots = ResumeState(joined()), []
    for seq in range(1, 100):
        state.receive(seq)
        if state.got_due:
            gots.append(state.got().seq)
    assert gots == [GOT_EVERY, 2 * GOT_EVERY, 3 * GOT_EVERY]


class RoomSide:
    """Handles inputs as the roster does: drops repeats, refuses gaps."""

    def __init__(self) -> None:
        self.accepted: list[bytes] = []

    def receive(self, say: frames.Say) -> None:
        assert say.n <= len(self.accepted) + 1, "a gap"
        if say.n == len(self.accepted) + 1:
            self.accepted.append(bytes(say.d))


@given(st.lists(st.sampled_from(["say", "arrives", "ack", "lost"]), max_size=300), st.randoms())
def test_after_any_losses_the_room_has_each_input_once_and_in_order(steps, random) -> None:
    state, room = ResumeState(joined()), RoomSide()
    wire: list[frames.Say] = []
    said: list[bytes] = []
    for step in steps:
        if step == "say" and not state.inputs.full:
            said.append(b"%d" % len(said))
            wire.append(state.say(said[-1]))
        elif step == "arrives" and wire:
            room.receive(wire.pop(0))
        elif step == "ack":
            state.inputs.ack(random.randint(0, len(room.accepted)))
        elif step == "lost":
            wire = state.resumed(resumed(len(room.accepted)))
        assert state.inputs.last - state.inputs.acked <= UNACKED_MAX
    for say in wire:
        room.receive(say)
    assert room.accepted == said
