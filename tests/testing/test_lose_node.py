"""The test kit loses the node of a room that survives: what goes on, and which mistakes show."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from lastcall import Kind, PlayerId, Room, Said, room
from lastcall.errors import JoinRefused, StateFailed, StateUnreadable
from lastcall.policy import RoomPolicy
from lastcall.reasons import EndReason
from lastcall.testing import Table, play
from tests.testing.adding import Sum, surviving


async def test_inputs_that_the_room_has_not_read_are_said_again_in_order() -> None:
    async with play(surviving) as table:
        ann, bob = table.join(), table.join()
        await table.messages()
        for number in range(1, 51):
            table.say(ann, number)
            table.say(bob, 1000)
        await table.lose_node()
        await table.messages()
        sums = [message for message in table.heard_by(ann) if isinstance(message, int)]
        assert sums[-1] == 51 * 25 + 50_000
        of_ann = [after - before for before, after in zip([0, *sums], sums, strict=False)]
        assert [each for each in of_ann if each != 1000] == list(range(1, 51))
        assert table.heard_by(ann) == table.heard_by(bob)


async def test_inputs_for_which_the_inbox_had_no_space_are_said_again_too() -> None:
    async with play(surviving, policy=RoomPolicy(inbox_events=4)) as table:
        ann = table.join()
        await table.messages()
        for number in range(1, 51):
            table.say(ann, number)
        for _ in range(3):
            await table.lose_node()
            await trio.lowlevel.checkpoint()
        await table.messages()
        assert table.heard_by(ann) == [n * (n + 1) // 2 for n in range(1, 51)]


async def test_what_was_said_since_the_last_rest_is_heard_once_when_the_step_is_done_again(
    autojump_clock: MockClock,
) -> None:
    async with play(surviving) as table:
        ann = table.join()
        await table.messages()
        table.say(ann, "speak")
        await trio.sleep(3)
        assert await table.messages() == []
        await table.lose_node()
        await trio.sleep(4.9)
        assert await table.messages() == []
        await trio.sleep(0.2)
        assert await table.messages() == ["before", "after"]
        table.say(ann, "end")
        await table.ended()
        assert table.heard_by(ann) == ["before", "after", "bye"]


async def test_what_was_said_before_a_commit_has_left_and_its_input_is_done(
    autojump_clock: MockClock,
) -> None:
    async with play(surviving) as table:
        ann = table.join()
        await table.messages()
        table.say(ann, "commit")
        await trio.sleep(3)
        assert await table.messages() == ["before"]
        await table.lose_node()
        await trio.sleep(10)
        assert await table.messages() == []  # the function does not know how far it was


async def test_a_change_of_the_state_before_the_next_rest_is_lost_and_made_again(
    autojump_clock: MockClock,
) -> None:
    async with play(surviving) as table:
        ann = table.join()
        await table.messages()
        table.say(ann, "count twice")
        await trio.sleep(3)
        await table.lose_node()
        await trio.sleep(6)
        table.say(ann, "end")
        assert (await table.ended())[0] == 2


async def test_a_player_who_has_left_has_no_place_after_it() -> None:
    async with play(surviving) as table:
        ann, bob = table.join(), table.join()
        await table.messages()
        table.leave(ann)
        await table.lose_node()
        assert table.outs == {ann: EndReason.LEFT}
        table.say(bob, 1)
        await table.messages()
        assert (table.heard_by(ann), table.heard_by(bob)) == ([], [1])


async def test_a_room_that_survives_moves_to_the_node_with_its_copy(
    autojump_clock: MockClock,
) -> None:
    async with play(surviving) as table:
        ann = table.join()
        await table.messages()
        table.say(ann, "speak")
        await trio.sleep(3)
        await table.move()  # in the middle of a step, which is done again
        await trio.sleep(5.1)
        assert await table.messages() == ["before", "after"]
        await table.lose_node()
        table.say(ann, "end")
        assert await table.ended() == [0, ["Joined"], 1, 2]


# what cannot go on


async def test_a_kind_that_does_not_survive_says_what_to_do() -> None:
    @room("mortal", seats=1, state=Sum)
    async def mortal(table: Room[Sum]) -> None:
        async for _ in table:
            pass

    async with play(mortal) as table:
        table.join()
        await table.messages()
        with pytest.raises(StateFailed, match=r'"mortal", …, survives=True'):
            await table.lose_node()
        assert table.reason is None


async def test_a_room_that_has_not_rested_yet_says_so_and_plays_on() -> None:
    async with play(surviving) as table:
        with pytest.raises(StateFailed, match="does not run"):
            await table.lose_node()
        ann = table.join()
        with pytest.raises(StateFailed, match=r"await table\.messages\(\)"):
            await table.lose_node()
        table.say(ann, "end")
        assert await table.ended() == [0, ["Joined"], 2, 0]
        await table.messages()
        with pytest.raises(StateFailed, match="does not run"):
            await table.lose_node()


@pytest.mark.parametrize("protected", [True, False])
async def test_a_state_that_cannot_be_encoded_is_an_error_until_it_can(*, protected: bool) -> None:
    async with play(surviving) as table:
        ann = table.join()
        if protected:
            await table.messages()
        table.say(ann, "break")
        await table.messages()
        with pytest.raises(StateFailed, match="cannot be encoded: OverflowError"):
            await table.lose_node()
        table.say(ann, "mend")
        table.say(ann, 7)
        await table.messages()
        await table.lose_node()
        table.say(ann, "end")
        assert await table.ended() == [7, ["Joined"], 1, 1]
        assert table.heard_by(ann) == [7, "bye"]


async def test_a_state_of_another_type_is_an_error_and_the_room_plays_on() -> None:
    class Number(msgspec.Struct):
        total: int = 0

    @room("turning", seats=1, state=Number, survives=True)
    async def turning(table: Room[Number]) -> int:
        async for event in table:
            if isinstance(event, Said):
                table.state.total = event.input
                if event.input == 0:
                    return table.moves
        raise AssertionError

    async with play(turning) as table:
        ann = table.join()
        await table.messages()
        table.say(ann, "six")
        await table.messages()
        with pytest.raises(StateUnreadable, match=r"Expected `int`, got `str` - at `\$\.total`"):
            await table.lose_node()
        table.say(ann, 0)
        assert await table.ended() == 0


async def test_nobody_gets_a_seat_in_the_middle_of_a_step(autojump_clock: MockClock) -> None:
    async with play(surviving) as table:
        ann = table.join()
        await table.messages()
        table.say(ann, "speak")
        await table.messages()
        with pytest.raises(JoinRefused, match="in the middle of a step"):
            table.join()
        await trio.sleep(6)
        assert await table.messages() == ["before", "after"]


# mistakes of an author, each of which the test finds


class Round(msgspec.Struct):
    number: int = 0


def counting(keep: Callable[[Room[Round]], Any]) -> Kind:
    """A kind that counts rounds in its state; ``keep`` returns what is called at each input."""

    @room("counting", seats=2, state=Round, survives=True)
    async def kind(table: Room[Round]) -> None:
        act = keep(table)
        async for event in table:
            if isinstance(event, Said):
                act(event.input)

    return kind


async def lose_between(table: Table, *inputs: Any) -> list[Any]:
    """Says each input, and loses the node after it; returns what a player has heard."""
    ann = table.join()
    for each in inputs:
        table.say(ann, each)
        await table.messages()
        await table.lose_node()
    await table.messages()
    return table.heard_by(ann)


async def test_a_count_in_a_local_begins_anew() -> None:
    def keep(table: Room[Round]) -> Any:
        count = 0

        def act(_: Any) -> None:
            nonlocal count
            count += 1
            table.broadcast(count)

        return act

    async with play(counting(keep)) as table:
        assert await lose_between(table, "a", "b", "c") == [1, 1, 1]


async def test_a_picture_of_a_local_is_empty() -> None:
    def keep(table: Room[Round]) -> Any:
        said: list[Any] = []
        table.state_for = lambda _player: {"said": said}
        return said.append

    async with play(counting(keep)) as table:
        ann = table.join()
        table.say(ann, "a")
        await table.messages()
        assert table.picture(ann) == {"said": ["a"]}
        await table.lose_node()
        assert table.picture(ann) == {"said": []}


async def test_a_task_that_an_event_has_started_is_gone(autojump_clock: MockClock) -> None:
    def keep(table: Room[Round]) -> Any:
        async def remind(what: Any) -> None:
            await trio.sleep(5)
            table.broadcast(what)

        return lambda said: table.nursery.start_soon(remind, said)

    async with play(counting(keep)) as table:
        ann = table.join()
        table.say(ann, "tea")
        await trio.sleep(4)
        await table.lose_node()
        await trio.sleep(60)
        assert table.heard_by(ann) == []


async def test_a_task_that_changes_the_state_without_a_word_is_behind(
    autojump_clock: MockClock,
) -> None:
    def keep(table: Room[Round]) -> Any:
        async def count() -> None:
            while True:
                await trio.sleep(1)
                table.state.number += 1

        table.nursery.start_soon(count)
        return lambda _: table.broadcast(table.state.number)

    async with play(counting(keep)) as table:
        ann = table.join()
        await trio.sleep(3.5)
        await table.lose_node()
        table.say(ann, "how many?")
        assert await table.messages() == [0]


LAST_SAID: dict[str, Any] = {}
rounds_played = 0


def remember(said: Any) -> None:
    """A helper of the room that keeps something for all rooms of this process."""
    global rounds_played  # noqa: PLW0603 - the mistake
    rounds_played += 1
    LAST_SAID["said"] = said


async def test_variables_outside_of_the_room_are_an_error_that_names_them() -> None:
    seen: list[Any] = []

    def recording() -> Kind:
        @room("recording", seats=1, survives=True)
        async def kind(table: Room) -> None:
            async for event in table:
                seen.append(event)
                if isinstance(event, Said):
                    remember(event.input)

        return kind

    async with play(recording()) as table:
        ann = table.join()
        await table.messages()
        with pytest.raises(StateFailed, match="has changed 'seen', which is not in its state"):
            await table.lose_node()
        await table.lose_node(may_forget={"seen"})
        table.say(ann, "a")
        await table.messages()
        with pytest.raises(StateFailed, match="has changed 'LAST_SAID'"):
            await table.lose_node(may_forget={"seen"})
        with pytest.raises(StateFailed, match="has changed 'rounds_played'"):
            await table.lose_node(may_forget={"seen", "LAST_SAID"})
        await table.lose_node(may_forget={"seen", "LAST_SAID", "rounds_played"})
        assert table.reason is None


async def test_a_function_that_speaks_at_its_top_and_never_rests_is_an_error(
    autojump_clock: MockClock,
) -> None:
    @room("deaf", seats=1, survives=True)
    async def deaf(table: Room) -> None:
        if table.moves:
            table.broadcast("hello again")
            await trio.sleep(3600)
        async for _ in table:
            pass

    async with play(deaf) as table:
        table.join()
        await table.messages()
        with pytest.raises(StateFailed, match="does not come to rest at another node"):
            await table.lose_node()


# any order


class Story(msgspec.Struct):
    lines: list[tuple[PlayerId, int]] = []


@room("story", seats=3, state=Story, survives=True)
async def story(table: Room[Story]) -> None:
    """Keeps all inputs and repeats them, some in two parts."""
    async for event in table:
        match event:
            case Said(player, n):
                table.state.lines.append((player, n))
                table.broadcast([player, n])
                if n % 5 == 0:
                    await trio.sleep(0.5)
                if n % 7 == 0:
                    await table.commit()
                table.broadcast([player, -n])


@pytest.mark.parametrize("seed", range(12))
async def test_each_input_is_done_once_and_each_message_heard_once(
    seed: int, autojump_clock: MockClock
) -> None:
    rng = random.Random(seed)
    async with play(story) as table:
        players = [table.join() for _ in range(3)]
        said = dict.fromkeys(players, 0)
        await table.messages()
        for _ in range(60):
            match rng.choice(["say", "say", "say", "wait", "run", "lose", "move"]):
                case "say":
                    player = rng.choice(players)
                    said[player] += 1
                    table.say(player, said[player])
                case "wait":
                    await trio.sleep(rng.choice([0.1, 0.3, 0.6]))
                case "run":
                    await trio.lowlevel.checkpoint()
                case "lose":
                    await table.lose_node()
                case "move":
                    await table.move()
        await trio.sleep(60)
        await table.messages()
        live = table.host.find(table.room)
        assert live is not None
        lines = live.state.author_state.lines
        for player in players:
            mine = [n for by, n in lines if by == player]
            assert mine == list(range(1, said[player] + 1))
            heard = table.heard_by(player)
            assert [tuple(each) for each in heard if each[1] > 0] == lines
            twice = [tuple(each) for each in heard]
            assert len(set(twice)) == len(twice)
