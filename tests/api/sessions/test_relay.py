import pytest
import trio
import trio.testing

from lastcall.api.sessions.place import Place
from lastcall.api.socket.backlog import Backlog
from lastcall.api.socket.send_queue import SendQueue
from lastcall.policy import SocketPolicy
from lastcall.reasons import EndReason
from lastcall.wire import frames, nodes

DEN = "game-1.den"
SECRET = "5ec7e7"  # noqa: S105


def resumed(player: str = "p1", number: int = 2, **more: object) -> nodes.Resumed:
    values = {"call": 1, "epoch": 1, "seq": 17, "n": 7, "secret": SECRET, "complete": True, **more}
    return nodes.Resumed(room=DEN, player=player, session=number, **values)  # type: ignore[arg-type]


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_a_message_reaches_every_client_in_its_room_and_no_other(
    autojump_clock, house, bystander
) -> None:
    inside = [await house.client("den") for _ in range(3)]
    house.room_says("den", 7, {"left": 3})
    for client in inside:
        assert await client.next() == {"t": "msg", "seq": 7, "d": {"left": 3}}


async def test_a_private_message_reaches_only_its_addressees(autojump_clock, house) -> None:
    first, second = await house.client("den"), await house.client("den")
    house.room_says("den", 1, "for two", to=["p2", "p-elsewhere"])
    house.room_says("den", 2, "for all")
    assert (await first.next())["seq"] == 2
    assert (await second.next())["seq"] == 1


async def test_a_message_for_nobody_here_is_dropped(autojump_clock, house) -> None:
    house.room_says("elsewhere", 1, "hm")
    house.relays.take(house.link, nodes.Ended("elsewhere", 1, "finished"))
    house.relays.take(house.link, nodes.Acks([("elsewhere", "p1", 1)]))
    house.relays.take(house.link, nodes.Out("elsewhere", "p1", "left"))
    house.relays.take(house.link, nodes.NodeState(1, "serving", 0, {}))
    house.relays.take(house.link, nodes.Unknown())
    assert house.relays.rooms == 0


async def test_messages_and_ends_of_an_older_epoch_are_dropped(autojump_clock, house) -> None:
    client = await house.client("den")
    house.relays.take(house.link, nodes.Message(DEN, 2, 1, b'"new owner"'))
    house.relays.take(house.link, nodes.Message(DEN, 1, 2, b'"old owner"'))
    house.relays.take(house.link, nodes.Ended(DEN, 1, "cut"))
    house.relays.take(house.link, nodes.Message(DEN, 2, 3, b'"new owner"'))
    assert [(await client.next())["seq"] for _ in range(2)] == [1, 3]


async def test_the_end_of_a_room_reaches_all_clients_and_frees_them(autojump_clock, house) -> None:
    clients = [await house.client("den") for _ in range(2)]
    house.relays.take(house.link, nodes.Ended(DEN, 1, "finished", b'{"winner":"p1"}'))
    for client in clients:
        end = await client.next()
        assert (end["reason"], end["result"]) == ("finished", {"winner": "p1"})
    assert house.relays.rooms == 0


async def test_the_end_of_one_players_place_does_not_affect_the_others(
    autojump_clock, house
) -> None:
    kicked, other = await house.client("den"), await house.client("den")
    house.relays.take(house.link, nodes.Out(DEN, "p1", "kicked"))
    house.room_says("den", 1, "on we go")
    assert await kicked.next() == {"t": "ended", "room": DEN, "reason": "kicked"}
    assert (await other.next())["t"] == "msg"
    assert (await kicked.join("bar"))["t"] == "joined"


async def test_an_end_reason_of_a_later_version_becomes_cut(autojump_clock, house) -> None:
    client = await house.client("den")
    house.relays.take(house.link, nodes.Out(DEN, "p1", "teleported"))
    assert (await client.next())["reason"] == "cut"


async def test_a_bad_input_is_reported_to_its_sender_alone(autojump_clock, house) -> None:
    sender, other = await house.client("den"), await house.client("den")
    house.relays.take(house.link, nodes.BadInput(DEN, "p1", 4, "bad_input", "no such cell"))
    house.relays.take(house.link, nodes.BadInput(DEN, "p1", 5, "from_later", "hm"))
    house.room_says("den", 1, "on we go")
    assert await sender.next() == {
        "t": "error",
        "code": "bad_input",
        "message": "no such cell",
        "retry": False,
        "n": 4,
    }
    assert (await sender.next())["code"] == "bad_input"
    assert (await other.next())["t"] == "msg"


async def test_inputs_that_a_full_inbox_refused_are_sent_again_in_order(
    autojump_clock, house
) -> None:
    client = await house.client("den")
    for n in range(1, 5):
        await client.say({"t": "say", "n": n, "d": n})
    await settle()
    house.relays.take(house.link, nodes.Acks([(DEN, "p1", 1)]))
    house.link.sent.clear()
    house.relays.take(house.link, nodes.Wanted(DEN, "p1", 2))
    assert [(say.n, say.body) for say in house.link.sent] == [(2, b"2"), (3, b"3"), (4, b"4")]


async def test_a_lost_link_ends_its_places_and_no_others(autojump_clock, house, bystander) -> None:
    house.games.link, quiet_link = type(house.link)(), house.link
    inside = [await house.client("den") for _ in range(2)]
    house.relays.lost(house.games.link, EndReason.NODE_LOST)
    for client in inside:
        assert (await client.next())["reason"] == "node_lost"
    assert house.relays.rooms == 1
    house.games.link = quiet_link
    assert (await inside[0].join("bar"))["t"] == "joined"


async def test_a_lost_link_with_many_places_notifies_a_few_in_each_turn_and_none_that_has_left(
    autojump_clock, house
) -> None:
    clients = [await house.client("den") for _ in range(100)]
    house.relays.lost(house.link, EndReason.NODE_LOST)
    seated = [session for session in house.sessions if session.place is not None]
    assert len(seated) == 100 - 32
    seated[-1].place.leave()
    reasons = [(await client.until("ended"))["reason"] for client in clients]
    assert sorted(reasons) == ["left"] + ["node_lost"] * 99
    await settle()
    assert house.relays.rooms == 0
    for client in clients:
        await client.say({"t": "join", "kind": "bar"})
        assert (await client.next())["t"] == "joined"  # and not another end


async def test_the_end_of_a_large_room_is_sent_to_a_few_clients_in_each_turn_although_its_node_goes(
    autojump_clock, house
) -> None:
    clients = [await house.client("den") for _ in range(100)]
    house.relays.take(house.link, nodes.Ended(DEN, 1, "finished", b"1"))
    house.relays.lost(house.link, EndReason.NODE_LOST)
    seated = [session for session in house.sessions if session.place is not None]
    assert len(seated) == 100 - 32
    seated[-1].place.leave()
    reasons = [(await client.until("ended"))["reason"] for client in clients]
    assert sorted(reasons) == ["finished"] * 99 + ["left"]
    await settle()
    assert house.relays.rooms == 0


async def test_one_task_sends_the_ends_of_rooms_that_end_together(autojump_clock, house) -> None:
    kinds = [f"den{n}" for n in range(5)]
    clients = [await house.client(kind) for kind in kinds for _ in range(50)]
    for kind in kinds:
        house.relays.take(house.link, nodes.Ended(f"game-1.{kind}", 1, "finished"))
    seated = [session for session in house.sessions if session.place is not None]
    assert len(seated) == 5 * (50 - 32)
    assert len(house.tasks) == 1
    for client in clients:
        assert (await client.until("ended"))["reason"] == "finished"
    await settle()
    assert house.relays.rooms == 0


@pytest.mark.parametrize("faulty", [3, 40])
async def test_an_error_with_one_notified_client_does_not_affect_the_others(
    autojump_clock, house, faulty: int, monkeypatch
) -> None:
    clients = [await house.client("den") for _ in range(50)]
    unlucky = list(house.relays._relays[DEN].places.values())[faulty]
    over = Place.end

    def fail(place: Place, *args: object) -> None:
        if place is unlucky:
            raise RuntimeError("boom")
        over(place, *args)

    monkeypatch.setattr(Place, "end", fail)
    house.relays.take(house.link, nodes.Ended(DEN, 1, "finished"))
    for number, client in enumerate(clients):
        if number != faulty:
            assert (await client.until("ended"))["reason"] == "finished"


async def test_a_rooms_actor_runs_as_long_as_a_client_is_in_the_room(autojump_clock, house) -> None:
    first, second = await house.client("den"), await house.client("den")
    relay = house.sessions[0].place.relay
    await settle()
    assert house.rooms == [DEN]
    await first.say({"t": "leave"})
    await settle()
    assert (house.rooms, house.relays.rooms, list(relay.places)) == ([DEN], 1, ["p2"])
    await second.socket.aclose()
    await settle()
    assert (house.rooms, house.relays.rooms, list(relay.places)) == ([], 0, [])


async def test_a_task_in_a_rooms_nursery_ends_with_the_room(autojump_clock, house) -> None:
    await house.client("den")
    await settle()
    ended = trio.Event()

    async def companion() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    house.sessions[0].place.relay.nursery.start_soon(companion)
    await settle()
    house.relays.take(house.link, nodes.Ended(DEN, 1, "finished"))
    with trio.fail_after(1):
        await ended.wait()


async def test_a_room_starts_no_task_but_its_actor(autojump_clock, house) -> None:
    client = await house.client("den")
    house.room_says("den", 1, "on we go")
    house.relays.take(house.link, nodes.Ended(DEN, 1, "finished"))
    assert [(await client.next())["t"] for _ in range(2)] == ["msg", "ended"]
    await settle()
    assert (house.tasks, house.rooms) == ([], [])
    assert house.relays.rooms == 0


async def test_the_same_place_on_a_newer_socket_closes_the_older_4005(
    autojump_clock, house
) -> None:
    old, new = await house.client("den"), await house.client()
    house.games.hold = True
    await new.say({"t": "join", "kind": "den"})
    await settle()
    house.games.seat(*house.games.kept.pop(), player="p1", number=2)
    assert (await new.next())["you"] == "p1"
    assert (await old.end())[1] == 4005
    await settle()
    assert house.link.sent == []  # the place is not absent
    house.room_says("den", 1, "hm")
    assert (await new.next())["t"] == "msg"


async def test_a_second_joined_replaces_the_place(autojump_clock, house) -> None:
    client = await house.client("den")
    await client.say({"t": "say", "n": 1, "d": 0})
    await settle()
    house.games.seat(house.sessions[0], frames.Join(kind="bar"), player="p9")
    assert (await client.until("joined"))["room"] == "game-1.bar"
    await client.say({"t": "say", "n": 1, "d": 0})
    await settle()
    assert house.relays.rooms == 1
    assert [(say.room, say.n) for say in house.link.of(nodes.Say)] == [(DEN, 1), ("game-1.bar", 1)]


async def test_a_client_too_slow_in_the_middle_of_a_fan_out_harms_no_other(
    autojump_clock, make_house
) -> None:
    house = make_house()
    clients = [await house.client("den") for _ in range(5)]
    await settle()
    bounds = SocketPolicy(backlog_bytes=10, backlog_bytes_max=10)
    house.sessions[2].connection.output.queue = SendQueue(Backlog(bounds))
    house.room_says("den", 1, "x" * 100)
    for index, client in enumerate(clients):
        if index == 2:
            assert await client.end() == ([], 4100)
        else:
            assert (await client.next())["seq"] == 1


@pytest.mark.parametrize(("messages", "message_bytes"), [(5, 250_000), (1_100, 1_024)])
async def test_a_burst_in_one_step_reaches_every_client_that_reads(
    autojump_clock, house, messages, message_bytes
) -> None:
    clients = [await house.client("den") for _ in range(3)]
    for seq in range(1, messages + 1):
        house.room_says("den", seq, "x" * message_bytes)
    for client in clients:
        for seq in range(1, messages + 1):
            assert (await client.next())["seq"] == seq


@pytest.mark.parametrize("players", [1, 500])
async def test_a_fan_out_switches_no_task_on_the_way(autojump_clock, house, players) -> None:
    """The frame is in each outlet when ``take`` returns."""
    for _ in range(players):
        await house.client("den")
    await settle()
    before = house.gateway.counts.frames_out
    house.room_says("den", 1, "x")
    assert house.gateway.counts.frames_out - before == players
    assert all(session.connection.output.queue.size for session in house.sessions)


async def resuming(house, item: nodes.Resumed):
    """A new client whose resume is answered with ``item``."""
    client = await house.client()
    await client.resume()
    house.relays.seat(house.link, item, house.games.resumes.pop()[0])
    return client


async def test_a_resumed_place_counts_on_from_what_the_room_has(autojump_clock, house) -> None:
    client = await resuming(house, resumed())
    frame = await client.next()
    assert (frame["t"], frame["seq"], frame["n"]) == ("resumed", 17, 7)
    await client.say({"t": "say", "n": 7, "d": "had"}, {"t": "say", "n": 8, "d": "new"})
    await settle()
    assert [(say.session, say.n) for say in house.link.of(nodes.Say)] == [(2, 8)]


async def test_missed_messages_reach_their_player_alone_and_only_in_the_present_place(
    autojump_clock, house
) -> None:
    other = await house.client("den")
    client = await resuming(house, resumed("p2"))
    house.relays.take(house.link, nodes.Replay(DEN, "p2", 1, [(18, b'"to an older place"')]))
    house.relays.take(type(house.link)(), nodes.Replay(DEN, "p2", 2, [(18, b'"by another link"')]))
    house.relays.take(house.link, nodes.Replay(DEN, "p2", 2, [(18, b"1"), (20, b"2")]))
    house.room_says("den", 21, 3)
    await client.until("resumed")
    assert [(await client.next())["seq"] for _ in range(3)] == [18, 20, 21]
    assert (await other.next())["seq"] == 21


async def test_a_resume_on_this_node_takes_the_older_socket_over(autojump_clock, house) -> None:
    old = await house.client("den")
    new = await resuming(house, resumed())
    house.relays.take(house.link, nodes.Out(DEN, "p1", nodes.TAKEN_OVER, session=1))
    assert (await old.end())[1] == 4005
    house.room_says("den", 18, "on we go")
    assert [(await new.next())["t"] for _ in range(2)] == ["resumed", "msg"]
    assert house.link.of(nodes.Absent) == []


async def test_a_place_that_was_taken_over_elsewhere_closes_4005_and_sends_the_room_nothing(
    autojump_clock, house, bystander
) -> None:
    # the bystander is p1
    client = await house.client("den")
    house.relays.take(house.link, nodes.Out(DEN, "p2", nodes.TAKEN_OVER, session=2))  # not this one
    house.room_says("den", 1, "still here")
    house.relays.take(house.link, nodes.Out(DEN, "p2", nodes.TAKEN_OVER, session=1))
    frames_seen, code = await client.end()
    assert ([frame["t"] for frame in frames_seen], code) == (["msg"], 4005)
    await settle()
    assert house.link.of(nodes.Absent) == []
    assert house.relays.rooms == 1


async def test_a_room_that_ended_before_the_resume_sends_its_last_messages_and_its_result(
    autojump_clock, house
) -> None:
    client = await resuming(house, resumed())
    house.relays.take(house.link, nodes.Replay(DEN, "p1", 2, [(18, b'"mate"')]))
    house.relays.take(house.link, nodes.Out(DEN, "p1", "finished", 2, b'{"winner":"p1"}'))
    seen = [await client.next() for _ in range(3)]
    assert [frame["t"] for frame in seen] == ["resumed", "msg", "ended"]
    assert seen[2]["result"] == {"winner": "p1"}


async def test_a_resume_whose_socket_is_gone_is_reported_absent(autojump_clock, house) -> None:
    client = await house.client()
    session = house.sessions[0]
    await client.socket.aclose()
    await settle()
    house.relays.seat(house.link, resumed(), session)
    assert house.link.sent == [nodes.Absent(DEN, "p1", 2)]
    assert house.relays.rooms == 0


async def test_the_first_frame_of_the_client_confirms_its_ticket_once(
    autojump_clock, house
) -> None:
    client = await resuming(house, resumed())
    await settle()
    assert house.link.sent == []
    await client.say({"t": "got", "seq": 17}, {"t": "got", "seq": 17})
    await settle()
    assert house.link.sent == [nodes.Confirm(DEN, "p1", 2)]


async def test_acks_of_50_ms_are_one_frame(autojump_clock, house) -> None:
    client = await house.client("den")
    start = trio.current_time()
    for n in range(1, 11):
        await client.say({"t": "say", "n": n, "d": n})
        await settle()
        house.relays.take(house.link, nodes.Acks([(DEN, "p1", n)]))
    assert await client.next() == {"t": "ack", "n": 10}
    assert trio.current_time() - start == pytest.approx(0.05)
    await client.say({"t": "say", "n": 11, "d": 11})
    await settle()
    house.relays.take(house.link, nodes.Acks([(DEN, "p1", 11)]))
    assert await client.next() == {"t": "ack", "n": 11}
    assert trio.current_time() - start == pytest.approx(0.1)


async def test_a_quarter_of_the_window_is_acked_at_once(autojump_clock, house) -> None:
    client = await house.client("den")
    for n in range(1, 18):
        await client.say({"t": "say", "n": n, "d": n})
    await settle()
    start = trio.current_time()
    for n in range(1, 18):
        house.relays.take(house.link, nodes.Acks([(DEN, "p1", n)]))
    assert await client.next() == {"t": "ack", "n": 16}
    assert trio.current_time() == start
    assert await client.next() == {"t": "ack", "n": 17}


async def test_an_ack_that_is_due_is_sent_before_the_end_and_never_after_it(
    autojump_clock, house
) -> None:
    client = await house.client("den")
    await client.say({"t": "say", "n": 1, "d": 1})
    await settle()
    house.relays.take(house.link, nodes.Acks([(DEN, "p1", 1)]))
    house.relays.take(house.link, nodes.Ended(DEN, 1, "finished"))
    assert [(await client.next())["t"] for _ in range(2)] == ["ack", "ended"]
    assert (await client.join("bar"))["t"] == "joined"
    await trio.sleep(1)
    house.room_says("bar", 1, "hm")
    assert (await client.next())["t"] == "msg"


async def test_a_blocked_socket_is_read_again_although_an_ack_is_still_due(
    autojump_clock, make_house
) -> None:
    house = make_house(unacked_inputs=8, ack_seconds=10)
    client = await house.client("den")
    for n in range(1, 10):
        await client.say({"t": "say", "n": n, "d": n})
    await settle()
    assert len(house.link.of(nodes.Say)) == 8
    house.relays.take(house.link, nodes.Acks([(DEN, "p1", 1)]))
    await settle()
    assert len(house.link.of(nodes.Say)) == 9


async def test_no_task_runs_for_acks_while_none_is_due(autojump_clock, house) -> None:
    client = await house.client("den")
    await client.say({"t": "say", "n": 1, "d": 1}, {"t": "say", "n": 2, "d": 2})
    await settle()
    house.relays.take(house.link, nodes.Acks([(DEN, "p1", 1)]))
    house.relays.take(house.link, nodes.Acks([(DEN, "p1", 2)]))
    await trio.sleep(100)
    assert len(house.tasks) == 1  # one for both acks
    assert trio.current_time() >= 100
