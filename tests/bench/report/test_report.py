import io
import math
from pathlib import Path

import msgspec
from rich.console import Console

from lastcall.bench.report.report import Figure, Report, percentile, show, write_json

KEPT = Figure("per client", 39.5, "KiB", 40)
BROKEN = Figure("per room", 20.5, "KiB", 20)
FREE = Figure("inputs", 12_345.6, "1/s")
REPORT = Report("memory", {"rooms": 2_000, "settle_seconds": 2.5}, [KEPT, BROKEN, FREE])


def test_a_percentile_is_the_least_sample_that_this_share_does_not_exceed() -> None:
    ordered = [float(number) for number in range(1, 101)]

    assert [percentile(ordered, share) for share in (0, 0.5, 0.99, 1)] == [1, 50, 99, 100]
    assert percentile([1, 2, 3], 0.5) == 2
    assert percentile([1, 2, 3, 4], 0.5) == 2
    assert percentile([7], 0.99) == 7


def test_no_samples_have_no_percentile() -> None:
    assert math.isnan(percentile([], 0.5))


def test_a_figure_holds_up_to_its_limit_and_not_beyond() -> None:
    assert [KEPT.holds, BROKEN.holds, FREE.holds] == [True, False, None]
    assert Figure("at it", 40, "KiB", 40).holds is True


def test_a_figure_that_could_not_be_measured_does_not_hold() -> None:
    assert Figure("nothing heard", math.nan, "ms", 5).holds is False


def test_the_table_shows_each_figure_beside_its_limit() -> None:
    console = Console(width=100, file=io.StringIO())

    with console.capture() as shown:
        show(REPORT, console)

    title, *lines = [line.rstrip() for line in shown.get().splitlines()]
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│" in line]
    assert title == "bench memory: rooms 2000, settle_seconds 2.5"
    assert rows == [
        ["per client", "39.5", "KiB", "40", "yes"],
        ["per room", "20.5", "KiB", "20", "NO"],
        ["inputs", "12,346", "1/s", "", ""],
    ]


def test_the_json_holds_figures_limits_verdicts_and_the_machine(tmp_path: Path) -> None:
    file = tmp_path / "memory.json"

    write_json(REPORT, file)

    written = msgspec.json.decode(file.read_bytes())
    assert written["scenario"] == "memory"
    assert written["settings"] == {"rooms": 2_000, "settle_seconds": 2.5}
    assert written["figures"][1] == {
        "name": "per room",
        "value": 20.5,
        "unit": "KiB",
        "limit": 20,
        "least": None,
        "runs": [],
        "holds": False,
    }
    assert written["machine"].keys() == {"python", "system", "cores"}
