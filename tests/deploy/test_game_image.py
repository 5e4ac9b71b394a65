"""The image of a game: what it copies is in the example of the docs, and the node is process 1."""

from __future__ import annotations

import json
import re
from pathlib import Path

from lastcall.serve.command import command as serve


def stages(deploy: Path) -> list[list[str]]:
    """The instructions of each stage, without comments."""
    text = (deploy / "game.Containerfile").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    starts = [number for number, line in enumerate(lines) if line.startswith("FROM ")]
    return [lines[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def values(lines: list[str], instruction: str) -> list[str]:
    return [line.partition(" ")[2] for line in lines if line.startswith(f"{instruction} ")]


def test_only_the_stage_that_is_thrown_away_runs_as_root(deploy: Path) -> None:
    build, last = stages(deploy)
    assert values(build, "USER") == ["0:0"]
    assert values(last, "USER") == [], "the user is that of Lastcall's image"
    assert values(build, "FROM") == [f"{values(last, 'FROM')[0]} AS build"]


def test_the_node_is_process_1_with_options_that_exist(deploy: Path) -> None:
    _, last = stages(deploy)
    assert values(last, "ENTRYPOINT") == values(last, "STOPSIGNAL") == []
    program, name, *options = json.loads(values(last, "CMD")[0])
    assert (program, name) == ("lastcall", "serve")
    known = {option for one in serve.params for option in one.opts}
    assert {option for option in options if option.startswith("--")} <= known
    (variable,) = values(last, "ENV")
    assert variable == "LASTCALL_ROOMS=mygame.rooms"


def test_each_copied_file_is_in_the_example_of_the_docs(deploy: Path) -> None:
    build, _ = stages(deploy)
    page = (deploy.parent / "docs" / "how-to" / "containers.md").read_text(encoding="utf-8")
    tree = re.findall(r"^(?:├──|└──) (\S+?)/?(?: .*)?$", page, re.MULTILINE)
    copied = [source for value in values(build, "COPY") for source in value.split()[:-1]]
    assert copied
    assert set(copied) <= set(tree)
