"""Which requests the admin port accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from lastcall.bus.address import HostPort
from lastcall.errors import UsageError
from lastcall.runtime.admin.auth import AdminAuth, AdminRequest

HERE = HostPort("127.0.0.1", 9001)
TOKEN = "0123456789abcdef"  # noqa: S105


def request(client: str = "127.0.0.1", server: HostPort = HERE, **headers: str) -> AdminRequest:
    defaults = {"x-lastcall": "1", "host": str(server)}
    return AdminRequest(
        defaults | {key.replace("_", "-"): v for key, v in headers.items()}, client, server
    )


def token_file(tmp_path: Path, text: str = TOKEN) -> Path:
    path = tmp_path / "token"
    path.write_text(text + "\n")
    return path


def test_an_operator_on_the_same_machine_is_allowed() -> None:
    assert AdminAuth().command_refusal(request()) is None
    assert AdminAuth().command_refusal(request(host="localhost:9001")) is None
    assert AdminAuth().command_refusal(request(origin="http://127.0.0.1:9001")) is None
    assert AdminAuth().command_refusal(request(client="::1", server=HostPort("::1", 9001))) is None
    assert AdminAuth().command_refusal(request(client="::ffff:127.0.0.1")) is None


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"x_lastcall": ""}, "X-Lastcall: 1"),
        ({"host": ""}, "not this node's"),
        ({"host": "127.0.0.1"}, "not this node's"),
        ({"host": "127.0.0.1:9002"}, "not this node's"),
        ({"host": "rebound.example:9001"}, "not this node's"),
        ({"origin": "http://rebound.example:9001"}, "may not send commands"),
        ({"origin": "https://127.0.0.1:9001"}, "may not send commands"),
    ],
)
def test_a_web_page_or_a_rebound_name_is_refused(headers: dict[str, str], why: str) -> None:
    refusal = AdminAuth().command_refusal(request(**headers))
    assert refusal is not None
    assert why in refusal


def test_the_advertised_name_of_the_node_is_accepted() -> None:
    assert (
        AdminAuth(frozenset({"api-1.internal"})).command_refusal(
            request(host="api-1.internal:9001")
        )
        is None
    )


def test_a_request_from_another_machine_needs_the_token(tmp_path: Path) -> None:
    far = HostPort("10.0.0.5", 9001)
    auth = AdminAuth(token_file=token_file(tmp_path))
    refusal = auth.command_refusal(request("10.0.0.9", far))
    assert refusal is not None
    assert "Bearer" in refusal
    assert (
        auth.command_refusal(request("10.0.0.9", far, authorization="Bearer " + "x" * 16))
        is not None
    )
    assert (
        auth.command_refusal(request("10.0.0.9", far, authorization=f"Basic {TOKEN}")) is not None
    )
    assert auth.command_refusal(request("10.0.0.9", far, authorization=f"Bearer {TOKEN}")) is None
    assert auth.command_refusal(request("10.0.0.9", far, authorization=f"bearer {TOKEN}")) is None


def test_without_a_token_file_requests_from_other_machines_are_refused() -> None:
    refusal = AdminAuth().command_refusal(request("10.0.0.9", authorization="Bearer "))
    assert refusal is not None
    assert "--admin-token-file" in refusal


def test_the_host_localhost_is_accepted_only_on_loopback() -> None:
    far = HostPort("10.0.0.5", 9001)
    assert AdminAuth().command_refusal(request(server=far, host="localhost:9001")) is not None


def test_the_token_may_be_changed_while_the_node_runs(tmp_path: Path) -> None:
    auth = AdminAuth(token_file=token_file(tmp_path))
    token_file(tmp_path, "another-token-0000")
    old = request("10.0.0.9", authorization=f"Bearer {TOKEN}")
    assert auth.command_refusal(old) is not None
    assert (
        auth.command_refusal(request("10.0.0.9", authorization="Bearer another-token-0000")) is None
    )


@pytest.mark.parametrize("text", ["", "short"])
def test_a_token_that_is_too_short_is_refused_at_the_start(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="needs 16 to 4096"):
        AdminAuth(token_file=token_file(tmp_path, text))


def test_a_missing_token_file_is_refused_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        AdminAuth(token_file=tmp_path / "none")
