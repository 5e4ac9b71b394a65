"""What is in the wheel and in the sdist: all that git has of the product, and nothing else."""

from __future__ import annotations

import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.package.environment import ROOT, Built

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

PLACES = {
    "rooms": "lastcall",
    "api": "lastcall/api",
    "game": "lastcall/game",
    "bench": "lastcall/bench",
}
LINKS = {"lastcall", "rooms/api", "rooms/game", "rooms/bench"}


def in_git() -> set[str]:
    """The checkout's files: tracked, or new and not ignored; those that are deleted are not."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return {name for name in listed.stdout.split("\0") if name and (ROOT / name).exists()}


def of_the_wheel(names: set[str]) -> set[str]:
    """Where the files of the four folders stand in the package."""
    parts = (name.partition("/") for name in names - LINKS)
    return {f"{PLACES[folder]}/{rest}" for folder, _, rest in parts if folder in PLACES}


def packaged(wheel: Path) -> list[str]:
    """A wheel's files, but those that describe it."""
    with zipfile.ZipFile(wheel) as archive:
        return [name for name in archive.namelist() if ".dist-info/" not in name]


def of_the_sdist(sdist: Path) -> list[tarfile.TarInfo]:
    """Its members, each named as in its one folder."""
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    top = sdist.name.removesuffix(".tar.gz") + "/"
    return [member.replace(name=member.name.removeprefix(top)) for member in members]


def test_the_checkout_has_the_four_links_and_no_other() -> None:
    assert {name for name in in_git() if (ROOT / name).is_symlink()} == LINKS


def test_a_wheel_has_one_package_and_its_description_at_its_top(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert tops == {"lastcall", f"lastcall-{built.version}.dist-info"}


def test_the_wheel_has_each_file_of_the_four_folders_once_at_its_place(built: Built) -> None:
    files = packaged(built.wheel)
    assert sorted(files) == sorted(of_the_wheel(in_git()))
    assert "lastcall/py.typed" in files


def test_the_wheel_that_is_built_from_the_sdist_has_the_same_files(built: Built) -> None:
    assert sorted(packaged(built.wheel_of_sdist)) == sorted(packaged(built.wheel))


def test_the_sdist_is_what_git_has_without_the_links(built: Built) -> None:
    names = [member.name for member in of_the_sdist(built.sdist)]
    expected = {name for name in in_git() - LINKS if not name.startswith((".ci/", ".github/"))}
    assert sorted(names) == sorted({*expected, "PKG-INFO"})
    folders = {name.partition("/")[0] for name in names if "/" in name}
    assert folders == {"rooms", "api", "game", "bench", "tests", "docs", "deploy"}


def test_the_sdist_holds_plain_files_only(built: Built) -> None:
    assert [member.name for member in of_the_sdist(built.sdist) if not member.isfile()] == []
