"""Logging: one format for Lastcall's own events and the log lines of libraries.

Use ``log = structlog.get_logger()`` at the top of a file, and ``log.info("drain.started",
seconds=25)`` in it. With ``json``, each line on stderr is one object with ``at``, ``level``,
``event`` and ``node``; ``console`` is for people. Lines of the standard library's logging, warnings
and uncaught exceptions have the same format.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from types import TracebackType
from typing import Literal, TextIO

import msgspec
import structlog
from structlog.typing import EventDict, ExcInfo, Processor, WrappedLogger

from lastcall.runtime.error_text import render
from lastcall.runtime.log_tap import pass_on

LogFormat = Literal["console", "json"]
LogLevel = Literal["info", "debug"]

Write = Callable[[bytes], object]


def configure(
    log_format: LogFormat,
    *,
    node: str = "",
    level: LogLevel = "info",
    write: Write | None = None,
) -> None:
    """Configures the process's logging; may be called again.

    ``level`` is for Lastcall's own events; those of libraries begin at ``warning``. ``node`` is
    added to each line unless empty. ``write`` takes one whole line with its newline; its errors are
    ignored, since a node must not end because nobody reads its log.
    """
    write = write_to_stderr if write is None else write
    structlog.configure(
        processors=_processors(log_format, node),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_names: _LineWriter(write),
        cache_logger_on_first_use=False,  # a cached logger would keep the previous format
    )
    logging.basicConfig(handlers=[_StandardLogging()], level=logging.WARNING, force=True)
    logging.captureWarnings(True)
    sys.excepthook = _on_crash
    threading.excepthook = _on_thread_crash


def configure_command() -> None:
    """Configures the logging of a command like ``lastcall dashboard``: on stderr, and without the
    values of variables, which may be secrets; by default a traceback has them.
    """
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.dev.set_exc_info,
            structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
        ],
        logger_factory=lambda *_names: structlog.PrintLogger(sys.stderr),
    )


def write_to_stderr(line: bytes) -> None:
    """Writes to the descriptor itself, not to ``sys.stderr``.

    A line that a broken pipe refused would stay in that object's buffer; the interpreter would fail
    to flush it at exit, and the exit code would be 120.
    """
    while line:
        line = line[os.write(2, line) :]


def timeout_message(log_format: LogFormat, node: str) -> Callable[[float, str], str] | None:
    """Makes the watchdog's line in this format, for ``StopRequests.arm``; ``None``: the default.

    It does not use structlog: the thread that writes it must not wait for a lock.
    """
    return partial(_timeout_json, node) if log_format == "json" else None


def report_message(
    log_format: LogFormat, node: str, report: Callable[[float], Mapping[str, object]]
) -> Callable[[float], str]:
    """Makes the watchdog's last line, ``drain.finished``, for ``StopRequests.arm``.

    ``report`` gets the seconds since the stop request. It is called in the watchdog's thread, while
    the loop is blocked.
    """

    def message(seconds: float) -> str:
        head, fields = _head("info", "drain.finished", node), report(seconds)
        if log_format == "json":
            return json.dumps({**head, **fields})
        pairs = " ".join(f"{name}={value}" for name, value in fields.items())
        return f"{head['at']} [info     ] {head['event']:24} {pairs}"

    return message


def early_stop_message(log_format: LogFormat, node: str) -> Callable[[], str] | None:
    """Makes the line for a second stop request while the node starts; ``None``: the default."""
    return partial(_early_stop_json, node) if log_format == "json" else None


def _timeout_json(node: str, grace_seconds: float, where: str) -> str:
    message = "grace is over and something blocks the loop: the process exits with code 3"
    details = {"grace_seconds": grace_seconds, "message": message, "traceback": where}
    return json.dumps(_head("critical", "drain.overrun", node) | details)


def _early_stop_json(node: str) -> str:
    message = "second stop request before the node serves: the process exits with code 0"
    return json.dumps(_head("info", "start.aborted", node) | {"message": message})


def _head(level: str, event: str, node: str) -> dict[str, object]:
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"at": at, "level": level, "event": event, "node": node}


class _LineWriter:
    """Writes rendered lines, whatever their level."""

    def __init__(self, write: Write) -> None:
        self._write = write

    def msg(self, line: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._write(line.encode(errors="backslashreplace") + b"\n")

    debug = info = warning = warn = error = exception = critical = fatal = msg


class _StandardLogging(logging.Handler):
    """Passes the standard library's records to structlog."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            structlog.get_logger().log(
                _known_level(record.levelno),
                record.getMessage(),
                logger=record.name,
                exc_info=record.exc_info,
            )
        except Exception:  # noqa: BLE001 (a log line with wrong arguments must not fail its caller)
            self.handleError(record)


def _known_level(level: int) -> int:
    return max(min(level // 10 * 10, logging.CRITICAL), logging.DEBUG)


def _processors(log_format: LogFormat, node: str) -> list[Processor]:
    chain: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        partial(_stamp, node),
        pass_on,
    ]
    if log_format == "json":
        return [*chain, structlog.processors.StackInfoRenderer(), _traceback_text, _as_json]
    console = structlog.dev.ConsoleRenderer(
        colors=os.isatty(2),
        timestamp_key="at",
        exception_formatter=_write_traceback,
        pad_event_to=24,
    )
    return [*chain, structlog.processors.StackInfoRenderer(), console]


def _stamp(node: str, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    now = time.time()
    seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
    head = {"at": f"{seconds}.{int(now * 1000) % 1000:03d}Z", "level": event.pop("level")}
    head["event"] = event.pop("event")
    return {**head, "node": node, **event} if node else {**head, **event}


def _traceback_text(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    exc_info = event.pop("exc_info", None)
    if isinstance(exc_info, BaseException):
        error: BaseException | None = exc_info
    elif isinstance(exc_info, tuple):
        error = exc_info[1]
    else:
        error = sys.exc_info()[1] if exc_info else None
    if error is not None:
        event["traceback"] = render(error)
    return event


def _write_traceback(out: TextIO, exc_info: ExcInfo) -> None:
    out.write(render(exc_info[1]))


def _as_json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=repr).decode()
    except (TypeError, ValueError, RecursionError, OverflowError):
        # Odd keys, halves of surrogate pairs, numbers over 64 bits are logged as text.
        return json.dumps({str(key): repr(value) for key, value in event.items()})


def _on_crash(kind: type[BaseException], error: BaseException, where: TracebackType | None) -> None:
    if not issubclass(kind, Exception):  # Ctrl-C before the handler: the interpreter reports it
        sys.__excepthook__(kind, error, where)
        return
    info: ExcInfo = (kind, error, where)
    structlog.get_logger().critical("process.crashed", error=repr(error), exc_info=info)


def _on_thread_crash(args: threading.ExceptHookArgs) -> None:
    structlog.get_logger().error(
        "thread.crashed",
        thread=args.thread.name if args.thread else "",
        error=repr(args.exc_value),
        exc_info=args.exc_value,
    )
