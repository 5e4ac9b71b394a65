import math

import pytest

from lastcall.bench.nodes.probe import Answer, Probe
from lastcall.bench.report.report import Figure, medians
from lastcall.bench.scenarios.figures import most_within
from lastcall.bench.scenarios.moving import gaps
from lastcall.bench.scenarios.readiness import seconds_to_refusal
from lastcall.errors import ClusterFailed


def test_the_fullest_window_is_found_wherever_it_begins() -> None:
    assert most_within(1.0, [0.0, 0.9, 1.5, 1.8, 1.9, 4.0]) == 4
    assert most_within(1.0, [0.0, 1.0, 2.0, 3.0]) == 2
    assert most_within(1.0, []) == 0


def test_an_even_pace_fills_each_window_equally() -> None:
    assert most_within(0.1, [index / 2048 for index in range(10_000)]) == 205


def test_a_loop_was_blocked_at_most_from_one_answer_to_the_next() -> None:
    answers = [Answer(at - 0.5, at, 200) for at in (1.0, 2.0, 2.25, 5.25)]

    assert gaps(answers, 1.5, 3.0) == [0.5, 0.25, 3.0]


def test_answers_after_the_end_do_not_count() -> None:
    answers = [Answer(at, at, 200) for at in (1.0, 2.0, 9.0)]

    assert gaps(answers, 0.0, 1.5) == [1.0, 1.0]


def test_a_refusal_counts_from_the_signal_to_its_answer() -> None:
    probe = Probe()
    probe.answers = [Answer(0.0, 1.0, 200), Answer(1.0, 2.0, 200), Answer(2.0, 2.5, 503)]

    assert seconds_to_refusal(probe, 1.5) == 1.0


@pytest.mark.parametrize("last", [Answer(2.0, 2.5, 0), Answer(1.0, 1.25, 503)])
def test_a_node_that_does_not_report_its_drain_fails_the_run(last: Answer) -> None:
    probe = Probe()
    probe.answers = [Answer(0.0, 1.0, 200), last]

    with pytest.raises(ClusterFailed):
        seconds_to_refusal(probe, 1.5)


def test_several_runs_become_medians_with_the_values_of_each_run() -> None:
    runs = [[Figure("a", value, "ms", 5), Figure("b", 2 * value, "s")] for value in (3, 9, 4)]

    a, b = medians(runs)

    assert (a.value, a.runs, a.limit, a.holds) == (4, (3, 9, 4), 5, True)
    assert (b.value, b.runs, b.holds) == (8, (6, 18, 8), None)


def test_a_run_without_a_value_leaves_no_median() -> None:
    (figure,) = medians([[Figure("a", value, "ms", 5)] for value in (3, math.nan, 4)])

    assert math.isnan(figure.value)
    assert figure.holds is False


def test_a_figure_below_its_lower_limit_does_not_hold() -> None:
    assert [Figure("s", value, "s", 6, least=5).holds for value in (4.9, 5, 6, 6.1)] == [
        False,
        True,
        True,
        False,
    ]
    assert Figure("s", 5, "s", 6, least=5).limits == "5 to 6"
    assert Figure("s", 5, "s", least=5).limits == "5 or more"
    assert Figure("s", 5, "s", 5, least=5).limits == "5"
