"""Loads all modules of a checkout, and prints which files were loaded more than once.

It runs in the root of a checkout. Its arguments are programs, which it runs with ``--help`` as
``python -m`` does. It prints JSON: the module names of each file that was loaded more than once.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import pkgutil
import runpy
import sys
from collections import defaultdict
from pathlib import Path

from lastcall.game.loader import load

PROGRAMS = {
    *("kernel_server", "socketio_server", "websockets_server"),
    "__main__",
}
"""Modules that run when imported; the servers are the bench's peers and need another Python."""


def main(programs: list[str]) -> None:
    """Runs the programs, loads rooms, imports all other modules, and prints the result."""
    for program in programs:
        sys.argv = [program, "--help"]
        with contextlib.redirect_stdout(None), contextlib.suppress(SystemExit):
            runpy.run_module(program, run_name="__main__", alter_sys=True)
    load(["game.examples"])
    load(["lastcall.game.examples"])
    package = importlib.import_module("lastcall")
    for module in pkgutil.walk_packages(package.__path__, "lastcall."):
        if module.name.rpartition(".")[2] not in PROGRAMS:
            importlib.import_module(module.name)
    json.dump(loaded_twice(Path.cwd()), sys.stdout)


def loaded_twice(root: Path) -> dict[str, list[str]]:
    """Returns the module names of each file with more than one module, by its path."""
    loaded: dict[str, dict[int, str]] = defaultdict(dict)
    for name, module in sys.modules.items():
        if name != "__main__" and (file := getattr(module, "__file__", None)):
            loaded[os.path.realpath(file)].setdefault(id(module), name)
    return {
        os.path.relpath(file, root): sorted(modules.values())
        for file, modules in loaded.items()
        if len(modules) > 1
    }


if __name__ == "__main__":
    main(sys.argv[1:])
