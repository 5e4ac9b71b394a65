import random
import socket
import time
from collections.abc import AsyncIterator

import pytest
import trio

from lastcall.api.socket.frame_builder import close_frame, text_frame
from lastcall.bench.bots.bot import LOST, Bot, Loss, Return
from lastcall.bench.load.dial import Dialer, DialFailed
from lastcall.bench.load.frame_builder import CLOSE, TEXT, masked, take_frames
from lastcall.ids import KindName, PlayerId, RoomId
from lastcall.reasons import ErrorCode
from lastcall.wire import frames

TICKET = "game-1.room/ann/1"
MOVE = text_frame(frames.encode(frames.Move(2.0)))
JOINED = frames.Joined(RoomId("r"), KindName("k"), PlayerId("ann"), 4, TICKET, [])


class Room:
    """A crowd of one, which reads when it is told to and runs no tasks."""

    def __init__(self) -> None:
        self.returns: list[Return] = []
        self.complaints: list[str] = []
        self.reconnecting: list[Bot] = []
        self.losses: list[Loss] = []

    def watch(self, bot: Bot, descriptor: int) -> None:
        pass

    def unwatch(self, descriptor: int) -> None:
        pass

    def lost(self, bot: Bot, loss: Loss) -> None:
        self.reconnecting.append(bot)
        self.losses.append(loss)

    def returned(self, how: Return) -> None:
        self.returns.append(how)

    def own_message(self, said_at: float, heard_at: float) -> None:
        pass

    def complain(self, sentence: str) -> None:
        self.complaints.append(sentence)


class OpenDoor(Dialer):
    """A server that answers each dial at once, with the next of ``answers`` as its first frame."""

    def __init__(self, *answers: frames.FromServer) -> None:
        self.answers = list(answers)
        self.then = b""
        self.server = socket.socket()
        self.dials = 0

    async def dial(self, _limit_seconds: float) -> tuple[socket.socket, bytes]:
        await trio.lowlevel.checkpoint()
        self.dials += 1
        self.server.close()
        ours, self.server = socket.socketpair()
        ours.setblocking(False)
        self.server.setblocking(False)
        then, self.then = self.then, b""
        return ours, text_frame(frames.encode(self.answers.pop(0))) + then

    def said(self) -> list[frames.FromClient]:
        """The bot's frames since the last call; their masks are zero."""
        data = bytearray()
        for opcode, body in _unmasked(self.server.recv(65_536)):
            data += bytes((0x80 | opcode, len(body))) + body
        return [frames.decode(body) for opcode, body in take_frames(data) if opcode == TEXT]


class ShutDoor(Dialer):
    """A server that refuses each dial."""

    def __init__(self) -> None:
        self.dials = 0

    async def dial(self, _limit_seconds: float) -> tuple[socket.socket, bytes]:
        await trio.lowlevel.checkpoint()
        self.dials += 1
        raise DialFailed("refused")


def _unmasked(data: bytes) -> list[tuple[int, bytes]]:
    found = []
    while data:
        size = data[1] & 0x7F
        found.append((data[0] & 0x0F, data[6 : 6 + size]))
        data = data[6 + size :]
    return found


def say_to(bot: Bot, door: OpenDoor, *some: frames.FromServer) -> None:
    for frame in some:
        door.server.send(text_frame(frames.encode(frame)))
    bot.receive()


def resumed(n: int, *, complete: bool = True) -> frames.Resumed:
    return frames.Resumed(RoomId("r"), 4, n, "new", complete)


@pytest.fixture
async def seated() -> AsyncIterator[tuple[Bot, Room, OpenDoor]]:
    """A bot with a seat through the only door, where the next dial resumes and finds 1 input."""
    room, door = Room(), OpenDoor(JOINED, resumed(1))
    bot = Bot(room, [door], 0, random.Random(1))
    await bot.enter(frames.Join(kind=KindName("k")))
    assert door.said() == [frames.Join(kind=KindName("k")), frames.Got(4)]
    yield bot, room, door
    bot.close()
    door.server.close()


async def test_what_is_not_acked_is_said_again_after_a_resume(
    seated: tuple[Bot, Room, OpenDoor], autojump_clock: trio.testing.MockClock
) -> None:
    bot, room, door = seated
    bot.say()
    bot.say()
    door.said()
    door.server.close()
    bot.receive()
    bot.say()  # while it has no socket
    assert room.reconnecting == [bot]

    await bot.reconnect(room.losses[-1])

    resume, got, *again = door.said()
    assert resume == frames.Resume(TICKET, seen=4)
    assert got == frames.Got(4)
    assert [(one.n, int(bytes(one.d))) for one in again if isinstance(one, frames.Say)] == [
        (2, bot.place.ledger.said[1]),
        (3, bot.place.ledger.said[2]),
    ]
    assert (bot.live, bot.place.unacked, len(room.returns), room.complaints) == (True, 2, 1, [])


async def test_an_unannounced_loss_is_waited_out_for_up_to_800_ms(
    seated: tuple[Bot, Room, OpenDoor], autojump_clock: trio.testing.MockClock
) -> None:
    bot, room, door = seated
    door.server.close()
    bot.receive()
    begin = trio.current_time()

    await bot.reconnect(room.losses[-1])

    assert 0 < trio.current_time() - begin <= 0.8


async def test_a_place_that_is_lost_as_soon_as_it_is_back_is_sought_by_one_task_and_not_by_two(
    seated: tuple[Bot, Room, OpenDoor], autojump_clock: trio.testing.MockClock
) -> None:
    bot, room, door = seated
    bot.say()
    door.answers.append(resumed(1))
    door.then = close_frame(1012)  # it comes together with the first resumed
    door.server.close()
    bot.receive()

    await bot.reconnect(room.losses[-1])

    assert room.complaints == []
    assert bot.live
    assert room.reconnecting == [bot]
    assert [one.dials for one in room.returns] == [2]


async def test_after_a_move_there_is_no_wait(
    seated: tuple[Bot, Room, OpenDoor], autojump_clock: trio.testing.MockClock
) -> None:
    bot, room, door = seated
    say_to(bot, door, frames.Move(0.0))
    door.server.send(close_frame(1012))
    bot.receive()
    begin = trio.current_time()

    await bot.reconnect(room.losses[-1])

    assert trio.current_time() == begin
    assert [one.code for one in room.returns] == [1012]


async def test_the_next_url_is_dialled_first_and_each_failure_leads_to_the_one_after(
    autojump_clock: trio.testing.MockClock,
) -> None:
    room, first, second = Room(), OpenDoor(JOINED, resumed(0)), ShutDoor()
    bot = Bot(room, [first, second], 0, random.Random(1))
    await bot.enter(frames.Join(kind=KindName("k")))
    first.server.close()
    bot.receive()

    await bot.reconnect(room.losses[-1])

    assert (first.dials, second.dials, room.returns[0].dials) == (2, 1, 2)
    bot.close()
    first.server.close()


async def test_a_repeat_is_written_down_and_not_hidden(
    seated: tuple[Bot, Room, OpenDoor],
) -> None:
    bot, _, door = seated
    message = door_message(5, b'{"from":"bob","said":7}')
    door.server.send(message + message)
    bot.receive()

    assert bot.place.ledger.heard == [(5, False, "bob", 7), (5, False, "bob", 7)]


@pytest.mark.parametrize(
    ("frame", "word"),
    [
        (resumed(0, complete=False), "too short"),
        (resumed(9), "the room has 9"),
        (frames.Error(ErrorCode.BAD_INPUT, "no", retry=False, n=1), "bad_input"),
    ],
)
async def test_a_place_that_is_not_as_it_was_is_complained_of(
    seated: tuple[Bot, Room, OpenDoor], frame: frames.FromServer, word: str
) -> None:
    bot, room, door = seated

    say_to(bot, door, frame)

    assert bot.dead
    assert word in room.complaints[0]


async def test_a_ticket_that_is_refused_is_the_end_of_the_bot(
    seated: tuple[Bot, Room, OpenDoor],
) -> None:
    bot, room, door = seated
    door.server.send(close_frame(4004))

    bot.receive()

    assert (bot.dead, room.reconnecting) == (True, [])
    assert "closed with 4004" in room.complaints[0]


async def test_a_bot_whose_room_ends_keeps_its_socket_and_takes_no_further_part(
    seated: tuple[Bot, Room, OpenDoor],
) -> None:
    bot, room, door = seated

    say_to(bot, door, frames.Ended(RoomId("r"), "finished"))

    assert (bot.dead, bot.live, room.losses) == (True, True, [])
    assert bot.ended_at is not None


@pytest.fixture
async def idle() -> AsyncIterator[tuple[Bot, Room, OpenDoor]]:
    """A bot that is connected and in no room."""
    room, door = Room(), OpenDoor(frames.Beat())
    bot = Bot(room, [door], 0, random.Random(1))
    await bot.connect()
    bot.receive()
    yield bot, room, door
    bot.close()
    door.server.close()


async def test_an_idle_bot_that_is_moved_records_when_it_was_due_and_answers_the_close(
    idle: tuple[Bot, Room, OpenDoor],
) -> None:
    bot, room, door = idle
    door.server.send(MOVE + close_frame(1012, "this node is leaving"))
    before = time.monotonic()

    bot.receive()

    (loss,) = room.losses
    assert loss.code == 1012
    assert loss.move_due is not None
    assert loss.move_due >= before + 2
    assert door.server.recv(100) == masked(CLOSE, (1012).to_bytes(2, "big"))


async def test_the_end_of_a_socket_after_a_close_frame_is_not_a_second_loss(
    idle: tuple[Bot, Room, OpenDoor],
) -> None:
    bot, room, door = idle
    door.server.send(close_frame(1012))
    door.server.shutdown(socket.SHUT_WR)

    bot.receive()
    bot.receive()

    assert [one.code for one in room.losses] == [1012]


async def test_a_socket_that_ends_without_a_close_frame_is_lost_with_1006(
    idle: tuple[Bot, Room, OpenDoor],
) -> None:
    bot, room, door = idle
    door.server.close()

    bot.receive()

    assert [one.code for one in room.losses] == [LOST]


def door_message(seq: int, body: bytes) -> bytes:
    return text_frame(frames.message(seq, body))
