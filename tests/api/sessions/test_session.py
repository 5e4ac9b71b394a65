import pytest
import trio
import trio.testing

from lastcall.api.sessions.states import TABLE, Event, State
from lastcall.errors import WrongEvent
from lastcall.ids import Ticket
from lastcall.limits import Limits, Rate
from lastcall.reasons import Close, EndReason, ErrorCode
from lastcall.wire import nodes


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
        ('{"t":"say","d":' + "[" * 30_000, "bad_json"),
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
async def test_a_bad_frame_is_answered_with_an_error_and_the_third_closes_4002(
    autojump_clock, house, bystander, frame: str, code: str
) -> None:
    client = await house.client()
    await client.say(frame, frame)
    for _ in range(2):
        error = await client.next()
        assert (error["t"], error["code"], error["retry"]) == ("error", code, False)
    await client.say('{"t":"got","seq":0}')  # still served
    await settle()
    assert house.sessions[-1].connection.close_code is None
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


async def test_joined_contains_all_that_a_client_needs(autojump_clock, house) -> None:
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
    assert house.link.sent == [nodes.Leave("game-1.den", "p1", 1, "5ec7e7")]
    assert (await client.join("bar"))["room"] == "game-1.bar"


async def test_leaving_without_a_room_is_an_error(autojump_clock, house) -> None:
    client = await house.client()
    await client.say({"t": "leave"})
    assert (await client.next())["code"] == "not_in_a_room"


async def test_a_leave_that_crosses_the_end_is_dropped_in_silence(autojump_clock, house) -> None:
    client = await house.client("den")
    house.relays.take(house.link, nodes.Ended("game-1.den", 1, "finished"))
    await client.say({"t": "leave"}, {"t": "join", "kind": "bar"})
    assert [(await client.next())["t"] for _ in range(2)] == ["ended", "joined"]


async def test_a_leave_while_the_next_join_is_under_way_gives_that_place_up(
    autojump_clock, house
) -> None:
    client = await house.client("den")
    house.relays.take(house.link, nodes.Ended("game-1.den", 1, "finished"))
    await client.until("ended")
    house.games.hold = True
    await client.say({"t": "join", "kind": "den"}, {"t": "leave"})
    await settle()
    house.games.seat(*house.games.kept[0])
    assert [(await client.next())["t"] for _ in range(2)] == ["joined", "ended"]


# Leaving, with something under way.


async def say_two_and_leave(client) -> None:
    """Sends two inputs and a leave, in this order."""
    for n in (1, 2):
        await client.say({"t": "say", "n": n, "d": n})
    await client.say({"t": "leave"})
    await settle()


def sent(house) -> list[str]:
    """The items that the game node got about the den, without confirmations."""
    kinds = (nodes.Say, nodes.Leave, nodes.Absent)
    return [type(item).__name__ for item in house.link.sent if isinstance(item, kinds)]


async def test_a_leave_waits_until_the_room_has_all_earlier_inputs(
    autojump_clock, schedule, house
) -> None:
    client = await house.client("den")
    await say_two_and_leave(client)
    house.nursery.start_soon(client.say, {"t": "join", "kind": "bar"})
    await trio.sleep(1)
    acks(house, 1)
    await trio.sleep(1)
    assert sent(house) == ["Say", "Say"]
    house.relays.take(house.link, nodes.Wanted("game-1.den", "p1", 2))
    acks(house, 2)
    assert sent(house) == ["Say", "Say", "Say", "Leave"]
    heard = [await client.next() for _ in range(4)]
    assert [frame["t"] for frame in heard] == ["ack", "ack", "ended", "joined"]
    assert (heard[1]["n"], heard[2]["reason"], heard[3]["room"]) == (2, "left", "game-1.bar")


async def test_a_leave_that_is_kept_back_for_5_s_is_sent_without_the_earlier_inputs(
    autojump_clock, schedule, house
) -> None:
    client = await house.client("den")
    begin = trio.current_time()
    await say_two_and_leave(client)
    assert (await client.until("ended"))["reason"] == "left"
    assert trio.current_time() - begin == 5
    assert sent(house) == ["Say", "Say", "Leave"]
    assert (await client.join("bar"))["room"] == "game-1.bar"


async def test_a_room_that_ends_before_it_has_the_leave_has_ended(
    autojump_clock, schedule, house
) -> None:
    client = await house.client("den")
    await say_two_and_leave(client)
    house.relays.take(house.link, nodes.Ended("game-1.den", 1, "finished"))
    assert (await client.next())["reason"] == "finished"
    assert (await client.join("bar"))["room"] == "game-1.bar"
    await trio.sleep(60)
    assert sent(house) == ["Say", "Say"]
    assert house.sessions[0].state is State.SEATED


async def test_a_leave_that_is_kept_back_does_not_affect_the_newer_socket(
    autojump_clock, schedule, house
) -> None:
    older, newer = await house.client("den"), await house.client()
    await say_two_and_leave(older)
    await newer.resume()
    house.games.answer()
    assert await older.end() == ([], 4005)
    acks(house, 2)
    await trio.sleep(60)
    assert sent(house) == ["Say", "Say"]
    house.room_says("den", 1, "yours")
    assert (await newer.until("msg"))["d"] == "yours"


async def test_a_client_whose_leave_is_pending_gets_no_other_room_when_its_room_is_given_up(
    autojump_clock, schedule, house
) -> None:
    leaver, other = await house.client("den"), await house.client("den")
    await say_two_and_leave(leaver)
    regroup = nodes.Regroup("game-1.den", 1, "den", [("p1", "", ""), ("p2", "", "")])
    [(session, *_)] = house.relays.regroup(house.link, regroup)
    assert session is house.sessions[1]
    assert await leaver.next() == {"t": "ended", "room": "game-1.den", "reason": "left"}
    assert (await leaver.join("bar"))["room"] == "game-1.bar"
    await other.socket.aclose()


@pytest.mark.parametrize(
    ("code", "last"),
    [(Close.SERVICE_RESTART, "Absent"), (Close.SLOW_READER, "Leave"), (Close.KICKED, "Leave")],
)
async def test_a_leave_that_is_kept_back_reaches_the_room_at_the_close_unless_it_is_sent_again(
    autojump_clock, schedule, house, code: Close, last: str
) -> None:
    """A moved client resumes, and sends again the inputs that the room lacks, and the leave."""
    client = await house.client("den")
    begin = trio.current_time()
    await say_two_and_leave(client)
    house.sessions[0].connection.close(code)
    assert (await client.end())[1] == code
    await house.gateway.wait_empty()
    assert trio.current_time() == begin
    assert sent(house) == ["Say", "Say", last]


async def test_a_client_that_leaves_and_hangs_up_keeps_the_seat_for_at_most_5_s(
    autojump_clock, schedule, house
) -> None:
    client = await house.client("den")
    begin = trio.current_time()
    await say_two_and_leave(client)
    await client.socket._stream.aclose()
    await house.gateway.wait_empty()
    assert trio.current_time() - begin == 5
    assert sent(house) == ["Say", "Say", "Leave"]


async def test_the_node_moves_a_client_whose_leave_was_kept_back_when_it_has_left(
    autojump_clock, schedule, house
) -> None:
    client = await house.client("den")
    await say_two_and_leave(client)
    house.sessions[0].draining = True
    acks(house, 2)
    heard, code = await client.end()
    assert [frame["t"] for frame in heard] == ["ack", "ended", "move"]
    assert code == 1012
    assert sent(house) == ["Say", "Say", "Leave"]


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


def test_every_state_of_a_session_ends_at_the_close_and_only_once() -> None:
    assert {state: steps.get(Event.CLOSED) for state, steps in TABLE.items()} == {
        state: None if state is State.GONE else State.GONE for state in State
    }
    assert TABLE[State.GONE] == {}


async def test_an_event_that_the_table_does_not_know_raises_and_changes_nothing(
    autojump_clock, house
) -> None:
    await house.client("den")
    session = house.sessions[0]
    session.ended("game-1.den", EndReason.FINISHED)
    since = session.state_since
    await trio.sleep(1)
    with pytest.raises(WrongEvent, match="a session that is free cannot take 'no place'"):
        session.ended("game-1.den", EndReason.FINISHED)
    assert (session.state, session.state_since) == (State.FREE, since)


# Resuming.


async def test_a_resume_is_passed_on_with_its_ticket_and_its_last_number(
    autojump_clock, house
) -> None:
    client = await house.client()
    await client.resume("game-1.den/p1/5ec7e7", 17)
    assert house.games.resumes == [
        (house.sessions[0], Ticket("game-1.den", "p1", "5ec7e7"), 17),
    ]
    assert house.gateway.why() == ["1 client with a resume under way, the oldest for 0 s"]


async def test_resumed_contains_all_that_a_client_needs(autojump_clock, house) -> None:
    client = await house.client()
    await client.resume(seen=17)
    house.games.answer(n=7)
    assert await client.next() == {
        "t": "resumed",
        "room": "game-1.den",
        "seq": 17,
        "n": 7,
        "ticket": "game-1.den/p1/0ther",
        "complete": True,
    }
    house.room_says("den", 18, "live")
    assert await client.next() == {"t": "msg", "seq": 18, "d": "live"}


async def test_a_resume_with_too_short_a_history_brings_the_rooms_state(
    autojump_clock, house
) -> None:
    client = await house.client()
    await client.resume()
    house.games.answer(complete=False, state=b'{"board":"XO"}')
    resumed = await client.next()
    assert (resumed["complete"], resumed["state"]) == (False, {"board": "XO"})


async def test_inputs_count_on_from_what_the_room_has(autojump_clock, house, bystander) -> None:
    client = await house.client()
    await client.resume()
    house.games.answer(n=7)
    await client.say(*({"t": "say", "n": n, "d": 0} for n in (7, 9, 8)))
    assert (await client.until("error"))["message"] == "expected n=8"
    await settle()
    assert [say.n for say in house.link.of(nodes.Say) if say.room == "game-1.den"] == [8]


@pytest.mark.parametrize("frame", ['{"t":"got","seq":0}', '{"t":"say","n":1,"d":0}'])
async def test_the_first_frame_about_a_place_confirms_it_once(
    autojump_clock, house, frame: str
) -> None:
    client = await house.client("den")
    await settle()
    assert house.link.sent == []
    await client.say(frame, '{"t":"got","seq":0}')
    await settle()
    assert house.link.of(nodes.Confirm) == [nodes.Confirm("game-1.den", "p1", 1)]
    assert isinstance(house.link.sent[0], nodes.Confirm)


async def test_a_resumed_place_is_confirmed_anew(autojump_clock, house) -> None:
    client = await house.client()
    await client.resume()
    house.games.answer()
    await settle()
    assert house.link.sent == []
    await client.say('{"t":"got","seq":0}')
    await settle()
    assert house.link.sent == [nodes.Confirm("game-1.den", "p1", 2)]


async def test_a_second_joined_is_confirmed_by_a_frame_about_the_new_room_and_no_other(
    autojump_clock, house
) -> None:
    client = await house.client("den")
    await client.say('{"t":"got","seq":0}')
    await settle()
    regroup = nodes.Regroup("game-1.den", 1, "den", [("p1", "", "")])
    [(session, request, _)] = house.relays.regroup(house.link, regroup)
    house.link.sent.clear()
    house.games.seat(session, request, player="p9", number=5)
    await client.say('{"t":"say","n":1,"d":"to the room before"}')
    await client.say('{"t":"got","seq":4,"room":"game-1.before"}')
    await settle()
    assert house.link.sent == []
    await client.say('{"t":"got","seq":0,"room":"game-1.den"}')
    await settle()
    assert house.link.sent == [nodes.Confirm("game-1.den", "p9", 5)]


@pytest.mark.parametrize(
    "text",
    ["", "x", "a/b", "a/b/", "/b/c", "a//c", "//", "a/b/c/d", "///", "ä" * 512, "/" * 512],
)
async def test_a_text_that_is_not_a_ticket_is_looked_up_nowhere_but_counts(
    autojump_clock, house, bystander, text: str
) -> None:
    client = await house.client()
    await client.resume(text)
    ((session, ticket, _),) = house.games.resumes
    assert ticket.room == ""
    session.lose(Close.NO_SUCH_PLACE)
    assert await client.end() == ([], 4004)


async def test_a_ticket_may_contain_text_that_no_node_has_issued(autojump_clock, house) -> None:
    for text in ("ä/🜚/\u202e", "." * 200 + "/p/s", "game-1./p1/s"):
        client = await house.client()
        await client.resume(text)
        assert str(house.games.resumes[-1][1]) == text
        house.games.resumes[-1][0].lose(Close.NO_SUCH_PLACE)
        assert await client.end() == ([], 4004)


@pytest.mark.parametrize(
    "wrong",
    [
        '"seen":-1',
        '"seen":9007199254740992',
        '"seen":"1"',
        '"seen":1.5',
        '"seen":null',
        '"ticket":7',
        f'"ticket":"{"x" * 513}"',
    ],
)
async def test_a_resume_that_cannot_be_read_is_a_bad_frame(
    autojump_clock, house, bystander, wrong: str
) -> None:
    client = await house.client()
    ticket = "" if "ticket" in wrong else ',"ticket":"a/b/c"'
    await client.say(f'{{"t":"resume"{ticket},{wrong}}}')
    assert (await client.next())["code"] == "bad_frame"
    assert house.games.resumes == []


async def test_a_place_that_no_node_knows_closes_4004(autojump_clock, house, bystander) -> None:
    client = await house.client()
    await client.resume()
    house.games.resumes[0][0].lose(Close.NO_SUCH_PLACE)
    assert await client.end() == ([], 4004)


async def test_a_place_that_no_node_could_look_up_closes_1013(autojump_clock, house) -> None:
    client = await house.client()
    await client.resume()
    house.games.resumes[0][0].lose(Close.TRY_AGAIN_LATER)
    assert await client.end() == ([], 1013)


async def test_a_seen_from_the_future_is_a_strike_and_the_socket_stays_free(
    autojump_clock, house, bystander
) -> None:
    client = await house.client()
    for _ in range(2):
        await client.resume(seen=10_000)
        house.games.resumes.pop()[0].refused(ErrorCode.BAD_FRAME, "seen is ahead of the room")
        error = await client.next()
        assert (error["code"], error["message"]) == ("bad_frame", "seen is ahead of the room")
    await client.resume(seen=1)
    house.games.answer()
    assert (await client.next())["t"] == "resumed"


async def test_the_third_seen_from_the_future_closes_4002(autojump_clock, house) -> None:
    client = await house.client()
    for _ in range(3):
        await client.resume(seen=10_000)
        house.games.resumes.pop()[0].refused(ErrorCode.BAD_FRAME, "seen is ahead of the room")
    assert (await client.end())[1] == 4002


async def test_a_resume_in_a_room_is_already_in_a_room(autojump_clock, house) -> None:
    client = await house.client("den")
    await client.resume()
    assert (await client.next())["code"] == "already_in_a_room"
    assert house.games.resumes == []


async def test_a_resume_during_a_join_and_a_join_during_a_resume_are_refused(
    autojump_clock, house
) -> None:
    house.games.hold = True
    joining, resuming = await house.client(), await house.client()
    await joining.say({"t": "join", "kind": "den"})
    await joining.resume()
    await resuming.resume()
    await resuming.say({"t": "join", "kind": "den"})
    for client in (joining, resuming):
        assert (await client.next())["code"] == "already_in_a_room"
    assert (len(house.games.kept), len(house.games.resumes)) == (1, 1)


async def test_a_second_resume_on_a_socket_changes_nothing_about_the_first(
    autojump_clock, house
) -> None:
    client = await house.client()
    await client.resume()
    await client.resume("game-1.bar/p2/5ec7e7")
    assert (await client.next())["code"] == "already_in_a_room"
    house.games.answer()
    assert (await client.next())["room"] == "game-1.den"
    await client.resume()
    assert (await client.next())["code"] == "already_in_a_room"


async def test_a_say_during_a_resume_is_an_error_and_a_leave_gives_the_place_up(
    autojump_clock, house
) -> None:
    client = await house.client()
    await client.resume()
    await client.say({"t": "say", "n": 1, "d": 0}, {"t": "leave"})
    assert (await client.next())["code"] == "not_in_a_room"
    house.games.answer()
    assert [(await client.next())["t"] for _ in range(2)] == ["resumed", "ended"]


async def test_a_say_during_a_resume_is_an_error_also_after_another_place_has_ended(
    autojump_clock, house
) -> None:
    client = await house.client("bar")
    house.relays.take(house.link, nodes.Ended("game-1.bar", 1, "finished"))
    await client.until("ended")
    await client.resume()
    await client.say({"t": "say", "n": 1, "d": 0})
    assert (await client.next())["code"] == "not_in_a_room"


async def test_a_place_may_be_resumed_on_the_socket_that_has_left_another(
    autojump_clock, house
) -> None:
    client = await house.client("bar")
    await client.say({"t": "leave"})
    await client.until("ended")
    await client.resume()
    house.games.answer()
    assert (await client.next())["room"] == "game-1.den"


async def test_the_rate_of_one_clients_resumes_is_limited(autojump_clock, make_house) -> None:
    house = make_house(limits=Limits(joins_per_client=Rate(5, 1)))
    client = await house.client()
    for _ in range(5):
        await client.resume()
        house.games.answer()
        await client.say({"t": "leave"})
        await client.until("ended")
    await client.resume()
    error = await client.next()
    assert (error["code"], error["retry"]) == ("too_many", True)
    await trio.sleep(1)
    await client.resume()
    house.games.answer()
    assert (await client.next())["t"] == "resumed"


async def test_a_socket_that_goes_during_its_resume_is_forgotten(autojump_clock, house) -> None:
    client = await house.client()
    await client.resume()
    session = house.sessions[0]
    await client.socket.aclose()
    await house.gateway.wait_empty()
    assert house.games.forgotten == [session]
    assert session.state is State.GONE


async def test_a_resume_after_the_close_frame_is_not_looked_up(autojump_clock, house) -> None:
    client = await house.client()
    session = house.sessions[0]
    session.connection.close(Close.SERVICE_RESTART)
    assert not session.hear('{"t":"resume","ticket":"game-1.den/p1/5ec7e7"}', 0.0)
    assert house.games.resumes == []
    assert (await client.end())[1] == 1012


async def test_a_place_that_comes_to_a_closing_socket_is_reported_absent(
    autojump_clock, house
) -> None:
    client = await house.client()
    await client.resume()
    house.sessions[0].connection.close(Close.SERVICE_RESTART)
    house.games.answer()
    assert await client.end() == ([], 1012)
    await house.gateway.wait_empty()
    assert house.link.sent == [nodes.Absent("game-1.den", "p1", 2)]


async def test_the_newer_of_two_sockets_has_the_place_and_the_older_gets_4005(
    autojump_clock, house
) -> None:
    older = await house.client("den")
    newer = await house.client()
    await newer.resume()
    house.games.answer()
    assert await older.end() == ([], 4005)
    assert (await newer.next())["t"] == "resumed"
    await trio.sleep(1)
    assert house.link.of(nodes.Absent) == []
    house.room_says("den", 1, "yours")
    assert (await newer.next())["d"] == "yours"


async def test_a_resumed_place_ends_as_any_other(autojump_clock, house) -> None:
    client = await house.client()
    await client.resume()
    house.games.answer()
    house.relays.take(house.link, nodes.Out("game-1.den", "p1", "finished", 2, b'"won"'))
    assert (await client.until("ended"))["result"] == "won"
    assert (await client.join("bar"))["room"] == "game-1.bar"


# Saying.


async def test_an_input_goes_to_the_room_as_it_was_written(autojump_clock, house) -> None:
    client = await house.client("den")
    await client.say('{"t":"say","d":{"cell": 4.0, "ü":"\\u00fc"},"n":1}')
    await settle()
    body = '{"cell": 4.0, "ü":"\\u00fc"}'.encode()
    assert house.link.of(nodes.Say) == [nodes.Say("game-1.den", "p1", 1, 1, body)]


async def test_a_say_before_any_join_is_an_error_with_its_number(
    autojump_clock, house, bystander
) -> None:
    client = await house.client()
    await client.say({"t": "say", "n": 1, "d": 0})
    error = await client.next()
    assert (error["code"], error["n"]) == ("not_in_a_room", 1)


async def test_a_say_out_of_order_is_answered_with_the_expected_number(
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
    await client.say({"t": "say", "n": 1, "d": 0}, {"t": "say", "n": 1, "d": 0})
    await settle()
    assert len(house.link.of(nodes.Say)) == 1
    acks(house, 1)
    await client.say({"t": "leave"})
    assert [(await client.next())["t"] for _ in range(2)] == ["ack", "ended"]


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
    assert await client.next() == {"t": "ack", "n": 2}
    house.room_says("den", 1, "next")
    assert (await client.next())["t"] == "msg"


# Held.


async def test_a_client_whose_room_is_behind_is_not_read_until_it_has_caught_up(
    autojump_clock, make_house
) -> None:
    house = make_house(unacked_inputs=3)
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


async def test_a_client_that_is_blocked_for_5_s_is_closed_4101(autojump_clock, make_house) -> None:
    house = make_house(unacked_inputs=3)
    client = await house.client("den")
    begin = trio.current_time()
    for n in range(1, 4):
        await client.say({"t": "say", "n": n, "d": 0})
    assert (await client.end())[1] == 4101
    assert trio.current_time() - begin == 5


async def test_a_blocked_client_is_free_when_its_room_ends(autojump_clock, make_house) -> None:
    house = make_house(unacked_inputs=1)
    client = await house.client("den")
    await client.say({"t": "say", "n": 1, "d": 0})
    await settle()
    house.relays.take(house.link, nodes.Ended("game-1.den", 1, "finished"))
    assert (await client.join("bar"))["t"] == "joined"
    await trio.sleep(60)
    assert house.gateway.clients == 1


async def test_a_client_that_is_blocked_by_a_suspended_link_is_not_closed(
    autojump_clock, make_house
) -> None:
    house = make_house(unacked_inputs=1)
    client = await house.client("den")
    (place,) = house.relays.suspend(house.link)
    await client.say({"t": "say", "n": 1, "d": 0})
    await trio.sleep(30)
    assert house.gateway.clients == 1
    begin = trio.current_time()
    news = nodes.Resumed(1, "game-1.den", "p1", 2, 1, 0, 0, "5ec7e7", complete=True)
    place.reattach(house.link, news)
    assert (await client.end())[1] == 4101  # from here on it is the room that takes nothing
    assert trio.current_time() - begin == 5


# Closing.


async def test_the_first_close_code_counts(autojump_clock, house) -> None:
    client = await house.client()
    session = house.sessions[0]
    session.connection.close(Close.KICKED)
    session.connection.close(Close.SLOW_READER)
    assert (await client.end())[1] == 4003


async def test_nothing_reaches_a_client_after_its_close(autojump_clock, house) -> None:
    client = await house.client("den")
    house.sessions[0].connection.close(Close.KICKED)
    house.room_says("den", 1, "late")
    house.sessions[0].ended("game-1.den", EndReason.CUT)
    assert await client.end() == ([], 4003)


async def test_frames_are_counted(autojump_clock, house) -> None:
    client = await house.client("den")
    await client.say({"t": "say", "n": 1, "d": 0})
    await settle()
    counts = house.gateway.counts
    assert (counts.frames_in, counts.frames_out, counts.opened) == (2, 2, 1)
