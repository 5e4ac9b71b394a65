import math

import msgspec
import pytest

from lastcall.bench.load.drive import Driven
from lastcall.bench.load.messages import Job, LoadFailed, Outcome, total
from lastcall.bench.load.workloads import WORKLOADS, check, parts_micros
from lastcall.bench.report.report import percentiles_ms
from lastcall.bench.scenarios.latency import full_load
from lastcall.bench.scenarios.scale import growth

JOB = Job(
    "plain", ("ws://h:1/",), rooms=10, seats=4, speakers=4, hz=10.0, seconds=2, warm_seconds=1
)


def driven(outcome: Outcome, **cpu: float) -> Driven:
    return Driven(JOB, outcome, cpu, 0.0)


@pytest.mark.parametrize("of", [1, 3, 4, 10])
def test_processes_share_all_rooms(of: int) -> None:
    shares = [JOB.share(index, of) for index in range(of)]

    rooms = [share.first_room + room for share in shares for room in range(share.rooms)]
    assert rooms == list(range(10))
    assert sum(share.inputs_per_second for share in shares) == JOB.inputs_per_second == 400


def test_a_job_crosses_the_pipe_unchanged() -> None:
    assert msgspec.json.decode(msgspec.json.encode(JOB), type=Job) == JOB


def test_outcomes_of_processes_are_added_up_and_their_times_are_one_distribution() -> None:
    one = Outcome(2.0, 10, 40, lost=1, own_micros={5: 2}, cpu_seconds=0.5)
    two = Outcome(2.0, 20, 80, repeated=2, stray=3, own_micros={5: 1, 7: 1}, cpu_seconds=0.25)

    both = total([one, two])

    assert (both.inputs, both.deliveries, both.seconds) == (30, 120, 2.0)
    assert (both.lost, both.repeated, both.stray) == (1, 2, 3)
    assert both.own_micros == {5: 3, 7: 1}
    assert both.cpu_seconds == 0.75


@pytest.mark.parametrize("wrong", [{"lost": 1}, {"repeated": 1}, {"stray": 1}, {"deliveries": 0}])
def test_a_load_with_errors_has_no_figures(wrong: dict[str, int]) -> None:
    fine = Outcome(2.0, 10, 40)
    assert check(driven(fine), "ws").outcome is fine

    with pytest.raises(LoadFailed, match=r"^ws: "):
        check(driven(msgspec.structs.replace(fine, **wrong)), "ws")


def test_the_cost_is_each_nodes_time_divided_by_the_workloads_unit() -> None:
    found = driven(Outcome(2.0, 100, 400), api=0.002, game=0.001)

    assert parts_micros(found, "input") == pytest.approx({"api": 20.0, "game": 10.0})
    assert parts_micros(found, "delivery") == pytest.approx({"api": 5.0, "game": 2.5})


def test_all_workloads_say_100_bytes_to_as_many_clients_as_their_titles_say() -> None:
    sizes = {name: work.job.clients for name, work in WORKLOADS.items()}

    assert sizes == {"fanout": 500, "paced": 500, "inbound": 1000, "said": 1000, "round": 1000}
    assert {work.job.size for work in WORKLOADS.values()} == {100}
    assert {name for name, work in WORKLOADS.items() if not work.job.echo} == {"inbound", "said"}


def test_percentiles_are_of_all_counted_times() -> None:
    counted = {1_000: 98, 2_000: 1, 50_000: 1}

    assert percentiles_ms(counted, 50, 99, 100) == pytest.approx([1.0, 2.0, 50.0], rel=1e-3)
    assert all(map(math.isnan, percentiles_ms({}, 50, 99)))


def test_full_load_fills_the_core_of_the_busier_node() -> None:
    assert full_load(10_000, {"api-1": 0.5, "game-1": 0.2}) == 20_000


def test_growth_is_the_highest_cost_divided_by_the_first() -> None:
    assert growth([50.0, 65.0, 60.0]) == 1.3
