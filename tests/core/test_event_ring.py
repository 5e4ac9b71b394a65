"""The laws of a ring of events: whenever its readers break off and resume, each gets all lines."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from lastcall.core.event_ring import EventRing

STATES = ("cluster", "figures")
LIMIT = 5

steps = st.lists(
    st.one_of(
        st.sampled_from(STATES),
        st.just("line"),
        st.tuples(st.just("read"), st.integers(0, 12)),
    ),
    max_size=60,
)


def ring() -> EventRing:
    return EventRing("token", STATES, LIMIT)


def names(events) -> list[str]:
    return [event.name for event in events]


class Reader:
    """Reads ``most`` events at a time, and remembers the id of the last one, as a browser does."""

    def __init__(self) -> None:
        self.last_id = ""
        self.lines: list[int] = []
        self.states: dict[str, int] = {}

    def read(self, events, most: int) -> None:
        for event in events[:most]:
            self.last_id = event.id
            if event.name == "line":
                self.lines.append(int(event.data))
            else:
                assert self.states.get(event.name, 0) <= int(event.data)
                self.states[event.name] = int(event.data)


@given(steps)
def test_a_reader_that_keeps_up_gets_every_line_once_wherever_it_breaks_off(steps):
    events, reader, said, states = ring(), Reader(), [], {}
    for number, step in enumerate(steps, 1):
        if step == "line":
            if len(said) - len(reader.lines) == LIMIT:
                reader.read(events.after(reader.last_id), 99)
            events.add_line("line", b"%d" % number)
            said.append(number)
        elif isinstance(step, tuple):
            reader.read(events.after(reader.last_id), step[1])
        else:
            events.set_state(step, b"%d" % number)
            states[step] = number
    reader.read(events.after(reader.last_id), 99)
    assert reader.lines == said
    assert reader.states == states
    assert names(events.after(events.last_id)) == []


@given(st.integers(0, 30), st.integers(0, 30))
def test_a_reader_from_before_the_oldest_line_starts_afresh_with_the_states_first(had, more):
    events = ring()
    for number in range(had):
        events.add_line("line", b"%d" % number)
    last_id = events.last_id
    events.set_state("figures", b"1")
    events.set_state("cluster", b"1")
    for number in range(had, had + more):
        events.add_line("line", b"%d" % number)
    got = events.after(last_id)
    kept = [int(event.data) for event in got if event.name == "line"]
    if more <= LIMIT:
        assert kept == list(range(had, had + more))
        assert names(got)[:2] == ["figures", "cluster"]
    else:
        assert kept == list(range(had + more - LIMIT, had + more))
        assert names(got)[:2] == ["cluster", "figures"]


@given(st.lists(st.sampled_from(["line", "cluster", "figures"]), max_size=12))
def test_a_reader_that_is_lost_in_the_middle_of_a_fresh_start_misses_no_state(steps):
    events = ring()
    for number, step in enumerate(steps):
        (events.add_line if step == "line" else events.set_state)(step, b"%d" % number)
    whole = events.after("")
    for had in range(1, len(whole)):
        rest = events.after(whole[had - 1].id)
        seen = [event.name for event in (*whole[:had], *rest)]
        assert {event.name for event in whole} <= set(seen)
        assert seen.count("line") == names(whole).count("line")


odd_ids = st.one_of(
    st.text(max_size=40),
    st.text(max_size=5).map("token-{}".format),
    st.from_regex("(token|toke|other|)-?[0-9]{0,3}", fullmatch=True),
)


@given(odd_ids)
def test_any_other_id_starts_afresh(text):
    assume(text not in {"token-0", "token-1", "token-2"})
    events = ring()
    events.set_state("cluster", b"{}")
    events.add_line("line", b"1")
    assert names(events.after(text)) == ["cluster", "line"]
    assert names(events.after("token-" + 5_000 * "9")) == ["cluster", "line"]
    assert names(events.after("token-3")) == ["cluster", "line"]
    assert names(events.after("other-1")) == ["cluster", "line"]


def test_the_ring_is_bounded_in_lines_and_states():
    events = ring()
    for number in range(1_000):
        events.add_line("line", b"%d" % number)
        events.set_state("cluster", b"%d" % number)
    assert len(events.after("")) == LIMIT + 1


def test_a_reader_that_has_all_lines_gets_the_newest_of_each_state_only():
    events = ring()
    events.add_line("line", b"1")
    last_id = events.last_id
    for number in range(3):
        events.set_state("cluster", b"%d" % number)
        events.set_state("figures", b"%d" % number)
    assert [(event.name, event.data) for event in events.after(last_id)] == [
        ("cluster", b"2"),
        ("figures", b"2"),
    ]
