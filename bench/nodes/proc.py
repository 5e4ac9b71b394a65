"""What the operating system has on a process's account: memory and processor time (Linux)."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import trio

__all__ = ["cpu_seconds", "family_cpu_seconds", "resident_bytes", "wait_gone"]

KIB = 1024
_RSS = re.compile(r"^Rss:\s+(\d+) kB$", re.MULTILINE)


def resident_bytes(pid: int) -> int:
    """The memory of ``pid`` that is in RAM now; raises ``ProcessLookupError`` when it is gone."""
    try:
        return rss_of_smaps(_read(pid, "smaps_rollup"))
    except FileNotFoundError:  # before Linux 4.14: counted in batches, so a little behind
        return int(_read(pid, "statm").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """The processor time of ``pid``, its own and the kernel's for it, in all its threads."""
    return ticks_of_stat(_read(pid, "stat")) / os.sysconf("SC_CLK_TCK")


def family_cpu_seconds(pid: int) -> float:
    """The processor time of ``pid`` and of its living children; of its ended ones it is not."""
    children = [
        int(folder.name)
        for folder in Path("/proc").iterdir()
        if folder.name.isdigit() and _parent(int(folder.name)) == pid
    ]
    return sum(cpu_seconds(one) for one in (pid, *children))


def _parent(pid: int) -> int:
    try:
        return parent_of_stat(_read(pid, "stat"))
    except (ProcessLookupError, FileNotFoundError):  # it has ended meanwhile
        return 0


def parent_of_stat(text: str) -> int:
    """``ppid`` in the text of ``/proc/PID/stat``, see proc(5)."""
    return int(text.rpartition(")")[2].split()[1])


def rss_of_smaps(text: str) -> int:
    """The bytes of ``Rss`` in the text of ``/proc/PID/smaps_rollup``."""
    return sum(int(kib) for kib in _RSS.findall(text)) * KIB


def ticks_of_stat(text: str) -> int:
    """``utime`` and ``stime`` in the text of ``/proc/PID/stat``, see proc(5)."""
    after_name = text.rpartition(")")[2].split()  # a program's name may hold blanks and brackets
    return int(after_name[11]) + int(after_name[12])


def _read(pid: int, name: str) -> str:
    folder = Path("/proc", str(pid))
    if not folder.exists():
        raise ProcessLookupError(f"process {pid} has ended, or this system has no /proc")
    return (folder / name).read_text(encoding="ascii", errors="replace")


async def wait_gone(pid: int) -> float:
    """Waits for the end of our child ``pid``; returns when, in the seconds of ``time.monotonic``.

    The kernel tells of it before the child is reaped; call it while the child runs.
    """
    descriptor = os.pidfd_open(pid)
    try:
        await trio.lowlevel.wait_readable(descriptor)
        return time.monotonic()
    finally:
        os.close(descriptor)
