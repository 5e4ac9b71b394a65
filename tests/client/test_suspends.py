"""A client whose computer slept, with a server in memory and in virtual time."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import memory_stream_pair

from lastcall.client import Ended, PlaceState, connect, open_client
from lastcall.client.suspends import seconds_asleep
from lastcall.errors import PlaceLost
from lastcall.reasons import EndReason

pytestmark = pytest.mark.usefixtures("schedule")

A, B = "ws://a:8080/", "ws://b:8080/"
ROOM = "game-1.r1"
ENDED = {"t": "ended", "room": ROOM, "reason": "abandoned"}


class FixedRandom:
    """A RandomSource that always returns one value."""

    def random(self):
        return 0.5


class Laptop:
    """A computer that sleeps: trio's clock stands still, and another one goes on."""

    def __init__(self, server):
        self.server = server
        self.asleep = 1000.0
        self.settings = {
            "open_stream": server.open_stream,
            "dice": FixedRandom(),
            "asleep": lambda: self.asleep,
        }

    def sleep(self, seconds):
        self.asleep += seconds

    @asynccontextmanager
    async def place(self, *scripts, **options):
        async def first(peer):
            await peer.seat()
            await scripts[0](peer)

        self.server.scripts = [first, *scripts[1:]]
        async with connect([A, B], kind="k", **{**self.settings, **options}) as place:
            yield place

    def network(self, *, up):
        """Opens a stream while ``up`` (a function of the time) is true."""

        async def open_stream(url):
            if up(trio.current_time()):
                return await self.server.open_stream(url)
            self.tried.append(trio.current_time())
            raise OSError("the network is unreachable")

        self.tried = []
        return open_stream


@pytest.fixture
async def laptop(server):
    return Laptop(server)


async def is_silent(peer):
    """The node gave the socket up while the computer slept; nothing tells the client."""
    await trio.sleep(1000)


async def is_alive(peer):
    while True:
        await trio.sleep(10)
        await peer.send(t="beat")


async def vanishes(peer):
    await peer.vanish()


async def resumes(peer):
    await peer.resume()
    await is_alive(peer)


@pytest.mark.parametrize("slept", [10, 60, 3600 * 12])
async def test_after_a_sleep_the_client_resumes_within_2_s(laptop, autojump_clock, slept):
    async with laptop.place(is_silent, resumes) as place:
        await trio.sleep(4.5)
        laptop.sleep(slept)
        await place.wait_state(PlaceState.AWAY)
        await place.wait_state(PlaceState.HERE)
        assert trio.current_time() == 6
        await trio.sleep(100)
        assert (place.resumes, place.state) == (1, "here")
    assert laptop.server.opened == [A, B]


@pytest.mark.parametrize("slept", [0, 3, 9.9])
async def test_after_a_short_sleep_the_socket_is_kept(laptop, autojump_clock, slept):
    async with laptop.place(is_alive) as place:
        for _ in range(10):
            await trio.sleep(4.5)
            laptop.sleep(slept)
        assert (place.resumes, place.state) == (0, "here")
    assert laptop.server.opened_at == [0]


async def test_without_a_clock_that_goes_on_the_client_waits_for_its_25_s(laptop, autojump_clock):
    async with laptop.place(is_silent, resumes, asleep=None) as place:
        laptop.sleep(60)
        await place.wait_state(PlaceState.AWAY)
        assert trio.current_time() == 25
        await place.wait_state(PlaceState.HERE)


async def test_after_a_sleep_the_client_does_not_wait_for_its_back_off(laptop, autojump_clock):
    network = laptop.network(up=lambda now: now == 0 or now > 30.1)
    async with laptop.place(vanishes, resumes, open_stream=network) as place:
        await trio.sleep(30.5)
        assert (place.state, max(laptop.tried)) == ("away", pytest.approx(28.275))
        laptop.sleep(60)
        await place.wait_state(PlaceState.HERE)
        assert trio.current_time() == 32  # the back-off would have ended at 33.275


async def test_earlier_failures_do_not_slow_down_the_attempts_after_a_sleep(laptop, autojump_clock):
    network = laptop.network(up=lambda now: now == 0 or now > 32.8)
    async with laptop.place(vanishes, resumes, open_stream=network) as place:
        await trio.sleep(31)
        laptop.sleep(60)
        await place.wait_state(PlaceState.HERE)
        rounds = [32, 32.125, 32.375]
        assert sorted({at for at in laptop.tried if at > 31}) == pytest.approx(rounds)
        assert trio.current_time() == pytest.approx(32.875)


async def test_a_sleep_ends_a_connect_that_is_under_way(laptop, autojump_clock):
    async def swallows(url):
        if 0 < trio.current_time() < 5:
            ours, theirs = memory_stream_pair()
            kept.append(ours)
            return theirs
        return await laptop.server.open_stream(url)

    kept = []
    options = {"open_stream": swallows, "connect_seconds": 30}
    async with laptop.place(vanishes, resumes, **options) as place:
        await trio.sleep(5)
        laptop.sleep(60)
        await place.wait_state(PlaceState.HERE)
        assert trio.current_time() == 6


async def test_a_sleep_ends_a_resume_that_has_no_answer(laptop, autojump_clock):
    async with laptop.place(vanishes, is_silent, resumes) as place:
        await trio.sleep(1)
        laptop.sleep(60)
        await place.wait_state(PlaceState.HERE)
        assert trio.current_time() == 2
    assert laptop.server.opened_at == [0, 0.4, 2]


async def test_two_sleeps_in_a_row_are_two_resumes(laptop, autojump_clock):
    async with laptop.place(is_silent, *[resumes] * 5) as place:
        for _ in range(5):
            laptop.sleep(60)
            await place.wait_state(PlaceState.AWAY)
            await place.wait_state(PlaceState.HERE)
        assert (place.resumes, trio.current_time()) == (5, 10)


async def test_a_place_that_was_given_to_nobody_for_too_long_is_lost(laptop, autojump_clock):
    async def has_no_such_place(peer):
        await peer.next()
        await peer.close(4004, "no such place")

    async with laptop.place(is_silent, has_no_such_place) as place:
        laptop.sleep(3600)
        with pytest.raises(PlaceLost) as lost:
            await anext(place)
        assert trio.current_time() == 2
    assert lost.value.code == 4004
    assert laptop.server.opened_at == [0, 2]


async def test_the_end_of_a_room_that_ended_meanwhile_is_received(laptop, autojump_clock):
    async def says_that_it_ended(peer):
        await peer.next()
        await peer.send(**ENDED)
        await peer.rest()

    async with laptop.place(is_silent, says_that_it_ended) as place:
        laptop.sleep(3600)
        assert [item async for item in place] == []
        assert trio.current_time() == 2
    assert place.ended == Ended(EndReason.ABANDONED)


async def test_inputs_from_before_the_sleep_are_said_again(laptop, autojump_clock):
    heard = []

    async def listens(peer):
        await peer.resume()
        heard.append(await peer.next())
        await is_alive(peer)

    async with laptop.place(is_silent, listens) as place:
        await place.say("good night")
        laptop.sleep(3600)
        await trio.sleep(3)
    assert heard == [{"t": "say", "n": 1, "d": "good night"}]


async def test_a_join_without_an_answer_is_sent_again_after_a_sleep(laptop, autojump_clock):
    joins = []

    async def no_answer(peer):
        joins.append(await peer.next())
        await is_silent(peer)

    async def seats(peer):
        joins.append(await peer.seat())
        await is_alive(peer)

    laptop.server.scripts = [no_answer, seats]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_sleep_at, 1, laptop)
        async with connect([A, B], kind="k", **laptop.settings) as place:
            assert (place.state, trio.current_time()) == ("here", 2)
    assert joins[0] == joins[1]


async def _sleep_at(when, laptop):
    await trio.sleep(when)
    laptop.sleep(60)


async def test_a_join_does_not_wait_for_its_back_off_after_a_sleep(laptop, autojump_clock):
    async def seats(peer):
        await peer.seat()
        await is_alive(peer)

    laptop.server.script = seats
    laptop.settings["open_stream"] = laptop.network(up=lambda now: now > 4.2)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_sleep_at, 2.5, laptop)
        async with connect([A, B], kind="k", **laptop.settings):
            rounds = [0, 0.125, 0.375, 0.875, 1.875, 3.875, 4, 4.125]
            assert sorted(set(laptop.tried)) == rounds
            assert trio.current_time() == 4.375  # the back-off would have ended at 7.875


async def test_a_client_between_two_places_joins_on_a_new_socket_after_a_sleep(
    laptop, autojump_clock
):
    async def ends(peer):
        await peer.seat()
        await peer.send(**ENDED)
        await is_silent(peer)

    async def seats(peer):
        await peer.seat()
        await is_alive(peer)

    laptop.server.scripts = [ends, seats]
    async with open_client([A, B], **laptop.settings) as client:
        await (await client.join(kind="k")).wait_over()
        laptop.sleep(60)
        await trio.sleep(2.5)
        await client.join(kind="k")
        assert trio.current_time() == 2.5
    assert laptop.server.opened == [A, B]


# A stopped process: its own clock has gone on, so its time limits have passed.


async def test_a_process_that_was_stopped_for_a_minute_resumes_when_it_goes_on(
    laptop, autojump_clock
):
    async with laptop.place(is_silent, resumes) as place:
        await trio.sleep(4.5)
        autojump_clock.jump(60)
        await place.wait_state(PlaceState.AWAY)
        assert trio.current_time() == 64.5
        await place.wait_state(PlaceState.HERE)
        assert trio.current_time() == 64.9
    assert laptop.server.opened == [A, B]


async def test_a_process_that_was_stopped_for_15_s_keeps_its_socket(laptop, autojump_clock):
    async with laptop.place(is_alive, resumes) as place:
        await trio.sleep(4.5)
        autojump_clock.jump(15)
        await trio.sleep(100)
        assert (place.resumes, place.state) == (0, "here")


@pytest.mark.skipif(seconds_asleep is None, reason="this system does not know when it sleeps")
def test_a_computer_that_does_not_sleep_shows_no_sleep():
    before = seconds_asleep()
    time.sleep(0.01)
    assert seconds_asleep() == pytest.approx(before, abs=0.005)


async def test_a_program_may_ask_for_another_socket_at_any_time(laptop, autojump_clock):
    async def seats(peer):
        await peer.seat()
        await is_alive(peer)

    laptop.server.scripts = [seats, resumes]
    async with open_client([A, B], **laptop.settings) as client:
        client.reconnect_now()
        place = await client.join(kind="k")
        client.reconnect_now()
        await place.wait_state(PlaceState.HERE)
        assert (place.resumes, client.opened, trio.current_time()) == (1, 2, 0)
