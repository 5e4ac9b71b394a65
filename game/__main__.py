"""``lastcall-game`` or ``python -m game``: runs a game node."""

from lastcall.runtime.signals import install

STOPS = install()  # before any other import: a signal before the handler is lost, or worse

from lastcall.game.command import command
from lastcall.runtime.command import run_command


def main() -> None:
    """The entry point of ``lastcall-game``."""
    run_command(command, stops=STOPS)


if __name__ == "__main__":
    main()
