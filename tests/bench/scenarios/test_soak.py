import pytest
from rich.progress import Progress

from lastcall.bench.load.messages import LoadFailed
from lastcall.bench.scenarios.figures import MIB
from lastcall.bench.scenarios.soak import SoakSettings, measure_soak, memory_figures


def test_the_visits_of_two_seconds_come_at_once_in_the_first_half_of_the_warm_up() -> None:
    settings = SoakSettings(seconds=1, warm_seconds=4, per_second=2)

    assert settings.starts() == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2.5, 3, 3.5, 4, 4.5]


def test_the_growth_is_from_the_first_tenth_of_the_readings_to_the_last() -> None:
    readings = [100, 103, 100, *(120,) * 24, 101, 101, 140]

    growth, first, last, most = memory_figures("api-1", [one * MIB for one in readings])

    assert growth.value == pytest.approx(1)
    assert growth.holds
    assert (first.value, last.value, most.value) == (100, 101, 140)


def test_memory_that_grows_by_3_percent_does_not_hold() -> None:
    growth, *_ = memory_figures("api-1", [100, 101, 102, 103])

    assert growth.value == pytest.approx(3)
    assert growth.holds is False


def test_a_run_without_a_reading_fails() -> None:
    with pytest.raises(LoadFailed):
        memory_figures("api-1", [])


@pytest.mark.e2e
async def test_a_short_soak_makes_all_visits_and_reads_the_memory_of_both_nodes() -> None:
    settings = SoakSettings(seconds=3, warm_seconds=1, per_second=20)

    report = await measure_soak(settings, Progress(disable=True))

    figures = {figure.name: figure.value for figure in report.figures}
    assert report.failure == ""
    assert sum(value for name, value in figures.items() if name.startswith("visits: ")) == 90
    assert figures["visits: leaves"] == 27
    assert figures["visits: resumes"] == 18
    for node in ("api-1", "game-1"):
        assert f"{node}: growth of its memory" in figures
        assert figures[f"{node}: memory at the end"] > 1
