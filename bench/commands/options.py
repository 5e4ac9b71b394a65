"""The options that several commands have, and the short forms of the common types."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

__all__ = ["count", "json_option", "measured", "seconds"]

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


def seconds(
    flag: str, default: float, text: str, *, least: float = 0, most: float | None = None
) -> Callable[[F], F]:
    """An option that takes a duration; its parameter ends in ``_seconds``."""
    return click.option(
        flag,
        f"{flag.removeprefix('--')}_seconds",
        type=click.FloatRange(least, most),
        default=default,
        show_default=True,
        metavar="SECONDS",
        help=text,
    )


def measured(duration: float, warm: float) -> Callable[[F], F]:
    """``--seconds`` and ``--warm``."""

    def both(command: F) -> F:
        option = click.option(
            "--seconds",
            type=click.FloatRange(1),
            default=duration,
            show_default=True,
            help="Measured duration.",
        )
        return option(seconds("--warm", warm, "Warm-up before measuring.")(command))

    return both
