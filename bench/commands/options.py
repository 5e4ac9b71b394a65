"""The options that several commands have, and the short forms of the common types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

json_option = click.option(
    "--json",
    "json_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write the figures to this file, as JSON.",
)


def count(
    flag: str, default: int, text: str, *, least: int = 1, most: int | None = None
) -> Callable[[F], F]:
    """An option that takes a whole number."""
    kind = click.IntRange(least, most)
    return click.option(flag, type=kind, default=default, show_default=True, help=text)


def amount(
    flag: str,
    parameter: str,
    default: float | None,
    metavar: str,
    text: str,
    *,
    least: float = 0,
    most: float | None = None,
    above: bool = False,
    shown: bool | str = True,
) -> Callable[[F], F]:
    """An option that takes a number; with ``above`` it must be more than ``least``."""
    kind = click.FloatRange(least, most, min_open=above)
    return click.option(
        *(flag, parameter),
        type=kind,
        default=default,
        show_default=shown,
        metavar=metavar,
        help=text,
    )


def seconds(
    flag: str, default: float, text: str, *, least: float = 0, most: float | None = None
) -> Callable[[F], F]:
    """An option that takes a duration; its parameter ends in ``_seconds``."""
    parameter = f"{flag.removeprefix('--')}_seconds"
    return amount(flag, parameter, default, "SECONDS", text, least=least, most=most)


def measured(duration: float, warm: float) -> Callable[[F], F]:
    """``--seconds`` and ``--warm``."""

    def both(command: F) -> F:
        option = amount("--seconds", "seconds", duration, "SECONDS", "Measured duration.", least=1)
        return option(seconds("--warm", warm, "Warm-up before measuring.")(command))

    return both
