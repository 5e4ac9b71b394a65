"""The values that a shell offers after TAB, where click does not know them."""

from __future__ import annotations

import pkgutil
from pathlib import Path

import click

EXAMPLES = "lastcall.game.examples"


def complete_modules(_ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """The modules in the current folder and the examples, for the last one in a list of them."""
    before, comma, word = incomplete.rpartition(",")
    package = word.rpartition(".")[0]
    names = [EXAMPLES, *(f"{package}.{name}" if package else name for name in _modules(package))]
    return [f"{before}{comma}{name}" for name in names if name.startswith(word)]


def _modules(package: str) -> list[str]:
    folder = Path.cwd().joinpath(*package.split("."))
    return [found.name for found in pkgutil.iter_modules([str(folder)])]
