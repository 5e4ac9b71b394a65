import os
import subprocess
import sys
import time

import pytest

from lastcall.bench.nodes.proc import (
    cpu_seconds,
    family_cpu_seconds,
    parent_of_stat,
    resident_bytes,
    rss_of_smaps,
    ticks_of_stat,
)

SMAPS = """\
5600a8c00000-7ffd3c1f9000 ---p 00000000 00:00 0                          [rollup]
Rss:               46512 kB
Pss:               39000 kB
SwapPss:               0 kB
"""
STAT = "77 (a (b) c) S 1 77 77 0 -1 4194304 900 0 0 0 250 31 7 9 20 0 1 0 100 2000 300"


def test_resident_memory_is_rss_and_not_pss() -> None:
    assert rss_of_smaps(SMAPS) == 46_512 * 1024


def test_processor_time_includes_system_calls_but_not_children() -> None:
    assert ticks_of_stat(STAT) == 250 + 31


def test_a_process_knows_its_parent() -> None:
    assert parent_of_stat(STAT) == 1


def test_the_processor_time_of_a_family_includes_living_children() -> None:
    burn = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    command = [sys.executable, "-c", burn]
    alone = cpu_seconds(os.getpid())
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()

        assert family_cpu_seconds(os.getpid()) >= alone + 0.15
        child.communicate(b"\n")


def test_a_process_has_memory_and_its_processor_time_only_rises() -> None:
    before = cpu_seconds(os.getpid())
    used = time.process_time()
    while time.process_time() - used < 0.03:  # the system counts in hundredths
        pass

    assert cpu_seconds(os.getpid()) >= before + 0.01
    assert resident_bytes(os.getpid()) > 1024 * 1024


def test_a_process_that_has_ended_has_no_figures() -> None:
    with pytest.raises(ProcessLookupError, match="has ended"):
        resident_bytes(2**22 + 1)  # above the highest pid that Linux gives
