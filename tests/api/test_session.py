import pytest
import trio
import trio.testing

from api.session import State
from rooms.reasons import Close, EndReason, ErrorCode
from rooms.wire import nodes


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


def acks(house, n: int, kind: str = "den", player: str = "p1") -> None:
    house.relays.take(house.link, nodes.Acks([(f"game-1.{kind}", player, n)]))


# Bad frames.


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", "bad_json"),
        ("", "bad_json"),
        ('{"t":"say","n":1,"d":' + "[" * 30_000, "bad_json"),
        ("17", "bad_frame"),
        ("{}", "bad_frame"),
        ('{"t":17}', "bad_frame"),
        ('{"t":"dance"}', "unknown_type"),
        ('{"t":"dance","x":' + "[" * 30_000, "bad_json"),
        ('{"t":"say","n":"one","d":1}', "bad_frame"),
        ('{"t":"say","n":0,"d":1}', "bad_frame"),
        ('{"t":"say","n":1.5,"d":1}', "bad_frame"),
        ('{"t":"say","n":1}', "bad_frame"),
        ('{"t":"join","kind":7}', "bad_frame"),
        ('{"t":"join"}', "bad_frame"),
        ('{"t":"join","kind":"den","options":[]}', "bad_frame"),
        ('{"t":"got","seq":-1}', "bad_frame"),
    ],
)
async def test_a_bad_frame_is_told_and_the_third_closes_4002(
    autojump_clock, house, bystander, frame: str, code: str
) -> None:
    client = await house.client()
    await client.say(frame, frame)
    for _ in range(2):
        error = await client.next()
        assert (error["t"], error["code"], error["retry"]) == ("error", code, False)
    await client.say('{"t":"got","seq":0}')  # still served
    await settle()
    assert house.sessions[-1].close_code is None
    await client.say(frame)
    seen, close = await client.end()
    assert [error["code"] for error in seen] == [code]
    assert close == 4002


async def test_three_different_bad_frames_close_as_well(autojump_clock, house, bystander) -> None:
    client = await house.client()
    await client.say("{", '{"t":"dance"}', '{"t":"say","n":0,"d":1}')
    seen, close = await client.end()
    assert [error["code"] for error in seen] == ["bad_json", "unknown_type", "bad_frame"]
    assert close == 4002


async def test_unknown_keys_are_ignored(autojump_clock, house) -> None:
    client = await house.client()
    await client.say({"t": "join", "kind": "den", "later": {"version": 2}})
    assert (await client.next())["t"] == "joined"


# Joining and leaving.


async def test_joined_tells_all_that_a_client_needs(autojump_clock, house) -> None:
    client = await house.client()
    assert await client.join() == {
        "t": "joined",
        "room": "game-1.den",
        "kind": "den",
        "you": "p1",
        "seq": 0,
        "ticket": "game-1.den/p1/5ec7e7",
        "players": [{"id": "p1", "name": "one"}],
    }


async def test_a_join_in_a_room_is_already_in_a_room(autojump_clock, house) -> None:
    client = await house.client("den")
    await client.say({"t": "join", "kind": "den"})
    assert (await client.next())["code"] == "already_in_a_room"


async def test_a_join_while_one_is_under_way_is_already_in_a_room(autojump_clock, house) -> None:
    house.games.hold = True
    client = await house.client()
    await client.say({"t": "join", "kind": "den"}, {"t": "join", "kind": "den"})
    assert (await client.next())["code"] == "already_in_a_room"
    assert len(house.games.kept) == 1


@pytest.mark.parametrize(
    ("code", "retry"), [(ErrorCode.NO_GAME_NODE, True), (ErrorCode.FULL, False)]
)
async def test_a_refused_join_says_whether_to_try_again(autojump_clock, house, code, retry) -> None:
    house.games.hold = True
    client = await house.client()
    await client.say({"t": "join", "kind": "den"})
    await settle()
    house.games.kept[0][0].refused(code, "no")
    assert await client.next() == {"t": "error", "code": code, "message": "no", "retry": retry}
    house.games.hold = False
    assert (await client.join())["room"] == "game-1.den"


async def test_leaving_ends_the_place_and_the_socket_stays(autojump_clock, house) -> None:
    client = await house.client("den")
    await client.say({"t": "leave"})
    assert await client.next() == {"t": "ended", "room": "game-1.den", "reason": "left"}
    assert house.link.sent == [nodes.Leave("game-1.den", "p1", 1)]
    assert (await client.join("bar"))["room"] == "game-1.bar"


async def test_leaving_without_a_room_is_told(autojump_clock, house) -> None:
    client = await house.client()
    await client.say({"t": "leave"})
    assert (await client.next())["code"] == "not_in_a_room"


async def test_a_socket_that_goes_while_its_join_is_under_way_is_forgotten(
    autojump_clock, house
) -> None:
    house.games.hold = True
    client = await house.client()
    await client.say({"t": "join", "kind": "den"})
    await settle()
    session, request = house.games.kept[0]
    await client.socket.aclose()
    await house.gateway.wait_empty()
    assert house.games.forgotten == [session]
    house.games.seat(session, request)  # its answer comes too late
    assert house.link.sent == [nodes.Absent("game-1.den", "p1", 1)]
    assert house.relays.rooms == 0
    session.refused(ErrorCode.FULL, "late as well")
    assert session.state is State.GONE


async def test_every_ticket_is_unknown_until_resume_exists(autojump_clock, house) -> None:
    client = await house.client()
    await client.say({"t": "resume", "ticket": "game-1.den/p1/5ec7e7", "seen": 3})
    assert await client.end() == ([], 4004)


# Saying.


async def test_an_input_goes_to_the_room_as_it_was_written(autojump_clock, house) -> None:
    client = await house.client("den")
    await client.say('{"t":"say","d":{"cell": 4.0, "ü":"\\u00fc"},"n":1}')
    await settle()
    body = '{"cell": 4.0, "ü":"\\u00fc"}'.encode()
    assert house.link.sent == [nodes.Say("game-1.den", "p1", 1, 1, body)]


async def test_a_say_before_any_join_is_an_error_with_its_number(
    autojump_clock, house, bystander
) -> None:
    client = await house.client()
    await client.say({"t": "say", "n": 1, "d": 0})
    error = await client.next()
    assert (error["code"], error["n"]) == ("not_in_a_room", 1)


async def test_a_say_out_of_order_is_told_what_was_expected(
    autojump_clock, house, bystander
) -> None:
    client = await house.client("den")
    for n in (1, 2, 4):
        await client.say({"t": "say", "n": n, "d": 0})
    error = await client.next()
    assert (error["code"], error["n"], error["message"]) == ("bad_frame", 4, "expected n=3")
    await client.say({"t": "say", "n": 3, "d": 0})
    await settle()
    assert [say.n for say in house.link.of(nodes.Say) if say.room == "game-1.den"] == [1, 2, 3]


async def test_a_repeat_is_dropped_in_silence(autojump_clock, house) -> None:
    client = await house.client("den")
    await client.say({"t": "say", "n": 1, "d": 0}, {"t": "say", "n": 1, "d": 0}, {"t": "leave"})
    assert (await client.next())["t"] == "ended"
    assert len(house.link.of(nodes.Say)) == 1


async def test_a_say_that_crosses_the_end_is_dropped_in_silence(autojump_clock, house) -> None:
    client = await house.client("den")
    house.relays.take(house.link, nodes.Ended("game-1.den", 1, "finished", b'{"winner":null}'))
    await client.say({"t": "say", "n": 1, "d": 0})
    assert await client.next() == {
        "t": "ended",
        "room": "game-1.den",
        "reason": "finished",
        "result": {"winner": None},
    }
    await client.say({"t": "join", "kind": "bar"})
    assert (await client.next())["t"] == "joined"  # and no error before it
    await client.say({"t": "say", "n": 1, "d": 0})
    await settle()
    assert [say.room for say in house.link.of(nodes.Say)] == ["game-1.bar"]


async def test_a_say_while_the_next_join_is_under_way_is_an_error(autojump_clock, house) -> None:
    client = await house.client("den")
    house.relays.take(house.link, nodes.Ended("game-1.den", 1, "finished"))
    await client.until("ended")
    house.games.hold = True
    await client.say({"t": "join", "kind": "den"}, {"t": "say", "n": 1, "d": 0})
    assert (await client.next())["code"] == "not_in_a_room"


async def test_an_ack_is_passed_on(autojump_clock, house) -> None:
    client = await house.client("den")
    await client.say({"t": "say", "n": 1, "d": 0}, {"t": "say", "n": 2, "d": 0})
    await settle()
    acks(house, 2)
    acks(house, 2)
    house.room_says("den", 1, "next")
    assert await client.next() == {"t": "ack", "n": 2}
    assert (await client.next())["t"] == "msg"


# Held.


async def test_a_client_whose_room_is_behind_is_not_read_until_it_has_caught_up(
    autojump_clock, make_house
) -> None:
    house = make_house(held_inputs=3)
    client = await house.client("den")

    async def say_five() -> None:
        for n in range(1, 6):
            await client.say({"t": "say", "n": n, "d": 0})

    house.nursery.start_soon(say_five)
    await trio.sleep(4.9)
    assert [say.n for say in house.link.of(nodes.Say)] == [1, 2, 3]
    acks(house, 2)
    await settle()
    assert [say.n for say in house.link.of(nodes.Say)] == [1, 2, 3, 4, 5]
    acks(house, 5)
    await trio.sleep(60)
    assert house.gateway.clients == 1


async def test_a_client_that_is_held_for_5_s_is_closed_4101(autojump_clock, make_house) -> None:
    house = make_house(held_inputs=3)
    client = await house.client("den")
    begin = trio.current_time()
    for n in range(1, 4):
        await client.say({"t": "say", "n": n, "d": 0})
    assert (await client.end())[1] == 4101
    assert trio.current_time() - begin == 5


async def test_a_client_that_is_held_is_free_when_its_room_ends(autojump_clock, make_house) -> None:
    house = make_house(held_inputs=1)
    client = await house.client("den")
    await client.say({"t": "say", "n": 1, "d": 0})
    await settle()
    house.relays.take(house.link, nodes.Ended("game-1.den", 1, "finished"))
    assert (await client.join("bar"))["t"] == "joined"
    await trio.sleep(60)
    assert house.gateway.clients == 1


# Closing.


async def test_the_first_close_code_counts(autojump_clock, house) -> None:
    client = await house.client()
    session = house.sessions[0]
    session.close(Close.KICKED)
    session.close(Close.SLOW_READER)
    assert (await client.end())[1] == 4003


async def test_nothing_reaches_a_client_after_its_close(autojump_clock, house) -> None:
    client = await house.client("den")
    house.sessions[0].close(Close.KICKED)
    house.room_says("den", 1, "late")
    house.sessions[0].ended("game-1.den", EndReason.CUT)
    assert await client.end() == ([], 4003)


async def test_frames_are_counted(autojump_clock, house) -> None:
    client = await house.client("den")
    await client.say({"t": "say", "n": 1, "d": 0})
    await settle()
    counts = house.gateway.counts
    assert (counts.frames_in, counts.frames_out, counts.opened) == (2, 2, 1)
