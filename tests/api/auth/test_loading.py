"""``--auth package.module:function`` at the start of a node: one line for each mistake."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lastcall.api.auth.chosen import chosen_auth
from lastcall.api.auth.function import FunctionAuth, load_function
from lastcall.api.auth.json_web_token import JwtAuth
from lastcall.errors import UsageError
from lastcall.runtime.auth_options import AuthOptions
from tests.api.auth.conftest import EC, pem

numbers = itertools.count()

Write = Callable[[str], str]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes a module into the current folder, and returns its name."""

    def write(code: str) -> str:
        name = f"auth_of_a_test_{next(numbers)}"
        (tmp_path / f"{name}.py").write_text(code)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
        return name

    return write


def test_an_async_function_of_the_handshake_is_loaded(write: Write) -> None:
    name = write("async def auth(handshake): ...")
    assert load_function(f"{name}:auth").__name__ == "auth"


def test_an_object_that_is_called_like_an_async_function_is_loaded(write: Write) -> None:
    name = write("class Auth:\n    async def __call__(self, handshake): ...\nauth = Auth()")
    assert callable(load_function(f"{name}:auth"))


@pytest.mark.parametrize(
    ("code", "what", "why"),
    [
        ("", "auth", "has no 'auth'; it begins with: async def auth"),
        ("def auth(h): ...", "auth", "auth is not an async function"),
        ("auth = 7", "auth", "auth is not an async function"),
        ("async def auth(): ...", "auth", "cannot be called with the handshake alone"),
        ("async def auth(a, b): ...", "auth", "cannot be called with the handshake alone"),
        ("async def auth(*, h): ...", "auth", "cannot be called with the handshake alone"),
        ("import no_such_module", "auth", "ModuleNotFoundError: No module named 'no_such"),
        ("raise SystemExit('bye')", "auth", "SystemExit: bye"),
        ("def", "auth", "SyntaxError"),
    ],
)
def test_a_function_that_cannot_serve_is_one_clear_line(
    write: Write, code: str, what: str, why: str
) -> None:
    name = write(code)
    with pytest.raises(UsageError, match=why) as caught:
        load_function(f"{name}:{what}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "mine", "mine.auth", "mine:", ":auth", "mine/x:auth", "JWT"])
def test_a_name_of_another_form_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match=r"it takes jwt, or package\.module:function"):
        load_function(name)


def test_a_module_that_is_not_there_is_named() -> None:
    with pytest.raises(UsageError, match=r"cannot import .no_such_package\.auth."):
        load_function("no_such_package.auth:auth")


def test_without_the_option_nobody_is_asked() -> None:
    assert chosen_auth(AuthOptions()) is None


def test_the_options_choose_the_rule(write: Write, tmp_path: Path) -> None:
    name = write("async def auth(handshake): ...")
    assert isinstance(chosen_auth(AuthOptions(auth=f"{name}:auth")), FunctionAuth)
    file = tmp_path / "key"
    file.write_bytes(pem(EC))
    assert isinstance(chosen_auth(AuthOptions(auth="jwt", jwt_key_file=file)), JwtAuth)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"auth": "jwt"}, "--auth jwt needs --jwt-key-file FILE"),
        ({"jwt_key_file": Path("key")}, "--jwt-key-file is for --auth jwt"),
        ({"auth": "mine:auth", "jwt_key_file": Path("key")}, "--jwt-key-file is for --auth jwt"),
        ({"jwt_leeway": -1}, "takes 0 to 3600 seconds"),
        ({"jwt_leeway": float("nan")}, "takes 0 to 3600 seconds"),
    ],
)
def test_options_that_do_not_fit_together_are_refused(options: dict, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        AuthOptions(**options)


def test_the_options_pass_to_a_node_as_they_are(tmp_path: Path) -> None:
    options = AuthOptions(
        "jwt", tmp_path / "key", ("ES256", "RS256"), ("game", "lobby"), ("me",), 5.0
    )
    assert options.arguments() == [
        *("--auth", "jwt", "--jwt-key-file", str(tmp_path / "key")),
        *("--jwt-algorithms", "ES256,RS256", "--jwt-audience", "game,lobby"),
        *("--jwt-issuer", "me", "--jwt-leeway", "5"),
    ]
    assert AuthOptions().arguments() == []
