"""Runs one scenario as a command: progress, table, JSON, exit code."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import NoReturn

import click
import trio
from rich.console import Console
from rich.progress import Progress

from lastcall.bench.report.report import Report, open_progress, show, write_json
from lastcall.errors import LastcallError, UsageError
from lastcall.exception_groups import unwrap_single
from lastcall.reasons import ExitCode

Measure = Callable[[Progress], Awaitable[Report]]


def run_scenario(measure: Measure, json_file: Path | None) -> None:
    """Measures, shows the report, and exits with 1 if the run has failed."""
    if json_file is not None:
        _check_writable(json_file)
    report = _measured(measure)
    if json_file is not None:
        write_json(report, json_file)
    if report.failure:
        sys.exit(ExitCode.CRASHED)


def run_scenarios(measures: Sequence[Measure], json_file: Path | None) -> None:
    """Runs one scenario after the other and shows each report; the JSON is a list of all.

    Exits with 1 after the last one if any has failed.
    """
    if json_file is not None:
        _check_writable(json_file)
    failed, reports = False, []
    for measure in measures:
        try:
            reports.append(_measured(measure))
            failed |= bool(reports[-1].failure)
        except SystemExit:  # the reason was printed
            failed = True
        except UsageError as error:  # such as too many files for this system
            click.echo(f"Error: {error}", err=True)
            failed = True
    if json_file is not None:
        write_json(reports, json_file)
    if failed:
        sys.exit(ExitCode.CRASHED)


def _measured(measure: Measure) -> Report:
    """Runs one scenario and shows its report; exits with 1 if there is none."""

    async def run() -> Report:
        with open_progress() as progress:
            return await measure(progress)

    try:
        report = trio.run(run)
    except (LastcallError, BaseExceptionGroup) as error:
        _fail(error)
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


def _fail(error: BaseException) -> NoReturn:
    """Turns Ctrl-C and this project's errors, also in groups, into one line; raises all others."""
    if isinstance(error, BaseExceptionGroup) and error.subgroup(KeyboardInterrupt):
        raise click.Abort
    lone = unwrap_single(error, LastcallError)
    if lone is None:
        raise error
    if isinstance(lone, UsageError):
        raise lone
    click.echo(f"Error: {lone}", err=True)
    sys.exit(ExitCode.CRASHED)
