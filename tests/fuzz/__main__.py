"""``make fuzz``: atheris feeds each target of this folder for some seconds.

An input that a target has not survived is in ``.fuzz/crashes/TARGET/``, and ``python -m tests.fuzz
--one TARGET FILE`` runs it again. Inputs that reach new code stay in ``.fuzz/corpus/TARGET/`` for
the next run.
"""

from __future__ import annotations

import argparse
import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

HERE = Path(__file__).parent
FOUND = Path(".fuzz")
TARGETS = tuple(
    sorted(file.stem for file in HERE.glob("*.py") if "\ndef target(" in file.read_text())
)
INPUT_BYTES_MAX = 4_096
INPUT_SECONDS_MAX = 20
"""An input that takes longer counts as a crash."""


def main() -> int:
    """Runs all targets, or those that are named; returns 1 if one has crashed."""
    options = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    options.add_argument("targets", nargs="*", help=f"of {', '.join(TARGETS)}; all by default")
    options.add_argument("--seconds", type=int, default=60, help="for each target")
    given = options.parse_args()
    results = {name: _fuzz(name, given.seconds) for name in given.targets or TARGETS}
    for name, code in results.items():
        crashes = FOUND / "crashes" / name
        print(f"{name}: {f'CRASHED, see {crashes}/' if code else 'survived'}")
    return 1 if any(results.values()) else 0


def _fuzz(name: str, seconds: int) -> int:
    """Fuzzes one target in a process of its own, which the fuzzer ends."""
    corpus, crashes = FOUND / "corpus" / name, FOUND / "crashes" / name
    for folder in (corpus, crashes):
        folder.mkdir(parents=True, exist_ok=True)
    print(f"{name}: {seconds} s", flush=True)
    settings = [
        f"-max_total_time={seconds}",
        f"-max_len={INPUT_BYTES_MAX}",
        f"-timeout={INPUT_SECONDS_MAX}",
        f"-artifact_prefix={crashes}/",
        "-print_final_stats=1",
    ]
    folders = [str(corpus), str(HERE / "seeds" / name)]
    command = [sys.executable, "-m", "tests.fuzz", "--one", name, *settings, *folders]
    return subprocess.run(command, check=False).returncode


def _run_fuzzer(name: str, arguments: list[str]) -> None:
    """The other process; does not return."""
    import atheris  # noqa: PLC0415 - it is there for this process alone

    with atheris.instrument_imports(include=["lastcall"]):
        target: Callable[[bytes], None] = importlib.import_module(f"tests.fuzz.{name}").target
    atheris.Setup([name, *arguments], target)
    atheris.Fuzz()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        _run_fuzzer(sys.argv[2], sys.argv[3:])
    sys.exit(main())
