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

TICKET = "game-1.crowd/ann/1"
MOVE = text_frame(frames.encode(frames.Move(2.0)))
JOINED = frames.Joined(RoomId("r"), KindName("k"), PlayerId("ann"), 4, TICKET, [])


class LoneCrowd:
    """The owner of one bot. It starts no tasks; the test calls the bot's methods."""

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

    def returned(self, result: Return) -> None:
        self.returns.append(result)

    def own_message(self, said_at: float, heard_at: float) -> None:
        pass

    def complain(self, sentence: str) -> None:
        self.complaints.append(sentence)


class AnsweringDialer(Dialer):
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


class RefusingDialer(Dialer):
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


def send_to(bot: Bot, dialer: AnsweringDialer, *sent: frames.FromServer) -> None:
    for frame in sent:
        dialer.server.send(text_frame(frames.encode(frame)))
    bot.receive()


def resumed(n: int, *, complete: bool = True) -> frames.Resumed:
    return frames.Resumed(RoomId("r"), 4, n, "new", complete)


@pytest.fixture
async def seated() -> AsyncIterator[tuple[Bot, LoneCrowd, AnsweringDialer]]:
    """A bot with a seat. The next dial resumes it, and the room has 1 input."""
    crowd, dialer = LoneCrowd(), AnsweringDialer(JOINED, resumed(1))
    bot = Bot(crowd, [dialer], 0, random.Random(1))
    await bot.enter(frames.Join(kind=KindName("k")))
    assert dialer.said() == [frames.Join(kind=KindName("k")), frames.Got(4)]
    yield bot, crowd, dialer
    bot.close()
    dialer.server.close()


async def test_inputs_without_an_ack_are_said_again_after_a_resume(
    seated: tuple[Bot, LoneCrowd, AnsweringDialer], autojump_clock: trio.testing.MockClock
) -> None:
    bot, crowd, dialer = seated
    bot.say()
    bot.say()
    dialer.said()
    dialer.server.close()
    bot.receive()
    bot.say()  # while it has no socket
    assert crowd.reconnecting == [bot]

    await bot.reconnect(crowd.losses[-1])

    resume, got, *again = dialer.said()
    assert resume == frames.Resume(TICKET, seen=4)
    assert got == frames.Got(4)
    assert [(one.n, int(bytes(one.d))) for one in again if isinstance(one, frames.Say)] == [
        (2, bot.place.ledger.said[1]),
        (3, bot.place.ledger.said[2]),
    ]
    assert (bot.live, bot.place.unacked, len(crowd.returns), crowd.complaints) == (True, 2, 1, [])


async def test_after_an_unannounced_loss_a_bot_waits_up_to_800_ms(
    seated: tuple[Bot, LoneCrowd, AnsweringDialer], autojump_clock: trio.testing.MockClock
) -> None:
    bot, crowd, dialer = seated
    dialer.server.close()
    bot.receive()
    begin = trio.current_time()

    await bot.reconnect(crowd.losses[-1])

    assert 0 < trio.current_time() - begin <= 0.8


async def test_a_place_that_is_lost_as_soon_as_it_is_back_is_resumed_by_one_task_only(
    seated: tuple[Bot, LoneCrowd, AnsweringDialer], autojump_clock: trio.testing.MockClock
) -> None:
    bot, crowd, dialer = seated
    bot.say()
    dialer.answers.append(resumed(1))
    dialer.then = close_frame(1012)  # it comes together with the first resumed
    dialer.server.close()
    bot.receive()

    await bot.reconnect(crowd.losses[-1])

    assert crowd.complaints == []
    assert bot.live
    assert crowd.reconnecting == [bot]
    assert [one.dials for one in crowd.returns] == [2]


async def test_after_a_move_a_bot_does_not_wait(
    seated: tuple[Bot, LoneCrowd, AnsweringDialer], autojump_clock: trio.testing.MockClock
) -> None:
    bot, crowd, dialer = seated
    send_to(bot, dialer, frames.Move(0.0))
    dialer.server.send(close_frame(1012))
    bot.receive()
    begin = trio.current_time()

    await bot.reconnect(crowd.losses[-1])

    assert trio.current_time() == begin
    assert [one.code for one in crowd.returns] == [1012]


async def test_a_bot_dials_the_next_url_first_and_after_each_failure_the_one_after(
    autojump_clock: trio.testing.MockClock,
) -> None:
    crowd, first, second = LoneCrowd(), AnsweringDialer(JOINED, resumed(0)), RefusingDialer()
    bot = Bot(crowd, [first, second], 0, random.Random(1))
    await bot.enter(frames.Join(kind=KindName("k")))
    first.server.close()
    bot.receive()

    await bot.reconnect(crowd.losses[-1])

    assert (first.dials, second.dials, crowd.returns[0].dials) == (2, 1, 2)
    bot.close()
    first.server.close()


async def test_a_repeated_message_is_recorded_twice(
    seated: tuple[Bot, LoneCrowd, AnsweringDialer],
) -> None:
    bot, _, dialer = seated
    message = message_frame(5, b'{"from":"bob","said":7}')
    dialer.server.send(message + message)
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
async def test_a_bot_complains_about_a_place_that_has_changed(
    seated: tuple[Bot, LoneCrowd, AnsweringDialer], frame: frames.FromServer, word: str
) -> None:
    bot, crowd, dialer = seated

    send_to(bot, dialer, frame)

    assert bot.dead
    assert word in crowd.complaints[0]


async def test_a_refused_ticket_is_the_end_of_the_bot(
    seated: tuple[Bot, LoneCrowd, AnsweringDialer],
) -> None:
    bot, crowd, dialer = seated
    dialer.server.send(close_frame(4004))

    bot.receive()

    assert (bot.dead, crowd.reconnecting) == (True, [])
    assert "closed with 4004" in crowd.complaints[0]


async def test_a_bot_whose_room_ends_keeps_its_socket_and_takes_no_further_part(
    seated: tuple[Bot, LoneCrowd, AnsweringDialer],
) -> None:
    bot, crowd, dialer = seated

    send_to(bot, dialer, frames.Ended(RoomId("r"), "finished"))

    assert (bot.dead, bot.live, crowd.losses) == (True, True, [])
    assert bot.ended_at is not None


@pytest.fixture
async def idle() -> AsyncIterator[tuple[Bot, LoneCrowd, AnsweringDialer]]:
    """A bot that is connected and in no room."""
    crowd, dialer = LoneCrowd(), AnsweringDialer(frames.Beat())
    bot = Bot(crowd, [dialer], 0, random.Random(1))
    await bot.connect()
    bot.receive()
    yield bot, crowd, dialer
    bot.close()
    dialer.server.close()


async def test_an_idle_bot_that_is_moved_records_when_it_was_due_and_answers_the_close(
    idle: tuple[Bot, LoneCrowd, AnsweringDialer],
) -> None:
    bot, crowd, dialer = idle
    dialer.server.send(MOVE + close_frame(1012, "this node is leaving"))
    before = time.monotonic()

    bot.receive()

    (loss,) = crowd.losses
    assert loss.code == 1012
    assert loss.move_due is not None
    assert loss.move_due >= before + 2
    assert dialer.server.recv(100) == masked(CLOSE, (1012).to_bytes(2, "big"))


async def test_the_end_of_a_socket_after_a_close_frame_is_not_a_second_loss(
    idle: tuple[Bot, LoneCrowd, AnsweringDialer],
) -> None:
    bot, crowd, dialer = idle
    dialer.server.send(close_frame(1012))
    dialer.server.shutdown(socket.SHUT_WR)

    bot.receive()
    bot.receive()

    assert [one.code for one in crowd.losses] == [1012]


async def test_a_socket_that_ends_without_a_close_frame_is_lost_with_1006(
    idle: tuple[Bot, LoneCrowd, AnsweringDialer],
) -> None:
    bot, crowd, dialer = idle
    dialer.server.close()

    bot.receive()

    assert [one.code for one in crowd.losses] == [LOST]


def message_frame(seq: int, body: bytes) -> bytes:
    return text_frame(frames.message(seq, body))
