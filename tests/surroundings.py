"""Sets signals, umask, stdin, limits, locale and terminal to the same for every test run.

A script starts its background jobs with SIGINT ignored, a daemon manager closes stdin, a hardened
account has another umask, a terminal another width. Child processes inherit all of it, so a test of
Ctrl-C would fail under one parent and pass under another.
"""

from __future__ import annotations

import os
import resource
import signal
import sys

__all__ = ["FILES", "make_usual"]

FILES = 2_048
"""How many open files the tests may need in one process."""
UMASK = 0o022
STDIN = 0


def make_usual() -> None:
    """Signals, umask, stdin, open files, locale and terminal as in a plain shell.

    Raises ``SystemExit`` with what to do where the hard limit of open files is too low.
    """
    _signals()
    os.umask(UMASK)
    _stdin()
    _open_files()
    _environment()


def _signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def _stdin() -> None:
    """A closed descriptor 0 would be taken by the next file or socket that is opened."""
    try:
        os.fstat(STDIN)
    except OSError:
        null = os.open(os.devnull, os.O_RDONLY)
        if null != STDIN:
            os.dup2(null, STDIN)
            os.close(null)
    if sys.stdin is None:
        sys.stdin = os.fdopen(STDIN, closefd=False)


def _open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        sys.exit(f"the tests need {FILES} open files and the hard limit is {hard}: raise it")
    if soft != resource.RLIM_INFINITY and soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))


def _environment() -> None:
    unusual = ("LASTCALL_", "LC_", "PYTHON")
    names = {"LANG", "LANGUAGE", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI", "TZ"}
    for name in list(os.environ):
        if name.startswith(unusual) or name in names:
            del os.environ[name]
    os.environ |= {"LC_ALL": "C.UTF-8", "TERM": "xterm"}
