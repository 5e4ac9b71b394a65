"""The wheel and the sdist contain all files of the product in git, and no others."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.package.environment import ROOT, Built

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

PACKAGES = {
    "rooms": "lastcall",
    "api": "lastcall/api",
    "game": "lastcall/game",
    "bench": "lastcall/bench",
}
LINKS = {"lastcall", "rooms/api", "rooms/game", "rooms/bench"}


def git_files() -> set[str]:
    """Returns the files of the checkout that are tracked, or new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


def expected_wheel_files(names: set[str]) -> set[str]:
    """Returns the paths in the package of the files of the four folders."""
    parts = (name.partition("/") for name in names - LINKS)
    return {f"{PACKAGES[folder]}/{rest}" for folder, _, rest in parts if folder in PACKAGES}


def wheel_files(wheel: Path) -> list[str]:
    """Returns the files of a wheel, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if ".dist-info/" not in name]


def sdist_members(sdist: Path) -> dict[str, tarfile.TarInfo]:
    """Returns the members of an sdist by their names, relative to its one folder."""
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    root = sdist.name.removesuffix(".tar.gz") + "/"
    return {member.name.removeprefix(root): member for member in members}


def test_the_checkout_has_the_four_links_and_no_other() -> None:
    assert {name for name in git_files() if (ROOT / name).is_symlink()} == LINKS


def test_the_wheel_has_one_package_and_its_metadata(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        roots = {name.partition("/")[0] for name in archive.namelist()}
    assert roots == {"lastcall", f"lastcall-{built.version}.dist-info"}


def test_the_wheel_has_each_file_of_the_four_folders_once_in_its_package(built: Built) -> None:
    files = wheel_files(built.wheel)
    assert sorted(files) == sorted(expected_wheel_files(git_files()))
    assert "lastcall/py.typed" in files


def test_the_wheel_that_is_built_from_the_sdist_has_the_same_files(built: Built) -> None:
    assert sorted(wheel_files(built.wheel_of_sdist)) == sorted(wheel_files(built.wheel))


def test_the_sdist_has_the_files_of_git_without_the_links(built: Built) -> None:
    names = [*sdist_members(built.sdist)]
    expected = {name for name in git_files() - LINKS if not name.startswith((".ci/", ".github/"))}
    assert sorted(names) == sorted({*expected, "PKG-INFO"})
    folders = {name.partition("/")[0] for name in names if "/" in name}
    assert folders == {"rooms", "api", "game", "bench", "tests", "docs", "deploy"}


def test_the_sdist_holds_plain_files_only(built: Built) -> None:
    assert [name for name, one in sdist_members(built.sdist).items() if not one.isfile()] == []
