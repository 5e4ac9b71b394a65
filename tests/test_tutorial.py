"""The tutorial's files, in the order in which its reader makes them, do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

from lastcall.api.auth.entry import Entry
from lastcall.api.auth.json_web_token import JwtAuth
from lastcall.runtime.auth_options import AuthOptions

ROOT = Path(__file__).parent.parent
TUTORIAL = ROOT / "docs" / "tutorial"
FILE = re.compile(r"^```\w+\n# (\S+\.\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
EDIT = "# in quiz.py"


def files(page: str) -> Iterator[tuple[str, str]]:
    """The files of a page: the first line of such a block is the name."""
    yield from FILE.findall((TUTORIAL / page).read_text(encoding="utf-8"))


def write(folder: Path, page: str, *names: str) -> None:
    """Writes the page's files, or only those of the ``names``."""
    for name, text in files(page):
        if not names or name in names:
            (folder / name).write_text(text, encoding="utf-8")


def results(folder: Path) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=50, check=False
    )
    return done.stdout


def edit(folder: Path) -> None:
    """Makes the change of the second page: another question in the place of the violin's."""
    page = (TUTORIAL / "first-roll.md").read_text(encoding="utf-8")
    [line] = re.findall(rf"^```python\n{EDIT}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
    quiz = (folder / "quiz.py").read_text(encoding="utf-8")
    [violin] = re.findall(r"^.*violin.*\n", quiz, re.MULTILINE)
    (folder / "quiz.py").write_text(quiz.replace(violin, line), encoding="utf-8")


def test_the_files_of_the_tutorial_do_what_it_says_page_by_page(tmp_path: Path) -> None:
    write(tmp_path, "first-room.md")
    assert "2 passed" in results(tmp_path)

    edit(tmp_path)
    survive = (TUTORIAL / "survive.md").read_text(encoding="utf-8")
    [decorator] = re.findall(r"`(@room\(\"quiz\".*?survives=True\))`", survive)
    quiz = (tmp_path / "quiz.py").read_text(encoding="utf-8")
    changed = re.sub(r"^@room\(.*\)$", decorator, quiz, flags=re.MULTILINE)
    (tmp_path / "quiz.py").write_text(changed, encoding="utf-8")
    write(tmp_path, "survive.md", "test_survival.py")
    [failure] = re.findall(r"^FAILED .*", survive, re.MULTILINE)
    assert failure in results(tmp_path)

    write(tmp_path, "survive.md")
    with_a_state = (tmp_path / "quiz.py").read_text(encoding="utf-8")
    assert with_a_state.partition("class")[0] == changed.partition("class")[0]
    assert "3 passed" in results(tmp_path)


def token_of_the_tutorial(folder: Path) -> str:
    """Makes the page's keys and files, and returns the token that its script prints."""
    write(folder, "internet.md")
    page = (TUTORIAL / "internet.md").read_text(encoding="utf-8")
    for command in re.findall(r"^openssl (?:gen)?pkey .*", page, re.MULTILINE):
        subprocess.run(command.split(), cwd=folder, check=True, capture_output=True)
    script = [sys.executable, "login.py", "4711", "Ada"]
    done = subprocess.run(script, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


async def test_a_node_with_the_tutorials_key_knows_the_player_of_its_token(tmp_path: Path) -> None:
    token = token_of_the_tutorial(tmp_path)
    settings = tomllib.loads((tmp_path / "server.toml").read_text(encoding="utf-8"))
    key = tmp_path / settings["jwt-key-file"]
    entry = JwtAuth(AuthOptions(settings["auth"], key)).check(token)
    assert isinstance(entry, Entry), entry
    player = entry.identity
    assert player is not None
    assert (player.id, player.name) == ("4711", "Ada")
    assert player.until is not None
    assert 3500 < player.until - time.time() < 3700  # an hour, and the leeway
