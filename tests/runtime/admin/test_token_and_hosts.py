"""A node with a token, and the hosts by which it may be asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from lastcall.bus.address import HostPort
from lastcall.runtime.admin.auth import AdminAuth, AdminRequest

TOKEN = "0123456789abcdef"  # noqa: S105 - a test's
HERE = HostPort("127.0.0.1", 9001)


def command(authorization: str = "", host: str = "127.0.0.1:9001") -> AdminRequest:
    headers = {"x-lastcall": "1", "host": host}
    if authorization:
        headers["authorization"] = authorization
    return AdminRequest(headers, "127.0.0.1", HERE)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    return file


def test_a_configured_token_is_wanted_from_loopback_too(file: Path) -> None:
    auth = AdminAuth(token_file=file)
    refusal = auth.command_refusal(command())
    assert refusal is not None
    assert "Bearer" in refusal
    assert auth.command_refusal(command("Bearer fedcba9876543210")) is not None
    assert auth.command_refusal(command(f"Bearer {TOKEN}")) is None


@pytest.mark.parametrize("text", [None, "", "half"])
def test_the_last_token_stays_while_the_file_is_missing_or_half_written_and_the_log_says_so(
    file: Path, text: str | None
) -> None:
    auth = AdminAuth(token_file=file)
    if text is None:
        file.unlink()
    else:
        file.write_text(text)
    with capture_logs() as logs:
        answers = [auth.command_refusal(command(f"Bearer {TOKEN}")) for _ in range(100)]
        assert auth.command_refusal(command("Bearer ")) is not None
    assert set(answers) == {None}
    assert [line["event"] for line in logs] == ["admin.token_unreadable"] * 5
    assert {line["log_level"] for line in logs} == {"warning"}
    file.write_text("another-token-0000")
    assert auth.command_refusal(command(f"Bearer {TOKEN}")) is not None


def test_a_name_of_admin_hosts_is_right_for_commands_too_with_the_nodes_port() -> None:
    auth = AdminAuth({"Game-1.example.com"})
    assert auth.command_refusal(command(host="game-1.example.com:9001")) is None
    assert auth.command_refusal(command(host="game-1.example.com:80")) is not None
    assert auth.host_refusal("game-1.example.com") is None


def test_a_refused_host_is_named_with_the_option_that_would_allow_it() -> None:
    refusal = AdminAuth().host_refusal("rebound.example:9001")
    assert refusal is not None
    assert "'rebound.example:9001'" in refusal
    assert "--admin-hosts" in refusal
