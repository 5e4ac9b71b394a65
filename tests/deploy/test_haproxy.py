"""HAProxy accepts the configuration, with any addresses."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

Check = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def check(deploy: Path) -> Check:
    """Runs ``haproxy -c`` on the file, with only the given environment variables."""
    haproxy = shutil.which("haproxy", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
    if haproxy is None:
        pytest.skip("haproxy is not installed: apt-get install haproxy")

    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        command = [haproxy, "-c", "-f", str(deploy / "proxies" / "haproxy.cfg")]
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=20, check=False
        )

    return run


def test_haproxy_accepts_the_file_without_warnings(check: Check) -> None:
    checked = check()
    assert checked.returncode == 0, checked.stderr
    assert "[WARNING]" not in checked.stderr


def test_the_addresses_come_from_the_environment(check: Check) -> None:
    assert check(LASTCALL_API_3="127.0.0.2:18083").returncode == 0
    refused = check(LASTCALL_API_3="127.0.0.2:no-port")
    assert refused.returncode != 0
    assert "no-port" in refused.stderr


def test_every_address_has_a_default(deploy: Path) -> None:
    text = (deploy / "proxies" / "haproxy.cfg").read_text()
    used = set(re.findall(r'"\$\{(\w+)\}"', text))
    defaults = set(re.findall(r"^\s*presetenv\s+(\w+)", text, re.MULTILINE))
    assert used - {"LASTCALL_TLS"} == defaults


def test_both_backends_list_the_same_nodes(deploy: Path) -> None:
    servers = re.findall(
        r"^\s*server (\S+) (\S+)", (deploy / "proxies" / "haproxy.cfg").read_text(), re.MULTILINE
    )
    http, tcp = servers[: len(servers) // 2], servers[len(servers) // 2 :]
    assert http == tcp
    assert len(http) == 4
