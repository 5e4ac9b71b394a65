import pytest

from lastcall.bench.load.drive import Driven
from lastcall.bench.load.messages import Job, Outcome
from lastcall.bench.scenarios.committing import cost_figures, rest_figures


def driven(cpu: dict[str, float], own_micros: int) -> Driven:
    outcome = Outcome(seconds=1.0, inputs=1_000, own_micros={own_micros: 1_000})
    return Driven(Job(), outcome, cpu, seating_seconds=0.0)


def test_the_cost_of_survival_is_that_of_all_nodes_against_the_same_in_plain_rooms() -> None:
    plain, surviving = driven({"api": 0.25, "game": 0.25}, 1), driven({"api": 0.5, "game": 0.5}, 1)

    figures = cost_figures({"plain": plain, "surviving": surviving})

    assert [figure.value for figure in figures] == [500, 1_000, 2]
    assert figures[-1].holds is False


def test_the_latency_of_survival_is_what_the_median_has_more_than_in_plain_rooms() -> None:
    plain, surviving = driven({}, 500), driven({}, 1_250)

    figures = rest_figures({"plain": plain, "surviving": surviving})

    assert figures[-1].value == pytest.approx(0.75, rel=0.01)
    assert figures[-1].holds
