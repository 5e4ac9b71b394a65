"""The README's code is run as it stands."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import rooms

README = Path(__file__).parent.parent / "README.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


def test_the_authors_room_and_its_test_run_as_they_stand(tmp_path: Path) -> None:
    room, test = blocks("python")
    (tmp_path / "dice.py").write_text(room, encoding="utf-8")
    (tmp_path / "test_dice.py").write_text(test, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "trio_mode=true"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    assert "1 passed" in done.stdout, done.stdout


def test_every_name_of_the_facade_is_there() -> None:
    for name in rooms.__all__:
        assert getattr(rooms, name).__module__ == "rooms.author"
