import pytest

from lastcall.bench.peers.ratios import Limit, Measured, costs, median_parts, ratios

AT_LEAST = Limit("fanout", "ws", aim=1.8, least=1.2)
AT_MOST = Limit("round", "colyseus", aim=0.75, most=1.1)


def measured(work: str, contender: str, *costs: float) -> list[Measured]:
    return [Measured(work, contender, run, {"a": cost}) for run, cost in enumerate(costs, 1)]


def test_a_cheaper_delivery_raises_the_ratio_of_deliveries_per_second() -> None:
    (ratio,) = ratios(
        [*measured("fanout", "lastcall", 2.0), *measured("fanout", "ws", 5.0)], [AT_LEAST]
    )

    assert (ratio.value, ratio.least, ratio.limit, ratio.holds) == (2.5, 1.2, None, True)


def test_a_higher_cost_raises_the_ratio_of_costs() -> None:
    (ratio,) = ratios(
        [*measured("round", "lastcall", 60.0), *measured("round", "colyseus", 40.0)], [AT_MOST]
    )

    assert (ratio.value, ratio.limit, ratio.least, ratio.holds) == (1.5, 1.1, None, False)


def test_the_ratio_is_the_median_of_the_runs_ratios_and_not_the_ratio_of_medians() -> None:
    ours = measured("round", "lastcall", 10.0, 20.0, 90.0)
    theirs = measured("round", "colyseus", 10.0, 40.0, 30.0)

    (ratio,) = ratios([*ours, *theirs], [AT_MOST])

    assert ratio.runs == (1.0, 0.5, 3.0)
    assert ratio.value == 1.0


def test_a_run_in_which_the_peer_was_not_measured_has_no_ratio() -> None:
    ours = measured("round", "lastcall", 10.0, 20.0)
    theirs = measured("round", "colyseus", 40.0)

    (ratio,) = ratios([*ours, *theirs], [AT_MOST])

    assert ratio.runs == (0.25,)


def test_a_skipped_peer_has_no_ratio() -> None:
    assert ratios(measured("round", "lastcall", 10.0), [AT_MOST]) == []


@pytest.mark.parametrize(("limit", "allowed"), [(AT_LEAST, 5.0), (AT_MOST, 6.6)])
def test_at_the_allowed_cost_the_limit_is_just_kept(limit: Limit, allowed: float) -> None:
    assert limit.allowed(6.0) == pytest.approx(allowed)
    at_it = limit.ratio(limit.allowed(6.0), 6.0)
    assert at_it == pytest.approx(limit.least or limit.most)


def test_the_cost_of_a_service_is_the_sum_of_its_processes() -> None:
    runs = [
        Measured("round", "lastcall", run, {"api": api, "game": game})
        for run, (api, game) in enumerate([(10, 1), (30, 2), (20, 9)], 1)
    ]

    cost, *parts = costs(runs, {"round": "input"})

    assert (cost.name, cost.unit, cost.runs) == ("round: lastcall", "µs/input", (11, 32, 29))
    assert cost.value == 29
    assert [(part.name, part.value) for part in parts] == [("… api", 20), ("… game", 2)]
    assert median_parts(runs, "round", "lastcall") == {"api": 20, "game": 2}
