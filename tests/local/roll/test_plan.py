"""The decisions of a roll: tables of single steps, and whole rolls in random order."""

from __future__ import annotations

import random

import pytest

from lastcall.local.roll.plan import (
    Cordon,
    Finish,
    GiveUp,
    Seen,
    Stage,
    Start,
    Stop,
    Wait,
    next_step,
    next_version,
)


def nodes(text):
    """Parses nodes such as ``api-1:serving +api-3:ready``; a plus marks a new node."""
    seen = []
    for word in text.split():
        name, stage = word.removeprefix("+").split(":")
        seen.append(Seen(name, name.split("-")[0], word.startswith("+"), Stage(stage)))
    return seen


@pytest.mark.parametrize(
    ("now", "step"),
    [
        ("game-1:serving game-2:serving", Start("game")),
        ("game-1:serving game-2:serving +game-3:starting", Wait()),
        ("game-1:serving game-2:serving +game-3:ready", Stop("game-1")),
        ("game-1:draining game-2:serving +game-3:ready", Start("game")),
        ("game-1:draining game-2:serving +game-3:ready +game-4:ready", Stop("game-2")),
        ("game-1:draining game-2:draining +game-3:ready +game-4:ready", Wait()),
        ("game-1:ended game-2:draining +game-3:ready +game-4:ready", Wait()),
        ("game-1:ended game-2:ended +game-3:ready +game-4:ready", Finish()),
    ],
)
def test_a_tier_has_at_most_one_extra_node_during_its_roll(now, step):
    assert next_step(["game"], nodes(now)) == step


@pytest.mark.parametrize(
    ("now", "step"),
    [
        ("api-1:serving api-2:serving +api-3:starting", Wait()),
        ("api-1:serving api-2:serving +api-3:ready", Cordon(("api-1", "api-2"))),
        ("api-1:cordoned api-2:serving +api-3:ready", Cordon(("api-2",))),
        ("api-1:cordoned api-2:cordoned +api-3:ready", Stop("api-1")),
        ("api-1:draining api-2:cordoned +api-3:ready", Start("api")),
    ],
)
def test_all_old_api_nodes_are_cordoned_before_the_first_one_is_stopped(now, step):
    assert next_step(["api"], nodes(now)) == step


@pytest.mark.parametrize(
    ("now", "step"),
    [
        ("game-1:serving api-1:serving", Start("game")),
        ("game-1:draining api-1:serving +game-2:ready", Start("api")),
        ("game-1:draining api-1:draining +game-2:ready +api-2:ready", Wait()),
        ("game-1:draining api-1:ended +game-2:ready +api-2:ready", Wait()),
        ("game-1:ended api-1:ended +game-2:ready +api-2:ready", Finish()),
    ],
)
def test_the_api_tier_starts_when_all_old_game_nodes_drain_and_the_roll_ends_with_the_last_node(
    now, step
):
    assert next_step(["game", "api"], nodes(now)) == step


@pytest.mark.parametrize(
    "now",
    [
        "game-1:serving +game-2:failed",
        "game-1:draining game-2:serving +game-3:ready +game-4:failed",
        "game-1:draining +game-2:failed",
    ],
)
def test_a_new_node_that_fails_ends_the_roll(now):
    failed = next(seen.name for seen in nodes(now) if seen.stage is Stage.FAILED)
    assert next_step(["game"], nodes(now)) == GiveUp(failed)


@pytest.mark.parametrize(
    ("now", "step"),
    [
        ("game-1:ended game-2:serving", Start("game")),
        ("game-1:ended game-2:serving +game-3:ready", Start("game")),
        ("game-1:ended game-2:serving +game-3:ready +game-4:ready", Stop("game-2")),
        ("game-1:ended game-2:ended", Finish()),
    ],
)
def test_an_old_node_that_ended_by_itself_is_replaced_before_the_next_one_is_stopped(now, step):
    assert next_step(["game"], nodes(now)) == step


def test_a_tier_that_is_not_rolled_stays_as_it_is():
    assert next_step(["api"], nodes("game-1:serving api-1:ended +api-2:ready")) == Finish()


@pytest.mark.parametrize("seed", range(50))
def test_in_any_order_of_events_a_tier_keeps_its_size_and_no_node_is_stopped_twice(seed):
    rng = random.Random(seed)
    apis, games = rng.randint(1, 4), rng.randint(1, 4)
    stages = {("api", n, False): Stage.SERVING for n in range(apis)}
    stages |= {("game", n, False): Stage.SERVING for n in range(games)}
    cordoned = []
    for _ in range(500):
        seen = [
            Seen(f"{tier}-{number}", tier, new, stage)
            for (tier, number, new), stage in stages.items()
        ]
        match next_step(["game", "api"], seen):
            case Finish():
                break
            case Start(tier):
                stages[tier, len(stages), True] = Stage.STARTING
            case Cordon(names):
                cordoned += names
                for name in names:
                    stages["api", int(name.removeprefix("api-")), False] = Stage.CORDONED
            case Stop(name):
                tier, number = name.split("-")
                assert stages[tier, int(number), False] in {Stage.SERVING, Stage.CORDONED}
                stages[tier, int(number), False] = Stage.DRAINING
            case Wait():
                moves = {Stage.STARTING: Stage.READY, Stage.DRAINING: Stage.ENDED}
                key = rng.choice([key for key, stage in stages.items() if stage in moves])
                stages[key] = moves[stages[key]]
        for tier, size in (("api", apis), ("game", games)):
            of_tier = [stage for key, stage in stages.items() if key[0] == tier]
            in_service = {Stage.SERVING, Stage.CORDONED, Stage.READY}
            assert size <= sum(stage in in_service for stage in of_tier) <= size + 1
            assert sum(stage is Stage.STARTING for stage in of_tier) <= 1
    old = [stage for key, stage in stages.items() if not key[2]]
    assert set(old) == {Stage.ENDED}
    assert sorted(cordoned) == sorted(f"api-{n}" for n in range(apis))


@pytest.mark.parametrize(
    ("running", "next_name"),
    [
        (["0.1.0"], "0.1.0+1"),
        (["0.1.0+1"], "0.1.0+2"),
        (["0.1.0+9", "0.1.0+10", "0.1.0"], "0.1.0+11"),
        (["2.0+blue"], "2.0+blue.1"),
        (["2.0+blue.1"], "2.0+blue.2"),
        (["seven"], "seven+1"),
    ],
)
def test_the_next_version_counts_up(running, next_name):
    assert next_version(running) == next_name
