"""The laws of reloads, in whatever order saves, answers and deaths come; and the arithmetic."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lastcall.core.reloads import (
    PATIENCE_SECONDS,
    STEADY_SECONDS,
    Discard,
    Leave,
    Reloads,
    Start,
    Stop,
)

EVENTS = ("saved", "loaded", "failed", "left", "stays", "died", "stop")
events = st.lists(
    st.tuples(st.sampled_from(EVENTS), st.integers(1, 8), st.sampled_from([0.0, 0.5, 3.0, 6.0])),
    max_size=60,
)


class World:
    """The versions as their processes are, and what was asked of each."""

    def __init__(self) -> None:
        self.reloads = Reloads()
        self.now = 0.0
        self.alive: set[int] = set()
        self.ready: set[int] = set()
        self.asked: set[int] = set()
        """The versions that were told to leave and have not answered."""
        self.has_stopped = False
        self.saved_at = self.started_at = -1.0
        self.count = 0

    def apply(self, actions) -> None:
        for action in actions:
            match action:
                case Start(version):
                    assert not self.alive & {version}
                    assert not self.has_stopped
                    assert not self.trying(), "two at once"
                    assert not self.asked, "rooms are still under way"
                    self.alive.add(version)
                    self.count += 1
                    self.started_at = self.count
                case Discard(version):
                    assert version not in self.ready, "it serves, or has rooms"
                    self.alive.discard(version)
                case Leave(version):
                    assert version in self.ready
                    assert any(newer > version for newer in self.ready & self.alive)
                    self.asked.add(version)
                case Stop(version):
                    assert version in self.ready
                    assert version not in self.asked
                    assert version != self.reloads.serving
                    self.alive.discard(version)

    def trying(self) -> set[int]:
        return self.alive - self.ready

    def event(self, name: str, version: int) -> None:
        reloads, now = self.reloads, self.now
        match name:
            case "saved":
                self.count += 1
                self.saved_at = self.count
                self.apply(reloads.saved(now))
            case "loaded" if version in self.trying():
                self.ready.add(version)
                self.apply(reloads.loaded(version, now))
            case "failed" if version in self.trying():
                self.apply(reloads.failed(version, now))
            case "left" | "stays" if version in self.asked:
                self.asked.discard(version)
                self.apply(reloads.left(version, now, stays=name == "stays"))
            case "left" if version in reloads.staying:
                self.apply(reloads.left(version, now, stays=False))
            case "died" if version in self.alive:
                self.alive.discard(version)
                self.asked.discard(version)
                self.apply(reloads.died(version, now))
            case "stop":
                self.has_stopped = True
                self.apply(reloads.stop())
            case _:  # of a version that is over: nothing may come of it
                over = version not in self.alive
                assert not over or not reloads.failed(version, now)
                assert not over or not reloads.left(version, now, stays=False)

    def settle(self) -> None:
        """All that is under way goes well."""
        while self.asked or self.trying():
            for version in sorted(self.asked):
                self.event("left", version)
            for version in sorted(self.trying()):
                self.event("loaded", version)


def world_after(steps) -> World:
    world = World()
    for name, version, seconds in steps:
        world.now += seconds
        world.event(name, version)
        reloads = world.reloads
        known = {reloads.serving, reloads.trying} - {None} | reloads.leaving | reloads.staying
        assert known == world.alive, "each process that runs is known, and no other"
    return world


@given(events)
def test_there_is_one_reload_at_a_time_and_no_version_goes_before_a_newer_one_serves(steps) -> None:
    world_after(steps)


@given(events)
def test_the_code_of_the_last_save_is_started_after_it_whatever_happened_before(steps) -> None:
    world = world_after([step for step in steps if step[0] != "stop"])
    world.settle()
    assert world.saved_at < world.started_at or world.saved_at == -1
    assert not world.reloads.leaving | world.reloads.staying or world.reloads.staying <= world.alive


@given(events)
def test_a_version_that_serves_goes_on_until_a_newer_one_serves_or_it_dies(steps) -> None:
    world = World()
    for name, version, seconds in steps:
        world.now += seconds
        before = world.reloads.serving
        world.event(name, version)
        now = world.reloads.serving
        if before is not None and now != before:
            assert (name, version) in {("loaded", now), ("died", before)}


def test_saves_during_a_reload_are_one_save_after_it() -> None:
    reloads = Reloads()
    assert reloads.saved(0) == [Start(1)]
    assert reloads.saved(0.1) == reloads.saved(0.2) == []
    assert reloads.loaded(1, 0.3) == [Start(2)]
    assert reloads.loaded(2, 0.6) == [Leave(1)]
    assert reloads.saved(0.7) == reloads.saved(0.8) == []
    assert reloads.left(1, 0.9, stays=False) == [Stop(1), Start(3)]
    assert reloads.loaded(3, 1.2) == [Leave(2)]
    assert reloads.left(2, 1.3, stays=False) == [Stop(2)]


def test_code_that_fails_leaves_the_old_version_and_the_next_save_tries_again() -> None:
    reloads = Reloads()
    reloads.saved(0)
    reloads.loaded(1, 1)
    assert reloads.saved(10) == [Start(2)]
    assert reloads.failed(2, 11) == [Discard(2)]
    assert reloads.serving == 1
    assert reloads.saved(12) == [Start(3)]


def test_a_version_with_rooms_that_stay_is_asked_again_at_each_reload_and_stopped_when_empty() -> (
    None
):
    reloads = Reloads()
    reloads.saved(0)
    reloads.loaded(1, 1)
    reloads.saved(2)
    assert reloads.loaded(2, 3) == [Leave(1)]
    assert reloads.left(1, 4, stays=True) == []
    reloads.saved(5)
    assert reloads.loaded(3, 6) == [Leave(1), Leave(2)]
    assert reloads.left(2, 7, stays=False) == [Stop(2)]
    assert reloads.left(1, 7, stays=True) == []
    assert reloads.left(1, 60, stays=False) == [Stop(1)]
    assert reloads.left(1, 61, stays=False) == []


def test_a_save_ends_a_try_that_has_lasted_for_3_s_and_not_one_of_2_9_s() -> None:
    reloads = Reloads()
    assert reloads.saved(0) == [Start(1)]
    assert reloads.saved(PATIENCE_SECONDS - 0.1) == []
    assert reloads.saved(PATIENCE_SECONDS) == [Discard(1), Start(2)]
    assert reloads.loaded(1, 4) == []
    assert reloads.loaded(2, 4) == []
    assert reloads.serving == 2


def test_a_version_that_dies_after_5_s_is_started_again_and_one_that_dies_sooner_is_not() -> None:
    reloads = Reloads()
    reloads.saved(0)
    reloads.loaded(1, 1)
    assert reloads.died(1, 1 + STEADY_SECONDS) == [Start(2)]
    reloads.loaded(2, 10)
    assert reloads.died(2, 10 + STEADY_SECONDS - 0.1) == []
    assert reloads.serving is None
    assert reloads.saved(100) == [Start(3)]


def test_after_the_stop_nothing_is_started_and_what_was_tried_is_discarded() -> None:
    reloads = Reloads()
    reloads.saved(0)
    reloads.loaded(1, 1)
    reloads.saved(2)
    assert reloads.stop() == [Discard(2)]
    assert reloads.saved(3) == []
    assert reloads.died(1, 30) == []
