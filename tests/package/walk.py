"""Loads all that a checkout can load, and tells which of its files are loaded twice.

Run in the root of a checkout with the ways to start a node as arguments: what ``python -m`` would
run, with ``--help``. Prints JSON: of each file that several modules were made from, their names.
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
"""They run when they are imported; the servers are the bench's peers, for a Python of their own."""


def main(starts: list[str]) -> None:
    """Starts, loads rooms, imports the rest, and looks."""
    for start in starts:
        sys.argv = [start, "--help"]
        with contextlib.redirect_stdout(None), contextlib.suppress(SystemExit):
            runpy.run_module(start, run_name="__main__", alter_sys=True)
    load(["game.examples"])
    load(["lastcall.game.examples"])
    package = importlib.import_module("lastcall")
    for module in pkgutil.walk_packages(package.__path__, "lastcall."):
        if module.name.rpartition(".")[2] not in PROGRAMS:
            importlib.import_module(module.name)
    json.dump(twice(Path.cwd()), sys.stdout)


def twice(root: Path) -> dict[str, list[str]]:
    """By file, from ``root``: the names of its modules, where there is more than one module."""
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
