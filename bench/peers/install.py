"""Installs the peers into a folder of their own, once: npm packages, and a Python with PyPI's."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import msgspec
import trio

from lastcall.errors import LastcallError

NODE, PYTHON = "node", "python"
NPM_PACKAGES = (
    *("ws@8", "socket.io@4", "@socket.io/redis-adapter@8", "redis@6"),
    *("@colyseus/core@0.18", "@colyseus/ws-transport@0.18", "@colyseus/schema@5"),
    *("zod@4", "express@5"),
)
"""``colyseus`` itself cannot be installed without git; these are the parts that are needed."""
PYPI_PACKAGES = ("websockets>=15", "python-socketio>=5", "aiohttp>=3")
INSTALL_SECONDS = 300.0
HERE = Path(__file__).parent
LAST_LINES = 3


class CannotInstall(LastcallError):
    """A peer's packages cannot be installed; the message says why."""


def default_cache() -> Path:
    """``$XDG_CACHE_HOME/lastcall-bench``, or ``~/.cache/lastcall-bench``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lastcall-bench"


async def install(runtime: str, cache: Path) -> None:
    """Makes ``cache/node`` or ``cache/python`` ready, with the bench's servers beside the packages.

    Raises :class:`CannotInstall`.
    """
    try:
        if runtime == NODE:
            await _install_node(cache / NODE)
        else:
            await _install_python(cache / PYTHON)
    except OSError as error:
        raise CannotInstall(f"{cache} cannot be written: {error}") from error


async def _install_node(folder: Path) -> None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise CannotInstall("node and npm are not installed")
    await trio.Path(folder).mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--no-fund", "--no-audit", "--legacy-peer-deps", *NPM_PACKAGES]
    await _once(folder, NPM_PACKAGES, command)
    for server in HERE.glob("*.mjs"):  # Node looks for a module beside the file that imports it
        shutil.copy(server, folder)


async def _install_python(folder: Path) -> None:
    if not (folder / "bin" / "python").exists():
        await trio.to_thread.run_sync(lambda: venv.create(folder, with_pip=True))
    command = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *PYPI_PACKAGES]
    await _once(folder, PYPI_PACKAGES, command)


async def _once(folder: Path, packages: tuple[str, ...], command: list[str]) -> None:
    """Runs ``command`` unless it has run for the same packages before."""
    done = folder / "installed.txt"
    wanted = "\n".join((*packages, sys.version))
    if done.exists() and done.read_text() == wanted:
        return
    with trio.move_on_after(INSTALL_SECONDS):
        ran = await trio.run_process(
            command, cwd=folder, capture_stdout=True, stderr=subprocess.STDOUT, check=False
        )
        if ran.returncode:
            output = " ".join(ran.stdout.decode(errors="replace").split("\n")[-LAST_LINES:])
            raise CannotInstall(f"{' '.join(command[:3])} failed: {output.strip()}")
        done.write_text(wanted)
        return
    raise CannotInstall(f"{' '.join(command[:3])} took more than {INSTALL_SECONDS:g} s")


def versions(cache: Path) -> dict[str, str]:
    """The versions of the installed packages, by name."""
    found = {}
    for package in NPM_PACKAGES:
        name = package.rpartition("@")[0]
        manifest = cache / NODE / "node_modules" / name / "package.json"
        if manifest.exists():
            packed = msgspec.json.decode(manifest.read_bytes(), type=dict[str, object])
            found[name] = str(packed["version"])
    for info in (cache / PYTHON).glob("lib/python*/site-packages/*.dist-info"):
        name, _, version = info.stem.replace("_", "-").rpartition("-")
        if name in {"websockets", "python-socketio"}:
            found[name] = version
    return found
