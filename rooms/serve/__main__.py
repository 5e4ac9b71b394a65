"""``lastcall serve`` or ``python -m lastcall.serve``: runs both tiers in one process."""

from lastcall.runtime.signals import install

STOPS = install()  # before any other import: a signal before the handler is lost, or worse

from collections.abc import Sequence
from typing import NoReturn

from lastcall.runtime.command import run_command
from lastcall.serve.command import command


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Runs the command with ``args``, and exits with its code."""
    run_command(command, args, name="lastcall serve", stops=STOPS)


if __name__ == "__main__":
    main()
