"""Folders of runs that were killed are removed by a later run, and no others."""

from __future__ import annotations

import subprocess
import sys
from contextlib import contextmanager

import pytest

from lastcall.local.private_folder import private_folder

PREFIX = "lastcall-test-"
HOLD = f"""
import sys
from lastcall.local.private_folder import private_folder
with private_folder({PREFIX!r}) as folder:
    (folder / "games").write_text("a list")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def temporary(monkeypatch, tmp_path):
    """The folder in which private folders are made."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


@contextmanager
def other_run():
    """Another process with a private folder; yields the process and the folder's path."""
    command = [sys.executable, "-c", HOLD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield process, process.stdout.readline().decode().strip()
        finally:
            process.kill()


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_the_folder_is_private_and_is_removed_at_the_end(temporary):
    with private_folder(PREFIX) as folder:
        assert folder.parent == temporary
        assert folder.name.startswith(PREFIX)
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "games").write_text("a list")
    assert names(temporary) == []


def test_the_next_run_removes_the_folder_of_a_killed_run_and_not_that_of_a_running_one(temporary):
    with other_run() as (killed, leftover), other_run() as (_, kept):
        killed.kill()
        killed.wait()
        before = names(temporary)
        with private_folder(PREFIX) as own:
            assert len(before) == 2
            assert {str(temporary / name) for name in before} == {leftover, kept}
            assert {str(temporary / name) for name in names(temporary)} == {str(own), kept}


def test_files_links_and_folders_of_other_names_stay(temporary):
    elsewhere = temporary / "elsewhere"
    (elsewhere / "mine").mkdir(parents=True)
    (temporary / f"{PREFIX}file").write_text("")
    (temporary / f"{PREFIX}link").symlink_to(elsewhere)
    with private_folder(PREFIX):
        pass
    assert names(temporary) == ["elsewhere", f"{PREFIX}file", f"{PREFIX}link"]
    assert names(elsewhere) == ["mine"]
