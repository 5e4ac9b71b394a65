"""The tutorial's files, in the order in which its reader makes them, do what it says."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jwt
import pytest

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


def test_the_tutorials_token_names_the_player_for_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "internet.md", "login.py")
    page = (TUTORIAL / "internet.md").read_text(encoding="utf-8")
    for command in re.findall(r"^openssl (?:gen)?pkey .*", page, re.MULTILINE):
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    command = [sys.executable, "login.py", "4711", "Ada"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    public = (tmp_path / "public.pem").read_text(encoding="utf-8")
    claims = jwt.decode(done.stdout.strip(), public, algorithms=["ES256"])
    assert (claims["sub"], claims["name"]) == ("4711", "Ada")
    assert 3500 < claims["exp"] - time.time() <= 3600
