"""Gives each test run the same signals, umask, stdin, limits, locale and terminal.

These depend on the parent process: a script ignores SIGINT in its background jobs, a daemon manager
closes stdin, a hardened account has another umask, a terminal has another width. Child processes
inherit them, so that a test of Ctrl-C would fail under one parent and pass under another.
"""

from __future__ import annotations

import os
import resource
import signal
import sys

__all__ = ["FILES", "normalize"]

FILES = 2_048
"""The number of open files that the tests may need in one process."""
UMASK = 0o022
STDIN = 0


def normalize() -> None:
    """Sets signals, umask, stdin, open files, locale and terminal as in a plain shell.

    Raises ``SystemExit`` with advice if the hard limit of open files is too low.
    """
    _reset_signals()
    os.umask(UMASK)
    _open_stdin()
    _raise_file_limit()
    _clean_environment()


def _reset_signals() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)


def _open_stdin() -> None:
    """Opens descriptor 0 if it is closed; else the next file or socket would get it."""
    try:
        os.fstat(STDIN)
    except OSError:
        null = os.open(os.devnull, os.O_RDONLY)
        if null != STDIN:
            os.dup2(null, STDIN)
            os.close(null)
    if sys.stdin is None:
        sys.stdin = os.fdopen(STDIN, closefd=False)


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < FILES:
        sys.exit(f"the tests need {FILES} open files and the hard limit is {hard}: raise it")
    if soft != resource.RLIM_INFINITY and soft < FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, hard))


def _clean_environment() -> None:
    unusual = ("LASTCALL_", "LC_", "PYTHON")
    names = {"LANG", "LANGUAGE", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI", "TZ"}
    for name in list(os.environ):
        if name.startswith(unusual) or name in names:
            del os.environ[name]
    os.environ |= {"LC_ALL": "C.UTF-8", "TERM": "xterm"}
