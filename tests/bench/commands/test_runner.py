import click
import pytest
from rich.progress import Progress

from lastcall.bench.__main__ import cli
from lastcall.bench.commands.runner import run_scenario, worst
from lastcall.bench.load.messages import LoadFailed
from lastcall.bench.report.report import Report


def scenario(name: str, *, failure: str = "", error: str = "") -> click.Command:
    """A command whose run has failed, or ends with an error instead of a report."""

    async def measure(_progress: Progress) -> Report:
        if error:
            raise LoadFailed(error)
        return Report(name, {}, [], (f"{name} was measured",), failure)

    return click.Command(name, callback=lambda: run_scenario(measure, None))


@pytest.mark.parametrize(
    ("names", "code"),
    [(["clean"], 0), (["clean", "failed", "clean"], 1), (["stopped", "clean"], 1)],
)
def test_scenarios_of_one_command_run_in_order_and_one_that_fails_does_not_stop_the_others(
    names: list[str], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    group = click.Group(chain=True, result_callback=worst)
    for command in (
        scenario("clean"),
        scenario("failed", failure="2 lost"),
        scenario("stopped", error="a node has ended"),
    ):
        group.add_command(command)

    assert group.main(names, standalone_mode=False) == code

    output = capsys.readouterr()
    measured = [f"{name} was measured" for name in names if name != "stopped"]
    assert output.out.split("\n")[:-1] == measured
    assert ("a node has ended" in output.err) == ("stopped" in names)
    assert ("2 lost" in output.err) == ("failed" in names)


def test_each_scenario_of_one_command_has_its_own_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(click.BadParameter, match="0 is not in the range"):
        cli.main(["memory", "--rooms", "5", "kill-api", "--rooms", "0"], standalone_mode=False)

    assert capsys.readouterr().out == ""
