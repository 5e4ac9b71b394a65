"""Runs scenarios as commands: progress, table, JSON, exit code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import click
import trio
from rich.console import Console
from rich.progress import Progress

from lastcall.bench.report.report import Report, open_progress, show, write_json
from lastcall.errors import LastcallError, UsageError
from lastcall.exception_groups import unwrap_single
from lastcall.reasons import ExitCode

Measure = Callable[[Progress], Awaitable[Report]]


def run_scenario(measure: Measure, json_file: Path | None) -> int:
    """Measures and shows the report; returns the exit code, which is 1 if the run has failed."""
    if json_file is not None:
        _check_writable(json_file)
    report = _measured(measure)
    if report is not None and json_file is not None:
        write_json(report, json_file)
    return ExitCode.CRASHED if report is None or report.failure else 0


def run_scenarios(measures: Sequence[Measure], json_file: Path | None) -> int:
    """Runs one scenario after the other and shows each report; the JSON is a list of all.

    Returns the exit code: 1 if any has failed.
    """
    if json_file is not None:
        _check_writable(json_file)
    failed, reports = False, []
    for measure in measures:
        try:
            report = _measured(measure)
        except UsageError as error:  # such as too many files for this system
            click.echo(f"Error: {error}", err=True)
            report = None
        failed |= report is None or bool(report.failure)
        if report is not None:
            reports.append(report)
    if json_file is not None:
        write_json(reports, json_file)
    return ExitCode.CRASHED if failed else 0


def worst(codes: Sequence[int]) -> int:
    """The exit code of several commands in one: that of a failure, if there is one."""
    return max(codes)


def _measured(measure: Measure) -> Report | None:
    """Runs one scenario and shows its report; None if there is none, and says why."""

    async def run() -> Report:
        with open_progress() as progress:
            return await measure(progress)

    try:
        report = trio.run(run)
    except (LastcallError, BaseExceptionGroup) as error:
        _show_error(error)
        return None
    show(report, Console())
    if report.failure:
        click.echo(f"Error: {report.failure}", err=True)
    return report


def _check_writable(file: Path) -> None:
    """Raises :class:`UsageError` before the run if the file cannot be written after it."""
    try:
        file.open("ab").close()
    except OSError as error:
        raise UsageError(f"--json {file} cannot be written: {error.strerror}") from error


def _show_error(error: BaseException) -> None:
    """Turns this project's errors, also in groups, into one line; raises all others, and Ctrl-C as
    :class:`click.Abort`.
    """
    if isinstance(error, BaseExceptionGroup) and error.subgroup(KeyboardInterrupt):
        raise click.Abort
    lone = unwrap_single(error, LastcallError)
    if lone is None:
        raise error
    if isinstance(lone, UsageError):
        raise lone
    click.echo(f"Error: {lone}", err=True)
