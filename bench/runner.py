"""Runs one scenario as a command: progress, table, JSON, exit code."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import click
import trio
from rich.console import Console
from rich.progress import Progress

from bench.report import Report, open_progress, show, write_json
from rooms.errors import LastcallError, UsageError
from rooms.lone_error import only
from rooms.reasons import ExitCode

__all__ = ["json_option", "run_scenario"]

Measure = Callable[[Progress], Awaitable[Report]]

json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Write the figures there, too, as JSON.",
)


def run_scenario(measure: Measure, json_file: Path | None) -> None:
    """Measures, shows the report, and ends the process with 1 when the run has failed."""
    if json_file is not None:
        _check_writable(json_file)

    async def run() -> Report:
        with open_progress() as progress:
            return await measure(progress)

    try:
        report = trio.run(run)
    except (LastcallError, BaseExceptionGroup) as error:
        _fail(error)
    else:
        show(report, Console())
        if json_file is not None:
            write_json(report, json_file)
        if report.failure:
            click.echo(f"Error: {report.failure}", err=True)
            sys.exit(ExitCode.CRASHED)


def _check_writable(file: Path) -> None:
    """Now, not after the run."""
    try:
        file.open("ab").close()
    except OSError as error:
        raise UsageError(f"--json {file} cannot be written: {error.strerror}") from error


def _fail(error: BaseException) -> None:
    """One line for Ctrl-C and what we raise on purpose, also out of nurseries; the rest as is."""
    if isinstance(error, BaseExceptionGroup) and error.subgroup(KeyboardInterrupt):
        raise click.Abort
    lone = only(error, LastcallError)
    if lone is None:
        raise error
    if isinstance(lone, UsageError):
        raise lone
    click.echo(f"Error: {lone}", err=True)
    sys.exit(ExitCode.CRASHED)
